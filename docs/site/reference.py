"""A hook of mkdocs: `::: jx.NAME` stands for the object behind a public name."""

from __future__ import annotations

import re
from functools import reduce
from typing import Any

import jiantx as jx

REFERENCE = re.compile(r"^::: jx\.(\S+)$", re.MULTILINE)


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Replace public names by the paths that mkdocstrings reads, under the names' own headings.

    Args:
        markdown: Text of the page.
        page: The page.
        config: mkdocs' own.
        files: mkdocs' own.
    """
    return REFERENCE.sub(_full_reference, markdown)


def _full_reference(match: re.Match[str]) -> str:
    name = f"jx.{match[1]}"
    target: Any = reduce(getattr, match[1].split("."), jx)
    path = f"{target.__module__}.{target.__qualname__}"
    options = f'{{heading: "{name}", toc_label: "{name}"}}'
    return f"::: {path}\n    options: {options}"

"""An extension of griffe: doctests of docstrings become sections, which are shown as code."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

HEADING = re.compile(r"^Example:$", re.MULTILINE)
BARE = re.compile(r"(?:\A|(?<=\n\n))(?:>>>[^\n]*\n?)(?:[^\n]+\n?)*", re.MULTILINE)


class Examples(Extension):
    """Give every doctest the heading that griffe looks for."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Change the docstring of an object.

        Args:
            obj: A module, class, function or attribute.
            kwargs: griffe's own.
        """
        if obj.docstring is not None:
            text = HEADING.sub("Examples:", obj.docstring.value)
            obj.docstring.value = BARE.sub(_under_heading, text)


def _under_heading(match: re.Match[str]) -> str:
    code = "\n".join(f"    {line}" for line in match[0].rstrip().splitlines())
    return f"Examples:\n{code}\n"

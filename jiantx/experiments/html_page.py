"""Paragraphs, tables and pictures on one page: a file that opens in any browser and needs no other."""

from __future__ import annotations

import base64
import html
import os
import re
from itertools import groupby
from pathlib import Path

from jiantx.cache import write_text

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 75em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums }
th, td { padding: .25em .8em; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
img { max-width: 100% } code { background: #f3f3f0; padding: .1em .3em }
"""


class Page:
    """Grows part by part; `write` gives it as HTML, with its pictures inside, and as Markdown.

    >>> page = Page("Scores")
    >>> page.add("## By language", "| | de |\\n| --- | ---: |\\n| xnli | 70.1 |")
    >>> print(page.to_markdown().splitlines()[0])
    # Scores
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts: list[str | Path] = []

    def add(self, *parts: str | os.PathLike[str]) -> None:
        """Markdown (headings, paragraphs, lists, tables, `code`) as text; a picture as the path of its file."""
        self._parts += [part if isinstance(part, str) else Path(part) for part in parts]

    def to_markdown(self) -> str:
        """The page as Markdown; pictures are linked by their names."""
        parts = [
            part.strip() if isinstance(part, str) else f"![{part.stem}]({part.name})"
            for part in self._parts
        ]
        return "\n\n".join([f"# {self.title}", *parts]) + "\n"

    def to_html(self) -> str:
        """The page as HTML, with the pictures inside."""
        body = [_picture(part) if isinstance(part, Path) else _blocks(part) for part in self._parts]
        title = html.escape(self.title)
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
            f"<h1>{title}</h1>\n" + "\n".join(body) + "\n</html>\n"
        )

    def write(self, folder: str | os.PathLike[str], name: str = "report") -> list[Path]:
        """Write `<name>.html` and `<name>.md` into a folder."""
        found = [Path(folder) / f"{name}.html", Path(folder) / f"{name}.md"]
        for path, text in zip(found, (self.to_html(), self.to_markdown()), strict=True):
            write_text(path, text)
        return found


def _picture(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    kind = {".svg": "svg+xml", ".jpg": "jpeg"}.get(path.suffix, html.escape(path.suffix[1:]))
    return f'<p><img alt="{html.escape(path.stem)}" src="data:image/{kind};base64,{data}"></p>'


def _blocks(text: str) -> str:
    """The little Markdown that our tables and sentences use."""
    found = []
    for block in re.split(r"\n\s*\n", text.strip()):
        for kind, grouped in groupby(block.splitlines(), _kind):
            lines = [line.strip() for line in grouped]
            if kind == "table":
                found.append(_table(lines))
            elif kind == "list":
                found.append(
                    "<ul>" + "".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "</ul>"
                )
            elif kind == "heading":
                found += [f"<h2>{_inline(line.lstrip('# '))}</h2>" for line in lines]
            else:
                found.append(f"<p>{_inline(' '.join(lines))}</p>")
    return "\n".join(found)


def _kind(line: str) -> str:
    return {"|": "table", "-": "list", "#": "heading"}.get(line.strip()[:1], "paragraph")


def _table(lines: list[str]) -> str:
    rows = [[_inline(cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
    head, body = (
        rows[0],
        [row for row in rows[1:] if not all(re.fullmatch(r":?-+:?", cell) for cell in row)],
    )
    cells = ["".join(f"<td>{cell}</td>" for cell in row) for row in body]
    return (
        "<table><thead><tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr></thead><tbody>"
        + "".join(f"<tr>{row}</tr>" for row in cells) + "</tbody></table>"
    )  # fmt: skip


def _inline(text: str) -> str:
    return re.sub(
        r"\*\*(.+?)\*\*", r"<b>\1</b>", re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
    )

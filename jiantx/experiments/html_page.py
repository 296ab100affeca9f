"""Paragraphs, tables and pictures on one page: an HTML file that needs no other file."""

from __future__ import annotations

import base64
import html
import os
import re
from itertools import groupby
from pathlib import Path

from jiantx.cache import write_text

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 75em; margin: 2em auto; \
padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums }
th, td { padding: .25em .8em; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
img { max-width: 100% } code { background: #f3f3f0; padding: .1em .3em }
"""


class Page:
    """A page that grows block by block.

    Args:
        title: Its heading.

    >>> page = Page("Scores")
    >>> page.add("## By language", "| | de |\\n| --- | ---: |\\n| xnli | 70.1 |")
    >>> print(page.to_markdown().splitlines()[0])
    # Scores
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._blocks: list[str | Path] = []

    def add(self, *blocks: str | os.PathLike[str]) -> None:
        """Add Markdown (headings, paragraphs, lists, tables, `code`), or the paths of pictures."""
        self._blocks += [block if isinstance(block, str) else Path(block) for block in blocks]

    def to_markdown(self) -> str:
        """The page as Markdown; pictures are linked by their names."""
        blocks = [f"# {self.title}"]
        for block in self._blocks:
            if isinstance(block, Path):
                blocks.append(f"![{block.stem}]({block.name})")
            else:
                blocks.append(block.strip())
        return "\n\n".join(blocks) + "\n"

    def to_html(self) -> str:
        """The page as HTML, with the pictures inside."""
        title = html.escape(self.title)
        blocks = []
        for block in self._blocks:
            if isinstance(block, Path):
                blocks.append(_picture_html(block))
            else:
                blocks.append(_markdown_html(block))
        head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        body = f"<h1>{title}</h1>\n" + "\n".join(blocks)
        return f'<!doctype html><html lang="en">{head}{body}\n</html>\n'

    def write(self, folder: str | os.PathLike[str], name: str = "report") -> list[Path]:
        """Write `<name>.html` and `<name>.md`.

        Args:
            folder: An existing folder.
            name: Of the files.

        Returns:
            Their paths.
        """
        html_path = Path(folder) / f"{name}.html"
        markdown_path = Path(folder) / f"{name}.md"
        write_text(html_path, self.to_html())
        write_text(markdown_path, self.to_markdown())
        return [html_path, markdown_path]


def _picture_html(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    media_type = {".svg": "svg+xml", ".jpg": "jpeg"}.get(path.suffix, html.escape(path.suffix[1:]))
    alt = html.escape(path.stem)
    return f'<p><img alt="{alt}" src="data:image/{media_type};base64,{data}"></p>'


def _markdown_html(text: str) -> str:
    """HTML of the subset of Markdown that our tables and sentences use."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        for kind, grouped in groupby(block.splitlines(), _line_kind):
            lines = [line.strip() for line in grouped]
            if kind == "table":
                blocks.append(_table_html(lines))
            elif kind == "list":
                items = "".join(f"<li>{_inline_html(line[2:])}</li>" for line in lines)
                blocks.append(f"<ul>{items}</ul>")
            elif kind == "heading":
                blocks += [f"<h2>{_inline_html(line.lstrip('# '))}</h2>" for line in lines]
            else:
                blocks.append(f"<p>{_inline_html(' '.join(lines))}</p>")
    return "\n".join(blocks)


def _line_kind(line: str) -> str:
    kinds = {"|": "table", "-": "list", "#": "heading"}
    return kinds.get(line.strip()[:1], "paragraph")


def _table_html(lines: list[str]) -> str:
    head, *body = (line.strip("|").split("|") for line in lines)
    rows = [cells for cells in body if not all(map(_is_ruler, cells))]
    head_html = _cells_html(head, "th")
    body_html = "".join(f"<tr>{_cells_html(cells, 'td')}</tr>" for cells in rows)
    return f"<table><thead><tr>{head_html}</tr></thead><tbody>{body_html}</tbody></table>"


def _is_ruler(cell: str) -> bool:
    return re.fullmatch(r":?-+:?", cell.strip()) is not None


def _cells_html(cells: list[str], tag: str) -> str:
    return "".join(f"<{tag}>{_inline_html(cell.strip())}</{tag}>" for cell in cells)


def _inline_html(text: str) -> str:
    with_code = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", with_code)

"""Paragraphs, tables and pictures on one page: an HTML file that needs no other file."""

from __future__ import annotations

import base64
import html
import os
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from jiantx.cache import write_text
from jiantx.experiments.html_table import PageTable, inline_html, parse_table
from jiantx.experiments.page_style import SCRIPT, STYLE
from jiantx.report.picture_style import RESOLUTION

_FEWEST_LINKS = 3  # headings from which on a page has a list of them


@dataclass(frozen=True)
class Picture:
    """A picture of a page.

    Args:
        path: The file: .png, .svg or .jpg.
        alt: What it shows, for readers who do not see it.
        caption: A line below it; none by default.
    """

    path: Path
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Facts:
    """A list of terms, each with a text.

    Args:
        entries: (term, Markdown) of each.
    """

    entries: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Finding:
    """Paragraphs that stand out, because they say what the page shows.

    Args:
        paragraphs: Markdown.
    """

    paragraphs: Sequence[str]


@dataclass(frozen=True)
class Details:
    """Blocks that a reader opens.

    Args:
        summary: The line that is always shown.
        blocks: As `Page.add` takes them.
    """

    summary: str
    blocks: Sequence[Block]


Block = str | Path | Picture | PageTable | Facts | Finding | Details


class Page:
    """A page that grows block by block.

    Its tables can be sorted, with a script in the page; without it, or on paper, nothing is lost.

    Args:
        title: Its heading.

    >>> page = Page("Scores")
    >>> page.add("## By language", "| | de |\\n| --- | ---: |\\n| xnli | 70.1 |")
    >>> print(page.to_markdown().splitlines()[0])
    # Scores
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._blocks: list[Block] = []

    def add(self, *blocks: Block | os.PathLike[str]) -> None:
        """Add blocks.

        Args:
            *blocks: Markdown (headings, paragraphs, lists, tables, `code`), paths of pictures, or
                any other `Block`.
        """
        for block in blocks:
            self._blocks.append(Path(block) if isinstance(block, os.PathLike) else block)

    def to_markdown(self) -> str:
        """The page as Markdown; pictures are linked by their names."""
        return "\n\n".join([f"# {self.title}", *map(_block_markdown, self._blocks)]) + "\n"

    def to_html(self) -> str:
        """The page as HTML, with the pictures inside."""
        writer = _HtmlWriter(self.title)
        body = writer.write(self._blocks)
        title = html.escape(self.title)
        head = (
            '<head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title}</title><style>{STYLE}</style></head>"
        )
        links = ""
        if len(writer.headings) >= _FEWEST_LINKS:
            items = "".join(
                f'<li><a href="#{name}">{text}</a></li>' for name, text in writer.headings.items()
            )
            links = f'<nav aria-label="Sections"><ul>{items}</ul></nav>\n'
        return (
            f'<!doctype html>\n<html lang="en">{head}<body>'
            '<a class="skip" href="#main">Skip to the results</a>'
            f'<h1>{title}</h1>\n{links}<main id="main">\n{body}\n</main>'
            f"<script>{SCRIPT}</script></body></html>\n"
        )

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


# --- Markdown -------------------------------------------------------------------------------------


def _block_markdown(block: Block) -> str:
    if isinstance(block, Path):
        return f"![{block.stem}]({block.name})"
    if isinstance(block, Picture):
        picture = f"![{block.alt}]({block.path.name})"
        return f"{picture}\n\n{block.caption}" if block.caption else picture
    if isinstance(block, PageTable):
        return block.to_markdown()
    if isinstance(block, Facts):
        return "\n".join(f"- {term}: {text}" for term, text in block.entries)
    if isinstance(block, Finding):
        return "\n\n".join(block.paragraphs)
    if isinstance(block, Details):
        return "\n\n".join([f"## {block.summary}", *map(_block_markdown, block.blocks)])
    return block.strip()


# --- HTML -----------------------------------------------------------------------------------------


class _HtmlWriter:
    """Writes blocks as HTML, and collects their headings of the second level.

    Args:
        title: Of the page; it names tables that no heading is above.
    """

    def __init__(self, title: str) -> None:
        self.headings: dict[str, str] = {}  # anchor -> HTML of the text
        self._caption = title  # the nearest heading

    def write(self, blocks: Iterable[Block]) -> str:
        return "\n".join(map(self._block_html, blocks))

    def _block_html(self, block: Block) -> str:
        if isinstance(block, Path):
            return _picture_html(Picture(block, block.stem))
        if isinstance(block, Picture):
            return _picture_html(block)
        if isinstance(block, PageTable):
            return block.to_html()
        if isinstance(block, Facts):
            entries = ""
            for term, text in block.entries:
                entries += f"<dt>{inline_html(term)}</dt><dd>{inline_html(text)}</dd>"
            return f'<dl class="facts">{entries}</dl>'
        if isinstance(block, Finding):
            paragraphs = "".join(f"<p>{inline_html(text)}</p>" for text in block.paragraphs)
            return f'<div class="finding">{paragraphs}</div>'
        if isinstance(block, Details):
            inside = self.write(block.blocks)
            return f"<details><summary>{inline_html(block.summary)}</summary>{inside}</details>"
        return self._markdown_html(block)

    def _markdown_html(self, text: str) -> str:
        """HTML of the subset of Markdown that our tables and sentences use."""
        blocks = []
        for block in re.split(r"\n\s*\n", text.strip()):
            for kind, grouped in groupby(block.splitlines(), _line_kind):
                lines = [line.strip() for line in grouped]
                if kind == "table":
                    blocks.append(parse_table(lines, self._caption).to_html())
                elif kind == "list":
                    items = "".join(f"<li>{inline_html(line[2:])}</li>" for line in lines)
                    blocks.append(f"<ul>{items}</ul>")
                elif kind == "heading":
                    blocks += map(self._heading_html, lines)
                else:
                    paragraph = " ".join(lines)
                    if re.fullmatch(r"\*\*[^*]+\*\*", paragraph):  # the title of a table
                        self._caption = paragraph
                    blocks.append(f"<p>{inline_html(paragraph)}</p>")
        return "\n".join(blocks)

    def _heading_html(self, line: str) -> str:
        level = max(2, len(line) - len(line.lstrip("#")))
        text = line.lstrip("# ")
        self._caption = text
        anchor = re.sub(r"\W+", "-", text.lower()).strip("-")
        while anchor in self.headings:
            anchor += "-"
        if level == 2:
            self.headings[anchor] = inline_html(text)
        return f'<h{level} id="{anchor}">{inline_html(text)}</h{level}>'


def _line_kind(line: str) -> str:
    if line.strip().startswith("- "):
        return "list"
    return {"|": "table", "#": "heading"}.get(line.strip()[:1], "paragraph")


def _picture_html(picture: Picture) -> str:
    path = picture.path
    content = path.read_bytes()
    data = base64.b64encode(content).decode()
    media_type = {".svg": "svg+xml", ".jpg": "jpeg"}.get(path.suffix, html.escape(path.suffix[1:]))
    alt = html.escape(picture.alt, quote=True)
    caption = ""
    if picture.caption:
        caption = f"<figcaption>{inline_html(picture.caption)}</figcaption>"
    image = f'<img alt="{alt}"{_size_html(content)} src="data:image/{media_type};base64,{data}">'
    return f"<figure>{image}{caption}</figure>"


def _size_html(content: bytes) -> str:
    """The size of a PNG file on a page; "" for other files."""
    if content[:8] != b"\x89PNG\r\n\x1a\n" or len(content) < 24:
        return ""
    width, height = struct.unpack(">II", content[16:24])
    return f' width="{width // RESOLUTION}" height="{height // RESOLUTION}"'

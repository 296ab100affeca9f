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
from typing import Protocol

from jiantx.cache import write_text
from jiantx.experiments.html_table import inline_html, parse_table
from jiantx.experiments.page_style import SCRIPT, STYLE
from jiantx.report.picture_style import RESOLUTION

_FEWEST_LINKS = 3  # headings from which on a page has a list of them


class HtmlBlock(Protocol):
    """A part of a page that can be written in both forms."""

    def to_markdown(self) -> str:
        """The block as Markdown."""

    def to_html(self) -> str:
        """The block as HTML."""


@dataclass(frozen=True)
class Picture:
    """A picture of a page.

    Args:
        path: The file: .png, .svg or .jpg.
        alt: What it shows, for readers who do not see it.
    """

    path: Path
    alt: str

    def to_markdown(self) -> str:
        """A link to the picture, by its name."""
        return f"![{self.alt}]({self.path.name})"

    def to_html(self) -> str:
        """The picture itself, in its size on a page."""
        content = self.path.read_bytes()
        data = base64.b64encode(content).decode()
        suffix = self.path.suffix
        media_type = {".svg": "svg+xml", ".jpg": "jpeg"}.get(suffix, html.escape(suffix[1:]))
        source = f"data:image/{media_type};base64,{data}"
        alt = html.escape(self.alt, quote=True)
        return f'<figure><img alt="{alt}"{_size_html(content)} src="{source}"></figure>'


@dataclass(frozen=True)
class Facts:
    """A list of terms, each with a text.

    Args:
        entries: (term, Markdown) of each.
    """

    entries: Sequence[tuple[str, str]]

    def to_markdown(self) -> str:
        """The facts as a list."""
        return "\n".join(f"- {term}: {text}" for term, text in self.entries)

    def to_html(self) -> str:
        """The facts as a list of terms, in two columns where there is room."""
        entries = ""
        for term, text in self.entries:
            entries += f"<dt>{inline_html(term)}</dt><dd>{inline_html(text)}</dd>"
        return f'<dl class="facts">{entries}</dl>'


@dataclass(frozen=True)
class Finding:
    """Paragraphs that stand out, because they say what the page shows.

    Args:
        paragraphs: Markdown.
    """

    paragraphs: Sequence[str]

    def to_markdown(self) -> str:
        """The paragraphs."""
        return "\n\n".join(self.paragraphs)

    def to_html(self) -> str:
        """The paragraphs in a box."""
        paragraphs = "".join(f"<p>{inline_html(text)}</p>" for text in self.paragraphs)
        return f'<div class="finding">{paragraphs}</div>'


@dataclass(frozen=True)
class Details:
    """Blocks that a reader opens.

    Args:
        summary: The line that is always shown.
        blocks: Markdown or other blocks.
    """

    summary: str
    blocks: Sequence[str | HtmlBlock]

    def to_markdown(self) -> str:
        """The blocks below a heading."""
        return "\n\n".join([f"## {self.summary}", *map(_block_markdown, self.blocks)])

    def to_html(self) -> str:
        """The blocks, closed but on paper."""
        inside = _HtmlWriter(self.summary).write(self.blocks)
        return f"<details><summary>{inline_html(self.summary)}</summary>{inside}</details>"


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
        self._blocks: list[str | HtmlBlock] = []

    def add(self, *blocks: str | os.PathLike[str] | HtmlBlock) -> None:
        """Add blocks.

        Args:
            *blocks: Markdown (headings, paragraphs, lists, tables, `code`), paths of pictures, or
                blocks such as `Picture`, `PageTable`, `Facts`, `Finding` and `Details`.
        """
        for block in blocks:
            if isinstance(block, os.PathLike):
                path = Path(block)
                self._blocks.append(Picture(path, path.stem))
            else:
                self._blocks.append(block)

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


def _block_markdown(block: str | HtmlBlock) -> str:
    return block.strip() if isinstance(block, str) else block.to_markdown()


class _HtmlWriter:
    """Writes blocks as HTML, and collects their headings of the second level.

    Args:
        title: Of the page; it names tables that no heading is above.
    """

    def __init__(self, title: str) -> None:
        self.headings: dict[str, str] = {}  # anchor -> HTML of the text
        self._caption = title  # the nearest heading

    def write(self, blocks: Iterable[str | HtmlBlock]) -> str:
        written = []
        for block in blocks:
            if isinstance(block, str):
                written.append(self._markdown_html(block))
            else:
                written.append(block.to_html())
        return "\n".join(written)

    def _markdown_html(self, text: str) -> str:
        """HTML of the subset of Markdown that jiantx's tables and sentences use."""
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


def _size_html(content: bytes) -> str:
    """The size of a PNG file on a page; "" for other files."""
    if content[:8] != b"\x89PNG\r\n\x1a\n" or len(content) < 24:
        return ""
    width, height = struct.unpack(">II", content[16:24])
    return f' width="{width // RESOLUTION}" height="{height // RESOLUTION}"'

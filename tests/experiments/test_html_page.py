"""A page of text, tables and pictures, as HTML and as Markdown."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from pathlib import Path

import pytest

import jiantx as jx

TABLE = "| | de |\n| --- | ---: |\n| **xnli** | 70.1 |\n| a<b | `x` |"


class Tags(HTMLParser):
    """Notes which tags are opened and which are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.closed.append(tag)


@pytest.fixture
def page(tmp_path: Path) -> jx.experiments.Page:
    picture = tmp_path / "scores.png"
    picture.write_bytes(b"\x89PNG")
    page = jx.experiments.Page("Scores & more")
    page.add("## By language", TABLE + "\n\nOne line\nand the next.", "- one\n- two", picture)
    return page


def test_html_has_all_blocks_and_needs_no_other_file(page: jx.experiments.Page) -> None:
    html = page.to_html()
    assert "<h1>Scores &amp; more</h1>" in html
    assert "<h2>By language</h2>" in html
    assert "<td><b>xnli</b></td><td>70.1</td>" in html
    assert "<td>a&lt;b</td><td><code>x</code></td>" in html
    assert "<p>One line and the next.</p>" in html
    assert "<li>one</li><li>two</li>" in html
    assert base64.b64encode(b"\x89PNG").decode() in html
    assert "http" not in html


def test_html_closes_its_tags(page: jx.experiments.Page) -> None:
    tags = Tags(page.to_html())
    without_end = ("meta", "img")
    opened = [tag for tag in tags.opened if tag not in without_end]
    assert sorted(opened) == sorted(tags.closed)
    assert tags.opened.count("tr") == 3, "the line under a table's head is not a row"


def test_drawings_have_their_media_type(tmp_path: Path) -> None:
    (tmp_path / "scores.svg").write_text("<svg/>")
    page = jx.experiments.Page("Drawn")
    page.add(tmp_path / "scores.svg")
    assert "data:image/svg+xml;base64," in page.to_html(), "or a browser shows nothing"


def test_both_files_are_written(page: jx.experiments.Page, tmp_path: Path) -> None:
    html, markdown = page.write(tmp_path)
    assert html.read_text(encoding="utf-8") == page.to_html()
    assert markdown.read_text(encoding="utf-8") == (
        f"# Scores & more\n\n## By language\n\n{TABLE}\n\nOne line\nand the next.\n\n"
        "- one\n- two\n\n![scores](scores.png)\n"
    )

"""A page of text, tables and pictures."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from pathlib import Path

import jiantx as jx

TABLE = "| | de |\n| --- | ---: |\n| **xnli** | 70.1 |\n| a<b | `x` |"


class Tags(HTMLParser):
    """What opens and what closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.closed.append(tag)


def test_both_forms_hold_all_parts(tmp_path: Path) -> None:
    picture = tmp_path / "some.png"
    picture.write_bytes(b"\x89PNG")
    page = jx.experiments.Page("Scores & more")
    page.add("## By language", TABLE + "\n\nOne line\nand the next.", "- one\n- two", picture)
    html, markdown = page.write(tmp_path)
    text = html.read_text(encoding="utf-8")
    assert "<h1>Scores &amp; more</h1>" in text and "<h2>By language</h2>" in text
    assert (
        "<td><b>xnli</b></td><td>70.1</td>" in text
        and "<td>a&lt;b</td><td><code>x</code></td>" in text
    )
    assert "<p>One line and the next.</p>" in text and "<li>one</li><li>two</li>" in text
    assert base64.b64encode(b"\x89PNG").decode() in text and "http" not in text, (
        "it needs no other file"
    )
    tags = Tags(text)
    assert sorted(t for t in tags.opened if t not in ("meta", "img")) == sorted(tags.closed)
    assert tags.opened.count("tr") == 3, "the line under a table's head is no row"
    drawing = jx.experiments.Page("Drawn")
    (tmp_path / "some.svg").write_text("<svg/>")
    drawing.add(tmp_path / "some.svg")
    assert "data:image/svg+xml;base64," in drawing.to_html(), "or a browser shows nothing"
    assert markdown.read_text(encoding="utf-8") == (
        f"# Scores & more\n\n## By language\n\n{TABLE}\n\nOne line\nand the next.\n\n"
        "- one\n- two\n\n![some](some.png)\n"
    )

"""A page of text, tables and pictures, as HTML and as Markdown."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from pathlib import Path

import pytest

import jiantx as jx
from jiantx.experiments.html_page import Details, Facts, Finding, Picture

TABLE = "| | de |\n| --- | ---: |\n| **xnli** | 70.1 |\n| a<b | `x` |"


class Tags(HTMLParser):
    """Notes which tags are opened and which are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[dict[str, str | None]] = []
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append(tag)
        self.attributes.append(dict(attrs))

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
    assert '<h2 id="by-language">By language</h2>' in html
    assert '<th scope="row"><b>xnli</b></th><td>70.1</td>' in html
    assert '<th scope="row">a&lt;b</th><td><code>x</code></td>' in html
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


def test_the_page_can_be_read_aloud_and_without_a_script(page: jx.experiments.Page) -> None:
    html = page.to_html()
    tags = Tags(html)
    tables = [tags.attributes[index] for index, tag in enumerate(tags.opened) if tag == "caption"]
    assert len(tables) == tags.opened.count("table") == 1
    assert '<caption class="hidden"><span>By language</span></caption>' in html
    assert 'aria-label="By language"' in html and '<html lang="en">' in html
    assert "button" not in tags.opened, "the script makes them"
    assert "prefers-color-scheme: dark" in html and "@media print" in html


def test_a_picture_has_its_alternative_text_and_half_its_pixels(tmp_path: Path) -> None:
    header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (800).to_bytes(4) + (600).to_bytes(4)
    (tmp_path / "a.png").write_bytes(header)
    page = jx.experiments.Page("Drawn")
    page.add(Picture(tmp_path / "a.png", 'Scores of "none"'))
    html = page.to_html()
    assert '<img alt="Scores of &quot;none&quot;" width="400" height="300"' in html
    assert '![Scores of "none"](a.png)' in page.to_markdown()


def test_facts_findings_and_details_are_written_in_both_forms() -> None:
    page = jx.experiments.Page("Blocks")
    page.add(Facts([("Seeds", "3: 1, 2, 3")]), Finding(["**No effect** is shown."]))
    page.add(Details("Every score", [TABLE]))
    html = page.to_html()
    assert "<dt>Seeds</dt><dd>3: 1, 2, 3</dd>" in html
    assert '<div class="finding"><p><b>No effect</b> is shown.</p></div>' in html
    assert "<details><summary>Every score</summary>" in html
    markdown = page.to_markdown()
    assert (
        "- Seeds: 3: 1, 2, 3\n\n**No effect** is shown.\n\n## Every score\n\n| | de |" in markdown
    )


def test_sections_are_linked_once_there_are_several() -> None:
    page = jx.experiments.Page("Sections")
    page.add("## One", "## Two")
    assert "<nav" not in page.to_html()
    page.add("## One", "### Part")
    tags = Tags(page.to_html())
    links = {attributes.get("href") for attributes in tags.attributes}
    assert {"#one", "#two", "#one-"} <= links and "#part" not in links
    ids = [attributes["id"] for attributes in tags.attributes if "id" in attributes]
    assert len(ids) == len(set(ids))

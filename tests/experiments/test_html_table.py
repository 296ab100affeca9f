"""Tables of a page: parsed, marked, and in parts that a reader can sort."""

from __future__ import annotations

from jiantx.experiments.html_table import PageTable, inline_html, parse_table

ROWS = [["none", "70.0"], ["mnli", "+1.0 ± 0.5 *"], ["qqp", "-2.0 ± 0.5 *"], ["ccg", "+9.0 ± 20.0"]]


def test_claims_are_coloured_and_all_else_is_grey() -> None:
    table = PageTable("Scores", ["row", "xnli"], ROWS, fixed_rows=1, with_claims=True)
    html = table.to_html()
    assert '<td class="up">+1.0 ± 0.5 *</td>' in html
    assert '<td class="down">\N{MINUS SIGN}2.0 ± 0.5 *</td>' in html
    assert '<td class="unproven">+9.0 ± 20.0</td>' in html
    assert "<td>70.0</td>" in html, "a score is no difference"


def test_only_lines_between_the_baseline_and_the_averages_are_sorted() -> None:
    rows = [*ROWS, ["**average**", "+2.7"]]
    html = PageTable("Scores", ["row", "xnli"], rows, fixed_rows=1).to_html()
    fixed, sortable = html.index('<tbody class="fixed">'), html.index('<tbody class="sortable">')
    assert fixed < html.index("none") < sortable < html.index("mnli") < html.index("<tfoot>")
    assert html.index("<tfoot>") < html.index("<b>average</b>")


def test_an_escaped_border_is_text() -> None:
    table = parse_table(["| a\\|b | c |", "| --- | ---: |", "| x | y\\|z |"], "Borders")
    assert table.header == ["a|b", "c"] and table.rows == [["x", "y|z"]]
    assert "y|z" in table.to_html()


def test_numbers_have_minus_signs_and_names_keep_hyphens() -> None:
    assert inline_html("-1.5, `--seeds`, 80x2-3 and (-2)") == (
        "\N{MINUS SIGN}1.5, <code>--seeds</code>, 80x2-3 and (\N{MINUS SIGN}2)"
    )
    assert inline_html("**`mnli` helps** <b>") == "<b><code>mnli</code> helps</b> &lt;b&gt;"


def test_markdown_has_the_caption_and_the_notes() -> None:
    table = PageTable("Scores", ["row", "xnli"], ROWS[:1], notes=["One seed."])
    expected = "**Scores**\n\n| row | xnli |\n| --- | ---: |\n| none | 70.0 |\n\nOne seed."
    assert table.to_markdown() == expected


def test_a_difference_that_rounds_to_zero_is_no_loss() -> None:
    table = parse_table(["| row | xnli |", "| --- | ---: |", "| mnli | 0.0 ± 0.0 * |"], "caption")
    kinds = [table._cell_kind("xnli", text, True) for text in ("0.0 ± 0.0 *", "+1.0 *", "-1.0 *")]
    assert kinds == ["unproven", "up", "down"]

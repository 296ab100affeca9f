"""Tables in Markdown and in plain text."""

import math
from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table: the first column aligned left, the others right.

    Args:
        header: Names of the columns.
        rows: One sequence of texts for each line, as long as the header.

    Returns:
        The table, whose lines are `table_line`s.

    Example:
        >>> print(markdown_table(["task", "en"], [["xnli", "76.5"]]), end="")
        | task | en |
        | --- | ---: |
        | xnli | 76.5 |
    """
    rule = ["---", *["---:"] * (len(header) - 1)]
    lines = []
    for texts in (header, rule, *rows):
        lines.append(table_line(texts) + "\n")
    return "".join(lines)


def table_line(texts: Iterable[str]) -> str:
    r"""Write a line of a Markdown table. A `|` is escaped, and a line break becomes a space.

    >>> print(table_line(["yes|no", "two\nlines"]))
    | yes\|no | two lines |
    """
    cells = [" ".join(text.splitlines()).replace("|", "\\|") for text in texts]
    return f"| {' | '.join(cells)} |"


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table for a terminal: the first column aligned left, the others right.

    Args:
        header: Names of the columns.
        rows: One sequence of texts for each line, as long as the header.

    Returns:
        The table. If a text ends with the mark " *", all others leave room for one.
    """
    if any(_has_mark(texts) for texts in rows):
        rows = [[texts[0], *map(_leave_room_for_mark, texts[1:])] for texts in rows]
    columns = zip(header, *rows, strict=True)
    widths = [max(map(len, column)) for column in columns]
    rule = ["-" * width for width in widths]
    lines = []
    for label, *texts in (header, rule, *rows):
        cells = [label.ljust(widths[0]), *map(str.rjust, texts, widths[1:])]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


def _has_mark(texts: Sequence[str]) -> bool:
    return any(text.endswith(" *") for text in texts)


def _leave_room_for_mark(text: str) -> str:
    return text if text.endswith(" *") else f"{text}  "


def format_score(value: float, sign: str = "") -> str:
    """Write a score with one decimal.

    Args:
        value: The score, or a difference of scores.
        sign: "+" to write the sign of positive values too. Zero never has a sign.

    Returns:
        The text; a dash for NaN.

    Example:
        >>> format_score(1.26, "+"), format_score(-0.01, "+"), format_score(math.nan)
        ('+1.3', '0.0', '–')
    """
    if math.isnan(value):
        return "–"
    text = f"{value:{sign}.1f}"
    return text[1:] if text in ("+0.0", "-0.0") else text

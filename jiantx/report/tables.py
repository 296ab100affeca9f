"""Tables in Markdown, plain text, LaTeX and HTML."""

import html
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

FEWER = "†"  # marks a mean over fewer scores than the means beside it
FAILED = "‡"  # marks a score of runs that did not learn


@dataclass(frozen=True)
class TextTable:
    """The texts of a table, to be written in several forms.

    Args:
        header: Names of the columns.
        rows: One sequence of texts for each line, as long as the header. `**mean**` is bold.
        title: Text above the table.
        legend: Lines below the table, each after an empty one.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    legend: str = ""

    def to_markdown(self) -> str:
        """Write the table as Markdown."""
        title = f"**{self.title}**\n\n" if self.title else ""
        return title + markdown_table(self.header, self.rows) + self.legend

    def to_text(self) -> str:
        """Write the table for a terminal."""
        title = f"{self.title}\n\n" if self.title else ""
        rows = [[_BOLD.sub(r"\1", text) for text in row] for row in self.rows]
        header = [_BOLD.sub(r"\1", text) for text in self.header]
        return title + text_table(header, rows) + self.legend

    def to_latex(self) -> str:
        """Write the table as a LaTeX `tabular` of the package booktabs.

        Title and legend become comments, since the text around the table says what it shows.
        """
        lines = [f"% {self.title}"] if self.title else []
        lines.append(f"\\begin{{tabular}}{{l{'r' * (len(self.header) - 1)}}}")
        lines += ["\\toprule", _latex_line(self.header), "\\midrule"]
        lines += map(_latex_line, self.rows)
        lines += ["\\bottomrule", "\\end{tabular}"]
        lines += [f"% {line}" for line in self.legend.splitlines() if line]
        return "\n".join(lines) + "\n"

    def to_html(self) -> str:
        """Write the table as HTML, without a page around it."""
        lines = ["<table>"]
        if self.title:
            lines.append(f"<caption>{html.escape(self.title)}</caption>")
        lines.append(f"<thead>{_html_line('th', self.header)}</thead>")
        lines += ["<tbody>", *(_html_line("td", row) for row in self.rows), "</tbody>", "</table>"]
        for line in self.legend.splitlines():
            if line:
                lines.append(f"<p>{html.escape(line)}</p>")
        return "\n".join(lines) + "\n"


_BOLD = re.compile(r"^\*\*(.+)\*\*$")
_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    FEWER: r"$^\dagger$",
}
_NUMBER = re.compile(r"^-(?=\d)")


def latex_text(text: str) -> str:
    r"""Escape a text for LaTeX; a number gets a minus sign, and `**mean**` is bold.

    >>> print(latex_text("panx_de"), latex_text("-1.5 ± 0.2 *"), latex_text("**mean**"))
    panx\_de $-$1.5 $\pm$ 0.2 $^*$ \textbf{mean}
    """
    bold = _BOLD.match(text)
    if bold:
        return f"\\textbf{{{latex_text(bold[1])}}}"
    escaped = "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
    return re.sub(r" ?\*$", " $^*$", _NUMBER.sub("$-$", escaped))


def _latex_line(texts: Iterable[str]) -> str:
    return " & ".join(map(latex_text, texts)) + r" \\"


def _html_line(tag: str, texts: Iterable[str]) -> str:
    cells = []
    for index, text in enumerate(texts):
        style = ' style="text-align: right"' if index else ' style="text-align: left"'
        escaped = _BOLD.sub(r"<b>\1</b>", html.escape(text))
        cells.append(f"<{tag}{style}>{escaped}</{tag}>")
    return f"<tr>{''.join(cells)}</tr>"


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
        The table. If a text ends with a mark such as " *", all others leave room for one.
    """
    widest_mark = max((_mark_width(text) for texts in rows for text in texts[1:]), default=0)
    aligned = []
    for label, *texts in rows:
        padding = [" " * (widest_mark - _mark_width(text)) for text in texts]
        aligned.append([label, *map(str.__add__, texts, padding)])
    rows = aligned
    columns = zip(header, *rows, strict=True)
    widths = [max(map(len, column)) for column in columns]
    rule = ["-" * width for width in widths]
    lines = []
    for label, *texts in (header, rule, *rows):
        cells = [label.ljust(widths[0]), *map(str.rjust, texts, widths[1:])]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


def _mark_width(text: str) -> int:
    return len(text) - len(text.rstrip(f" *{FEWER}{FAILED}"))


def describe_fewer(lacking: Mapping[str, Sequence[str]]) -> str:
    """Write the legend of the mark `FEWER`.

    Args:
        lacking: Column -> what it lacks, and other columns have.

    Returns:
        A line below the table; empty if no column lacks anything.
    """
    columns_of: dict[str, list[str]] = {}
    for column, names in lacking.items():
        if names:
            columns_of.setdefault(", ".join(names), []).append(column)
    if not columns_of:
        return ""
    phrases = [f"{', '.join(columns)} without {names}" for names, columns in columns_of.items()]
    hidden = len(phrases) - 5
    more = f"; and {hidden} more" if hidden > 0 else ""
    return (
        f"\n`{FEWER}` a mean over fewer scores than others have, not comparable with them: "
        f"{'; '.join(phrases[:5])}{more}.\n"
    )


def format_counts(counts: Collection[int]) -> str:
    """Write counts that may differ.

    Args:
        counts: One or more.

    Example:
        >>> format_counts([3, 3]), format_counts([3, 2])
        ('3', '2 to 3')
    """
    fewest = min(counts)
    return f"{fewest}" if fewest == max(counts) else f"{fewest} to {max(counts)}"


def format_score(value: float, sign: str = "", *, fewer: bool = False) -> str:
    """Write a score with one decimal.

    Args:
        value: The score, or a difference of scores.
        sign: "+" to write the sign of positive values too. Zero never has a sign.
        fewer: Mark the score as a mean over fewer scores than others have.

    Returns:
        The text; a dash for NaN.

    Example:
        >>> format_score(1.26, "+"), format_score(-0.01, "+"), format_score(math.nan)
        ('+1.3', '0.0', '–')
    """
    if math.isnan(value):
        return "–"
    text = f"{value:{sign}.1f}"
    text = text[1:] if text in ("+0.0", "-0.0") else text
    return f"{text} {FEWER}" if fewer else text

"""Tables of a page: as HTML that can be sorted and read aloud, and as Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from jiantx.report import markdown_table

SIGNIFICANT = "*"  # the 95 % interval of a difference excludes zero
_CODE = re.compile(r"`([^`]+)`")
_HYPHEN_MINUS = re.compile(r"(?<![\w.&#;])-(?=\d)")
_BREAK_AFTER = re.compile(r"([+_])(?=\w)")
_COLUMN_END = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class PageTable:
    """A table of a page. Its cells are Markdown.

    Args:
        caption: What the table shows, in one or two sentences.
        header: Names of the columns. The first cell of each row names the row.
        rows: The lines below the header.
        fixed_rows: How many of the first rows stay in their place when a reader sorts the table.
        with_claims: Whether cells with a sign are differences, of which those marked `*` are
            claimed: these are coloured, and all others are grey.
        text_columns: Columns of texts, which are aligned left.
        notes: Lines of small print below the table.
        hides_caption: Whether only screen readers get the caption, because a heading says it.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    fixed_rows: int = 0
    with_claims: bool = False
    text_columns: Sequence[str] = ()
    notes: Sequence[str] = field(default=())
    hides_caption: bool = False

    def to_markdown(self) -> str:
        """The caption, the table and its notes as Markdown."""
        blocks = [] if self.hides_caption else [f"**{self.caption}**"]
        blocks += [markdown_table(self.header, self.rows).rstrip(), *self.notes]
        return "\n\n".join(blocks)

    def to_html(self) -> str:
        """The table as HTML, in a region that scrolls sideways where it is too wide."""
        hidden = ' class="hidden"' if self.hides_caption else ""
        columns = ""
        for name in self.header:
            kind = ' class="text"' if name in self.text_columns else ""
            columns += f'<th scope="col"{kind}>{inline_html(name)}</th>'
        fixed, sortable, last = self._bodies()
        body = ""
        if fixed:
            body += f'<tbody class="fixed">{self._rows_html(fixed, claims=False)}</tbody>'
        if sortable:
            kind = ' class="sortable"' if len(sortable) > 1 else ""
            body += f"<tbody{kind}>{self._rows_html(sortable)}</tbody>"
        if last:
            body += f"<tfoot>{self._rows_html(last)}</tfoot>"
        name = html.escape(re.sub(r"[*`]", "", self.caption), quote=True)
        notes = "".join(f'<p class="note">{inline_html(note)}</p>' for note in self.notes)
        return (
            f'<div class="scroll" role="region" tabindex="0" aria-label="{name}"><table>'
            f"<caption{hidden}><span>{inline_html(self.caption)}</span></caption>"
            f"<thead><tr>{columns}</tr></thead>{body}</table></div>{notes}"
        )

    def _bodies(self) -> tuple[Sequence[Sequence[str]], ...]:
        """The rows that stay first, those that can be sorted, and a last row of averages."""
        sortable = self.rows[self.fixed_rows :]
        has_averages = len(sortable) > 1 and sortable[-1][0].startswith("**")
        end = len(sortable) - has_averages
        return self.rows[: self.fixed_rows], sortable[:end], sortable[end:]

    def _rows_html(self, rows: Sequence[Sequence[str]], *, claims: bool = True) -> str:
        lines = ""
        for label, *texts in rows:
            name_html = _BREAK_AFTER.sub(r"\1<wbr>", inline_html(label))
            lines += f'<tr><th scope="row">{name_html}</th>'
            for name, text in zip(self.header[1:], texts, strict=True):
                kind = self._cell_kind(name, text, claims and self.with_claims)
                css_class = f' class="{kind}"' if kind else ""
                lines += f"<td{css_class}>{inline_html(text)}</td>"
            lines += "</tr>"
        return lines

    def _cell_kind(self, column: str, text: str, is_difference: bool) -> str:
        """The CSS class of a cell."""
        if column in self.text_columns:
            return "text"
        if not is_difference or text[:1] not in ("+", "-", "0"):
            return ""
        if SIGNIFICANT not in text or text.startswith("0"):  # a difference that rounds to 0.0
            return "unproven"
        return "up" if text.startswith("+") else "down"


def parse_table(lines: Sequence[str], caption: str) -> PageTable:
    r"""Read a Markdown table.

    Args:
        lines: Its lines. A `\|` is text, and no border.
        caption: What the table shows; a heading above it says the same.
    """
    rows = []
    for line in lines:
        texts = [text.strip() for text in _COLUMN_END.split(line.strip()[1:].removesuffix("|"))]
        rows.append([text.replace("\\|", "|") for text in texts])
    header, *body = rows
    without_rule = [row for row in body if not all(map(_is_rule, row))]
    return PageTable(caption, header, without_rule, hides_caption=True)


def _is_rule(text: str) -> bool:
    return re.fullmatch(r":?-+:?", text) is not None


def inline_html(text: str) -> str:
    """Return the HTML of a line of Markdown: code, bold text and minus signs."""
    written = ""
    for index, segment in enumerate(_CODE.split(html.escape(text))):
        if index % 2:  # code breaks between words only
            code_words = [f'<span class="word">{word}</span>' for word in segment.split(" ")]
            segment = " ".join(code_words) if len(code_words) > 1 else segment
            written += f"<code>{segment}</code>"
            continue
        written += _HYPHEN_MINUS.sub("\N{MINUS SIGN}", segment)
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", written)

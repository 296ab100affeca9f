"""Readers of tagged words, rows `{"tokens", "tags"}`: CoNLL, CoNLL-U, supertags, CCGbank."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from jiantx.sources.base import DataError, Row
from jiantx.sources.readers.tables import text_lines


def read_conll(
    path: Path,
    *,
    token: int = 0,
    tag: int = -1,
    prefixed: bool = False,
    encoding: str = "utf-8",
) -> Iterator[Row]:
    """Read columns: one word a line, a blank line after each sentence.

    Columns are separated by tabs or, in lines without a tab, by spaces. A line that begins with `#`
    and a blank is a comment if it stands before a sentence. It is a word inside a sentence, or if
    it has as many columns as the words of the file and one of their tags. Lines that begin with
    -DOCSTART-, `#begin document` or `#end document` end a sentence and are skipped.

    Args:
        path: The file.
        token: The index of the words' column.
        tag: The index of the tags' column.
        prefixed: Words carry their language, `en:Paris`, as in WikiANN's own files.
        encoding: The file's encoding.

    Raises:
        DataError: A line has too few columns, others than its sentence, or an empty tag.
    """
    options: dict[str, Any] = {"prefixed": prefixed, "encoding": encoding}
    for _, row in numbered_sentences(path, token=token, tag=tag, **options):
        yield row


def numbered_sentences(
    path: Path,
    *,
    token: int = 0,
    tag: int = -1,
    prefixed: bool = False,
    encoding: str = "utf-8",
) -> Iterator[tuple[int, Row]]:
    """Read columns as `read_conll` does, with the number of each sentence's first line.

    Args:
        path: The file.
        token: The index of the words' column.
        tag: The index of the tags' column.
        prefixed: Words carry their language.
        encoding: The file's encoding.
    """
    columns = _Columns(path, token, tag, encoding)
    for lines in _sentences(path, encoding):
        tokens: list[str] = []
        tags: list[str] = []
        word_lines = list(itertools.dropwhile(columns.is_comment, lines))
        for line in word_lines:
            columns.check(line, len(word_lines[0].fields))
            if line.has_tabs and len(line.fields) == 10 and _NO_WORD.fullmatch(line.fields[0]):
                raise DataError(
                    f"{path}, line {line.number}: {line.fields[0]} is a multiword token or an "
                    "empty node of CoNLL-U, and no word. Read such files by "
                    'jx.Files("….conllu", jx.read_conllu).'
                )
            fields = line.fields
            tokens.append(fields[token].partition(":")[2] if prefixed else fields[token])
            tags.append(fields[tag])
        if tokens:
            yield word_lines[0].number, {"tokens": tokens, "tags": tags}


_NO_WORD = re.compile(r"\d+[-.]\d+")  # an id of CoNLL-U: 3-4 are two words, 8.1 is none


class _Line(NamedTuple):
    """A line and its columns."""

    number: int
    text: str
    fields: list[str]

    @property
    def has_tabs(self) -> bool:
        return "\t" in self.text

    @property
    def may_be_comment(self) -> bool:
        return self.text == "#" or self.text.startswith(("# ", "#\t"))


_DOCUMENT_LINES = ("-DOCSTART-", "#begin document", "#end document")


def _sentences(path: Path, encoding: str) -> Iterator[list[_Line]]:
    """The lines of each sentence, with the comments before it."""
    lines: list[_Line] = []
    for number, text in enumerate(itertools.chain(text_lines(path, encoding), [""]), 1):
        if text.strip() and not text.startswith(_DOCUMENT_LINES):
            # by spaces alone: other scripts' blanks belong to words
            fields = text.split("\t") if "\t" in text else re.split(" +", text.strip(" "))
            lines.append(_Line(number, text, [field.strip(" ") for field in fields]))
        elif lines:
            yield lines
            lines = []


@dataclass
class _Columns:
    """Where words and tags stand in the lines of a file."""

    path: Path
    token: int
    tag: int
    encoding: str

    def is_comment(self, line: _Line) -> bool:
        """Whether a line before a sentence's first word is a comment."""
        if not line.may_be_comment:
            return False
        if len(line.fields) < self._min_width:
            return True
        tags = self._tags_by_width.get(len(line.fields))
        if line.has_tabs:  # of the comments, only GermEval's have some
            return tags is None and bool(self._tags_by_width)
        return tags is None or line.fields[self.tag] not in tags

    @cached_property
    def _tags_by_width(self) -> dict[int, set[str]]:
        """Number of columns -> the tags of the lines that are no comments."""
        tags: dict[int, set[str]] = {}
        for line in itertools.chain.from_iterable(_sentences(self.path, self.encoding)):
            if not line.may_be_comment and len(line.fields) >= self._min_width:
                tags.setdefault(len(line.fields), set()).add(line.fields[self.tag])
        return tags

    @property
    def _min_width(self) -> int:
        return max(self.token + 1, self.tag + 1, -self.token, -self.tag, 2)

    def check(self, line: _Line, expected_width: int) -> None:
        """Raise DataError if a column of a word is missing.

        Args:
            line: A line of a sentence.
            expected_width: The number of columns of its first word.
        """
        problem = ""
        width = len(line.fields)
        # after tabs, more columns than needed do no harm
        is_counted = min(self.token, self.tag) < 0 or not line.has_tabs
        if width < self._min_width:
            problem = "expected a word and its tag"
            if max(self.token, self.tag) >= 2 or min(self.token, self.tag) < -2:
                problem += f" in columns {self.token} and {self.tag} (the first is 0)"
        elif is_counted and width != expected_width:
            problem = f"expected {expected_width} columns, as its sentence's first word has"
        elif not line.fields[self.tag]:
            problem = f"expected a tag in column {self.tag}"
        if problem:
            raise DataError(f"{self.path}, line {line.number}: {problem}, found {line.text!r}.")


def read_supertags(path: Path) -> Iterator[Row]:
    """Read one sentence a line, `words<TAB>supertags`, both separated by spaces."""
    for line_number, line in enumerate(text_lines(path), 1):
        if not line.strip():
            continue
        sentence, _, supertags = line.partition("\t")
        tokens = sentence.split()
        tags = supertags.split()
        if len(tokens) != len(tags):
            raise DataError(
                f"{path}, line {line_number}: expected words, a tab, and a tag for each; "
                f"found {len(tokens)} words and {len(tags)} tags."
            )
        yield {"tokens": tokens, "tags": tags}


def read_ccgbank(path: Path) -> Iterator[Row]:
    """Read CCGbank's .auto files, one derivation a line: its words and their categories."""
    for line_number, line in enumerate(text_lines(path), 1):
        leaves = re.findall(r"\(<L (\S+) \S+ \S+ (\S+) \S+>\)", line)
        if len(leaves) != line.count("(<L "):
            raise DataError(
                f"{path}, line {line_number}: expected leaves (<L category tag tag word category>)."
            )
        if leaves:
            categories, tokens = zip(*leaves, strict=True)
            yield {"tokens": list(tokens), "tags": list(categories)}


# --- CoNLL-U --------------------------------------------------------------------------------------

# XTREME's conversion of Universal Dependencies: which word of a multiword token lends it its tag,
# among those at the same height of the tree.
_PRECEDENCE = "VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT".split()
_PRECEDENCE_BY_LANGUAGE = {
    "es": "VERB AUX PRON ADP DET".split(),
    "fr": "VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ CONJ".split(),
    "it": "VERB AUX ADV PRON ADP DET INTJ".split(),
}


def read_conllu(path: Path) -> Iterator[Row]:
    """Read CoNLL-U as XTREME does: surface words and universal tags.

    A multiword token is one word with the tag of its highest word in the tree; a list of tags
    decides ties. Empty nodes are skipped, U+200C and spaces inside words are removed. Sentences
    whose words are masked (`_`), all or all but one, are skipped, as in XTREME; so is a sentence of
    two words of which one is an underscore.
    """
    precedence = _PRECEDENCE_BY_LANGUAGE.get(path.name.split("_")[0], _PRECEDENCE)
    for tree in conllu_trees(path):
        tokens, tags = _surface_words(tree, precedence)
        masked = tokens.count("_")
        if tokens and (not masked or masked < len(tokens) - 1):
            yield {"tokens": tokens, "tags": tags}


def conllu_trees(path: Path) -> Iterator[ConlluTree]:
    """The sentences of a CoNLL-U file; DataError names the line that is none."""
    lines: list[tuple[int, list[str]]] = []
    for line_number, line in enumerate(itertools.chain(text_lines(path), [""]), 1):
        if not line.strip():
            yield _parse_tree(path, lines)
            lines.clear()
        elif not line.startswith("#"):
            fields = line.split("\t")
            if len(fields) != 10:
                raise DataError(
                    f"{path}, line {line_number}: expected 10 columns separated by tabs, "
                    f"found {len(fields)}."
                )
            lines.append((line_number, fields))


@dataclass
class ConlluTree:
    """The words of a sentence, numbered from 1, and its multiword tokens.

    Attributes:
        forms: Word -> what is written.
        tags: Word -> universal tag.
        heads: Word -> its head; 0 is the root.
        relations: Word -> its relation to the head.
        multiword_tokens: First word -> last word and what is written.
    """

    forms: dict[int, str] = field(default_factory=dict)
    tags: dict[int, str] = field(default_factory=dict)
    heads: dict[int, int] = field(default_factory=dict)
    relations: dict[int, str] = field(default_factory=dict)
    multiword_tokens: dict[int, tuple[int, str]] = field(default_factory=dict)

    def height(self, word: int) -> int:
        """Steps to the root; a cycle in a broken tree ends too."""
        steps = 0
        while word and steps <= len(self.heads):
            word = self.heads.get(word, 0)
            steps += 1
        return steps


def _surface_words(tree: ConlluTree, precedence: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of a sentence as they are written, and their tags."""

    def rank(word: int) -> tuple[int, int]:
        tag = tree.tags[word]
        tag_rank = precedence.index(tag) if tag in precedence else len(precedence)
        return tree.height(word), tag_rank

    tokens: list[str] = []
    tags: list[str] = []
    covered_until = 0  # the last word of the newest multiword token
    for word, form in tree.forms.items():
        if word in tree.multiword_tokens:
            covered_until, form = tree.multiword_tokens[word]
            tokens.append(form)
            tags.append(tree.tags[min(range(word, covered_until + 1), key=rank)])
        elif word > covered_until:
            tokens.append(form)
            tags.append(tree.tags[word])
    return tokens, tags


def _parse_tree(path: Path, lines: Sequence[tuple[int, list[str]]]) -> ConlluTree:
    """Read the lines of a sentence; DataError if the words are not numbered one after the other."""
    tree = ConlluTree()
    last_covered = 0  # by a multiword token
    for line_number, fields in lines:
        id, tag, head = fields[0], fields[3].strip(" "), fields[6]
        form = fields[1].replace("\u200c", "").replace(" ", "")
        if "." in id:
            continue
        is_range = "-" in id
        word = len(tree.forms) + 1
        try:
            first, last = map(int, id.split("-")) if is_range else (int(id), word)
            head_word = 0 if is_range or head == "_" else int(head)
        except ValueError:
            raise DataError(
                f"{path}, line {line_number}: {id!r} and {head!r} are no word number and head."
            ) from None
        # a number that comes twice would lend one tag to two words: the blank line between two
        # sentences is missing
        if first != word or last < word or (is_range and last_covered >= word):
            raise DataError(
                f"{path}, line {line_number}: found the word number {id!r}, expected {word}."
            )
        if is_range:
            tree.multiword_tokens[word] = (last, form)
            last_covered = last
        else:
            tree.forms[word] = form
            tree.tags[word] = tag
            tree.heads[word] = head_word
            tree.relations[word] = fields[7]
    if last_covered > len(tree.forms):
        raise DataError(
            f"{path}, line {line_number}: a multiword token ends at word {last_covered}, "
            f"the sentence at {len(tree.forms)}."
        )
    return tree

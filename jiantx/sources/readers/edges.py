"""Readers of spans with labels, one row a target: edge probing's JSON lines, dependencies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jiantx.sources.base import DataError, Row
from jiantx.sources.readers.tables import read_jsonl
from jiantx.sources.readers.tagging import conllu_trees, read_conllu


def read_edges(path: Path) -> Iterator[Row]:
    """Read edge probing's JSON lines, as jiant wrote them: a sentence and its targets a line.

    Rows are `{"text", "span1", "span2", "label"}`, one for each target; `span2` only where the file
    has it. Spans are [start, stop] over `text.split()`. `label` is a list, which may be empty.
    Sentences without targets are skipped.

    Args:
        path: The file.

    Raises:
        DataError: A line lacks its text or its targets, or a target its span or its label.
    """
    for number, sentence in enumerate(read_jsonl(path), 1):
        where = f"{path}, object {number}"
        text, targets = sentence.get("text"), sentence.get("targets")
        if not isinstance(text, str) or not isinstance(targets, list):
            raise DataError(
                f'{where}: expected {{"text": …, "targets": [{{"span1": [start, stop], "label": …}}'
                f", …]}}, found the keys {list(sentence)}."
            )
        for index, target in enumerate(targets):
            if not isinstance(target, dict) or not {"span1", "label"} <= set(target):
                raise DataError(
                    f"{where}, target {index}: expected a span1 and a label, found {target!r}."
                )
            yield _edge(text, target, f"{where}, target {index}")


def _edge(text: str, target: dict[str, Any], where: str) -> Row:
    label = target["label"]
    labels = label if isinstance(label, list) else [label]
    if not all(isinstance(label, str) for label in labels):
        raise DataError(f"{where}: expected a label or a list of labels, found {label!r}.")
    spans: dict[str, Any] = {name: target[name] for name in ("span1", "span2") if name in target}
    for name, span in spans.items():
        is_pair = isinstance(span, list) and len(span) == 2
        if not is_pair or any(type(word) is not int for word in span):
            raise DataError(f"{where}: expected {name} to be [start, stop], found {span!r}.")
    return {"text": text, **spans, "label": labels}


def read_dependencies(path: Path) -> Iterator[Row]:
    """Read the arcs of CoNLL-U: rows `{"text", "span1", "span2", "label"}`, one for each word.

    `text` is the list of the syntactic words; `span1` is a word, `span2` its head, and the root's
    head is itself. `label` is the relation with its subtype (`nmod:poss`). Empty nodes are skipped,
    and so are sentences with an empty word, and those that `read_conllu` skips as masked.

    Args:
        path: The file.

    Raises:
        DataError: A line is not CoNLL-U, a head is no word of its sentence, or a word has no head
            or no relation, as in files of tags alone.
    """
    for tree in conllu_trees(path):
        forms = list(tree.forms.values())
        masked = forms.count("_")
        if "" in forms or (masked and masked >= len(forms) - 1):
            continue
        for word, head in tree.heads.items():
            problem = _arc_problem(head, tree.relations[word], len(forms))
            if problem:
                sentence = " ".join(forms[:8])
                raise DataError(f"{path}, the sentence {sentence!r}: word {word} has {problem}")
            head_word = head or word
            yield {
                "text": forms,
                "span1": [word - 1, word],
                "span2": [head_word - 1, head_word],
                "label": tree.relations[word],
            }


def _arc_problem(head: int, relation: str, word_count: int) -> str:
    """What is wrong with the arc of a word; empty if nothing is."""
    if not 0 <= head <= word_count:
        return f"the head {head}, and there are {word_count} words."
    if relation in ("", "_"):
        return (
            f"the relation {relation!r}: this file has no dependencies. Expected a treebank as "
            "Universal Dependencies publishes it."
        )
    if head == 0 and relation.partition(":")[0] != "root":
        return f"the relation {relation!r} and no head; expected one, or the relation 'root'."
    return ""


def read_word_tags(path: Path) -> Iterator[Row]:
    """Read CoNLL-U as `read_conllu` does, one row a word: `{"text", "span1", "label"}`.

    `text` is the list of the sentence's words, `label` the word's universal tag.

    Args:
        path: The file.

    Raises:
        DataError: A line is not CoNLL-U.
    """
    for sentence in read_conllu(path):
        for word, tag in enumerate(sentence["tags"]):
            if sentence["tokens"][word].strip():
                yield {"text": sentence["tokens"], "span1": [word, word + 1], "label": tag}

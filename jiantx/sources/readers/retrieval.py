"""Readers of retrieval: BUCC, LASER's Tatoeba, Mewsli-X."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jiantx.sources.base import DataError, Row
from jiantx.sources.readers.tables import read_jsonl, text_lines


def read_bucc(path: Path) -> Iterator[Row]:
    """Read one side of a BUCC corpus: rows `{"id", "text", "relevant"}` of distinct sentences.

    A line is `id<TAB>sentence`. `relevant` holds the ids of the sentence's translations, from the
    `.gold` file in the same folder, if there is one. As in XTREME's code, a sentence that occurs
    twice has no id (""), and so can neither be predicted nor be paired.
    """
    ids_of_text: dict[str, list[str]] = {}
    for line_number, line in enumerate(text_lines(path), 1):
        id, tab, text = line.partition("\t")
        if not tab or not text.strip():
            raise DataError(
                f"{path}, line {line_number}: expected an id, a tab and a sentence, found {line!r}."
            )
        ids_of_text.setdefault(text.strip(), []).append(id)
    gold_path = path.with_suffix(".gold")
    partners = _read_gold_pairs(gold_path) if gold_path.exists() else {}
    for text, ids in ids_of_text.items():
        relevant: list[str] = []
        for id in ids:
            relevant += partners.get(id, [])
        yield {"id": ids[0] if len(ids) == 1 else "", "text": text, "relevant": relevant}


def _read_gold_pairs(path: Path) -> dict[str, list[str]]:
    """Id -> ids of its translations, in both directions."""
    partners: dict[str, list[str]] = {}
    for line_number, line in enumerate(text_lines(path), 1):
        pair = line.split()
        if len(pair) != 2:
            raise DataError(f"{path}, line {line_number}: expected two ids, found {line!r}.")
        for id, partner in (pair, pair[::-1]):
            partners.setdefault(id, []).append(partner)
    return partners


def read_laser(path: Path) -> Iterator[Row]:
    """Read parallel lines: rows `{"source_sentence", "target_sentence"}`.

    The English lines are in the file of the same name with the suffix `.eng`.
    """
    return _parallel_lines(path, path.with_suffix(".eng"))


def read_flores(path: Path) -> Iterator[Row]:
    """Read parallel lines of FLORES: rows `{"source_sentence", "target_sentence"}`.

    The English lines are in the same folder: of `swh_Latn.dev` in `eng_Latn.dev`.
    """
    return _parallel_lines(path, path.with_stem("eng_Latn"))


def _parallel_lines(path: Path, english_path: Path) -> Iterator[Row]:
    """Rows of a file's lines beside the English ones."""
    if not english_path.is_file():
        raise DataError(f"{english_path} is missing: the English lines of {path}.")
    lines = list(text_lines(path))
    english_lines = list(text_lines(english_path))
    if len(lines) != len(english_lines):
        raise DataError(
            f"{path} has {len(lines)} lines, {english_path} has {len(english_lines)}; "
            "expected as many."
        )
    pairs = zip(lines, english_lines, strict=True)
    return ({"source_sentence": line, "target_sentence": english} for line, english in pairs)


def read_mewslix(path: Path) -> Iterator[Row]:
    """Read Mewsli-X's files: mentions (`query`, `relevant`) or entities (`candidate`).

    All rows have `id` and `language`. A mention is written `Paris: He lives in { Paris } .` with
    the sentence that holds it, an entity as the sentences of its description (XTREME,
    `utils_mewslix.py`).
    """
    for line_number, line in enumerate(read_jsonl(path), 1):
        try:
            if "contextual_mention" in line:  # Wikipedia's, to train on
                (query,) = _mention_rows(line["contextual_mention"])
                yield {**query, "candidate": _entity_row(line["entity"])["candidate"]}
            elif "context" in line:
                yield from _mention_rows(line)
            else:
                yield _entity_row(line)
        except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
            raise DataError(
                f"{path}, line {line_number}: expected Mewsli-X's mention or entity ({error!r})."
            ) from None


def _mention_rows(line: Mapping[str, Any]) -> list[Row]:
    context = line["context"]
    text = context["text"]
    rows = []
    for mention in line["mentions"] if "mentions" in line else [line["mention"]]:
        start = mention["mention_span"]["start"]
        end = mention["mention_span"]["end"]
        sentence = next(
            span
            for span in context["sentence_spans"]
            if span["start"] <= start and end <= span["end"]
        )
        before = _without_braces(text[sentence["start"] : start])
        after = _without_braces(text[end : sentence["end"]])
        mentioned = text[start:end]
        row = {
            "id": mention["example_id"],
            "language": context["language"],
            "query": _one_line(f"{mentioned}: {before} {{ {mentioned} }} {after}"),
            "relevant": [mention["entity_id"]],
        }
        rows.append(row)
    return rows


def _entity_row(line: Mapping[str, Any]) -> Row:
    spans = [line["description"][span["start"] : span["end"]] for span in line["sentence_spans"]]
    return {
        "id": line["entity_id"],
        "language": line["description_language"],
        "candidate": _one_line(" ".join(spans)),
    }


def _without_braces(text: str) -> str:
    return re.sub(r"\{(.*?)\}", r"(\1)", text)


def _one_line(text: str) -> str:
    return " ".join(text.splitlines()).replace("  ", " ").strip()

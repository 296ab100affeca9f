"""The usual ways of making features, restated: what `features.py` compares jiantx with.

The batched functions of transformers' examples (run_qa, run_glue, run_ner), and functions that take
one example after the other, and its words one by one, as run_squad did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Columns = dict[str, list[Any]]


def batched_squad(
    rows: Mapping[str, Any], tokenizer: Any, max_length: int = 384, overlap: int = 128
) -> dict[str, list[Any]]:
    """run_qa's `prepare_train_features`: `overlap` tokens are in two windows; padding is left to
    the batches.
    """
    features = tokenizer(
        rows["question"],
        rows["context"],
        truncation="only_second",
        max_length=max_length,
        stride=overlap,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding=False,
    )
    row_of_window = features.pop("overflow_to_sample_mapping")
    offsets_of = features.pop("offset_mapping")
    features["start_positions"] = []
    features["end_positions"] = []
    for window, offsets in enumerate(offsets_of):
        ids = features["input_ids"][window]
        sides = features.sequence_ids(window)
        null = ids.index(tokenizer.cls_token_id)
        answers = rows["answers"][row_of_window[window]]
        begin = end = null
        if answers["answer_start"]:
            start = answers["answer_start"][0]
            stop = start + len(answers["text"][0])
            first = 0
            last = len(ids) - 1
            while sides[first] != 1:
                first += 1
            while sides[last] != 1:
                last -= 1
            if offsets[first][0] <= start and offsets[last][1] >= stop:
                # `sides`: theirs runs on to the last special token where the answer begins in the
                # last of the window
                while sides[first] == 1 and offsets[first][0] <= start:
                    first += 1
                while offsets[last][1] >= stop:
                    last -= 1
                begin = first - 1
                end = last + 1
        features["start_positions"].append(begin)
        features["end_positions"].append(end)
    return dict(features)


def looped_squad(
    rows: Mapping[str, Any], tokenizer: Any, max_length: int = 384, step: int = 128
) -> Columns:
    """run_squad: words between white space, their pieces one word at a time, and the answer found
    among the pieces.
    """
    features: Columns = {"input_ids": [], "start_positions": [], "end_positions": []}
    for question, context, answers in zip(
        rows["question"], rows["context"], rows["answers"], strict=True
    ):
        context_words, word_of = [], []  # type: list[str], list[int]
        apart = True
        for character in context:
            if character.isspace() or ord(character) == 0x202F:
                apart = True
            elif apart:
                context_words.append(character)
                apart = False
            else:
                context_words[-1] += character
            word_of.append(len(context_words) - 1)
        tokens, first_of, word_of_token = [], [], []  # type: list[str], list[int], list[int]
        for word_index, word in enumerate(context_words):
            first_of.append(len(tokens))
            for piece in tokenizer.tokenize(word):
                word_of_token.append(word_index)
                tokens.append(piece)
        begin = end = -1
        if answers["answer_start"]:
            start = answers["answer_start"][0]
            text = answers["text"][0]
            begin = first_of[word_of[start]]
            last = word_of[min(start + len(text) - 1, len(word_of) - 1)]
            end = first_of[last + 1] - 1 if last + 1 < len(context_words) else len(tokens) - 1
            begin, end = closer(tokens, begin, end, tokenizer, text)
        question_ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(question)[:64])
        context_room = (
            max_length - len(question_ids) - tokenizer.num_special_tokens_to_add(pair=True)
        )
        start = 0
        while True:
            length = min(len(tokens) - start, context_room)
            window_ids = tokenizer.convert_tokens_to_ids(tokens[start : start + length])
            ids = framed(tokenizer, question_ids, window_ids)
            context_offset = len(ids) - len(window_ids) - 1
            answer_fits = begin >= start and end < start + length
            features["input_ids"].append(ids)
            features["start_positions"].append(begin - start + context_offset if answer_fits else 0)
            features["end_positions"].append(end - start + context_offset if answer_fits else 0)
            if start + length == len(tokens):
                break
            start += min(length, step)
    return features


def framed(tokenizer: Any, *texts: list[int]) -> list[int]:
    """[CLS] text [SEP], or a pair, which has one separator between (BERT) or two (RoBERTa)."""
    cls = [tokenizer.cls_token_id]
    sep = [tokenizer.sep_token_id]
    separators = sep * (tokenizer.num_special_tokens_to_add(pair=True) - 2)
    return cls + texts[0] + sep if len(texts) == 1 else cls + texts[0] + separators + texts[1] + sep


def closer(
    tokens: Sequence[str], begin: int, end: int, tokenizer: Any, text: str
) -> tuple[int, int]:
    """`_improve_answer_span`: the pieces within a word that spell the answer."""
    wanted = " ".join(tokenizer.tokenize(text))
    for first in range(begin, end + 1):
        for last in range(end, first - 1, -1):
            if " ".join(tokens[first : last + 1]) == wanted:
                return first, last
    return begin, end


def batched_nli(rows: Mapping[str, Any], tokenizer: Any, max_length: int = 256) -> Columns:
    """run_glue's, without padding."""
    features = tokenizer(
        rows["premise"], rows["hypothesis"], truncation=True, max_length=max_length
    )
    return {**features, "labels": rows["label"]}


def looped_nli(rows: Mapping[str, Any], tokenizer: Any, max_length: int = 256) -> Columns:
    """One pair at a time, its label looked up by name."""
    ids = [
        tokenizer(premise, hypothesis, truncation="longest_first", max_length=max_length)[
            "input_ids"
        ]
        for premise, hypothesis in zip(rows["premise"], rows["hypothesis"], strict=True)
    ]
    return {"input_ids": ids, "labels": list(rows["label"])}


def batched_tags(rows: Mapping[str, Any], tokenizer: Any, max_length: int = 256) -> Columns:
    """run_ner's `tokenize_and_align_labels`."""
    features = tokenizer(
        rows["tokens"], truncation=True, max_length=max_length, is_split_into_words=True
    )
    features["labels"] = []
    for index, tags in enumerate(rows["ner_tags"]):
        previous = None
        labels = []
        for word in features.word_ids(batch_index=index):
            labels.append(-100 if word is None or word == previous else tags[word])
            previous = word
        features["labels"].append(labels)
    return dict(features)


def looped_tags(rows: Mapping[str, Any], tokenizer: Any, max_length: int = 256) -> Columns:
    """Words one by one, their tag at the first piece (run_ner before 2020, and jiant)."""
    features: Columns = {"input_ids": [], "labels": []}
    for sentence, tags in zip(rows["tokens"], rows["ner_tags"], strict=True):
        ids, labels = [], []  # type: list[int], list[int]
        for word, tag in zip(sentence, tags, strict=True):
            pieces = tokenizer.tokenize(word) or [tokenizer.unk_token]
            ids += tokenizer.convert_tokens_to_ids(pieces)
            labels += [tag] + [-100] * (len(pieces) - 1)
        max_pieces = max_length - tokenizer.num_special_tokens_to_add()
        features["input_ids"].append(framed(tokenizer, ids[:max_pieces]))
        features["labels"].append([-100, *labels[:max_pieces], -100])
    return features


PEERS = {
    "squad_v1": (batched_squad, looped_squad),
    "mnli": (batched_nli, looped_nli),
    "panx": (batched_tags, looped_tags),
}

"""The usual ways to make features, restated: columns of raw rows and a tokenizer to columns.

`batched_…` are the functions of transformers' examples (run_qa, run_glue, run_ner) for
`Dataset.map(batched=True)`; `looped_…` take one example after the other, as scripts did before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Columns = dict[str, list[Any]]
Span = tuple[int, int]  # first and last token


# --- SQuAD ------------------------------------------------------------------------------------


def batched_squad(
    rows: Mapping[str, Any], tokenizer: Any, max_length: int = 384, overlap: int = 128
) -> Columns:
    """Make windows as run_qa's `prepare_train_features`; padding is left to the batches.

    Args:
        rows: Columns of SQuAD.
        tokenizer: A fast tokenizer.
        max_length: Tokens of a window, at most.
        overlap: Tokens of the passage that two windows share.
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
    offset_mapping = features.pop("offset_mapping")
    features["start_positions"] = []
    features["end_positions"] = []
    for window, offsets in enumerate(offset_mapping):
        null = features["input_ids"][window].index(tokenizer.cls_token_id)
        answers = rows["answers"][row_of_window[window]]
        span = answer_span(answers, offsets, features.sequence_ids(window))
        start, end = span or (null, null)
        features["start_positions"].append(start)
        features["end_positions"].append(end)
    return dict(features)


def answer_span(
    answers: Mapping[str, Any], offsets: Sequence[Span], sequence_ids: Sequence[int | None]
) -> Span | None:
    """Return the tokens of the first answer, or None if the window does not hold it."""
    if not answers["answer_start"]:
        return None
    start = answers["answer_start"][0]
    stop = start + len(answers["text"][0])
    first = 0
    while sequence_ids[first] != 1:
        first += 1
    last = len(offsets) - 1
    while sequence_ids[last] != 1:
        last -= 1
    if offsets[first][0] > start or offsets[last][1] < stop:
        return None
    # run_qa does not look at `sequence_ids` here, and so runs on to the last special token where
    # the answer begins in the window's last token.
    while sequence_ids[first] == 1 and offsets[first][0] <= start:
        first += 1
    while offsets[last][1] >= stop:
        last -= 1
    return first - 1, last + 1


def looped_squad(
    rows: Mapping[str, Any], tokenizer: Any, max_length: int = 384, step: int = 128
) -> Columns:
    """Make windows as run_squad: pieces of one word at a time, and the answer among them.

    Args:
        rows: Columns of SQuAD.
        tokenizer: A tokenizer.
        max_length: Tokens of a window, at most.
        step: Tokens of the passage from one window's start to the next one's.
    """
    columns: Columns = {"input_ids": [], "start_positions": [], "end_positions": []}
    for question, context, answers in zip(
        rows["question"], rows["context"], rows["answers"], strict=True
    ):
        pieces, answer = passage_pieces(context, answers, tokenizer)
        question_ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(question)[:64])
        special_count = tokenizer.num_special_tokens_to_add(pair=True)
        add_windows(
            columns, pieces, answer, question_ids, tokenizer, max_length - special_count, step
        )
    return columns


def passage_pieces(
    context: str, answers: Mapping[str, Any], tokenizer: Any
) -> tuple[list[str], Span]:
    """Return the pieces of a passage, and those of the answer; (-1, -1) without an answer."""
    word_list, word_of_character = split_at_spaces(context)
    pieces: list[str] = []
    first_piece = []
    for word in word_list:
        first_piece.append(len(pieces))
        pieces += tokenizer.tokenize(word)
    if not answers["answer_start"]:
        return pieces, (-1, -1)
    start = answers["answer_start"][0]
    text = answers["text"][0]
    last_character = min(start + len(text) - 1, len(word_of_character) - 1)
    next_word = word_of_character[last_character] + 1
    begin = first_piece[word_of_character[start]]
    end = (first_piece[next_word] if next_word < len(word_list) else len(pieces)) - 1
    return pieces, narrowed_span(pieces, begin, end, tokenizer, text)


def split_at_spaces(text: str) -> tuple[list[str], list[int]]:
    """Return the words of a text, and the index of each character's word."""
    word_list: list[str] = []
    word_of_character = []
    in_word = False
    for character in text:
        if character.isspace() or ord(character) == 0x202F:
            in_word = False
        elif in_word:
            word_list[-1] += character
        else:
            word_list.append(character)
            in_word = True
        word_of_character.append(len(word_list) - 1)
    return word_list, word_of_character


def narrowed_span(pieces: Sequence[str], begin: int, end: int, tokenizer: Any, text: str) -> Span:
    """Return the pieces that spell the answer inside its words (`_improve_answer_span`)."""
    wanted = " ".join(tokenizer.tokenize(text))
    for first in range(begin, end + 1):
        for last in range(end, first - 1, -1):
            if " ".join(pieces[first : last + 1]) == wanted:
                return first, last
    return begin, end


def add_windows(
    columns: Columns,
    pieces: Sequence[str],
    answer: Span,
    question_ids: list[int],
    tokenizer: Any,
    max_ids: int,
    step: int,
) -> None:
    """Append the windows of one question; `max_ids` counts all ids but special tokens."""
    begin, end = answer
    context_room = max_ids - len(question_ids)
    start = 0
    while True:
        length = min(len(pieces) - start, context_room)
        context_ids = tokenizer.convert_tokens_to_ids(pieces[start : start + length])
        ids = with_special_tokens(tokenizer, question_ids, context_ids)
        context_start = len(ids) - len(context_ids) - 1
        inside = begin >= start and end < start + length
        columns["input_ids"].append(ids)
        columns["start_positions"].append(begin - start + context_start if inside else 0)
        columns["end_positions"].append(end - start + context_start if inside else 0)
        if start + length == len(pieces):
            return
        start += min(length, step)


def with_special_tokens(tokenizer: Any, *texts: list[int]) -> list[int]:
    """Return [CLS] text [SEP], or a pair with one separator between (BERT) or two (RoBERTa)."""
    cls = [tokenizer.cls_token_id]
    sep = [tokenizer.sep_token_id]
    if len(texts) == 1:
        return cls + texts[0] + sep
    between = sep * (tokenizer.num_special_tokens_to_add(pair=True) - 2)
    return cls + texts[0] + between + texts[1] + sep


# --- NLI --------------------------------------------------------------------------------------


def batched_nli(rows: Mapping[str, Any], tokenizer: Any, max_length: int = 256) -> Columns:
    """Encode pairs as run_glue, without padding."""
    features = tokenizer(
        rows["premise"], rows["hypothesis"], truncation=True, max_length=max_length
    )
    return {**features, "labels": rows["label"]}


def looped_nli(rows: Mapping[str, Any], tokenizer: Any, max_length: int = 256) -> Columns:
    """Encode one pair at a time."""
    input_ids = []
    for premise, hypothesis in zip(rows["premise"], rows["hypothesis"], strict=True):
        features = tokenizer(premise, hypothesis, truncation="longest_first", max_length=max_length)
        input_ids.append(features["input_ids"])
    return {"input_ids": input_ids, "labels": list(rows["label"])}


# --- Tagging ----------------------------------------------------------------------------------


def batched_tags(rows: Mapping[str, Any], tokenizer: Any, max_length: int = 256) -> Columns:
    """Encode words as run_ner's `tokenize_and_align_labels`."""
    features = tokenizer(
        rows["tokens"], truncation=True, max_length=max_length, is_split_into_words=True
    )
    features["labels"] = []
    for index, tags in enumerate(rows["ner_tags"]):
        labels = []
        previous = None
        for word in features.word_ids(batch_index=index):
            labels.append(-100 if word is None or word == previous else tags[word])
            previous = word
        features["labels"].append(labels)
    return dict(features)


def looped_tags(rows: Mapping[str, Any], tokenizer: Any, max_length: int = 256) -> Columns:
    """Encode words one by one, their tag at the first piece (run_ner before 2020, and jiant)."""
    columns: Columns = {"input_ids": [], "labels": []}
    max_pieces = max_length - tokenizer.num_special_tokens_to_add()
    for sentence, tags in zip(rows["tokens"], rows["ner_tags"], strict=True):
        ids: list[int] = []
        labels: list[int] = []
        for word, tag in zip(sentence, tags, strict=True):
            pieces = tokenizer.tokenize(word) or [tokenizer.unk_token]
            ids += tokenizer.convert_tokens_to_ids(pieces)
            labels += [tag] + [-100] * (len(pieces) - 1)
        columns["input_ids"].append(with_special_tokens(tokenizer, ids[:max_pieces]))
        columns["labels"].append([-100, *labels[:max_pieces], -100])
    return columns


PEERS = {
    "squad_v1": (batched_squad, looped_squad),
    "mnli": (batched_nli, looped_nli),
    "panx": (batched_tags, looped_tags),
}

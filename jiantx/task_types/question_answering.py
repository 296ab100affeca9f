"""The span of a passage that answers a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from jiantx.metrics import Answer, Answers, Metric, exact_match, squad_f1
from jiantx.sources import DataError, Row
from jiantx.task import Column, Example, Prediction, Task, column_gold, column_text
from jiantx.tokenization import has_segments, special_tokens, tokenize

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase

_BLOCK = 256  # windows decoded together: their candidates stay in the processor's cache


@dataclass(frozen=True, kw_only=True)
class QuestionExample(Example):
    """A question, a passage, and the accepted answers with their character offsets.

    `answers` is None where nothing is known of them, and empty where the passage holds none. `realigned`: how many
    were not where their offset said and were moved.
    """

    question: str
    context: str
    answers: tuple[str, ...] | None = None
    starts: tuple[int, ...] = ()
    realigned: int = 0


@dataclass(frozen=True, kw_only=True)
class AnswerPrediction(Prediction):
    """The answer ('' for none), the character offset of the best span, its score, and how much likelier none is."""

    sure: ClassVar[str] = "score"
    answer: str
    start: int
    score: float
    span: str = field(repr=False)  # the best span, also where no answer scores better
    no_answer: float = field(repr=False)  # score of no answer minus score of the best span

    @property
    def value(self) -> Answer:
        return Answer(self.span, self.no_answer)


@final
@dataclass(frozen=True, kw_only=True)
class QuestionAnswering(Task):
    """A span of a passage. Long passages become overlapping windows, and the best span over all of them answers.

    stride: tokens between the starts of two windows (the official scripts' doc_stride). max_question_length: tokens;
    a longer question is cut. unanswerable: whether a question may have no answer, which is then read at the first token
    and given where it scores better. max_answer_length: tokens. n_best: starts and ends considered in each window.
    """

    task_type: ClassVar[str] = "question_answering"
    output_column: ClassVar[str] = "input_ids"
    gold: ClassVar[str] = "answers"
    question: Column = "question"
    context: Column = "context"
    answers: Column = "answers"
    unanswerable: bool = False
    max_length: int = 384
    stride: int = 128
    max_question_length: int = 64
    max_answer_length: int = 30
    n_best: int = 20
    metrics: tuple[Metric, ...] = (exact_match, squad_f1)

    def example(self, row: Row, *, id: str, language: str) -> QuestionExample:
        context, question = column_text(row, self.context), column_text(row, self.question)
        given = column_gold(row, self.answers)
        if given is None:
            return QuestionExample(id=id, language=language, question=question, context=context)
        try:
            texts, offsets = given["text"], given["answer_start"]
        except (KeyError, TypeError):
            texts = offsets = None
        if not isinstance(texts, list | tuple) or not isinstance(offsets, list | tuple):
            raise DataError(
                f"The answers are {given!r}; expected lists under 'text' and 'answer_start'."
            )
        if wrong := [
            *(t for t in texts if type(t) is not str),
            *(o for o in offsets if type(o) is not int),
        ]:
            raise DataError(
                f"The answers are {given!r}; expected texts and whole numbers, found {wrong[0]!r}."
            )
        if not texts and not self.unanswerable:
            return QuestionExample(id=id, language=language, question=question, context=context)
        if len(texts) != len(offsets):
            raise DataError(
                f"{len(texts)} answers have {len(offsets)} offsets; expected one an answer."
            )
        starts = tuple(_place(text, start, context) for text, start in zip(texts, offsets))
        return QuestionExample(
            id=id,
            language=language,
            question=question,
            context=context,
            answers=tuple(texts),
            starts=starts,
            realigned=sum(found != given for found, given in zip(starts, offsets)),
        )

    def features(
        self,
        examples: Sequence[QuestionExample],
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
    ) -> dict[str, Sequence[Any]]:
        around = special_tokens(tokenizer, pair=True)
        contexts = list(
            dict.fromkeys(e.context for e in examples)
        )  # several questions share a passage
        encoded = dict(
            zip(
                contexts,
                ((np.array(p.ids), np.array(p.offsets)) for p in tokenize(tokenizer, contexts)),
            )
        )
        questions = tokenize(tokenizer, [e.question for e in examples])
        names = [
            "example",
            "input_ids",
            "lengths",
            "truncated",
            "labels",
            "start_positions",
            "end_positions",
        ]
        names += [
            "context_start",
            "offset_starts",
            "offset_ends",
            "realigned",
            "answer_outside_windows",
        ]
        found: dict[str, list[Any]] = {name: [] for name in names}
        types: list[Any] = []
        for number, (example, question) in enumerate(zip(examples, questions, strict=True)):
            asked = np.array(question.ids[: self.max_question_length], dtype=np.int64)
            ids, offsets = encoded[example.context]
            if not len(ids):
                raise DataError(
                    f"The passage of question {example.id!r} leaves no tokens: {example.context[:40]!r}."
                )
            head = len(around.before) + len(asked) + len(around.between)
            room = max_length - len(asked) - around.size
            if room < 2:
                raise DataError(
                    f"max_length {max_length} leaves no room for the passage beside a question of {len(asked)} tokens. "
                    f"Raise max_length, or lower max_question_length ({self.max_question_length})."
                )
            gold = _tokens(example, offsets)
            windows = [
                (start, min(start + room, len(ids)))
                for start in _window_starts(len(ids), room, self.stride)
            ]
            held = gold is None or any(
                start <= gold[0] and gold[1] < stop for start, stop in windows
            )
            for start, stop in windows:  # what is counted is counted in the first alone
                inside = gold is not None and start <= gold[0] and gold[1] < stop
                found["example"].append(number)
                found["input_ids"].append(around.ids(asked, ids[start:stop]))
                found["lengths"].append([stop - start + len(asked) + around.size])
                found["truncated"].append(int(not start and len(question.ids) > len(asked)))
                found["labels"].append([0 if example.answers is not None else -100])
                # a window without the answer points to the first token
                found["start_positions"].append([gold[0] - start + head if gold and inside else 0])
                found["end_positions"].append([gold[1] - start + head if gold and inside else 0])
                found["context_start"].append([head])
                found["offset_starts"].append(offsets[start:stop, 0])
                found["offset_ends"].append(offsets[start:stop, 1])
                found["realigned"].append(0 if start else example.realigned)
                found["answer_outside_windows"].append(int(not held and not start))
                types.append(around.type_ids(len(asked), stop - start))
        if has_segments(tokenizer):
            found["token_type_ids"] = types
        return dict(found)

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        features: datasets.Dataset,
        examples: Sequence[QuestionExample],
    ) -> list[AnswerPrediction]:
        table = features.with_format("arrow")[:]
        owners = table["example"].to_numpy()
        spans = _best_spans(table, outputs, self.n_best, self.max_answer_length)
        # the best window of each question, the first of equals; windows of a question follow each other
        firsts = np.flatnonzero(np.diff(owners, prepend=-1))
        best = np.lexsort((-spans.score, owners))[firsts]
        no_answer = np.minimum.reduceat(spans.null, firsts) - spans.score[best]
        columns = (spans.start[best], spans.stop[best], spans.score[best], no_answer)
        found = []
        for example, start, stop, score, odds in zip(
            examples, *(c.tolist() for c in columns), strict=True
        ):
            text = example.context[start:stop]
            span = text.strip()
            found.append(
                AnswerPrediction(
                    id=example.id,
                    language=example.language,
                    answer="" if self.unanswerable and odds > 0 else span,
                    start=start + len(text) - len(text.lstrip()),
                    score=score,
                    span=span,
                    no_answer=odds,
                )
            )
        return found

    def reference(self, example: QuestionExample) -> Answers | None:
        return None if example.answers is None else Answers(example.answers, example.language)


def _place(text: str, start: int, context: str) -> int:
    """Where an answer stands: at its offset, or, where a script moved the text, at the nearest exact occurrence."""
    if text and start >= 0 and context.startswith(text, start):
        return start
    places = [i for i in range(len(context)) if context.startswith(text, i)] if text else []
    if not places:
        raise DataError(
            f"The answer {text!r} (at {start}) is nowhere in its passage, which begins {context[:60]!r}. "
            "Correct or drop it."
        )
    return min(places, key=lambda place: (abs(place - start), place))


def _tokens(example: QuestionExample, offsets: np.ndarray) -> tuple[int, int] | None:
    """First and last token of the first answer, by the tokenizer's character offsets; None if it has none."""
    if not example.answers:
        return None
    start, stop = example.starts[0], example.starts[0] + len(example.answers[0])
    touched = np.flatnonzero((offsets[:, 0] < stop) & (offsets[:, 1] > start))
    return (int(touched[0]), int(touched[-1])) if len(touched) else None


def _window_starts(length: int, room: int, stride: int) -> list[int]:
    """Starts of the windows of `room` tokens that cover `length` tokens."""
    step = max(
        1, stride if stride < room else room // 2
    )  # windows overlap, or an answer could lie between two
    starts = [0]
    while starts[-1] + room < length:
        starts.append(starts[-1] + step)
    return starts


@dataclass(frozen=True)
class _Spans:
    """(windows,) the best span's score and character offsets, and the score of the first token: no answer here."""

    score: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    null: np.ndarray


def _best_spans(
    table: Any, outputs: Mapping[str, np.ndarray], n_best: int, max_answer_length: int
) -> _Spans:
    """The best span among the `n_best` starts and ends of each window's passage, the first of equals."""

    def flat(column: str) -> tuple[np.ndarray, np.ndarray]:
        array = table[column].combine_chunks()
        return array.flatten().to_numpy(), np.diff(array.offsets.to_numpy())

    _, tokens = flat("input_ids")
    heads, _ = flat("context_start")
    offset_starts, sizes = flat("offset_starts")
    offset_ends, _ = flat("offset_ends")
    windows, passages = np.cumsum(tokens) - tokens, np.cumsum(sizes) - sizes  # where each begins
    width = int(sizes.max(initial=1))
    logits = [
        np.lib.stride_tricks.sliding_window_view(np.pad(outputs[name], (0, width)), width)
        for name in ("start_logits", "end_logits")
    ]
    found = []
    for block in np.split(np.arange(len(tokens)), range(_BLOCK, len(tokens), _BLOCK)):
        outside = np.arange(width) >= sizes[block, None]
        start, end = (
            _only_best(view[(windows + heads)[block]], outside, n_best) for view in logits
        )
        rows = np.arange(len(block))
        first = (start + _reached(end, max_answer_length)).argmax(axis=1)
        lasts = np.minimum(first[:, None] + np.arange(max_answer_length), width - 1)
        scores = start[rows, first][:, None] + end[rows[:, None], lasts]
        best = scores.argmax(axis=1)
        found.append((scores[rows, best], first, lasts[rows, best]))
    score, first, last = map(np.concatenate, zip(*found, strict=True))
    null = outputs["start_logits"][windows] + outputs["end_logits"][windows]
    return _Spans(score, offset_starts[passages + first], offset_ends[passages + last], null)


def _only_best(logits: np.ndarray, outside: np.ndarray, n: int) -> np.ndarray:
    """(rows, places) with -inf outside, and for all but the n largest of each row and their equals."""
    np.copyto(logits, -np.inf, where=outside)
    place = max(0, logits.shape[1] - n)
    np.copyto(logits, -np.inf, where=logits < np.partition(logits, place, axis=1)[:, place, None])
    return logits


def _reached(values: np.ndarray, reach: int) -> np.ndarray:
    """(rows, places) the largest of the `reach` values from each place on; in log2(reach) passes."""
    found, done = values, 1
    while done < reach:
        by = min(done, reach - done, values.shape[1])
        found = np.concatenate([np.maximum(found[:, :-by], found[:, by:]), found[:, -by:]], axis=1)
        done += by
    return found

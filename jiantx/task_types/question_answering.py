"""The span of a passage that answers a question."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from jiantx.columns import Column, column_gold, column_text
from jiantx.metrics import Answer, Answers, Metric, Metrics, exact_match, squad_f1
from jiantx.sources import DataError, Row
from jiantx.task import Example, Prediction, Task
from jiantx.task_types.answer_spans import best_spans
from jiantx.tokenization import SpecialTokens, has_segments, special_tokens, tokenize

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class QuestionExample(Example):
    """A question, a passage, and the accepted answers with their character offsets.

    `answers` is None where nothing is known of them, and empty where the passage holds none.
    `realigned`: how many were not where their offset said and were moved."""

    gold_fields: ClassVar[tuple[str, ...]] = ("answers", "starts", "realigned")
    question: str
    context: str
    answers: tuple[str, ...] | None = None
    starts: tuple[int, ...] = ()
    realigned: int = 0


@dataclass(frozen=True, kw_only=True)
class AnswerPrediction(Prediction):
    """The answer ('' for none), the character offset of the best span, and its score.

    `probability` is the probability of the answer among the spans of its window and "no answer".
    """

    answer: str
    start: int
    score: float
    span: str = field(repr=False)  # the best span, also where no answer scores better
    no_answer: float = field(repr=False)  # score of no answer minus score of the best span
    probability: float | None = None

    @property
    def value(self) -> Answer:
        return Answer(self.span, self.no_answer)

    @property
    def confidence(self) -> Any:
        return self.score

    def __str__(self) -> str:
        shown = repr(self.answer) if self.answer else "no answer"
        return shown if self.probability is None else f"{shown} ({self.probability:.2f})"


@final
@dataclass(frozen=True, kw_only=True)
class QuestionAnswering(Task):
    """A span of a passage answers a question.

    Long passages become overlapping windows, and the best span over all of them answers. See `Task`
    for the other fields.

    Args:
        question: The column of the question.
        context: The column of the passage.
        answers: The column of `{"text": [...], "answer_start": [...]}`.
        unanswerable: A question may have no answer. That is read at the first token, and given if
            it scores better than any span.
        stride: Tokens between the starts of two windows (the official scripts' doc_stride).
        max_question_length: Tokens; a longer question is cut.
        max_answer_length: Tokens.
        n_best: Starts and ends that are considered in each window.
    """

    task_type: ClassVar[str] = "question_answering"
    scored_by: ClassVar[str] = "answers"
    lowest: ClassVar[Mapping[str, int]] = {
        "max_question_length": 1,
        "max_answer_length": 1,
        "n_best": 1,
    }
    output_column: ClassVar[str] = "input_ids"
    gold: ClassVar[str] = "answers"
    missing_gold_advice: ClassVar[str] = (
        "If questions may have no answer, declare the task with unanswerable=True, and give these "
        "an empty list of answers. Else drop such rows with the source's `where`."
    )
    question: Column = "question"
    context: Column = "context"
    answers: Column = "answers"
    unanswerable: bool = False
    max_length: int = 384
    stride: int = 128
    max_question_length: int = 64
    max_answer_length: int = 30
    n_best: int = 20
    metrics: Metrics = (exact_match, squad_f1)

    def example(self, row: Row, *, id: str, language: str) -> QuestionExample:
        context = column_text(row, self.context)
        question = column_text(row, self.question)
        raw_answers = column_gold(row, self.answers)
        if raw_answers is None:
            return QuestionExample(id=id, language=language, question=question, context=context)
        try:
            texts = raw_answers["text"]
            offsets = raw_answers["answer_start"]
        except (KeyError, TypeError):
            texts = offsets = None
        if not isinstance(texts, list | tuple) or not isinstance(offsets, list | tuple):
            raise DataError(
                f"The answers are {raw_answers!r}; expected lists under 'text' and 'answer_start'."
            )
        wrong_texts = [text for text in texts if type(text) is not str]
        wrong_offsets = [offset for offset in offsets if type(offset) is not int]
        for wrong in (*wrong_texts, *wrong_offsets):
            raise DataError(
                f"The answers are {raw_answers!r}; expected texts and whole numbers, "
                f"found {wrong!r}."
            )
        if not texts and not self.unanswerable:
            return QuestionExample(id=id, language=language, question=question, context=context)
        if len(texts) != len(offsets):
            raise DataError(
                f"{len(texts)} answers have {len(offsets)} offsets; expected one an answer."
            )
        pairs = zip(texts, offsets)
        starts = tuple(_answer_start(text, offset, context) for text, offset in pairs)
        return QuestionExample(
            id=id,
            language=language,
            question=question,
            context=context,
            answers=tuple(texts),
            starts=starts,
            realigned=sum(map(operator.ne, starts, offsets)),
        )

    def features(
        self,
        examples: Sequence[QuestionExample],
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
    ) -> dict[str, Sequence[Any]]:
        special = special_tokens(tokenizer, pair=True)
        # several questions share a passage
        contexts = list(dict.fromkeys(example.context for example in examples))
        passages = {}
        for context, encoding in zip(contexts, tokenize(tokenizer, contexts), strict=True):
            passages[context] = (np.array(encoding.ids), np.array(encoding.offsets))
        questions = tokenize(tokenizer, [example.question for example in examples])
        windows: list[dict[str, Any]] = []
        for index, (example, question) in enumerate(zip(examples, questions, strict=True)):
            question_ids = np.array(question.ids[: self.max_question_length], dtype=np.int64)
            ids, offsets = passages[example.context]
            self._check_lengths(example, len(ids), len(question_ids), special.size, max_length)
            is_cut = len(question.ids) > len(question_ids)
            for window in self._windows(example, question_ids, ids, offsets, special, max_length):
                # what is counted is counted in an example's first window alone
                window["truncated"] = int(window.pop("is_first") and is_cut)
                windows.append({"example": index, **window})
        columns: dict[str, Sequence[Any]] = {
            name: [window[name] for window in windows] for name in windows[0]
        }
        if not has_segments(tokenizer):
            del columns["token_type_ids"]
        return columns

    def _check_lengths(
        self,
        example: QuestionExample,
        passage_tokens: int,
        question_tokens: int,
        special_tokens: int,
        max_length: int,
    ) -> None:
        if not passage_tokens:
            raise DataError(
                f"The passage of question {example.id!r} leaves no tokens: "
                f"{example.context[:40]!r}."
            )
        if max_length - question_tokens - special_tokens < 2:
            raise DataError(
                f"max_length {max_length} leaves no room for the passage beside a question of "
                f"{question_tokens} tokens. Raise max_length, or lower max_question_length "
                f"({self.max_question_length})."
            )

    def _windows(
        self,
        example: QuestionExample,
        question_ids: np.ndarray,
        passage_ids: np.ndarray,
        offsets: np.ndarray,
        special: SpecialTokens,
        max_length: int,
    ) -> Iterator[dict[str, Any]]:
        """The features of one example, a dictionary a window."""
        context_offset = len(special.before) + len(question_ids) + len(special.between)
        context_room = max_length - len(question_ids) - special.size
        gold = _answer_token_span(example, offsets)
        starts = _window_starts(len(passage_ids), context_room, self.stride)
        bounds = [(start, min(start + context_room, len(passage_ids))) for start in starts]
        answer_fits = gold is None or any(_contains(window, gold) for window in bounds)
        for start, stop in bounds:
            first_token = last_token = 0  # a window without the answer points to the first token
            if gold is not None and _contains((start, stop), gold):
                first_token = gold[0] - start + context_offset
                last_token = gold[1] - start + context_offset
            is_first = start == 0
            yield {
                "input_ids": special.ids(question_ids, passage_ids[start:stop]),
                "lengths": [stop - start + len(question_ids) + special.size],
                "truncated": 0,
                "labels": [-100 if example.answers is None else 0],
                "start_positions": [first_token],
                "end_positions": [last_token],
                "context_start": [context_offset],
                "offset_starts": offsets[start:stop, 0],
                "offset_ends": offsets[start:stop, 1],
                "realigned": example.realigned if is_first else 0,
                "answer_outside_windows": int(is_first and not answer_fits),
                "token_type_ids": special.type_ids(len(question_ids), stop - start),
                "is_first": is_first,
            }

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        features: datasets.Dataset,
        examples: Sequence[QuestionExample],
    ) -> list[AnswerPrediction]:
        table = features.with_format("arrow")[:]
        example_index = table["example"].to_numpy()
        spans = best_spans(table, outputs, self.n_best, self.max_answer_length)
        # the best window of each question, the first of equals; windows of a question follow each
        # other
        first_windows = np.flatnonzero(np.diff(example_index, prepend=-1))
        best = np.lexsort((-spans.score, example_index))[first_windows]
        no_answer = np.minimum.reduceat(spans.null, first_windows) - spans.score[best]
        # a span is as probable as its start and its end together
        answer_scores = spans.score[best]
        if self.unanswerable:
            answer_scores = answer_scores + np.maximum(no_answer, 0)
        probabilities = np.exp(np.minimum(answer_scores - spans.log_total[best], 0))
        columns = (spans.start[best], spans.stop[best], spans.score[best], no_answer, probabilities)
        predictions = []
        for example, start, stop, score, odds, probability in zip(
            examples, *(c.tolist() for c in columns), strict=True
        ):
            text = example.context[start:stop]
            span = text.strip()
            predictions.append(
                AnswerPrediction(
                    id=example.id,
                    language=example.language,
                    answer="" if self.unanswerable and odds > 0 else span,
                    start=start + len(text) - len(text.lstrip()),
                    score=score,
                    span=span,
                    no_answer=odds,
                    probability=probability,
                )
            )
        return predictions

    def compute(
        self,
        metric: Metric,
        predictions: Sequence[Answer],
        references: Sequence[Answers],
        *groups: Sequence[Any],
    ) -> float:
        if not self.unanswerable:  # no prediction is empty, whatever the first token scores
            predictions = [Answer(prediction.text) for prediction in predictions]
        return super().compute(metric, predictions, references, *groups)

    def reference(self, example: QuestionExample) -> Answers | None:
        return None if example.answers is None else Answers(example.answers, example.language)


def _contains(window: tuple[int, int], span: tuple[int, int]) -> bool:
    """Whether a window (start, stop) holds a span (first, last)."""
    return window[0] <= span[0] and span[1] < window[1]


def _answer_start(text: str, offset: int, context: str) -> int:
    """Where an answer is: at its offset or, if the text was moved, at the nearest occurrence.

    Occurrences that are whole words come first: "3 metres" is not in "13 metres".
    """
    if text and offset >= 0 and context.startswith(text, offset):
        return offset
    occurrences = [i for i in range(len(context)) if context.startswith(text, i)] if text else []
    if not occurrences:
        raise DataError(
            f"The answer {text!r} (at {offset}) is nowhere in its passage, which begins "
            f"{context[:60]!r}. Correct or drop it."
        )
    whole_words = [start for start in occurrences if _is_apart(context, start, start + len(text))]
    return min(whole_words or occurrences, key=lambda start: (abs(start - offset), start))


def _is_apart(context: str, start: int, stop: int) -> bool:
    """Whether a span neither begins nor ends inside a word."""
    for edge in (start, stop):
        if 0 < edge < len(context) and context[edge - 1 : edge + 1].isalnum():
            return False
    return True


def _answer_token_span(example: QuestionExample, offsets: np.ndarray) -> tuple[int, int] | None:
    """First and last token of the first answer, by character offsets; None if it has none."""
    if not example.answers:
        return None
    start = example.starts[0]
    stop = start + len(example.answers[0])
    tokens = np.flatnonzero((offsets[:, 0] < stop) & (offsets[:, 1] > start))
    return (int(tokens[0]), int(tokens[-1])) if len(tokens) else None


def _window_starts(length: int, room: int, stride: int) -> list[int]:
    """The starts of windows of `room` tokens that cover `length` tokens."""
    # windows must overlap, or an answer could lie between two
    step = max(1, stride if stride < room else room // 2)
    starts = [0]
    while starts[-1] + room < length:
        starts.append(starts[-1] + step)
    return starts

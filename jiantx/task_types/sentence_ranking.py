"""Which of several texts a masked language model finds most probable."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

import numpy as np

from jiantx.columns import Column, check_utf8, column_text, column_value
from jiantx.metrics import Metrics, accuracy
from jiantx.sources import DataError, Row
from jiantx.task import Example, Prediction, Task
from jiantx.tokenization import check_mask_token, encode, has_segments

if TYPE_CHECKING:
    import datasets
    from tokenizers import Encoding
    from transformers import PreTrainedTokenizerBase

BETTER = 0  # the index of the text that should be the most probable one
NONE = -1  # the prediction where several texts are equally probable
# One feature holds at most so many masked copies, and their tokens, if one copy has not more. So
# the memory of a batch does not grow with the square of a text's length.
_MOST_COPIES = 16
_MOST_TOKENS = 512


@dataclass(frozen=True, kw_only=True)
class RankingExample(Example):
    """Texts; the first should be more probable than each other one."""

    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TextPrediction(Prediction):
    """The index of the most probable text, and the pseudo-log-likelihood of each.

    The index is -1 if several texts are equally probable.
    """

    choice: int
    log_likelihoods: tuple[float, ...] = field(repr=False)

    @property
    def value(self) -> Any:
        return self.choice

    @property
    def confidence(self) -> Any:
        return self.log_likelihoods


@final
@dataclass(frozen=True, kw_only=True)
class SentenceRanking(Task):
    """Rank texts by the pseudo-log-likelihood that a masked language model gives them.

    Each piece of a text is masked in turn; the sum of the pieces' log-probabilities is the text's
    pseudo-log-likelihood (Salazar et al. 2020, 1910.14659). A tie is an error. The head is the
    checkpoint's own masked-LM head, and a task has no training of its own: to train the head,
    train a `MaskedLM` task that names it. See `Task` for the other fields.

    Args:
        better: The column of the text that should be the most probable one.
        worse: The column of the other text, or of a list of other texts.
        mask: "piece" masks the piece that is scored. "word" also masks the pieces of the same word
            to its right (PLL-word-l2r of Kauf and Ivanova 2023, 2305.10588): otherwise the rest of
            a rare word gives the piece away.
    """

    task_type: ClassVar[str] = "sentence_ranking"
    scored_by: ClassVar[str] = "labels"
    output_column: ClassVar[str] = "masked_positions"
    gold: ClassVar[str] = ""
    better: Column = "better"
    worse: Column = "worse"
    mask: Literal["piece", "word"] = "piece"
    metrics: Metrics = (accuracy,)

    def head_config(self) -> dict[str, Any]:
        # that of MaskedLM, so that both can share a head
        return {"type": "masked_lm", "labels": []}

    @property
    def training_problem(self) -> str:
        return (
            "it ranks texts and has no training of its own. To train the masked-LM head, train a "
            f"MaskedLM task with head={self.head_name!r}."
        )

    def example(self, row: Row, *, id: str, language: str) -> RankingExample:
        worse = column_value(row, self.worse)
        if isinstance(worse, list | tuple):
            texts = tuple(worse)
            if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
                raise DataError(f"Expected a list of texts that are not blank, found {worse!r}.")
        else:
            texts = (column_text(row, self.worse),)
        texts = (column_text(row, self.better), *map(check_utf8, texts))
        return RankingExample(id=id, language=language, texts=texts)

    def features(
        self,
        examples: Sequence[RankingExample],
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
    ) -> dict[str, Any]:
        check_mask_token(tokenizer)
        texts = list(itertools.chain.from_iterable(example.texts for example in examples))
        encodings = encode(tokenizer, texts, max_length=max_length, word_ids=self.mask == "word")
        text_keys: list[tuple[int, int]] = []
        for index, example in enumerate(examples):
            text_keys += [(index, number) for number in range(len(example.texts))]
        columns: dict[str, Any] = {name: [] for name in _columns(tokenizer)}
        for (index, number), encoding in zip(text_keys, encodings, strict=True):
            positions = np.flatnonzero(np.array(encoding.special_tokens_mask) == 0)
            if not len(positions):
                example = examples[index]
                raise DataError(
                    f"Task {self.name}, language {example.language!r}, example {example.id!r}: "
                    f"{type(tokenizer).__name__} makes no piece of the text "
                    f"{example.texts[number]!r}. Drop such rows with the source's `where`."
                )
            ends = positions + 1 if self.mask == "piece" else _word_ends(encoding, positions)
            most_copies = min(_MOST_COPIES, max(1, _MOST_TOKENS // len(encoding)))
            for start in range(0, len(positions), most_copies):
                copies = slice(start, start + most_copies)
                values = {
                    "example": index,
                    "text": number,
                    "input_ids": encoding.ids,
                    "lengths": [len(encoding)],
                    # once a text, however many features it has
                    "truncated": int(bool(encoding.overflowing) and start == 0),
                    "masked_positions": positions[copies].tolist(),
                    "mask_end_positions": ends[copies].tolist(),
                    "token_type_ids": encoding.type_ids,
                }
                for name, column in columns.items():
                    column.append(values[name])
        return columns

    def augment(
        self,
        batch: dict[str, np.ndarray],
        tokenizer: PreTrainedTokenizerBase,
        keys: Sequence[tuple[int, ...]],
    ) -> dict[str, np.ndarray]:
        """Make a copy of a feature's text for each of its masked positions.

        Args:
            batch: The features' columns, each concatenated over the batch.
            tokenizer: The features' tokenizer.
            keys: Ignored: nothing is random.

        Returns:
            The copies, one sequence each; `labels` are the pieces at the masked positions.
        """
        counts = batch["counts"]  # (features,) copies of each
        masked_positions = batch["masked_positions"]
        lengths = np.repeat(batch["lengths"], counts)  # (copies,)
        text_starts = np.repeat(np.cumsum(batch["lengths"]) - batch["lengths"], counts)
        copy_starts = np.cumsum(lengths) - lengths
        tokens = np.arange(lengths.sum()) + np.repeat(text_starts - copy_starts, lengths)
        is_masked = tokens >= np.repeat(masked_positions, lengths)
        is_masked &= tokens < np.repeat(batch["mask_end_positions"], lengths)
        ids = np.where(is_masked, tokenizer.mask_token_id, batch["input_ids"][tokens])
        segments = {}
        if "token_type_ids" in batch:
            segments["token_type_ids"] = batch["token_type_ids"][tokens]
        return {
            **segments,
            "input_ids": ids,
            "lengths": lengths,
            "sequences": counts,
            "counts": counts,
            "masked_positions": masked_positions + copy_starts - text_starts,
            "labels": batch["input_ids"][masked_positions],
        }

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        features: datasets.Dataset,
        examples: Sequence[RankingExample],
    ) -> list[TextPrediction]:
        columns = features.with_format("numpy")
        text_counts = np.array([len(example.texts) for example in examples])
        first_texts = np.cumsum(text_counts) - text_counts
        text_of_feature = first_texts[columns["example"][:]] + columns["text"][:]
        text_of_output = np.repeat(text_of_feature, outputs["counts"])
        # np.bincount adds in float64
        sums = np.bincount(
            text_of_output, outputs["log_probabilities"], minlength=int(text_counts.sum())
        )
        # other batches round otherwise, and would decide between texts that are the same pieces
        sums = sums[_first_alike(text_of_feature, columns)]
        predictions = []
        for example, scores in zip(examples, np.split(sums, first_texts[1:]), strict=True):
            best = np.flatnonzero(scores == scores.max())
            predictions.append(
                TextPrediction(
                    id=example.id,
                    language=example.language,
                    choice=int(best[0]) if len(best) == 1 else NONE,
                    log_likelihoods=tuple(scores.tolist()),
                )
            )
        return predictions

    def reference(self, example: RankingExample) -> int:
        return BETTER


def _first_alike(text_of_feature: np.ndarray, columns: datasets.Dataset) -> np.ndarray:
    """(texts,) the first text of the same example that has the same pieces; often itself.

    Args:
        text_of_feature: (features,) the text of each, counted over all examples.
        columns: The features, which give arrays.
    """
    first = np.arange(text_of_feature.max() + 1)
    text_of_pieces: dict[tuple[int, bytes], int] = {}
    rows = zip(columns["example"][:].tolist(), text_of_feature.tolist(), columns["input_ids"][:])
    for example, text, ids in rows:
        first[text] = text_of_pieces.setdefault((example, ids.tobytes()), text)
    return first


def _columns(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The names of the feature columns."""
    names = ["example", "text", "input_ids", "lengths", "truncated"]
    names += ["masked_positions", "mask_end_positions"]
    return [*names, "token_type_ids"] if has_segments(tokenizer) else names


def _word_ends(encoding: Encoding, positions: np.ndarray) -> np.ndarray:
    """(positions,) where the word of each piece ends: the position after its last piece."""
    word_ids = np.array([-1 if word is None else word for word in encoding.word_ids])[positions]
    # pieces of a text follow each other, and so do those of a word
    is_last = np.append(word_ids[1:] != word_ids[:-1], True)
    last = np.flatnonzero(is_last)
    return positions[last[np.searchsorted(last, np.arange(len(positions)))]] + 1

"""A task type and a head of your own, in one file: ordered grades, learnt by thresholds.

    python examples/new_task_type.py

Classification would take a grade of 4 for a 5 to be as wrong as a 0. Here the head asks instead,
for every grade but the lowest, whether the text reaches it.
"""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import HfArgumentParser, PreTrainedConfig, TrainingArguments, set_seed

import jiantx as jx

# --- the task type: from a row to features, and from outputs to predictions -----------------------


@dataclass(frozen=True, kw_only=True)
class PairExample(jx.Example):
    """Two texts and how alike they are, None if nobody has said."""

    gold_fields: ClassVar[tuple[str, ...]] = ("grade",)  # what the model does not read
    text: str
    text_pair: str
    grade: int | None


@dataclass(frozen=True, kw_only=True)
class GradePrediction(jx.Prediction):
    """A grade, from 0."""

    grade: int

    @property
    def value(self) -> int:
        return self.grade


@dataclass(frozen=True, kw_only=True)
class Grading(jx.Task):
    """A grade from 0 to `highest` for a pair of texts.

    Args:
        text: The column of the first text.
        text_pair: The column of the second text.
        label: The column of the grade, or a function of the row.
        highest: The highest grade.
    """

    task_type: ClassVar[str] = "grading"
    text: jx.columns.Column = "sentence1"  # the type says that it names a column
    text_pair: jx.columns.Column = "sentence2"
    label: jx.columns.Column = "grade"
    highest: int = 5
    metrics: tuple[Any, ...] = (jx.metrics.spearman, jx.metrics.accuracy)

    def example(self, row: dict[str, Any], *, id: str, language: str) -> PairExample:
        grade = jx.columns.column_gold(row, self.label)
        if grade is not None and grade not in range(self.highest + 1):
            raise jx.DataError(f"The grade is {grade!r}; expected 0 to {self.highest}.")
        text = jx.columns.column_text(row, self.text)
        text_pair = jx.columns.column_text(row, self.text_pair)
        return PairExample(id=id, language=language, text=text, text_pair=text_pair, grade=grade)

    def features(
        self, examples: Sequence[PairExample], tokenizer: Any, max_length: int
    ) -> dict[str, Sequence[Any]]:
        texts = [example.text for example in examples]
        pairs = [example.text_pair for example in examples]
        encodings = jx.tokenization.encode(tokenizer, texts, pairs, max_length=max_length)
        labels = [-100 if example.grade is None else example.grade for example in examples]
        return {
            "example": range(len(examples)),
            "labels": [[label] for label in labels],  # a list: any number of items an example
            **jx.tokenization.sequence_features(tokenizer, encodings),
        }

    def decode(
        self, outputs: Mapping[str, np.ndarray], features: Any, examples: Sequence[PairExample]
    ) -> list[GradePrediction]:
        grades = (outputs["reached"] > 0.5).sum(axis=1)  # (examples,)
        return [
            GradePrediction(id=example.id, language=example.language, grade=grade)
            for example, grade in zip(examples, grades.tolist(), strict=True)
        ]

    def reference(self, example: PairExample) -> int | None:
        return example.grade

    def head_config(self) -> dict[str, Any]:
        return {"type": self.task_type, "highest": self.highest}


# --- the head: from states to loss and outputs ----------------------------------------------------


class GradingHead(jx.Head):
    """One score a pair, and a threshold for each grade but the lowest.

    outputs: reached (examples, grades - 1), the probability that a pair reaches a grade.
    """

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        self.score = nn.Linear(encoder.hidden_size, 1)
        self.thresholds = nn.Parameter(torch.linspace(-1, 1, config["highest"]))

    def forward(self, states: Tensor, batch: Mapping[str, Any]) -> jx.HeadOutput:
        pooled = jx.heads.mean_states(states, batch)  # (sequences, hidden)
        logits = (self.score(pooled) - self.thresholds).float()  # (sequences, grades - 1)
        labels = batch["labels"]
        grades = torch.arange(1, len(self.thresholds) + 1, device=labels.device)
        targets = (labels[:, None] >= grades).float()
        losses = binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)
        is_labelled = labels != -100
        output = jx.HeadOutput(loss=(losses * is_labelled).sum(), num_items=is_labelled.sum())
        if not self.training:
            output.outputs = {"reached": logits.sigmoid()}
        return output


jx.register_head("grading", GradingHead)


# --- use ------------------------------------------------------------------------------------------


@dataclass
class Options:
    """Command-line options."""

    encoder: str | None = field(
        default=None,
        metadata={"help": "Hub id or folder (default: the artificial world's encoder)"},
    )
    max_steps: int = field(default=200, metadata={"help": "training steps (default: 200)"})
    output: str = field(
        default="runs/new_task_type",
        metadata={"help": "folder of the model (default: runs/new_task_type)"},
    )


def main() -> None:
    parser = HfArgumentParser(
        Options, description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    (options,) = parser.parse_args_into_dataclasses()
    set_seed(1)

    # 1. The rows of STS-B, their scores rounded to whole grades.
    jx.data_root(jx.default_root())
    alike = Grading(
        name="alike",
        source=jx.get_task("stsb").source,
        label=lambda row: round(row["similarity_score"]),
    )

    # 2. Train in English, and score every language.
    encoder = options.encoder or jx.default_encoder()
    model = jx.MultitaskModel.from_pretrained(encoder, [alike])
    arguments = TrainingArguments(
        options.output,
        max_steps=options.max_steps,
        learning_rate=5e-4,
        save_strategy="no",
        report_to="none",
    )
    jx.Trainer(model, arguments, tasks=[alike]).train()
    print(jx.evaluate(model, [alike]).to_markdown())

    # 3. Save and load: the head comes back by its task type.
    model.save_pretrained(options.output)
    loaded = jx.MultitaskModel.from_pretrained(options.output)
    row = {"sentence1": "the nurse lifted the drum.", "sentence2": "the nurse lifted the old drum."}
    (prediction,) = jx.predict(loaded, alike, [row])
    print(f"{row['sentence1']} / {row['sentence2']} {prediction.grade} of {alike.highest}")


if __name__ == "__main__":
    main()

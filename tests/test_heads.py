"""Heads: the same numbers as transformers' own classes, sums over items, and types of a user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import transformers
from conftest import ModelOf, batch_of
from torch.nn.functional import cross_entropy, normalize
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    TrainingArguments,
)

import jiantx as jx
from jiantx import heads
from jiantx.heads import Head, HeadOutput
from jiantx.task import Example, Prediction, Task
from jiantx.tokenization import encode, sequence_features

PARITY = ("xlm-r", "roberta", "bert")


def padded(batch: Mapping[str, Any], pad: int) -> dict[str, torch.Tensor]:
    """A flat batch as transformers' models take it."""
    names = [name for name in ("input_ids", "token_type_ids") if name in batch]
    lengths = batch["lengths"].tolist()
    inputs = {
        name: torch.nn.utils.rnn.pad_sequence(
            batch[name].split(lengths),
            batch_first=True,
            padding_value=pad if name == "input_ids" else 0,
        )
        for name in names
    }
    inputs["attention_mask"] = (torch.arange(max(lengths)) < batch["lengths"][:, None]).long()
    return inputs


def exported(
    model_of: ModelOf, task: jx.Task, family: str, folder: Path, auto: Any
) -> tuple[Any, Any]:
    """Our model, and transformers' own class loaded from the folder that it exported."""
    model = model_of([task], family)
    for parameter in model.heads.parameters():  # also biases that are not 0
        parameter.data += 0.1 * torch.randn(
            parameter.shape, generator=torch.Generator().manual_seed(1)
        )
    model.export(task, folder)
    plain, info = auto.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    return model, plain.eval()


@pytest.mark.parametrize("family", PARITY)
def test_classification_agrees(
    family: str, model_of: ModelOf, tiny_tasks, tokenizer_of, tmp_path: Path
) -> None:
    task = tiny_tasks["pair"]
    model, plain = exported(model_of, task, family, tmp_path, AutoModelForSequenceClassification)
    batch = batch_of(task, tokenizer_of(family))
    with torch.inference_mode():
        ours = model(**batch)
        hf_output = plain(**padded(batch, plain.config.pad_token_id), labels=batch["labels"])
    torch.testing.assert_close(
        ours.outputs["probabilities"], hf_output.logits.softmax(-1), atol=1e-5, rtol=1e-5
    )
    assert float(ours.loss / ours.num_items) == pytest.approx(float(hf_output.loss), abs=1e-5)
    assert plain.config.id2label == dict(enumerate(task.labels))
    assert plain.config.label2id == {label: i for i, label in enumerate(task.labels)}


@pytest.mark.parametrize("family", PARITY)
def test_several_labels_and_numbers_agree(
    family: str, model_of: ModelOf, tiny_tasks, tokenizer_of, tmp_path: Path
) -> None:
    for kind, output, problem in (
        ("multi_label", "probabilities", "multi_label_classification"),
        ("regression", "numbers", "regression"),
    ):
        task = tiny_tasks[kind]
        model, plain = exported(
            model_of, task, family, tmp_path / kind, AutoModelForSequenceClassification
        )
        assert plain.config.problem_type == problem
        batch = batch_of(task, tokenizer_of(family))
        targets = batch["targets"].view(-1, len(task.label_names) or 1)
        with torch.inference_mode():
            ours = model(**batch)
            hf_output = plain(**padded(batch, plain.config.pad_token_id), labels=targets)
        expected = hf_output.logits.sigmoid() if kind == "multi_label" else hf_output.logits[:, 0]
        torch.testing.assert_close(ours.outputs[output], expected, atol=1e-5, rtol=1e-5)
        assert float(ours.loss / ours.num_items) == pytest.approx(float(hf_output.loss), abs=1e-5)


@pytest.mark.parametrize("family", PARITY)
def test_tagging_agrees(
    family: str, model_of: ModelOf, tiny_tasks, tokenizer_of, tmp_path: Path
) -> None:
    task = tiny_tasks["tagging"]
    model, plain = exported(model_of, task, family, tmp_path, AutoModelForTokenClassification)
    batch = batch_of(task, tokenizer_of(family))
    labels = torch.full_like(batch["input_ids"], -100)
    labels[batch["word_positions"]] = batch["labels"]
    inputs = padded(batch, plain.config.pad_token_id)
    rows = torch.nn.utils.rnn.pad_sequence(labels.split(batch["lengths"].tolist()), True, -100)
    with torch.inference_mode():
        output, hf_output = model(**batch), plain(**inputs, labels=rows)
    word_logits = hf_output.logits[inputs["attention_mask"].bool()][batch["word_positions"]]
    torch.testing.assert_close(
        output.outputs["probabilities"],
        word_logits.softmax(-1).max(-1).values,
        atol=1e-5,
        rtol=1e-5,
    )
    assert torch.equal(output.outputs["tags"], word_logits.argmax(-1))
    assert float(output.loss / output.num_items) == pytest.approx(float(hf_output.loss), abs=1e-5)
    assert plain.config.id2label == {0: "O", 1: "B-X"}


@pytest.mark.parametrize("family", PARITY)
def test_question_answering_agrees(
    family: str, model_of: ModelOf, tiny_tasks, tokenizer_of, tmp_path: Path
) -> None:
    task = tiny_tasks["qa"]
    model, plain = exported(model_of, task, family, tmp_path, AutoModelForQuestionAnswering)
    batch = batch_of(task, tokenizer_of(family))
    inputs = padded(batch, plain.config.pad_token_id)
    starts = batch["lengths"].cumsum(0) - batch["lengths"]
    with torch.inference_mode():
        ours = model(**batch)
        hf_output = plain(**inputs)
    mask = inputs["attention_mask"].bool()
    torch.testing.assert_close(
        ours.outputs["start_logits"], hf_output.start_logits[mask], atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(
        ours.outputs["end_logits"], hf_output.end_logits[mask], atol=1e-5, rtol=1e-5
    )
    # transformers' loss puts weight on padding; without it, it is the same sum
    loss = 0.0
    for logits, gold in (
        (hf_output.start_logits, "start_positions"),
        (hf_output.end_logits, "end_positions"),
    ):
        loss += (
            float(cross_entropy(logits.masked_fill(~mask, -torch.inf), batch[gold] - starts)) / 2
        )
    assert float(ours.loss / ours.num_items) == pytest.approx(loss, abs=1e-5)


@pytest.mark.parametrize("family", PARITY)
def test_multiple_choice_agrees(
    family: str, model_of: ModelOf, tiny_tasks, tokenizer_of, tmp_path: Path
) -> None:
    task = tiny_tasks["choice"]
    model, plain = exported(model_of, task, family, tmp_path, AutoModelForMultipleChoice)
    table = [
        i for i, row in enumerate(task.rows("train")) if len(row["choices"]) == 3
    ]  # it takes equal numbers only
    batch = batch_of(task, tokenizer_of(family), table)
    assert len(table) > 2 and set(batch["sequences"].tolist()) == {3}
    inputs = padded(batch, plain.config.pad_token_id)
    grouped = {name: values.view(len(table), 3, -1) for name, values in inputs.items()}
    with torch.inference_mode():
        ours, hf_output = model(**batch), plain(**grouped, labels=batch["labels"])
    torch.testing.assert_close(
        ours.outputs["scores"].view(-1, 3), hf_output.logits, atol=1e-5, rtol=1e-5
    )
    assert float(ours.loss / ours.num_items) == pytest.approx(float(hf_output.loss), abs=1e-5)


@pytest.mark.parametrize("family", PARITY)
def test_masked_lm_agrees(
    family: str, model_of: ModelOf, tiny_tasks, tokenizer_of, tmp_path: Path
) -> None:
    task = tiny_tasks["mlm"]
    model, plain = exported(model_of, task, family, tmp_path, AutoModelForMaskedLM)
    batch = batch_of(task, tokenizer_of(family))
    labels = torch.full_like(batch["input_ids"], -100)
    labels[batch["masked_positions"]] = batch["labels"]
    rows = torch.nn.utils.rnn.pad_sequence(labels.split(batch["lengths"].tolist()), True, -100)
    inputs = padded(batch, plain.config.pad_token_id)
    with torch.inference_mode():
        ours, hf_output = model(**batch), plain(**inputs, labels=rows)
    assert float(ours.loss / ours.num_items) == pytest.approx(float(hf_output.loss), abs=1e-5)
    guesses = hf_output.logits[inputs["attention_mask"].bool()][batch["masked_positions"]].argmax(
        -1
    )
    assert torch.equal(ours.outputs["token_ids"], guesses)
    assert torch.equal(ours.outputs["correct"], guesses == batch["labels"])


@pytest.mark.parametrize("family", PARITY)
def test_pipelines_load_what_is_exported(
    family: str, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    labelled, tagged = tiny_tasks["classification"], tiny_tasks["tagging"]
    model = model_of([labelled, tagged], family)
    model.export(labelled, tmp_path / "a")
    model.export(tagged, tmp_path / "b")
    text = "the cat sees red house"
    (prediction,) = transformers.pipeline("text-classification", str(tmp_path / "a"))(text)
    expected = jx.predict(model, labelled, [{"text": text}])[0]
    assert (prediction["label"], prediction["score"]) == (
        expected.label,
        pytest.approx(expected.probability, abs=1e-5),
    )
    pieces = transformers.pipeline("token-classification", str(tmp_path / "b"), ignore_labels=[])(
        text
    )
    (tags,) = jx.predict(model, tagged, [{"tokens": text.split()}])
    if family != "roberta":  # whose first word has no space before it in a running text
        assert [piece["entity"] for piece in pieces] == list(tags.tags)


def test_what_cannot_be_exported(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="retrieval head of 'xlm-roberta'"):
        model_of([tiny_tasks["retrieval"]]).export(tiny_tasks["retrieval"], tmp_path)
    with pytest.raises(ValueError, match="save_encoder"):
        model_of([tiny_tasks["tagging"]], "electra").export(tiny_tasks["tagging"], tmp_path)


def test_exported_tokenizer_is_ours(
    model_of: ModelOf, tiny_tasks, tokenizer, tmp_path: Path
) -> None:
    model_of([tiny_tasks["tagging"]]).export(tiny_tasks["tagging"], tmp_path)
    assert (
        AutoTokenizer.from_pretrained(tmp_path)("the cat")["input_ids"]
        == tokenizer("the cat")["input_ids"]
    )


# --- losses are sums over items -------------------------------------------------------------------

TYPES = ("classification", "multi_label", "regression", "tagging", "qa", "choice", "mlm")


@pytest.mark.parametrize("kind", TYPES)
def test_loss_of_a_batch_is_the_sum_over_its_parts(
    kind: str, model_of: ModelOf, tiny_tasks, tokenizer
) -> None:
    task = tiny_tasks[kind]
    model = model_of([task])
    whole_output = model(**batch_of(task, tokenizer, range(8)))
    half_outputs = [
        model(**batch_of(task, tokenizer, rows)) for rows in (range(3), range(3, 4), range(4, 8))
    ]
    assert int(whole_output.num_items) == sum(int(half.num_items) for half in half_outputs)
    assert whole_output.loss.item() == pytest.approx(
        sum(half.loss.item() for half in half_outputs), rel=1e-5
    )


@pytest.mark.parametrize("kind", TYPES)
def test_items_are_what_labels_count(kind: str, model_of: ModelOf, tiny_tasks, tokenizer) -> None:
    batch = batch_of(tiny_tasks[kind], tokenizer)
    output = model_of([tiny_tasks[kind]])(**batch)
    assert int(output.num_items) == int(batch["labels"].ne(-100).sum())


def test_an_output_is_a_dictionary(model_of: ModelOf, tiny_tasks, tokenizer) -> None:
    # accelerate (bf16), DDP and FSDP walk over outputs as over any dictionary
    output = model_of([tiny_tasks["tagging"]])(**batch_of(tiny_tasks["tagging"], tokenizer))
    assert isinstance(output, dict) and [name for name, _ in output.items()] == [
        "loss",
        "num_items",
        "outputs",
    ]


@pytest.mark.parametrize("kind", ["classification", "multi_label", "regression", "tagging", "qa"])
def test_rows_without_gold_cost_nothing(
    kind: str, model_of: ModelOf, tiny_tasks, tokenizer
) -> None:
    model, batch = model_of([tiny_tasks[kind]]), batch_of(tiny_tasks[kind], tokenizer)
    batch["labels"] = torch.full_like(batch["labels"], -100)
    output = model(**batch)
    assert int(output.num_items) == 0 and output.loss.item() == 0


def test_retrieval_learns_pairs_in_the_batch(model_of: ModelOf, tiny_tasks, tokenizer) -> None:
    task = tiny_tasks["retrieval"]
    model, batch = model_of([task]), batch_of(task, tokenizer)
    vectors = model(**batch).outputs["embeddings"]
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)))
    output = model.train()(**batch)
    scores = 100 * vectors[::2] @ vectors[1::2].T
    assert output.outputs is None and int(output.num_items) == 16
    assert output.loss.item() == pytest.approx(
        cross_entropy(scores, torch.arange(16), reduction="sum").item(), rel=1e-4
    )


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_pooling_of_retrieval(pooling: Any, model_of: ModelOf, tiny_tasks, tokenizer) -> None:
    task = tiny_tasks["retrieval"].replace(pooling=pooling)
    model, batch = model_of([task]), batch_of(task, tokenizer)
    names = ("input_ids", "lengths", "position_ids", "longest")
    with torch.inference_mode():
        states = model.states(*(batch[name] for name in names))[0].split(batch["lengths"].tolist())
        vectors = model(**batch).outputs["embeddings"]
    pooled = {
        "mean": [s.mean(0) for s in states],
        "cls": [s[0] for s in states],
        "last": [s[-1] for s in states],
    }
    torch.testing.assert_close(
        vectors, normalize(torch.stack(pooled[pooling]), dim=1), atol=1e-6, rtol=1e-5
    )


def test_retrieval_without_a_first_token_pools_by_the_mean(
    model_of: ModelOf, tiny_tasks, t5_tokenizer
) -> None:
    batch = batch_of(tiny_tasks["retrieval"], t5_tokenizer)
    one, mean = (
        model_of([tiny_tasks["retrieval"].replace(pooling=options)], "t5")
        for options in ("cls", "mean")
    )
    mean.load_state_dict(one.state_dict())
    torch.testing.assert_close(
        one(**batch).outputs["embeddings"], mean(**batch).outputs["embeddings"]
    )


def test_outputs_are_made_outside_training_only(model_of: ModelOf, tiny_tasks, tokenizer) -> None:
    task = tiny_tasks["classification"]
    model, batch = model_of([task]), batch_of(task, tokenizer)
    assert model.train()(**batch).outputs is None
    assert model.eval()(**batch).outputs is not None


def test_masked_lm_computes_masked_positions_only(model_of: ModelOf, tiny_tasks, tokenizer) -> None:
    task = tiny_tasks["mlm"]
    batch = batch_of(task, tokenizer)
    output = model_of([task])(**batch)
    masked = len(batch["masked_positions"])
    assert 0 < masked < len(batch["input_ids"]) and output.outputs["token_ids"].shape == (masked,)


def test_nothing_masked_is_no_error(model_of: ModelOf, tiny_tasks, tokenizer) -> None:
    task = tiny_tasks["mlm"].replace(mask_share=0.0)
    output = model_of([task])(**batch_of(task, tokenizer))
    assert int(output.num_items) == 0 and output.loss.item() == 0


def test_layer_out_of_reach(model_of: ModelOf, tiny_tasks) -> None:
    with pytest.raises(ValueError, match="Layer 3 of an encoder with 2"):
        model_of([tiny_tasks["retrieval"].replace(layer=3)])


# --- a type of the user's own ---------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class LengthExample(Example):
    text: str


@dataclass(frozen=True, kw_only=True)
class LengthPrediction(Prediction):
    long: bool

    @property
    def value(self) -> bool:
        return self.long


def share_right(predictions: Sequence[bool], references: Sequence[bool]) -> float:
    return (
        100 * sum(p == r for p, r in zip(predictions, references, strict=True)) / len(predictions)
    )


@dataclass(frozen=True, kw_only=True)
class IsLong(Task):
    """Whether a text has more than ten words."""

    task_type: ClassVar[str] = "is_long"
    gold: ClassVar[str] = ""
    metrics: Any = (share_right,)

    def example(self, row: dict[str, Any], *, id: str, language: str) -> LengthExample:
        return LengthExample(id=id, language=language, text=row["text"])

    def features(
        self, examples: Sequence[LengthExample], tokenizer: Any, max_length: int
    ) -> dict[str, Any]:
        features = sequence_features(
            tokenizer, encode(tokenizer, [e.text for e in examples], max_length=max_length)
        )
        return {
            "example": range(len(examples)),
            **features,
            "labels": [[int(self.reference(e))] for e in examples],
        }

    def decode(
        self, outputs: Mapping[str, Any], features: Any, examples: Sequence[LengthExample]
    ) -> list[Any]:
        pairs = zip(examples, outputs["logit"].tolist(), strict=True)
        return [
            LengthPrediction(id=e.id, language=e.language, long=logit > 0) for e, logit in pairs
        ]

    def reference(self, example: LengthExample) -> bool:
        return len(example.text.split()) > 10

    def head_config(self) -> dict[str, Any]:
        return {"type": self.task_type}


class IsLongHead(Head):
    def __init__(self, encoder: Any, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        self.out = torch.nn.Linear(encoder.hidden_size, 1)

    def forward(self, states: torch.Tensor, batch: Mapping[str, Any]) -> HeadOutput:
        logits = self.out(heads.mean_states(states, batch))[:, 0]
        targets = batch["labels"].float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, targets, reduction="sum"
        )
        return HeadOutput(
            loss=loss, num_items=targets.new_tensor(len(targets)), outputs={"logit": logits}
        )


@pytest.fixture
def is_long(monkeypatch: pytest.MonkeyPatch, tiny_tasks) -> IsLong:
    monkeypatch.setattr(heads.HEADS, "_values", dict(heads.HEADS._values))
    jx.register_head("is_long", IsLongHead)
    return IsLong(name="is_long", source=tiny_tasks["classification"].source)


@pytest.mark.slow
def test_a_new_type_is_one_class_and_one_head(
    is_long: IsLong, model_of: ModelOf, tmp_path: Path
) -> None:
    model = model_of([is_long])
    args = TrainingArguments(
        str(tmp_path),
        max_steps=40,
        learning_rate=5e-3,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
    )
    jx.Trainer(model, args, tasks=[is_long]).train()
    report = jx.evaluate(model, [is_long], split="train")
    assert report.mean() == 100
    model.save_pretrained(tmp_path / "saved")
    again = jx.MultitaskModel.from_pretrained(tmp_path / "saved", [is_long])
    assert jx.evaluate(again, [is_long], split="train").records == report.records


def test_a_head_is_registered_once() -> None:
    with pytest.raises(ValueError, match="head for the task type named 'retrieval'"):
        jx.register_head("retrieval", IsLongHead)

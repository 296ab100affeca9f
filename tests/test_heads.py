"""Losses of heads are sums over items; outputs, pooling, and a task type of a user's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from conftest import ModelOf, batch_of
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize
from transformers import TrainingArguments
from transformers.trainer_pt_utils import LabelSmoother

import jiantx as jx
from jiantx import heads
from jiantx.heads import Head, HeadOutput
from jiantx.task import Example, Prediction, Task
from jiantx.tokenization import encode, sequence_features

TYPES = (
    "classification",
    "multi_label",
    "regression",
    "tagging",
    "qa",
    "choice",
    "mlm",
    "spans",
    "edges",
)


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


def padded_logits(kind: str, head: Any, batch: Mapping[str, Any], states: Tensor) -> list[Any]:
    """(logits, labels) of each cross-entropy, as a padded model of transformers has them."""
    labels = batch["labels"]
    if kind in ("classification", "choice", "spans"):
        scores = head.scores(states, batch)
        if kind != "choice":
            return [(scores, labels)]
        choices = scores[:, 0].split(batch["sequences"].tolist())
        return [(one[None], label[None]) for one, label in zip(choices, labels, strict=True)]
    if kind == "tagging":
        return [(head.out(states[batch["word_positions"]]), labels)]
    if kind == "mlm":
        hidden = head.norm(head.activation(head.dense(states[batch["masked_positions"]])))
        return [(hidden @ batch["embedding"].T + head.bias, labels)]
    if kind == "retrieval":
        vectors = head._vectors(states, batch)
        scores = head.log_scale.exp() * vectors[::2] @ vectors[1::2].T
        return [(scores, torch.arange(len(scores)))]
    windows = head.out(states).split(batch["lengths"].tolist())
    pairs = []
    for index, window in enumerate(windows):
        for column, name in enumerate(("start_positions", "end_positions")):
            gold = batch[name][index] - batch["starts"][index]
            pairs.append((window[None, :, column], gold[None]))
    return pairs


@pytest.mark.parametrize(
    "kind", ["classification", "tagging", "qa", "choice", "mlm", "retrieval", "spans"]
)
def test_label_smoothing_is_that_of_transformers(
    kind: str, model_of: ModelOf, tiny_tasks, tokenizer
) -> None:
    """Where sizes vary (choices, windows), over those that an example has."""
    task = tiny_tasks[kind]
    model = model_of([task]).train()  # without dropout
    batch = batch_of(task, tokenizer)
    starts = batch["lengths"].cumsum(0) - batch["lengths"]
    embedding = model.get_input_embeddings().weight
    head = model.head_of(task)
    assert head.smooths_labels
    states = model.states(**batch, layers=[head.layer])[0]
    of_head = {**batch, "starts": starts, "embedding": embedding}
    smoother = LabelSmoother(epsilon=0.2)
    expected = torch.stack(
        [
            smoother({"logits": logits}, labels) * labels.ne(-100).sum()
            for logits, labels in padded_logits(kind, head, of_head, states)
        ]
    ).sum()
    if kind == "qa":
        expected = expected / 2  # the mean of start and end
    smoothed = model(**batch, label_smoothing=0.2).loss
    torch.testing.assert_close(smoothed, expected, rtol=1e-5, atol=1e-5)
    assert not torch.isclose(smoothed, model(**batch).loss)
    assert torch.equal(model(**batch, label_smoothing=0.0).loss, model(**batch).loss)


@pytest.mark.parametrize("kind", ["multi_label", "regression", "edges"])
def test_other_losses_are_not_smoothed(kind: str, model_of: ModelOf, tiny_tasks, tokenizer) -> None:
    task = tiny_tasks[kind]
    model = model_of([task])
    batch = batch_of(task, tokenizer)
    assert not model.head_of(task).smooths_labels
    assert torch.equal(model(**batch, label_smoothing=0.2).loss, model(**batch).loss)


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


@pytest.mark.parametrize(
    "kind", ["classification", "multi_label", "regression", "tagging", "qa", "spans", "edges"]
)
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
        model_of([tiny_tasks["retrieval"].replace(pooling=pooling)], "t5")
        for pooling in ("cls", "mean")
    )
    mean.load_state_dict(one.state_dict())
    torch.testing.assert_close(
        one(**batch).outputs["embeddings"], mean(**batch).outputs["embeddings"]
    )


@pytest.mark.parametrize("kind", ["classification", "retrieval"])
def test_a_config_with_the_old_name_of_cls_pooling_loads(
    kind: str, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    """Models that were saved earlier have the key "first" instead of "cls_pooling"."""
    task = tiny_tasks[kind].replace(pooling="cls") if kind == "retrieval" else tiny_tasks[kind]
    model = model_of([task], "t5")
    model.save_pretrained(tmp_path)
    config_path = tmp_path / "config.json"
    config = json.loads(config_path.read_text())
    head_config = config["heads"][task.head_name]
    head_config["first"] = head_config.pop("cls_pooling")
    config_path.write_text(json.dumps(config))

    rows = list(task.rows("train"))
    for tasks in (None, [task]):
        loaded = jx.MultitaskModel.from_pretrained(tmp_path, tasks)
        assert loaded.heads[task.head_name].config == model.heads[task.head_name].config
        assert loaded.config.heads == model.config.heads
        assert jx.predict(loaded, task, rows) == jx.predict(model, task, rows)


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


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda loss, count: loss, "IsLongHead.forward returned Tensor; expected a HeadOutput"),
        (lambda loss, count: HeadOutput(num_items=count), "returned no loss in training"),
        (lambda loss, count: HeadOutput(loss=loss), r"of shape \(\) and num_items=None"),
        (
            lambda loss, count: HeadOutput(loss=loss.expand(3), num_items=count),
            r"a loss of shape \(3,\) .*Expected the sum",
        ),
    ],
)
def test_what_a_head_may_return(
    output: Any,
    message: str,
    is_long: IsLong,
    model_of: ModelOf,
    tokenizer: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forward = IsLongHead.forward

    def wrong_forward(self: IsLongHead, states: Tensor, batch: Mapping[str, Any]) -> Any:
        right = forward(self, states, batch)
        return output(right.loss, right.num_items)

    monkeypatch.setattr(IsLongHead, "forward", wrong_forward)
    model = model_of([is_long]).train()
    with pytest.raises((TypeError, ValueError), match=message):
        model(**batch_of(is_long, tokenizer))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"example": None}, "features .task is_long. returned no column 'example'; it has: input"),
        ({"labels": None}, "returned no column 'labels'"),
        ({"labels": [[1]]}, "columns of several lengths: .*'labels': 1"),
        ({"labels": [0, 1]}, r"an entry of 'labels' is 0; expected a list, such as \[0\]"),
    ],
)
def test_what_features_may_return(
    changes: dict[str, Any],
    message: str,
    is_long: IsLong,
    tokenizer: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features = IsLong.features

    def wrong_features(self: IsLong, *args: Any) -> dict[str, Any]:
        columns = {**features(self, *args), **changes}
        return {name: values for name, values in columns.items() if values is not None}

    monkeypatch.setattr(IsLong, "features", wrong_features)
    examples = [is_long.example({"text": "a dog"}, id=str(i), language="en") for i in range(2)]
    with pytest.raises((TypeError, ValueError), match=message):
        jx.features.encode_examples(is_long, examples, tokenizer)

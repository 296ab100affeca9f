"""Losses by task: torch's and scikit-learn's numbers, exact under accumulation, checked early."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ModelOf, batch_of
from test_trainer import Gradients, arguments
from torch import Tensor
from torch.nn.functional import huber_loss, one_hot
from transformers import RobertaConfig
from transformers.utils import logging

import jiantx as jx
from jiantx.features import load_features
from jiantx.heads import HEADS
from jiantx.losses import batch_entries

CPU = torch.device("cpu")


def entries(
    loss: Any, task: jx.Task, model: jx.MultitaskModel, label_smoothing: float = 0.0
) -> dict[str, Any]:
    features = [load_features(task, "train", "en", model.tokenizer)]
    head = model.head_of(task)
    return batch_entries(loss, task, head, features, label_smoothing=label_smoothing, device=CPU)


def logits_of(task: jx.Task, model: jx.MultitaskModel, batch: dict[str, Any]) -> Tensor:
    """What a loss is computed of, by a loss that keeps it."""
    scores_seen = []

    def keep(scores: Tensor, targets: Tensor) -> Tensor:
        scores_seen.append(scores)
        return scores.new_zeros(len(scores))

    model(**batch, loss=keep)
    return scores_seen[0]


@pytest.mark.parametrize("kind", ["classification", "tagging", "spans"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_class_weights_are_those_of_torch(
    kind: str, label_smoothing: float, model_of: ModelOf, tiny_tasks, tokenizer
) -> None:
    """The sum over items, not divided by the sum of the weights."""
    task = tiny_tasks[kind]
    model = model_of([task])
    batch = batch_of(task, tokenizer)
    weights = {task.label_names[0]: 3.0, task.label_names[-1]: 0.25}
    loss = jx.CrossEntropy(class_weights=weights, label_smoothing=label_smoothing)
    output = model(**batch, **entries(loss, task, model, label_smoothing=0.7))
    expected = torch.nn.CrossEntropyLoss(
        weight=torch.tensor([weights.get(name, 1.0) for name in task.label_names]),
        label_smoothing=label_smoothing,
        reduction="sum",
    )(logits_of(task, model, batch), batch["labels"])
    torch.testing.assert_close(output.loss, expected)
    assert not torch.isclose(output.loss, model(**batch).loss)
    assert output.num_items == batch["labels"].ne(-100).sum()


@pytest.mark.parametrize("kind", ["multi_label", "edges"])
def test_with_several_labels_weights_are_of_the_positive_side(
    kind: str, model_of: ModelOf, tiny_tasks, tokenizer
) -> None:
    task = tiny_tasks[kind]
    model = model_of([task])
    batch = batch_of(task, tokenizer)
    scores = logits_of(task, model, batch)
    targets = torch.zeros_like(scores)
    if kind == "multi_label":
        targets = batch["targets"].view_as(scores)
    else:
        target_of_label = torch.repeat_interleave(torch.arange(len(scores)), batch["gold_counts"])
        targets[target_of_label, batch["gold_labels"]] = 1
    weights = torch.tensor([2.0, 1.0, 0.5])
    loss = jx.CrossEntropy(class_weights=dict(zip(task.label_names, weights.tolist())))
    expected = torch.nn.BCEWithLogitsLoss(pos_weight=weights, reduction="none")(scores, targets)
    actual = model(**batch, **entries(loss, task, model)).loss
    torch.testing.assert_close(actual, expected.mean(dim=1).sum())


def rows_of(counts: dict[str, int]) -> jx.Rows:
    rows = [{"text": "the cat", "label": name} for name, n in counts.items() for _ in range(n)]
    return jx.Rows({"train": rows})


def test_balanced_weights_are_those_of_scikit_learn(
    model_of: ModelOf, tiny_tasks, caplog: pytest.LogCaptureFixture
) -> None:
    """n / (classes x count): compute_class_weight("balanced", …) of 6 no, 2 perhaps, 1 yes."""
    task = tiny_tasks["classification"].replace(source=rows_of({"no": 6, "perhaps": 2, "yes": 1}))
    model = model_of([task])
    loss = entries(jx.CrossEntropy(class_weights="balanced"), task, model)["loss"]
    assert loss.keywords["weight"].tolist() == pytest.approx([0.5, 1.5, 3.0])
    without = task.replace(source=rows_of({"no": 6, "yes": 2}))
    logging.enable_propagation()
    loss = entries(jx.FocalLoss(class_weights="balanced"), without, model)["loss"]
    logging.disable_propagation()
    assert loss.keywords["weights"].tolist() == pytest.approx([8 / 12, 1.0, 2.0])
    assert "Task mood" in caplog.text and "perhaps. Their weight is 1." in caplog.text


def test_balanced_weights_of_tags_and_of_several_labels(model_of: ModelOf, tiny_tasks) -> None:
    """Tags are counted word by word; with several labels, it is negatives / positives."""
    tagging, topics = tiny_tasks["tagging"], tiny_tasks["multi_label"]
    model = model_of([tagging, topics])
    tags = [tag for row in tagging.rows("train") for tag in row["tags"]]
    loss = entries(jx.CrossEntropy(class_weights="balanced"), tagging, model)["loss"]
    expected = [len(tags) / (2 * tags.count(name)) for name in tagging.label_names]
    assert loss.keywords["weight"].tolist() == pytest.approx(expected)
    label_lists = [row["labels"] for row in topics.rows("train")]
    positives = [sum(name in row for row in label_lists) for name in topics.label_names]
    loss = entries(jx.CrossEntropy(class_weights="balanced"), topics, model)["loss"]
    expected = [(len(label_lists) - count) / count for count in positives]
    assert loss.keywords["pos_weight"].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["classification", "multi_label"])
def test_focal_loss_is_that_of_the_paper(
    kind: str, model_of: ModelOf, tiny_tasks, tokenizer
) -> None:
    task = tiny_tasks[kind]
    model = model_of([task])
    batch = batch_of(task, tokenizer)
    scores = logits_of(task, model, batch)
    alpha = torch.tensor([2.0, 1.0, 0.5])
    loss = jx.FocalLoss(gamma=1.5, class_weights=dict(zip(task.label_names, alpha.tolist())))
    if kind == "classification":
        gold = one_hot(batch["labels"], 3).bool()
        probabilities = scores.softmax(dim=1)[gold]
        expected = -alpha[batch["labels"]] * (1 - probabilities) ** 1.5 * probabilities.log()
    else:
        is_gold = batch["targets"].view_as(scores) > 0
        probabilities = torch.where(is_gold, scores.sigmoid(), 1 - scores.sigmoid())
        factors = torch.where(is_gold, alpha, 1.0)
        expected = (-factors * (1 - probabilities) ** 1.5 * probabilities.log()).mean(dim=1)
    actual = model(**batch, **entries(loss, task, model)).loss
    torch.testing.assert_close(actual, expected.sum(), rtol=1e-5, atol=1e-5)
    unfocused = model(**batch, **entries(jx.FocalLoss(gamma=0), task, model)).loss
    torch.testing.assert_close(unfocused, model(**batch).loss, rtol=1e-5, atol=1e-5)


SURE = jx.Classification(name="sure", source=jx.Rows({}), labels=("a", "b"))


def test_a_certain_item_has_a_finite_gradient() -> None:
    scores = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = batch_entries(
        jx.FocalLoss(gamma=0.5),
        SURE,
        HEADS["classification"](RobertaConfig(hidden_size=4), SURE.head_config()),
        [],
        label_smoothing=0.0,
        device=CPU,
    )["loss"]
    loss(scores, torch.tensor([0])).sum().backward()
    assert scores.grad is not None and scores.grad.isfinite().all()


def test_a_function_is_a_loss(model_of: ModelOf, tiny_tasks, tokenizer) -> None:
    """Of scores and targets on 0 to 1, for a regression; rows without a label do not count."""
    task = tiny_tasks["regression"]
    model = model_of([task])
    batch = batch_of(task, tokenizer)
    batch["labels"][:3] = -100
    function = partial(huber_loss, reduction="none", delta=0.1)
    numbers = model(**batch).outputs["numbers"]
    expected = function(numbers[3:], batch["targets"][3:]).sum()
    torch.testing.assert_close(model(**batch, loss=function).loss, expected)
    with pytest.raises(ValueError, match=r"'stars' is of shape \(\); expected one for each of 16"):
        model(**batch, loss=huber_loss)


@pytest.mark.slow
def test_weighted_losses_are_exact_under_accumulation_and_in_mixed_batches(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    """And each task has its own."""
    tasks = [tiny_tasks["classification"], tiny_tasks["tagging"]]
    losses: dict[str, Any] = {
        "mood": jx.FocalLoss(gamma=2.0, class_weights="balanced"),
        "entities": jx.CrossEntropy(class_weights={"O": 0.2}, label_smoothing=0.1),
    }
    steps = []
    for size, accumulation in ((8, 1), (4, 2)):
        gradients = Gradients()
        args = arguments(
            tmp_path,
            max_steps=1,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=accumulation,
            logging_steps=1,
            optim="sgd",
        )
        trainer = jx.Trainer(
            model_of(tasks),
            args,
            tasks=tasks,
            sampling=jx.Sampling(exponent=0, mix=2),
            losses=losses,
            callbacks=[gradients],
        )
        trainer.train()
        steps.append((trainer.state.log_history[0]["loss"], gradients.found))
    (loss, expected), (other_loss, other_gradients) = steps
    assert other_loss == pytest.approx(loss, abs=1e-5)
    for name, value in expected.items():
        torch.testing.assert_close(other_gradients[name], value, atol=1e-6, rtol=1e-4)


def test_losses_are_checked_before_training(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    tasks = [tiny_tasks[kind] for kind in ("classification", "qa", "regression", "multi_label")]
    model = model_of(tasks)

    def trainer(**losses: Any) -> jx.Trainer:
        return jx.Trainer(model, arguments(tmp_path), tasks=tasks, losses=losses)

    balanced = jx.CrossEntropy(class_weights="balanced")
    for losses, message in (
        ({"moood": balanced}, r"losses=…\) names 'moood'; .* Did you mean 'mood'"),
        ({"mood": jx.CrossEntropy(class_weights={"yess": 2})}, "'yess', which is not one.*'yes'"),
        ({"answers": balanced}, r"head of task answers \(question_answering\) computes its own"),
        ({"stars": balanced}, "has no labels. Give a function"),
        ({"stars": jx.CrossEntropy()}, "has no labels, so its loss is no cross-entropy"),
        ({"topics": jx.CrossEntropy(label_smoothing=0.1)}, "cannot be smoothed"),
    ):
        with pytest.raises(ValueError, match=message):
            trainer(**losses)
    with pytest.raises(TypeError, match=r"expected jx\.CrossEntropy"):
        trainer(mood="focal")
    with pytest.raises(TypeError, match="expected a dictionary, task -> loss"):
        jx.Trainer(model, arguments(tmp_path), tasks=tasks, losses=jx.FocalLoss())  # type: ignore[arg-type]
    trainer(answers=jx.CrossEntropy(label_smoothing=0.1))
    only_own = {"losses": {"mood": jx.CrossEntropy(label_smoothing=0.0)}}
    args = arguments(tmp_path, label_smoothing_factor=0.1)
    with pytest.raises(ValueError, match="label_smoothing_factor"):
        jx.Trainer(model, args, tasks=tasks[:1], **only_own)  # type: ignore[arg-type]
    for wrong in ({"class_weights": {"yes": -1}}, {"class_weights": "even"}, {"gamma": -1}):
        with pytest.raises(ValueError, match="expected a"):
            jx.FocalLoss(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a number from 0 to 1"):
        jx.CrossEntropy(label_smoothing=1.5)


def test_a_loss_function_is_tried_before_the_first_step(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    """Also that of a task that is drawn late."""
    tasks = [tiny_tasks[kind] for kind in ("classification", "regression", "multi_label")]

    def of_wrong_type(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        raise TypeError("no such targets")

    for losses, message in (
        ({"mood": of_wrong_type}, r"8 items, with scores of shape \(8, 3\).*no such targets"),
        ({"stars": huber_loss}, r"is of shape \(\); expected one for each of 8 items"),
        ({"topics": torch.nn.functional.cross_entropy}, "expected one for each of 8 items"),
    ):
        trainer = jx.Trainer(model_of(tasks), arguments(tmp_path), tasks=tasks, losses=losses)
        with pytest.raises(ValueError, match=message):
            trainer.train()
        assert trainer.state.global_step == 0


def test_trying_a_function_changes_nothing(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    """It is tried once, on as many items as a batch has, and its random numbers are given back."""
    task = tiny_tasks["classification"]
    sizes: list[int] = []

    def hardest(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        losses = torch.nn.functional.cross_entropy(scores, targets, reduction="none")
        sizes.append(len(losses))
        threshold = losses.topk(4).values[-1]
        return losses * (losses >= threshold) * torch.rand(len(losses))

    weights = []
    for strategy in ("no", "steps"):
        model = model_of([task])
        args = arguments(tmp_path, max_steps=2, save_strategy=strategy)
        jx.Trainer(model, args, tasks=[task], losses={"mood": hardest}).train()
        weights.append(model.heads["mood"].out.weight.detach().clone())
    assert torch.equal(*weights) and sizes == [8] * 6


def test_a_task_may_have_another_smoothing_than_the_run(
    model_of: ModelOf, tiny_tasks, tokenizer
) -> None:
    task = tiny_tasks["choice"]
    model = model_of([task])
    assert entries(jx.CrossEntropy(), task, model, 0.1) == {"label_smoothing": 0.1}
    assert entries(jx.CrossEntropy(label_smoothing=0.0), task, model, 0.1) == {}

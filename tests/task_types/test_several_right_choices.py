"""Several right choices, any number of choices, and scores by text: what ReCoRD needs."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch

import jiantx as jx
from jiantx.batching import collate, merge_batches
from jiantx.features import encode_examples
from jiantx.metrics import Answer, Answers, accuracy, exact_match, squad_f1
from jiantx.sources import DataError

TASK = jx.MultipleChoice(
    name="entities",
    source=jx.Rows({}),
    scored_texts="names",
    label="answers",
    metrics=(exact_match, squad_f1),
)


def row(answers: Any = ("Ann",), names: Any = ("Ann", "the Bob", "Cy"), **changes: Any) -> Any:
    choices = [f"{name} sees a dog" for name in names]
    return {"prompt": "the cat", "choices": choices, "names": names, "answers": answers, **changes}


def example(*args: Any, **changes: Any) -> Any:
    return TASK.example(row(*args, **changes), id="0", language="en")


# --- rows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "label", "right"),
    [
        ("Cy", 2, ("Cy",)),
        (["Cy"], 2, ("Cy",)),
        (["Cy", "Ann", "Cy"], 0, ("Ann", "Cy")),
        ([], None, ()),
        (None, None, ()),
        ("", None, ()),
    ],
)
def test_the_label_is_one_text_or_several(answers: Any, label: Any, right: Any) -> None:
    one = example(answers)
    assert (one.label, one.right_texts) == (label, right)
    assert TASK.reference(one) == (Answers(right, "en") if right else None)


def test_a_row_without_the_column_of_answers_has_no_gold() -> None:
    raw = row()
    del raw["answers"]
    assert TASK.example(raw, id="0", language="en").label is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"answers": ["Dan"]},
            r"The right text 'Dan' is not one of the choices \['Ann', 'the Bob'",
        ),
        ({"answers": [3]}, "The right text 3 is not one of the choices"),
        ({"answers": 1}, "The label is 1; expected the right text or a list of them"),
        ({"names": ["Ann"]}, "3 choices have 1 scored texts; expected one text per choice"),
        ({"names": []}, r"Expected a list of at least one scored text, found \[\]"),
        ({"names": ["Ann", " ", "Cy"]}, "A scored text is an empty text"),
        ({"choices": []}, r"Expected a list of at least one choice, found \[\]"),
    ],
)
def test_rows_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        TASK.example({**row(), **changes}, id="0", language="en")


def test_one_choice_is_enough() -> None:
    assert example(["Ann"], ["Ann"]).choices == ("Ann sees a dog",)


def test_scores_by_text_need_metrics_of_answers() -> None:
    with pytest.raises(ValueError, match=r"'accuracy' .* Choose from jiantx\.metrics\.answers"):
        TASK.replace(metrics=(accuracy,))
    with pytest.raises(ValueError, match=r"'f1' .* Choose from jiantx\.metrics\.labels"):
        TASK.replace(scored_texts=None, metrics=(squad_f1,))


def test_labels_from_another_number() -> None:
    task = jx.MultipleChoice(name="choices", source=jx.Rows({}), labels_from=1)
    values = {"prompt": "a", "choices": ["b", "c"]}
    for label, index in (("1", 0), (2, 1), ("B", 1), ("", None), (-1, None)):
        assert task.example({**values, "label": label}, id="0", language="en").label == index
    with pytest.raises(
        DataError, match=r"The label is 0; .* number, 1 to 2, or its letter, A to B"
    ):
        task.example({**values, "label": 0}, id="0", language="en")


def test_class_names_may_be_numbers_of_choices() -> None:
    import datasets

    features = datasets.Features(
        prompt=datasets.Value("string"),
        choices=datasets.List(datasets.Value("string")),
        label=datasets.ClassLabel(names=["0", "1"]),
    )
    rows = datasets.Dataset.from_list(
        [{"prompt": "a", "choices": ["b", "c"], "label": label} for label in (1, 0, -1)], features
    )
    task = jx.MultipleChoice(name="choices", source=jx.Rows({"train": rows}))
    assert [one.label for one in task.examples("train")] == [1, 0, None]


# --- features, loss, decoding ---------------------------------------------------------------------


def examples_of(count: int, seed: int = 0) -> list[Any]:
    rng = random.Random(seed)
    examples = []
    for index in range(count):
        names = [
            f"{word} {index}"
            for word in rng.sample("cat dog red house river".split(), 1 + index % 5)
        ]
        right = rng.sample(names, rng.randint(1, len(names)))
        examples.append(TASK.example(row(right, names), id=str(index), language="en"))
    return examples


def test_targets_are_the_right_choices(tokenizer: Any) -> None:
    examples = [example(["Cy", "Ann"]), example(None), example(["Ann"], ["Ann"])]
    table = encode_examples(TASK, examples, tokenizer)
    assert table["labels"][:] == [[0], [-100], [0]]
    assert table["targets"][:] == [[1, 0, 1], [0, 0, 0], [1]]
    assert list(map(len, table["lengths"][:])) == [3, 3, 1]


def restated_loss(scores: np.ndarray, targets: list[float]) -> float:
    odds = np.exp(scores.astype(np.float64))
    return -math.log(odds[np.array(targets) > 0].sum() / odds.sum())


def test_the_loss_is_that_of_the_summed_probability(model_of: Any, tokenizer: Any) -> None:
    model = model_of([TASK]).eval()
    examples = [*examples_of(9), example(None)]
    table = encode_examples(TASK, examples, tokenizer)
    output = model(**collate(TASK, table.with_format("arrow")[:], tokenizer))
    sizes = [len(targets) for targets in table["targets"]]
    scores = np.split(output.outputs["scores"].detach().numpy(), np.cumsum(sizes)[:-1])
    losses = [restated_loss(s, t) for s, t in zip(scores, table["targets"], strict=True) if any(t)]
    assert int(output.num_items) == 9 == len(losses)
    assert output.loss.item() == pytest.approx(sum(losses), abs=1e-4)
    output.loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_one_right_choice_has_the_usual_loss(model_of: Any, tokenizer: Any) -> None:
    """Also in a batch by itself, where other examples have more choices, and in a mixed step."""
    plain = TASK.replace(scored_texts=None, label="index", metrics=(accuracy,))
    model = model_of([plain]).eval()
    rows = []
    for index in range(8):
        names = [f"{word} {index}" for word in "cat dog red house river".split()[: 2 + index % 4]]
        rows.append({**row([names[index % 2]], names), "index": index % 2})
    losses = []
    for task in (plain, TASK.replace(head="entities")):
        examples = [task.example(r, id=str(i), language="en") for i, r in enumerate(rows)]
        table = encode_examples(task, examples, tokenizer).with_format("arrow")
        batches = [collate(task, table[[index]], tokenizer) for index in range(len(rows))]
        losses.append(model(**collate(task, table[:], tokenizer)).loss.item())
        losses.append(sum(model(**batch).loss.item() for batch in batches))
        losses.append(
            sum(output.loss.item() for output in model(**merge_batches(batches)).sub_outputs)
        )
    assert losses == pytest.approx([losses[0]] * 6, abs=1e-4)


def test_training_learns_the_right_ones(model_of: Any, tokenizer: Any) -> None:
    model = model_of([TASK]).train()
    table = encode_examples(TASK, examples_of(8), tokenizer).with_format("arrow")
    batch = collate(TASK, table[:], tokenizer)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    losses = []
    for _ in range(12):
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_decoding_gives_the_text_of_the_best_choice() -> None:
    examples = [example(), example(["Ann"], ["Ann"])]
    scores = np.array([0.0, 2.0, 1.0, -5.0], np.float32)
    first, second = TASK.decode({"scores": scores}, None, examples)  # type: ignore[arg-type]
    assert (first.choice, first.text, first.value) == (1, "the Bob", Answer("the Bob"))
    assert (second.text, second.probability) == ("Ann", 1.0)


def test_each_right_text_counts() -> None:
    references = [Answers(("Ann", "Ann Lee")), Answers(("Cy",))]
    assert exact_match([Answer("the ann lee!"), Answer("Bob")], references) == 50.0
    assert squad_f1([Answer("Lee"), Answer("Bob Cy")], references) == pytest.approx(100 * 2 / 3)

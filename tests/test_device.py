"""The step on a GPU, as far as it can be known without one: nothing waits for the device, one graph
for all batches.

The device `meta` plays the GPU: its tensors have shapes and no values, so whatever needs a value on
the host (`item`, `tolist`, `nonzero`, a boolean index, `unique`, `repeat_interleave` without
`output_size`) fails. `varlen_attn` has a kernel for GPUs alone; on `meta` it needs none, and for
the CPU a plain one is written here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from conftest import ModelOf, batch_of
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from transformers import TrainingArguments

import jiantx as jx
from jiantx import attention
from jiantx.attention import SequenceLayout, flat_attention, layers_of
from jiantx.batching import Batch, merge_batches

TYPES = (
    "classification",
    "pair",
    "multi_label",
    "regression",
    "tagging",
    "qa",
    "choice",
    "retrieval",
    "mlm",
    "spans",
    "edges",
)
META = torch.device("meta")
# dynamo looks at `.grad` of what a compiled layer reads; torch's own warning, and harmless
compiles = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")


def as_on_a_gpu() -> Any:
    """While this lasts `varlen_attn` computes attention; once a model is made, for the probe runs
    on the CPU.
    """
    return patch.object(attention, "_has_kernel", lambda query: True)  # no Mock: it breaks a graph


# --- nothing waits for the device -----------------------------------------------------------------


class NoCopies(TorchDispatchMode):
    """Fails where a tensor goes from the host to the device, or back."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        devices = {
            x.device.type for x in tree_leaves((args, kwargs, result)) if isinstance(x, Tensor)
        }
        assert len(devices) <= 1, f"{func} copies between {devices}"
        return result


class NoLiterals(TorchFunctionMode):
    """Fails where numbers of Python become a tensor: a copy from the host, which the host waits
    for.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        literal = func in (torch.tensor, Tensor.new_tensor) or (
            func in (torch.as_tensor, torch.asarray) and not isinstance(args[0], Tensor)
        )
        assert not literal, f"{func.__name__} makes a tensor of {args[-1]!r}"
        return func(*args, **(kwargs or {}))


def on_meta(batch: Batch) -> Batch:
    moved: Batch = tree_map(lambda x: x.to(META) if isinstance(x, Tensor) else x, batch)
    return moved


def step(model: jx.MultitaskModel, batch: Batch) -> Tensor:
    with as_on_a_gpu(), NoLiterals(), NoCopies():
        output = model(**batch)
        loss: Tensor = output.loss / output.num_items
        loss.backward()
    return loss


@pytest.mark.parametrize("kind", TYPES)
def test_no_head_waits(kind: str, model_of: ModelOf, tiny_tasks, tokenizer) -> None:
    task = tiny_tasks[kind]
    model = model_of([task]).train().to(META)
    assert model.padding_free
    assert step(model, on_meta(batch_of(task, tokenizer))).device == META
    assert all(p.grad is not None for p in model.heads.parameters())


@pytest.mark.parametrize("family", ["bert", "distilbert", "electra", "modernbert"])
def test_no_encoder_waits(family: str, model_of: ModelOf, tiny_tasks, tokenizer_of) -> None:
    task = tiny_tasks["pair"]
    model = model_of([task], family).train().to(META)
    step(model, on_meta(batch_of(task, tokenizer_of(family))))


def test_no_mean_and_no_padded_rows_wait(model_of: ModelOf, tiny_tasks, tokenizer) -> None:
    task = tiny_tasks["retrieval"].replace(pooling="mean")
    step(model_of([task]).train().to(META), on_meta(batch_of(task, tokenizer)))


def test_no_mixed_step_waits(model_of: ModelOf, tiny_tasks, tokenizer) -> None:
    tasks = [tiny_tasks[kind] for kind in ("classification", "qa", "retrieval", "mlm")]
    model = model_of(tasks).train().to(META)
    step(model, on_meta(merge_batches([batch_of(task, tokenizer) for task in tasks])))


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trainer makes its output folder in the working directory."""
    monkeypatch.chdir(tmp_path)


def trainer_of(model: jx.MultitaskModel, tasks: list[jx.Task], **changes: Any) -> jx.Trainer:
    values = {
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "save_strategy": "no",
        "max_steps": 4,
    }
    args = TrainingArguments("unused", per_device_train_batch_size=4, **{**values, **changes})
    return jx.Trainer(model, args, tasks=tasks)


def test_no_loss_waits(model_of: ModelOf, tiny_tasks, tokenizer) -> None:
    tasks = [tiny_tasks["classification"], tiny_tasks["mlm"]]
    trainer = trainer_of(model_of(tasks), tasks)
    model = trainer.model.train().to(META)
    mixed = merge_batches([batch_of(task, tokenizer) for task in tasks])
    for batch in map(
        on_meta, (batch_of(tasks[0], tokenizer), batch_of(tasks[1], tokenizer), mixed)
    ):
        items = batch["labels"].ne(-100).sum()
        trainer._first_nonfinite_step = trainer._first_nonfinite_step.to(META)  # once in a training
        with as_on_a_gpu(), NoLiterals(), NoCopies():
            trainer.compute_loss(model, batch, num_items_in_batch=items).backward()


def test_batches_are_sent_before_they_are_counted(
    model_of: ModelOf, tiny_tasks, tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [tiny_tasks["classification"], tiny_tasks["mlm"]]
    trainer = trainer_of(model_of(tasks), tasks)
    batch = merge_batches([batch_of(task, tokenizer) for task in tasks])
    left = iter([batch, batch, batch])
    sent, items = trainer.get_batch_samples(left, 2, META)
    assert len(sent) == 2 and len(list(left)) == 1  # no more is taken than asked for
    assert {x.device for x in tree_leaves(sent) if isinstance(x, Tensor)} == {
        META
    } and items.device == META
    assert [sub_batch["head"] for sub_batch in sent[0]["sub_batches"]] == [
        task.head_name for task in tasks
    ]

    calls: list[Any] = []

    def noted(batch: Any, **options: Any) -> Any:
        calls.append(options)
        return batch

    monkeypatch.setattr("jiantx.trainer.send_to_device", noted)
    trainer.get_batch_samples(iter([batch]), 1, torch.device("cpu"))
    with patch.object(trainer, "_get_num_items_in_batch"):
        trainer.get_batch_samples(iter([batch]), 1, torch.device("cuda"))
    assert [options["non_blocking"] for options in calls] == [False, True]


def test_what_waits_is_seen() -> None:
    values, two = torch.ones(3, device=META), torch.ones(3, dtype=torch.int64, device=META)
    waits: list[Callable[[], Any]] = [
        lambda: values.sum().item(),
        lambda: bool(values.any()),
        values.tolist,
        values.nonzero,
        lambda: values[values > 0],
        lambda: values.masked_select(values > 0),
        values.unique,
        lambda: two.repeat_interleave(two),
        values.cpu,
        lambda: values.new_tensor(3),
        lambda: torch.tensor(3, device=META),
        lambda: torch.ones(3).to(META),
    ]
    for wait in waits:
        with (
            pytest.raises((RuntimeError, NotImplementedError, AssertionError)),
            NoLiterals(),
            NoCopies(),
        ):
            wait()


# --- one graph for all batches --------------------------------------------------------------------


def _probabilities(
    query: Tensor, key: Tensor, bounds: Tensor, scale: float, window: list[int]
) -> tuple[Tensor, Tensor]:
    """(heads, tokens, tokens) probabilities, and their log sums."""
    positions = torch.arange(len(query))
    owner = torch.bucketize(positions, bounds, right=True)
    seen = owner[:, None] == owner
    if window[0] >= 0:
        seen &= (positions[:, None] - positions).abs() <= window[0]
    scores = (torch.einsum("qhd,khd->hqk", query, key) * scale).masked_fill(~seen, -torch.inf)
    return scores.softmax(-1), scores.logsumexp(-1)


@torch.library.register_kernel("torch_attn::_varlen_attn", "cpu")
def _attention(
    q: Tensor, k: Tensor, v: Tensor, bounds: Tensor, *more: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Of `varlen_attn`, as far as it is used here.

    more: other bounds, two maxima, causal, scale, window, …
    """
    *_, scale, window = more[:6]
    p, sums = _probabilities(q, k, bounds, q.shape[-1] ** -0.5 if scale is None else scale, window)
    return torch.einsum("hqk,khd->qhd", p, v).contiguous(), sums, torch.zeros(2, dtype=torch.uint64)


@torch.library.register_kernel("torch_attn::_varlen_attn_backward", "cpu")
def _gradients(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    sums: Tensor,
    bounds: Tensor,
    *more: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    *_, scale, window = more
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    p, _ = _probabilities(q, k, bounds, scale, window)
    inner = torch.einsum("qhd,khd->hqk", grad, v) - (grad * out).sum(-1).T[:, :, None]
    scores = scale * p * inner
    actual = [("hqk,khd->qhd", scores, k), ("hqk,qhd->khd", scores, q), ("hqk,qhd->khd", p, grad)]
    dq, dk, dv = (torch.einsum(*one).contiguous() for one in actual)
    return dq, dk, dv


@pytest.fixture
def graphs() -> Iterator[Callable[[], tuple[int, int]]]:
    """How many graphs were compiled, and how often tracing broke off."""
    from torch._dynamo.utils import counters

    torch.compiler.reset()
    counters.clear()
    yield lambda: (counters["stats"]["unique_graphs"], sum(counters["graph_break"].values()))
    torch.compiler.reset()
    counters.clear()


def gradients(model: jx.MultitaskModel, batch: Batch) -> dict[str, Tensor]:
    model.train().zero_grad()
    output = model(**batch)
    (output.loss / output.num_items).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def ten_batches(tasks: list[jx.Task], tokenizer: Any) -> list[Batch]:
    """Of one task after the other, of 2 to 11 features."""
    return [batch_of(tasks[size % len(tasks)], tokenizer, slice(0, size)) for size in range(2, 12)]


@pytest.mark.parametrize("window", [None, 3])
def test_the_kernel_gives_what_the_loop_over_sequences_gives(window: int | None) -> None:
    torch.manual_seed(0)
    states = torch.randn(3, 1, 2, 15, 4, requires_grad=True)
    sequences = SequenceLayout(torch.tensor([1, 5, 9]), 9)

    def run() -> tuple[Tensor, Tensor]:
        query, key, value = states
        attended, _ = flat_attention(
            torch.nn.Module(),
            query,
            key,
            value,
            scaling=0.3,
            sliding_window=window,
            sequences=sequences,
        )
        return attended, torch.autograd.grad(attended.square().sum(), states)[0]

    expected = run()
    with as_on_a_gpu():
        torch.testing.assert_close(run(), expected)


@compiles
@pytest.mark.slow
@pytest.mark.parametrize(("family", "most"), [("xlm-r", 1), ("distilbert", 1), ("modernbert", 3)])
def test_ten_batches_share_a_graph(
    family: str, most: int, graphs, model_of: ModelOf, tiny_tasks, tokenizer_of
) -> None:
    tasks = [tiny_tasks[kind] for kind in ("classification", "qa", "mlm")]
    model, compiled = model_of(tasks, family), model_of(tasks, family)
    compiled.compile_layers(backend="aot_eager")
    batches = ten_batches(tasks, tokenizer_of(family))
    assert (
        len(
            {
                (batch["longest"], len(batch["lengths"]), len(batch["input_ids"]))
                for batch in batches
            }
        )
        == 10
    )
    with as_on_a_gpu():
        for batch in batches:
            expected = gradients(model, batch)
            for name, gradient in gradients(compiled, batch).items():
                torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-4)
    assert graphs()[0] <= most and graphs()[1] == 0


@compiles
@pytest.mark.slow
def test_compiled_layers_without_the_kernel(
    graphs, model_of: ModelOf, tiny_tasks, tokenizer
) -> None:
    """The loop over sequences is no part of a graph, so that their number and lengths are no reason
    to compile.
    """
    tasks = [tiny_tasks["pair"], tiny_tasks["mlm"]]
    model, compiled = model_of(tasks), model_of(tasks)
    compiled.compile_layers(backend="eager")
    actual = []
    for batch in ten_batches(tasks, tokenizer):
        expected = gradients(model, batch)
        for name, gradient in gradients(compiled, batch).items():
            torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-4)
        actual.append(graphs()[0])
    assert actual[-1] == actual[0]


@compiles
@pytest.mark.slow
def test_compiled_layers_can_be_read_and_stopped_at(
    graphs, model_of: ModelOf, tiny_tasks, tokenizer
) -> None:
    task = tiny_tasks["retrieval"].replace(layer=1)
    model, compiled = model_of([task]), model_of([task])
    compiled.compile_layers(backend="eager")
    batch = batch_of(task, tokenizer)
    with as_on_a_gpu():
        for layers in ([2], [1, 2], [1], [2], [0, 1]):
            with torch.inference_mode():
                expected, actual = (
                    one.eval()(**batch, layers=layers).outputs for one in (model, compiled)
                )
            assert actual.keys() == expected.keys()
            for name, values in actual.items():
                torch.testing.assert_close(values, expected[name])
        expected, actual = gradients(model, batch), gradients(compiled, batch)
    assert actual.keys() == expected.keys()
    assert not any("layer.1" in name for name in actual)  # the second layer was not run


@compiles
@pytest.mark.slow
def test_trainer_compiles_layers(graphs, model_of: ModelOf, tiny_tasks) -> None:
    tasks = [tiny_tasks["classification"], tiny_tasks["mlm"]]
    losses = []
    for options in ({}, {"torch_compile": True, "torch_compile_backend": "aot_eager"}):
        model = model_of(tasks)
        trainer = trainer_of(model, tasks, logging_steps=1, **options)
        with as_on_a_gpu():
            trainer.train()
        losses.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
        layers = layers_of(model.encoder)
        assert layers is not None
        assert all(layer._compiled_call_impl is not None for layer in layers) == bool(options)
    assert graphs() == (1, 0)
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)

"""The masked-LM step at XLM-R's vocabulary, beside transformers' own: seconds, and memory.

    python benchmarks/mlm.py                # 250,002 pieces, 2 layers of 384, 4,096 tokens
    python benchmarks/mlm.py --hidden 768   # the width of XLM-R base

jiantx's head computes logits at the masked positions alone, `AutoModelForMaskedLM` at all of them.
Same encoder, same sequences (of one length, so that padding is not what is measured), 15 % of the
positions masked. Every measurement is a process of its own, so that its peak memory is its own;
they take turns. Memory is the peak of the process, less what it held after steps of a tiny model
(Python, torch, kernels), parameters, gradients and the optimizer's state.

The optimizer's step is timed apart: AdamW passes over the whole embedding matrix, its gradient and
two moments, whatever the batch. The third line freezes the embeddings, which says what training
them costs."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import harness
import torch
import transformers
from harness import format_ratio, machine, ratio, table, write
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM, XLMRobertaConfig

import jiantx as jx

OURS = "jiantx"
THEIRS = "AutoModelForMaskedLM, full logits"
FROZEN = "jiantx, embeddings frozen"
TINY = {"vocabulary": 200, "hidden": 64, "layers": 1, "tokens": 64, "length": 32, "steps": 1}
SPEED_BAR = 3.0
MEMORY_BAR = 1 / 3
Figures = dict[str, Any]


def main() -> int:
    options = parse()
    torch.set_num_threads(options.threads)
    if options.worker:
        print(json.dumps(measure(options, options.worker)))
        return 0
    print(f"{machine()}\n")
    runs: dict[str, list[Figures]] = {OURS: [], THEIRS: [], FROZEN: []}
    for turn in range(options.repeat):
        for name in list(runs)[:: -1 if turn % 2 else 1]:
            runs[name].append(measure_apart(name))
    if runs[OURS][0]["masked"] != runs[THEIRS][0]["masked"]:
        raise SystemExit("They were given different positions to guess.")
    print(report(options, runs))
    print(f"\nWritten: {write(f'mlm-{options.hidden}', vars(options), [runs], options.results)}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = harness.parser(__doc__)
    harness.add_encoder_flags(parser, layers=2, hidden=384)
    parser.add_argument("--vocabulary", type=int, default=250_002)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--length", type=int, default=128, help="tokens of each sequence")
    parser.add_argument(
        "--steps", type=int, default=3, help="of each process, after one to warm up"
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


# --- one measurement ------------------------------------------------------------------------------


def measure_apart(name: str) -> Figures:
    """Measure in a process of its own, with this one's options."""
    return harness.in_new_process(
        [__file__, *sys.argv[1:], "--worker", name], failure=f"{name} failed."
    )


def measure(options: argparse.Namespace, name: str) -> Figures:
    """Seconds of forward and backward, and of clipping and AdamW, of the median step; the peak of
    memory, in bytes.
    """
    transformers.logging.set_verbosity_error()
    # first a tiny model: lazy imports and kernels are no step's memory
    if options.vocabulary > TINY["vocabulary"]:
        measure(argparse.Namespace(**{**vars(options), **TINY}), name)
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=options.vocabulary,
        hidden_size=options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=max(1, options.hidden // 64),
        intermediate_size=4 * options.hidden,
        max_position_embeddings=514,
        type_vocab_size=1,
        attention_probs_dropout_prob=0.0,  # jiantx never drops them out
    )
    before = harness.peak_memory()
    model, batch = their_step(config, options) if name == THEIRS else our_step(config, options)
    if name == FROZEN:
        model.get_input_embeddings().weight.requires_grad_(False)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=5e-5, fused=True)
    model.train()
    learning: list[float] = []
    stepping: list[float] = []
    state = 0
    loss = torch.zeros(())
    for _ in range(options.steps + 1):
        started = time.perf_counter()
        output = model(**batch)
        loss = output.loss if name == THEIRS else output.loss / output.num_items
        loss.backward()
        learning.append(time.perf_counter() - started)
        del output
        started = time.perf_counter()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        stepping.append(time.perf_counter() - started)
        state = state_bytes(model, optimizer)
        optimizer.zero_grad()
    return {
        "learning": statistics.median(learning[1:]),
        "stepping": statistics.median(stepping[1:]),
        "memory": harness.peak_memory() - before - state,
        "state": state,
        "loss": float(loss.detach()),
        "masked": int(batch["labels"].ne(-100).sum()),
    }


def state_bytes(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Parameters, their gradients and the optimizer's state."""
    parameters = list(model.parameters())
    tensors = [*parameters, *(p.grad for p in parameters if p.grad is not None)]
    for state in optimizer.state.values():
        tensors += filter(torch.is_tensor, state.values())
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def tokens(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """(sequences, length) ids, and the places to guess among them all, in order: the same for
    everybody.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (options.tokens // options.length, options.length)
    ids = torch.randint(5, options.vocabulary - 1, shape, generator=generator)
    masked_positions = torch.randperm(ids.numel(), generator=generator)[
        : options.tokens * 15 // 100
    ]
    return ids, masked_positions.sort().values


def our_step(
    config: XLMRobertaConfig, options: argparse.Namespace
) -> tuple[nn.Module, dict[str, Any]]:
    task = jx.MaskedLM(name="mlm", source=jx.Rows({"train": [{"text": "a"}]}))
    model = jx.MultitaskModel(jx.MultitaskConfig(encoder=config, heads={"mlm": task.head_config()}))
    model._choose_path("auto")  # what `from_pretrained` does once the weights are there
    ids, masked_positions = tokens(options)
    flat = ids.flatten()
    count = len(ids)
    return model, {
        "input_ids": flat.index_fill(0, masked_positions, options.vocabulary - 1),
        "position_ids": torch.arange(options.length).repeat(count),
        "lengths": torch.full((count,), options.length),
        "sequences": torch.ones(count, dtype=torch.long),
        "masked_positions": masked_positions,
        "labels": flat[masked_positions],
        "longest": options.length,
        "most_sequences": 1,
        "task": "mlm",
        "head": "mlm",
    }


def their_step(
    config: XLMRobertaConfig, options: argparse.Namespace
) -> tuple[nn.Module, dict[str, Any]]:
    ids, masked_positions = tokens(options)
    flat = ids.flatten()
    labels = torch.full_like(flat, -100).index_copy(0, masked_positions, flat[masked_positions])
    return AutoModelForMaskedLM.from_config(config), {
        "input_ids": flat.index_fill(0, masked_positions, options.vocabulary - 1).view_as(ids),
        "attention_mask": torch.ones_like(ids),
        "labels": labels.view_as(ids),
    }


# --- the comparison -------------------------------------------------------------------------------


def report(options: argparse.Namespace, runs: dict[str, list[Figures]]) -> str:
    """The table, and what it says about the bars."""
    step_seconds: dict[str, list[float]] = {}
    learning: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}
    for name, turns in runs.items():
        step_seconds[name] = [run["learning"] + run["stepping"] for run in turns]
        learning[name] = [run["learning"] for run in turns]
        memory[name] = [run["memory"] for run in turns]

    def middle(name: str, figure: str) -> float:
        return statistics.median(run[figure] for run in runs[name])

    rows = [
        (
            name,
            f"{middle(name, 'learning'):.2f}",
            f"{middle(name, 'stepping'):.2f}",
            format_ratio(ratio(step_seconds[name], step_seconds[OURS])),
            format_ratio(ratio(learning[name], learning[OURS])),
            f"{middle(name, 'memory') / 1e9:.2f}",
            f"{middle(name, 'state') / 1e9:.2f}",
        )
        for name in runs
    ]
    header = (
        "step by",
        "forward and backward, s",
        "clipping and AdamW, s",
        "whole step / jiantx's",
        "the same, without AdamW",
        "memory beyond its state, GB",
        "its state, GB",
    )
    speed = ratio(step_seconds[THEIRS], step_seconds[OURS])[0]
    speed_without_adamw = ratio(learning[THEIRS], learning[OURS])[0]
    memory_share = ratio(memory[OURS], memory[THEIRS])[0]
    loss_gap = abs(runs[OURS][0]["loss"] - runs[THEIRS][0]["loss"])
    frozen_share = statistics.median(step_seconds[FROZEN]) / statistics.median(step_seconds[OURS])
    speed_verdict = "kept" if speed >= SPEED_BAR else "MISSED"
    memory_verdict = "kept" if memory_share <= MEMORY_BAR else "MISSED"
    return (
        f"{options.vocabulary:,} pieces, {options.layers} layers of {options.hidden}, "
        f"{options.tokens:,} tokens, {options.repeat} processes each.\n\n"
        f"{table(header, rows)}\n\n"
        f"jiantx's step is {speed:.1f} times as fast ({speed_without_adamw:.1f} without AdamW; "
        f"bar {SPEED_BAR:g}: {speed_verdict}) in {memory_share:.2f} of the memory "
        f"(bar {MEMORY_BAR:.2f}: {memory_verdict}). Training the embedding matrix (its gradient, "
        f"clipping and AdamW) is {100 * (1 - frozen_share):.0f} % of jiantx's step. After "
        f"{options.steps + 1} steps the losses, from other random weights, differ by "
        f"{loss_gap:.2f}."
    )


if __name__ == "__main__":
    sys.exit(main())

"""The masked-LM step at XLM-R's vocabulary, beside transformers' own: seconds, and memory.

    python benchmarks/mlm.py                # 250,002 pieces, 2 layers of 384, 4,096 tokens
    python benchmarks/mlm.py --hidden 768   # the width of XLM-R base

jiantx's head computes logits at the masked positions alone, `AutoModelForMaskedLM` at all of them.
Same encoder, same sequences (of one length, so that padding is not measured), 15 % of the
positions masked. Every measurement is a process of its own, so that its peak memory is its own;
they take turns. Memory is the peak of the process, less what it held after steps of a tiny model
(Python, torch, kernels), parameters, gradients and the optimizer's state.

The optimizer's step is timed apart: AdamW passes over the whole embedding matrix, its gradient and
two moments, whatever the batch. The third line freezes the embeddings, which shows what training
them costs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import transformers
from measuring import (
    add_encoder_argument,
    add_size_arguments,
    argument_parser,
    format_ratio,
    in_turns,
    machine,
    measure_apart,
    parse_options,
    peak_memory,
    ratio,
    table,
    write_results,
)
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM, PreTrainedModel, XLMRobertaConfig

import jiantx as jx

OURS = "jiantx"
THEIRS = "AutoModelForMaskedLM, full logits"
FROZEN = "jiantx, embeddings frozen"
TINY = {"vocabulary": 200, "hidden": 64, "layers": 1, "tokens": 64, "length": 32, "steps": 1}
SPEED_BAR = 3.0
MEMORY_BAR = 1 / 3
HEADER = (
    "step by",
    "forward and backward, s",
    "clipping and AdamW, s",
    "whole step / jiantx's",
    "the same, without AdamW",
    "memory beyond its state, GB",
    "its state, GB",
)
Figures = dict[str, Any]
Runs = Mapping[str, Sequence[Figures]]


def main() -> int:
    """Measure all alternatives in turn; with --worker, one of them once."""
    options = parse()
    torch.set_num_threads(options.threads)
    if options.worker:
        print(json.dumps(measure(options, options.worker)))
        return 0
    print(f"{machine()}\n")
    runs: dict[str, list[Figures]] = {OURS: [], THEIRS: [], FROZEN: []}
    for name in in_turns(runs, options.repeat):
        arguments = [*sys.argv[1:], "--worker", name]
        runs[name].append(measure_apart(__file__, arguments, failure=f"{name} failed."))
    if runs[OURS][0]["masked"] != runs[THEIRS][0]["masked"]:
        raise SystemExit("They were given different positions to guess.")
    print(report(options, runs))
    print(f"\nWritten: {write_results(f'mlm-{options.hidden}', options, [runs])}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argument_parser(__doc__)
    add_size_arguments(parser)
    parser.set_defaults(layers=2)
    parser.add_argument("--vocabulary", type=int, default=250_002)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--length", type=int, default=128, help="tokens of each sequence")
    parser.add_argument("--steps", type=int, default=3, help="of each process, after a warm-up")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    add_encoder_argument(parser)
    return parse_options(parser, arguments)


# --- One measurement --------------------------------------------------------------------------


def measure(options: argparse.Namespace, name: str) -> Figures:
    """Train a few steps.

    Returns:
        Median seconds of forward and backward ("learning") and of clipping and AdamW ("stepping"),
        and memory in bytes.
    """
    transformers.logging.set_verbosity_error()
    if options.vocabulary > TINY["vocabulary"]:
        # Lazy imports and kernels come first, so that they do not count as a step's memory.
        measure(argparse.Namespace(**{**vars(options), **TINY}), name)
    torch.manual_seed(0)
    before = peak_memory()
    make_step = their_step if name == THEIRS else our_step
    model, batch = make_step(encoder_config(options), options)
    if name == FROZEN:
        model.get_input_embeddings().weight.requires_grad_(False)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=5e-5, fused=True)
    model.train()
    learning = []
    stepping = []
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
        "memory": peak_memory() - before - state,
        "state": state,
        "loss": float(loss.detach()),
        "masked": int(batch["labels"].ne(-100).sum()),
    }


def encoder_config(options: argparse.Namespace) -> XLMRobertaConfig:
    """Return the configuration of the encoder, without dropout of attention as in jiantx."""
    return XLMRobertaConfig(
        vocab_size=options.vocabulary,
        hidden_size=options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=max(1, options.hidden // 64),
        intermediate_size=4 * options.hidden,
        max_position_embeddings=514,
        type_vocab_size=1,
        attention_probs_dropout_prob=0.0,
    )


def state_bytes(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Return the bytes of parameters, their gradients and the optimizer's state."""
    tensors: list[Tensor] = []
    for parameter in model.parameters():
        tensors.append(parameter)
        if parameter.grad is not None:
            tensors.append(parameter.grad)
    for state in optimizer.state.values():
        tensors += [value for value in state.values() if torch.is_tensor(value)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def tokens_and_masked_positions(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Draw the same tokens for every alternative.

    Returns:
        (sequences, length) ids, and the sorted positions to mask among all of them.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (options.tokens // options.length, options.length)
    ids = torch.randint(5, options.vocabulary - 1, shape, generator=generator)
    masked_count = options.tokens * 15 // 100
    positions = torch.randperm(ids.numel(), generator=generator)[:masked_count]
    return ids, positions.sort().values


def our_step(
    config: XLMRobertaConfig, options: argparse.Namespace
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Return jiantx's model and its batch."""
    task = jx.MaskedLM(name="mlm", source=jx.Rows({"train": [{"text": "a"}]}))
    model = jx.MultitaskModel(jx.MultitaskConfig(encoder=config, heads={"mlm": task.head_config()}))
    model.set_padding_free("auto")  # `from_pretrained` does this once the weights are loaded
    ids, positions = tokens_and_masked_positions(options)
    flat = ids.flatten()
    count = len(ids)
    return model, {
        "input_ids": flat.index_fill(0, positions, options.vocabulary - 1),
        "position_ids": torch.arange(options.length).repeat(count),
        "lengths": torch.full((count,), options.length),
        "sequences": torch.ones(count, dtype=torch.long),
        "masked_positions": positions,
        "labels": flat[positions],
        "longest": options.length,
        "most_sequences": 1,
        "task": "mlm",
        "head": "mlm",
    }


def their_step(
    config: XLMRobertaConfig, options: argparse.Namespace
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Return transformers' model and its batch."""
    ids, positions = tokens_and_masked_positions(options)
    flat = ids.flatten()
    labels = torch.full_like(flat, -100).index_copy(0, positions, flat[positions])
    return AutoModelForMaskedLM.from_config(config), {
        "input_ids": flat.index_fill(0, positions, options.vocabulary - 1).view_as(ids),
        "attention_mask": torch.ones_like(ids),
        "labels": labels.view_as(ids),
    }


# --- The comparison ---------------------------------------------------------------------------


def report(options: argparse.Namespace, runs: Runs) -> str:
    """Write the table, and a paragraph that compares it with the bars."""
    step = {}
    learning = {}
    for name, figures in runs.items():
        step[name] = [run["learning"] + run["stepping"] for run in figures]
        learning[name] = [run["learning"] for run in figures]
    lines = []
    for name, figures in runs.items():
        lines.append(
            (
                name,
                f"{median(figures, 'learning'):.2f}",
                f"{median(figures, 'stepping'):.2f}",
                format_ratio(ratio(step[name], step[OURS])),
                format_ratio(ratio(learning[name], learning[OURS])),
                f"{median(figures, 'memory') / 1e9:.2f}",
                f"{median(figures, 'state') / 1e9:.2f}",
            )
        )
    size = (
        f"{options.vocabulary:,} pieces, {options.layers} layers of {options.hidden}, "
        f"{options.tokens:,} tokens, {options.repeat} processes each."
    )
    speed, *_ = ratio(step[THEIRS], step[OURS])
    speed_without_adamw, *_ = ratio(learning[THEIRS], learning[OURS])
    our_memory = [run["memory"] for run in runs[OURS]]
    memory, *_ = ratio(our_memory, [run["memory"] for run in runs[THEIRS]])
    frozen = statistics.median(step[FROZEN]) / statistics.median(step[OURS])
    gap = abs(runs[OURS][0]["loss"] - runs[THEIRS][0]["loss"])
    return (
        f"{size}\n\n{table(HEADER, lines)}\n\n"
        f"jiantx's step is {speed:.1f} times as fast ({speed_without_adamw:.1f} without AdamW; "
        f"bar {SPEED_BAR:g}: {verdict(speed >= SPEED_BAR)}) in {memory:.2f} of the memory "
        f"(bar {MEMORY_BAR:.2f}: {verdict(memory <= MEMORY_BAR)}). Training the embedding matrix "
        f"(its gradient, clipping and AdamW) is {100 * (1 - frozen):.0f} % of jiantx's step. After "
        f"{options.steps + 1} steps the losses, from other random weights, differ by {gap:.2f}."
    )


def median(runs: Sequence[Figures], figure: str) -> float:
    """Return the median of a figure."""
    return statistics.median(run[figure] for run in runs)


def verdict(is_kept: bool) -> str:
    """Say whether a bar is kept."""
    return "kept" if is_kept else "MISSED"


if __name__ == "__main__":
    sys.exit(main())

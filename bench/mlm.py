"""The masked-LM step at XLM-R's vocabulary, beside transformers' own: seconds, and memory.

    python bench/mlm.py                # 250,002 pieces, 2 layers of 384, 4,096 tokens
    python bench/mlm.py --hidden 768   # the width of XLM-R base

jiantx's head computes logits at the masked positions alone, `AutoModelForMaskedLM` at all of them. Same encoder, same
sequences (of one length, so that padding is not what is measured), 15 % of the positions masked. Every measurement is a
process of its own, so that its peak memory is its own; they take turns. Memory is the peak of the process, less what
it held after steps of a tiny model (Python, torch, kernels), parameters, gradients and the optimizer's state.

The optimizer's step is timed apart: AdamW passes over the whole embedding matrix, its gradient and two moments,
whatever the batch. The third line freezes the embeddings, which says what training them costs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from timing import machine, ratio, said, table, write
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM, XLMRobertaConfig

import jiantx as jx

ROOT = Path(__file__).resolve().parents[1]
OURS, THEIRS, FROZEN = "jiantx", "AutoModelForMaskedLM, full logits", "jiantx, embeddings frozen"
TINY = {"vocabulary": 200, "hidden": 64, "layers": 1, "tokens": 64, "length": 32, "steps": 1}
SPEED_BAR, MEMORY_BAR = 3.0, 1 / 3
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
            runs[name].append(apart(name))
    if runs[OURS][0]["masked"] != runs[THEIRS][0]["masked"]:
        raise SystemExit("They were given different positions to guess.")
    print(report(options, runs))
    print(f"\nWritten: {write(f'mlm-{options.hidden}', vars(options), [runs], options.results)}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vocabulary", type=int, default=250_002)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--length", type=int, default=128, help="tokens of each sequence")
    parser.add_argument(
        "--steps", type=int, default=3, help="of each process, after one to warm up"
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


# --- one measurement -------------------------------------------------------------------------------------------------


def apart(name: str) -> Figures:
    """Measure in a process of its own, with this one's options."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    command = [sys.executable, __file__, *sys.argv[1:], "--worker", name]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{name} failed.")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure(options: argparse.Namespace, name: str) -> Figures:
    """Seconds of forward and backward, and of clipping and AdamW, of the median step; the peak of memory, in bytes."""
    transformers.logging.set_verbosity_error()
    if (
        options.vocabulary > TINY["vocabulary"]
    ):  # first: lazy imports and kernels are no step's memory
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
    before = peak()
    model, batch = their_step(config, options) if name == THEIRS else our_step(config, options)
    if name == FROZEN:
        model.get_input_embeddings().weight.requires_grad_(False)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=5e-5, fused=True)
    model.train()
    learning, stepping, held, loss = [], [], 0, torch.zeros(())
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
        held = state_bytes(model, optimizer)
        optimizer.zero_grad()
    return {
        "learning": statistics.median(learning[1:]),
        "stepping": statistics.median(stepping[1:]),
        "memory": peak() - before - held,
        "state": held,
        "loss": float(loss.detach()),
        "masked": int(batch["labels"].ne(-100).sum()),
    }


def peak() -> int:
    """The most memory that this process has held so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def state_bytes(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Parameters, their gradients and the optimizer's state."""
    parameters = list(model.parameters())
    tensors = [*parameters, *(p.grad for p in parameters if p.grad is not None)]
    tensors += [
        value
        for state in optimizer.state.values()
        for value in state.values()
        if torch.is_tensor(value)
    ]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def tokens(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """(sequences, length) ids, and the places to guess among them all, in order: the same for everybody."""
    made = torch.Generator().manual_seed(0)
    shape = (options.tokens // options.length, options.length)
    ids = torch.randint(5, options.vocabulary - 1, shape, generator=made)
    places = torch.randperm(ids.numel(), generator=made)[: options.tokens * 15 // 100]
    return ids, places.sort().values


def our_step(
    config: XLMRobertaConfig, options: argparse.Namespace
) -> tuple[nn.Module, dict[str, Any]]:
    task = jx.MaskedLM(name="mlm", source=jx.Rows({"train": [{"text": "a"}]}))
    model = jx.MultitaskModel(jx.MultitaskConfig(encoder=config, heads={"mlm": task.head_config()}))
    model._choose_path("auto")  # what `from_pretrained` does once the weights are there
    ids, places = tokens(options)
    flat, count = ids.flatten(), len(ids)
    return model, {
        "input_ids": flat.index_fill(0, places, options.vocabulary - 1),
        "position_ids": torch.arange(options.length).repeat(count),
        "lengths": torch.full((count,), options.length),
        "sequences": torch.ones(count, dtype=torch.long),
        "masked_positions": places,
        "labels": flat[places],
        "longest": options.length,
        "most_sequences": 1,
        "task": "mlm",
        "head": "mlm",
    }


def their_step(
    config: XLMRobertaConfig, options: argparse.Namespace
) -> tuple[nn.Module, dict[str, Any]]:
    ids, places = tokens(options)
    flat = ids.flatten()
    labels = torch.full_like(flat, -100).index_copy(0, places, flat[places])
    return AutoModelForMaskedLM.from_config(config), {
        "input_ids": flat.index_fill(0, places, options.vocabulary - 1).view_as(ids),
        "attention_mask": torch.ones_like(ids),
        "labels": labels.view_as(ids),
    }


# --- the comparison --------------------------------------------------------------------------------------------------


def report(options: argparse.Namespace, runs: dict[str, list[Figures]]) -> str:
    """The table, and what it says about the bars."""
    whole = {
        name: [run["learning"] + run["stepping"] for run in found] for name, found in runs.items()
    }
    learning = {name: [run["learning"] for run in found] for name, found in runs.items()}
    memory = {name: [run["memory"] for run in found] for name, found in runs.items()}

    def middle(name: str, figure: str) -> float:
        return statistics.median(run[figure] for run in runs[name])

    rows = [
        (
            name,
            f"{middle(name, 'learning'):.2f}",
            f"{middle(name, 'stepping'):.2f}",
            said(ratio(whole[name], whole[OURS])),
            said(ratio(learning[name], learning[OURS])),
            f"{middle(name, 'memory') / 1e9:.2f}",
            f"{middle(name, 'state') / 1e9:.2f}",
        )
        for name in runs
    ]
    head = ("step by", "forward and backward, s", "clipping and AdamW, s", "whole step / jiantx's")
    head = (*head, "the same, without AdamW", "memory beyond its state, GB", "its state, GB")
    size = f"{options.vocabulary:,} pieces, {options.layers} layers of {options.hidden}, {options.tokens:,} tokens"
    faster, without = (ratio(times[THEIRS], times[OURS])[0] for times in (whole, learning))
    share = ratio(memory[OURS], memory[THEIRS])[0]
    gap = abs(runs[OURS][0]["loss"] - runs[THEIRS][0]["loss"])
    embeddings = 1 - statistics.median(whole[FROZEN]) / statistics.median(whole[OURS])
    return (
        f"{size}, {options.repeat} processes each.\n\n{table(head, rows)}\n\n"
        f"jiantx's step is {faster:.1f} times as fast ({without:.1f} without AdamW; bar {SPEED_BAR:g}: "
        f"{'kept' if faster >= SPEED_BAR else 'MISSED'}) in {share:.2f} of the memory (bar {MEMORY_BAR:.2f}: "
        f"{'kept' if share <= MEMORY_BAR else 'MISSED'}). Training the embedding matrix (its gradient, clipping and "
        f"AdamW) is {100 * embeddings:.0f} % of jiantx's step. After {options.steps + 1} steps the "
        f"losses, from other random weights, differ by {gap:.2f}."
    )


if __name__ == "__main__":
    sys.exit(main())

"""What the studies measure of an encoder: memory, speed, gradient noise, tokens a word."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, cycle, islice
from statistics import median
from tempfile import gettempdir  # a trainer wants a folder, and writes nothing here
from typing import Any

import torch
from torch.autograd.graph import saved_tensors_hooks
from transformers import AutoTokenizer, TrainingArguments

import jiantx as jx


def training_bytes(model: torch.nn.Module, batch: Mapping[str, Any], bf16: bool = False) -> int:
    """Of a step: weights, gradients, AdamW's two moments, and what torch keeps for the way back."""
    kept = {p.data_ptr(): p.nbytes for p in model.parameters()}
    weights = sum(kept.values())

    def keep(x: torch.Tensor) -> torch.Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    device = next(model.parameters()).device.type
    with saved_tensors_hooks(keep, lambda x: x), torch.autocast(device, torch.bfloat16, bf16):
        model.train()(**batch)
    return sum(kept.values()) + 3 * weights


def step_bytes(encoder: str, task: jx.Task, batch_size: int, bf16: bool) -> int:
    """The same of a fresh model's step on a task."""
    model = jx.MultitaskModel.from_pretrained(encoder, [task])
    args = TrainingArguments(gettempdir(), per_device_train_batch_size=batch_size, report_to="none")
    return training_bytes(model, next(batches(jx.Trainer(model, args, tasks=[task]), 1)), bf16)


def batches(trainer: jx.Trainer, count: int) -> Iterator[dict[str, Any]]:
    """So many training batches, on the device."""
    for batch in islice(cycle(trainer.get_train_dataloader()), count):
        yield {
            name: x.to(trainer.args.device) if torch.is_tensor(x) else x
            for name, x in batch.items()
        }


def noise_scale(trainer: jx.Trainer, size: int, each: int = 8, groups: int = 8) -> float:
    """B_simple = tr(Sigma) / |G|^2, from gradients of two batch sizes (McCandlish et al. 2018, 1812.06162, A.1)."""
    model, small, large, whole = trainer.model.train(), 0.0, 0.0, torch.zeros(1)
    for number, batch in enumerate(batches(trainer, each * groups)):
        model.zero_grad()
        trainer.compute_loss(model, batch).backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        whole = gradient if number % each == 0 else whole + gradient
        small += float(gradient @ gradient) / (each * groups)  # the mean square of a norm
        if number % each == each - 1:
            large += float(whole @ whole) / each**2 / groups
    signal = (each * large - small) / (each - 1)
    return (small - large) / (1 / size - 1 / (size * each)) / signal if signal > 0 else math.nan


def costs_of(trainer: jx.Trainer) -> dict[str, float]:
    """Tokens a second, trained and inferred (medians of six steps), and bytes of training; on a GPU, its peak."""
    model, rates = trainer.model, dict[str, list[float]](trained=[], inferred=[])
    if trainer.args.device.type == "cuda":  # what was trained before has no part in it
        trainer.accelerator.free_memory()
        trainer.optimizer = None
        torch.cuda.reset_peak_memory_stats()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
    for name, found in rates.items():
        model.train(name == "trained")
        for batch in batches(trainer, 8):
            started = time.perf_counter()
            with torch.inference_mode(name == "inferred"):
                loss = model(**batch).loss
            if name == "trained":
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
            float(loss.detach())  # waits for the device
            found.append(batch["input_ids"].numel() / (time.perf_counter() - started))
    peak = torch.cuda.max_memory_allocated() if trainer.args.device.type == "cuda" else 0
    most = peak or max(training_bytes(model, batch) for batch in batches(trainer, 8))
    return {"bytes": most, **{name: median(found[2:]) for name, found in rates.items()}}


def fertility(encoder: str, languages: Sequence[str]) -> tuple[dict[str, float], float]:
    """Tokens a word by language, on the words of a tagging task that is there; the largest share of unknown ones."""
    tokenizer, tasks = AutoTokenizer.from_pretrained(encoder), map(jx.get_task, ("udpos", "panx"))
    task, found, unknown = next(task for task in tasks if task.languages("validation")), {}, 0.0
    for code in (code for code in languages if code in task.languages("validation")):
        sentences = [" ".join(example.words) for example in task.examples("validation", code)]
        ids = list(chain(*tokenizer(sentences, add_special_tokens=False)["input_ids"]))
        found[code] = len(ids) / sum(len(sentence.split(" ")) for sentence in sentences)
        unknown = max(unknown, ids.count(tokenizer.unk_token_id) / len(ids))
    return found, unknown

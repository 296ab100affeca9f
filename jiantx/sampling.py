"""Which task and rows the next step trains on: a pure function of the seed and the step.

Nothing is saved and nothing drifts: resuming is exact, and every rank knows every rank's batch.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from jiantx.fields import check_count
from jiantx.registry import near_names

_BLOCK = 4096  # draws that are made together
_BY_TASK = ("weights", "batch_size", "loss_weight", "max_examples")  # options of `Sampling`


def generator(*key: object) -> np.random.Generator:
    """A counter-based generator (Philox) for a key of strings and integers.

    >>> int(generator("seed", 1).integers(100)) == int(generator("seed", 1).integers(100))
    True
    """
    digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tasks share the steps: p ~ min(rows, cap) ** exponent.

    Rows are those of the features: windows, for question answering. The rule of Phang et al. 2020
    is `Sampling(cap=2**17)`.

    Args:
        exponent: 1 is proportional to the rows, 0 uniform, 1/T a temperature T.
        cap: If a task has more rows than this number, only this number counts.
        weights: Task -> its share, instead of the rule above. The shares need not sum to 1. Give
            every task a weight; a task with the weight 0 is never drawn.
        schedule: A function of the step that returns weights. A task without a weight is not
            drawn at that step.
        batch_size: Task -> examples per device, if different from the trainer's batch size.
        loss_weight: Task -> factor by which its loss is multiplied.
        max_examples: Task -> training rows of each language, chosen at random.
        mix: Draws that share a step; each is an equal part of the batch, and all go through the
            encoder in one pass.

    >>> Sampling(cap=100).probabilities({"big": 1000, "small": 50})
    {'big': 0.6666666666666666, 'small': 0.3333333333333333}
    """

    exponent: float = 1.0
    cap: int | None = None
    weights: Mapping[str, float] | None = None
    schedule: Callable[[int], Mapping[str, float]] | None = None
    batch_size: Mapping[str, int] | None = None
    loss_weight: Mapping[str, float] | None = None
    max_examples: Mapping[str, int] | None = None
    mix: int = 1

    def __post_init__(self) -> None:
        check_count("Sampling: mix", self.mix)
        if self.cap is not None and not self.cap >= 1:  # perhaps infinite
            raise ValueError(f"Sampling: cap={self.cap!r}. Expected a number, at least 1.")
        _check_finite("exponent", self.exponent)
        for option in _BY_TASK:
            by_task = getattr(self, option)
            if by_task is not None and not isinstance(by_task, Mapping):
                raise ValueError(
                    f"Sampling: {option}={by_task!r}. Expected a dictionary: task -> number."
                )
            for task, value in (by_task or {}).items():
                if option in ("batch_size", "max_examples"):
                    check_count(f"Sampling: {option} of {task!r}", value)
                elif option == "loss_weight":
                    _check_finite(f"{option} of {task!r}", value)
        if self.weights is not None and self.schedule is not None:
            raise ValueError("Sampling takes `weights` or `schedule`, not both.")

    def capped(self, size: int) -> int:
        """How many of `size` rows count."""
        return size if self.cap is None else min(size, self.cap)

    def probabilities(self, sizes: Mapping[str, int], step: int = 0) -> dict[str, float]:
        """The share of each task.

        Args:
            sizes: Task -> training rows.
            step: For a schedule.

        Raises:
            ValueError: The weights name no task or lack one, or are negative, infinite or all 0.
        """
        weights = self.schedule(step) if self.schedule is not None else self.weights
        if weights is None:
            shares = {name: float(self.capped(n)) ** self.exponent for name, n in sizes.items()}
        else:
            _check_known("Sampling weights", weights, sizes)
            if self.weights is not None:
                _check_complete(self.weights, sizes)
            shares = {name: float(weights.get(name, 0.0)) for name in sizes}
        total = math.fsum(shares.values())
        if not total > 0 or min(shares.values()) < 0 or not math.isfinite(total):
            raise ValueError(f"Sampling weights must be 0 or more, and not all 0; found {shares}.")
        return {name: share / total for name, share in shares.items()}

    def draw_size(self, task: str, batch_size: int) -> int:
        """Examples of a draw, on one device and in one micro-batch.

        Args:
            task: A task's name.
            batch_size: Examples per device, where the task has no other number.

        Raises:
            ValueError: `mix` does not divide the batch.
        """
        size = (self.batch_size or {}).get(task, batch_size)
        if size % self.mix:
            raise ValueError(
                f"Sampling(mix={self.mix}) does not divide task {task!r}'s batch of {size}."
            )
        return size // self.mix

    def check(self, tasks: Collection[str], batch_size: int) -> None:
        """Check that tasks can be drawn, before their features are made.

        Args:
            tasks: Their names.
            batch_size: Examples per device.

        Raises:
            ValueError: A mapping names a task that is not trained, weights lack one or are
                negative, or `mix` does not divide a batch.
        """
        for option in _BY_TASK:
            _check_known(f"Sampling({option}=…)", getattr(self, option) or {}, tasks)
        if self.weights is not None:
            _check_complete(self.weights, tasks)
        self.probabilities(dict.fromkeys(tasks, 1))
        for task in tasks:
            self.draw_size(task, batch_size)


def _check_finite(name: str, value: Any) -> None:
    """Refuse what is no finite number."""
    if not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"Sampling: {name}={value!r}. Expected a finite number.")


def _check_known(noun: str, names: Collection[str], tasks: Collection[str]) -> None:
    """Refuse names that are no tasks'."""
    unknown = sorted(set(names) - set(tasks))
    if unknown:
        raise ValueError(
            f"{noun} names {unknown}; the tasks are {sorted(tasks)}.{near_names(unknown[0], tasks)}"
        )


def _check_complete(weights: Mapping[str, float], tasks: Collection[str]) -> None:
    """Refuse weights that leave out a task: it would never be trained."""
    missing = sorted(set(tasks) - set(weights))
    if missing:
        raise ValueError(
            f"Sampling weights leave out {missing}, which would never be trained. "
            "Give every task a weight: 0 for one that is not to be trained."
        )


@dataclass(frozen=True)
class Draw:
    """The examples of one micro-batch, all of one task and language.

    Args:
        step: Of the optimiser.
        task: A task's name.
        language: One of its training languages.
        rows: (batch,) indices into the features.
        stream_positions: (batch,) index of each example in the task's shuffled epochs laid end to
            end; seeds the example's masking.
    """

    step: int
    task: str
    language: str
    rows: np.ndarray
    stream_positions: np.ndarray


class Sampler:
    """The micro-batches of every step and rank.

    A step has one task and language (`mix` of them, if that is more than 1), for all its
    micro-batches and ranks.

    Args:
        sampling: How tasks share the steps.
        sizes: Task -> language -> training rows.
        batch_size: Examples per device and micro-batch.
        seed: Of the run.
        language_exponents: Task -> e; its languages are drawn with p ~ rows ** e. 1 if not given.
        accumulation: Micro-batches of a step.
        ranks: Devices.

    Attributes:
        steps: Of the run, if known: a schedule is not asked for weights after them.

    Raises:
        ValueError: A language has no rows, weights fit no task, or `mix` does not divide a batch.
    """

    def __init__(
        self,
        sampling: Sampling,
        sizes: Mapping[str, Mapping[str, int]],
        *,
        batch_size: int,
        seed: int,
        language_exponents: Mapping[str, float] | None = None,
        accumulation: int = 1,
        ranks: int = 1,
    ) -> None:
        sampling.check(sizes, batch_size)
        self.sampling = sampling
        self.sizes = sizes
        self.seed = seed
        self.accumulation = accumulation
        self.ranks = ranks
        self.steps: int | None = None
        self._language_shares: list[np.ndarray] = []  # of each task
        self._draw_sizes: dict[str, int] = {}  # examples of one draw
        self._totals: dict[str, int] = {}  # rows of a task, in all its languages
        self._pairs: list[tuple[str, str]] = []  # (task, language)
        for task, by_language in sizes.items():
            if not by_language or min(by_language.values()) < 1:
                raise ValueError(
                    f"Task {task!r} has no training rows in some language: {dict(by_language)}."
                )
            exponent = (language_exponents or {}).get(task, 1.0)
            shares = np.array(list(by_language.values()), float) ** exponent
            self._language_shares.append(shares / shares.sum())
            self._draw_sizes[task] = sampling.draw_size(task, batch_size)
            self._totals[task] = sum(by_language.values())
            self._pairs += [(task, language) for language in by_language]
        # of each block of draws: the pair of each draw, and how often that pair was drawn before
        self._blocks: list[tuple[np.ndarray, np.ndarray]] = []
        self._counts = np.zeros(len(self._pairs), dtype=np.int64)
        # of each pair: epoch -> the order of its examples
        self._permutations: list[dict[int, np.ndarray]] = [{} for _ in self._pairs]
        sampling.probabilities(self._totals)  # refuses weights that fit no task, before training

    @property
    def steps_per_epoch(self) -> int:
        """The capped sizes over the batch sizes of a whole step, summed over tasks, rounded up."""
        draws = 0.0
        for task, total in self._totals.items():
            draws += self.sampling.capped(total) / self._step_size(task)
        return math.ceil(draws / self.sampling.mix)

    def draw_size(self, task: str) -> int:
        """Examples of a draw, on one device and in one micro-batch."""
        return self._draw_sizes[task]

    def examples_per_step(self, task: str) -> int:
        """Examples of a step that has this task alone, over all micro-batches and ranks."""
        return self._step_size(task) * self.sampling.mix

    def _step_size(self, task: str) -> int:
        """Examples of a draw, over all micro-batches and ranks."""
        return self._draw_sizes[task] * self.accumulation * self.ranks

    def _pair_shares(self, step: int) -> np.ndarray:
        """(pairs,) the share of each (task, language)."""
        task_shares = self.sampling.probabilities(self._totals, step).values()
        pair_shares = [p * shares for p, shares in zip(task_shares, self._language_shares)]
        return np.concatenate(pair_shares)

    def _pair_and_ordinal(self, draw_index: int) -> tuple[int, int]:
        """The (task, language) pair of a draw, and how often it was drawn before."""
        block, index = divmod(draw_index, _BLOCK)
        while len(self._blocks) <= block:
            self._blocks.append(self._next_block())
        pairs, ordinals = self._blocks[block]
        return int(pairs[index]), int(ordinals[index])

    def _next_block(self) -> tuple[np.ndarray, np.ndarray]:
        """(block,) pairs of the next draws, and (block,) how often each was drawn before."""
        block = len(self._blocks)
        uniform = generator("step", self.seed, block).random(_BLOCK)
        # without a schedule the shares of one step are those of all
        distinct = 1 if self.sampling.schedule is None else _BLOCK
        steps = (block * _BLOCK + np.arange(distinct)) // self.sampling.mix
        if self.steps is not None:  # draws are made ahead of the run
            steps = np.minimum(steps, self.steps - 1)
        # (1 or block, pairs) cumulative shares
        bounds = np.cumsum([self._pair_shares(step) for step in steps.tolist()], axis=1)
        # inverse-CDF sampling: how many bounds are at most the uniform number
        pairs = (bounds / bounds[:, -1:] <= uniform[:, None]).sum(axis=1)
        ordinals = np.empty(_BLOCK, dtype=np.int64)
        for pair in range(len(self._pairs)):
            draws_of_pair = np.flatnonzero(pairs == pair)
            ordinals[draws_of_pair] = self._counts[pair] + np.arange(len(draws_of_pair))
            self._counts[pair] += len(draws_of_pair)
        return pairs, ordinals

    def task_of(self, step: int, draw: int = 0) -> tuple[str, str]:
        """Task and language of a step.

        Args:
            step: Of the optimiser.
            draw: Which of the draws of a mixed step.
        """
        return self._pairs[self._pair_and_ordinal(step * self.sampling.mix + draw)[0]]

    def draws(self, step: int, micro: int = 0, rank: int = 0) -> tuple[Draw, ...]:
        """The draws of a micro-batch; one if nothing is mixed.

        Args:
            step: Of the optimiser.
            micro: The micro-batch of the step.
            rank: Whose share.
        """
        return tuple(self.draw(step, micro, rank, index) for index in range(self.sampling.mix))

    def draw(self, step: int, micro: int = 0, rank: int = 0, index: int = 0) -> Draw:
        """One draw of a micro-batch.

        Args:
            step: Of the optimiser.
            micro: The micro-batch of the step.
            rank: Whose share.
            index: Which of the draws of a mixed step.
        """
        pair, ordinal = self._pair_and_ordinal(step * self.sampling.mix + index)
        task, language = self._pairs[pair]
        size = self._draw_sizes[task]
        start = ordinal * self._step_size(task) + (micro * self.ranks + rank) * size
        positions = np.arange(start, start + size)
        row_count = self.sizes[task][language]
        epochs, offsets = np.divmod(positions, row_count)
        rows = np.empty(size, dtype=np.int64)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            in_epoch = epochs == epoch
            rows[in_epoch] = self._permutation(pair, epoch)[offsets[in_epoch]]
        return Draw(step, task, language, rows, positions)

    def _permutation(self, pair: int, epoch: int) -> np.ndarray:
        """(rows,) the order of a pair's examples in one of its epochs; the last two are kept."""
        known_epochs = self._permutations[pair]
        if epoch not in known_epochs:
            task, language = self._pairs[pair]
            size = self.sizes[task][language]
            if len(known_epochs) > 1:
                del known_epochs[min(known_epochs)]
            random = generator("order", self.seed, task, language, epoch)
            dtype = np.uint32 if size < 2**32 else np.int64  # half the memory
            known_epochs[epoch] = random.permutation(size).astype(dtype)
        return known_epochs[epoch]

    def epoch(self, epoch: int, rank: int = 0) -> Iterator[tuple[Draw, ...]]:
        """The micro-batches of an epoch, in order.

        Args:
            epoch: From 0.
            rank: Whose share.
        """
        first_step = epoch * self.steps_per_epoch
        for step in range(first_step, first_step + self.steps_per_epoch):
            for micro in range(self.accumulation):
                yield self.draws(step, micro, rank)


def subset(seed: int, task: str, language: str, size: int, count: int) -> np.ndarray:
    """Choose rows at random, the same for the same arguments.

    Args:
        seed: Of the run.
        task: A task's name.
        language: One of its languages.
        size: How many rows there are.
        count: How many to choose.

    Returns:
        (count,) indices, in increasing order.
    """
    return np.sort(generator("subset", seed, task, language).permutation(size)[:count])

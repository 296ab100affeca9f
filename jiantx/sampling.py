"""Which task, language and examples the next step comes from: a pure function of the seed and the step.

Nothing is saved and nothing drifts: resuming is exact, and every rank knows every rank's batch.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_BLOCK = 4096  # steps whose draws are made together


def generator(*key: object) -> np.random.Generator:
    """A counter-based generator (Philox) for a key of strings and integers: the same key, the same numbers."""
    digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tasks share the steps: p ~ min(rows, cap) ** exponent. Rows are those of the features: windows, for QA.

    Exponent 1 is proportional, 0 uniform, 1/T a temperature; the paper's rule is `Sampling(cap=2**17)`.
    `weights` fixes the shares instead; `schedule` is a function of the step that gives them. `mix`: so many draws share
    a step, each an equal part of the batch and all in one pass of the encoder. By task name:
    `batch_size` (examples a device), `loss_weight`, `max_examples` (a random part of the training rows).

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
        if self.mix < 1:
            raise ValueError(f"Sampling(mix={self.mix}): a step has at least one draw.")
        if self.weights is not None and self.schedule is not None:
            raise ValueError("Sampling takes `weights` or `schedule`, not both.")

    def capped(self, size: int) -> int:
        """How many of `size` rows count."""
        return size if self.cap is None else min(size, self.cap)

    def probabilities(self, sizes: Mapping[str, int], step: int = 0) -> dict[str, float]:
        """The share of each task, from its number of training rows; ValueError for weights that fit no task."""
        fixed = self.schedule(step) if self.schedule is not None else self.weights
        if fixed is None:
            shares = {
                name: float(self.capped(size)) ** self.exponent for name, size in sizes.items()
            }
        else:
            if unknown := set(fixed) - set(sizes):
                raise ValueError(
                    f"Sampling weights name {sorted(unknown)}; the tasks are {sorted(sizes)}."
                )
            shares = {name: float(fixed.get(name, 0.0)) for name in sizes}
        total = math.fsum(shares.values())
        if not total > 0 or min(shares.values()) < 0 or not math.isfinite(total):
            raise ValueError(f"Sampling weights must be 0 or more, and not all 0; found {shares}.")
        return {name: share / total for name, share in shares.items()}

    def check(self, tasks: Mapping[str, object]) -> None:
        """ValueError if a mapping by task name names a task that is not trained."""
        for option in ("weights", "batch_size", "loss_weight", "max_examples"):
            if unknown := set(getattr(self, option) or {}) - set(tasks):
                raise ValueError(
                    f"Sampling({option}=…) names {sorted(unknown)}; the tasks are {sorted(tasks)}."
                )


@dataclass(frozen=True)
class Draw:
    """One micro-batch: rows of one task and language. `places` are their places in the endless stream of its epochs."""

    step: int
    task: str
    language: str
    rows: np.ndarray
    places: np.ndarray


class Sampler:
    """The micro-batches of every step and rank. One task and language a step (`mix` of them, where it is more than 1),
    for all its micro-batches and ranks.

    sizes: task -> language -> training rows. batch_size: examples a device and micro-batch.
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
        sampling.check(sizes)
        self._language_shares: list[np.ndarray] = []  # of each task
        for task, by_language in sizes.items():
            if not by_language or min(by_language.values()) < 1:
                raise ValueError(
                    f"Task {task!r} has no training rows in some language: {dict(by_language)}."
                )
            shares = np.array(list(by_language.values()), float) ** (language_exponents or {}).get(
                task, 1.0
            )
            self._language_shares.append(shares / shares.sum())
        self.sampling, self.sizes, self.seed = sampling, sizes, seed
        self.accumulation, self.ranks = accumulation, ranks
        self._batch = {}  # examples of one draw
        for task in sizes:
            size = (sampling.batch_size or {}).get(task, batch_size)
            if size % sampling.mix:
                raise ValueError(
                    f"Sampling(mix={sampling.mix}) does not divide task {task!r}'s batch of {size}."
                )
            self._batch[task] = size // sampling.mix
        self._pairs = [(task, language) for task in sizes for language in sizes[task]]
        self._totals = {task: sum(by_language.values()) for task, by_language in sizes.items()}
        self._blocks: list[
            tuple[np.ndarray, np.ndarray]
        ] = []  # (pair of each step, how often it was drawn before)
        self._counts = np.zeros(len(self._pairs), dtype=np.int64)
        sampling.probabilities(
            self._totals
        )  # refuses weights that fit no task before anything runs

    @property
    def steps_per_epoch(self) -> int:
        """The capped sizes over the batch sizes of a whole step, summed over tasks, rounded up."""
        draws = sum(
            self.sampling.capped(total) / self._step_size(task)
            for task, total in self._totals.items()
        )
        return math.ceil(draws / self.sampling.mix)

    def _step_size(self, task: str) -> int:
        return self._batch[task] * self.accumulation * self.ranks

    def _pair_shares(self, step: int) -> np.ndarray:
        tasks = self.sampling.probabilities(self._totals, step).values()
        return np.concatenate([p * shares for p, shares in zip(tasks, self._language_shares)])

    def _drawn(self, number: int) -> tuple[int, int]:
        """The (task, language) pair of a draw, and how often it was drawn before."""
        block, place = divmod(number, _BLOCK)
        while len(self._blocks) <= block:
            first = len(self._blocks) * _BLOCK
            numbers = generator("step", self.seed, len(self._blocks)).random(_BLOCK)
            # without a schedule the shares of one step are those of all
            numbered = range(first, first + (1 if self.sampling.schedule is None else _BLOCK))
            bounds = np.cumsum(
                [self._pair_shares(number // self.sampling.mix) for number in numbered], axis=1
            )
            pairs = (bounds / bounds[:, -1:] <= numbers[:, None]).sum(axis=1)
            ordinals = np.empty(_BLOCK, dtype=np.int64)
            for pair in range(len(self._pairs)):
                here = np.flatnonzero(pairs == pair)
                ordinals[here] = self._counts[pair] + np.arange(len(here))
                self._counts[pair] += len(here)
            self._blocks.append((pairs, ordinals))
        pairs, ordinals = self._blocks[block]
        return int(pairs[place]), int(ordinals[place])

    def task_of(self, step: int, part: int = 0) -> tuple[str, str]:
        """Task and language of a step, or of a part of a mixed one."""
        return self._pairs[self._drawn(step * self.sampling.mix + part)[0]]

    def draws(self, step: int, micro: int = 0, rank: int = 0) -> tuple[Draw, ...]:
        """The parts of a micro-batch, one where nothing is mixed."""
        return tuple(self.draw(step, micro, rank, part) for part in range(self.sampling.mix))

    def draw(self, step: int, micro: int = 0, rank: int = 0, part: int = 0) -> Draw:
        """The micro-batch `micro` of a step on a rank: an equal part of the step's examples."""
        pair, ordinal = self._drawn(step * self.sampling.mix + part)
        task, language = self._pairs[pair]
        size = self._batch[task]
        start = ordinal * self._step_size(task) + (micro * self.ranks + rank) * size
        places = np.arange(start, start + size)
        epochs, offsets = np.divmod(places, self.sizes[task][language])
        rows = np.empty(size, dtype=np.int64)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            here = epochs == epoch
            rows[here] = _order(self.seed, task, language, epoch, self.sizes[task][language])[
                offsets[here]
            ]
        return Draw(step, task, language, rows, places)

    def epoch(self, epoch: int, rank: int = 0) -> Iterator[tuple[Draw, ...]]:
        """The micro-batches of an epoch on a rank, in order."""
        for step in range(epoch * self.steps_per_epoch, (epoch + 1) * self.steps_per_epoch):
            for micro in range(self.accumulation):
                yield self.draws(step, micro, rank)


@lru_cache(maxsize=64)
def _order(seed: int, task: str, language: str, epoch: int, size: int) -> np.ndarray:
    """The order of a task's examples in one of its epochs."""
    return generator("order", seed, task, language, epoch).permutation(size)


def subset(seed: int, task: str, language: str, size: int, count: int) -> np.ndarray:
    """`count` of `size` rows, chosen at random by the seed, in the order of the rows."""
    return np.sort(generator("subset", seed, task, language).permutation(size)[:count])

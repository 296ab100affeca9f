"""Shares of tasks, and the stateless sampler: every example once an epoch, the same on every rank,
in any order.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from jiantx.sampling import Draw, Sampler, Sampling, generator, subset

SIZES = {"big": {"en": 100}, "small": {"en": 7}, "mixed": {"en": 40, "de": 13}}


def sampler(sampling: Sampling | None = None, sizes: Any = SIZES, **options: Any) -> Sampler:
    return Sampler(sampling or Sampling(), sizes, **{"batch_size": 4, "seed": 0, **options})


def same(one: Draw, other: Draw) -> bool:
    equal = np.array_equal(one.rows, other.rows) and np.array_equal(
        one.stream_positions, other.stream_positions
    )
    return equal and (one.step, one.task, one.language) == (other.step, other.task, other.language)


# --- shares ---------------------------------------------------------------------------------------

# Rows of the paper's nine intermediate tasks on the Hub, and their shares with cap 2**17.
NINE = {
    "anli_plus": (1_104_934, 0.181),
    "mnli": (392_702, 0.181),
    "qqp": (363_846, 0.181),
    "squad_v2": (130_319, 0.180),
    "squad_v1": (87_599, 0.121),
    "hellaswag": (39_905, 0.055),
    "ccg": (38_015, 0.053),
    "cosmosqa": (25_262, 0.035),
    "commonsenseqa": (9_741, 0.013),
}


def test_the_paper_s_shares() -> None:
    sizes = {name: rows for name, (rows, _) in NINE.items()}
    sampling = Sampling(cap=2**17)
    assert sum(map(sampling.capped, sizes.values())) == 724_057
    shares = sampling.probabilities(sizes)
    assert {name: round(share, 3) for name, share in shares.items()} == {
        name: share for name, (_, share) in NINE.items()
    }


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), {"a": 0.8, "b": 0.2}),
        (Sampling(exponent=0), {"a": 0.5, "b": 0.5}),
        (Sampling(exponent=0.5), {"a": 2 / 3, "b": 1 / 3}),
        (Sampling(cap=100), {"a": 0.5, "b": 0.5}),
        (Sampling(cap=200, exponent=1 / 2), {"a": 2**0.5 / (2**0.5 + 1), "b": 1 / (2**0.5 + 1)}),
        (Sampling(weights={"a": 1, "b": 3}), {"a": 0.25, "b": 0.75}),
        (Sampling(weights={"a": 0, "b": 3}), {"a": 0.0, "b": 1.0}),
    ],
    ids=[
        "proportional",
        "uniform",
        "temperature",
        "cap",
        "cap-temperature",
        "weights",
        "weight-of-one",
    ],
)
def test_shares(sampling: Sampling, expected: dict[str, float]) -> None:
    assert sampling.probabilities({"a": 400, "b": 100}) == pytest.approx(expected)


def test_schedule_is_a_function_of_the_step() -> None:
    sampling = Sampling(schedule=lambda step: {"a": 1.0} if step < 10 else {"a": 1.0, "b": 3.0})
    assert sampling.probabilities({"a": 1, "b": 1}, 9) == {"a": 1.0, "b": 0.0}
    assert sampling.probabilities({"a": 1, "b": 1}, 10) == {"a": 0.25, "b": 0.75}


@pytest.mark.parametrize(
    "weights",
    [
        {"a": 0.0, "b": 0.0},
        {"a": -1.0, "b": 3.0},
        {"a": float("nan"), "b": 1.0},
        {"a": float("inf"), "b": 1.0},
    ],
)
def test_weights_that_share_nothing(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="0 or more, and not all 0"):
        Sampling(weights=weights).probabilities({"a": 1, "b": 1})
    with pytest.raises(ValueError, match="0 or more, and not all 0"):
        sampler(Sampling(weights=weights), {"a": {"en": 1}, "b": {"en": 1}})


@pytest.mark.parametrize("weights", [{}, {"one": 0.1}])
def test_weights_may_not_leave_out_a_task(weights: dict[str, float]) -> None:
    """It would never be trained, and nothing would say so."""
    message = r"Sampling weights leave out \[.*'two'\], which would never be trained.*: 0 for one"
    with pytest.raises(ValueError, match=message):
        Sampling(weights=weights).probabilities({"one": 1, "two": 1})
    with pytest.raises(ValueError, match=message):
        Sampling(weights=weights).check({"one", "two"}, 8)
    assert Sampling(weights={"one": 0.1, "two": 0}).probabilities({"one": 1, "two": 1})["two"] == 0


@pytest.mark.parametrize("option", ["weights", "batch_size", "loss_weight", "max_examples"])
def test_unknown_names(option: str) -> None:
    options: dict[str, Any] = {option: {"big": 1, "bigg": 1}}
    with pytest.raises(
        ValueError,
        match=rf"Sampling\({option}=…\) names \['bigg'\]; the tasks are \['big', 'mixed', 'small'\]\. "
        "Did you mean 'big'",
    ):
        sampler(Sampling(**options))


def test_unknown_name_in_a_schedule() -> None:
    with pytest.raises(ValueError, match=r"names \['x'\]"):
        sampler(Sampling(schedule=lambda step: {"x": 1.0}))


def test_weights_and_schedule_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="`weights` or `schedule`, not both"):
        Sampling(weights={"a": 1}, schedule=lambda step: {"a": 1})


@pytest.mark.parametrize("sizes", [{"a": {}}, {"a": {"en": 0}}, {"a": {"en": 3, "de": 0}}])
def test_task_without_rows(sizes: Any) -> None:
    with pytest.raises(ValueError, match="Task 'a' has no training rows"):
        sampler(sizes=sizes)


# --- tasks of the steps ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(exponent=0.3),
        Sampling(weights={"big": 1, "small": 1, "mixed": 2}),
        Sampling(cap=10),
    ],
)
def test_steps_follow_the_shares(sampling: Sampling) -> None:
    drawn = sampler(sampling)
    counts = Counter(drawn.task_of(step)[0] for step in range(8000))
    shares = sampling.probabilities(
        {task: sum(by_language.values()) for task, by_language in SIZES.items()}
    )
    for task, share in shares.items():
        assert abs(counts[task] / 8000 - share) < 4 * (share * (1 - share) / 8000) ** 0.5


def test_steps_follow_the_schedule() -> None:
    drawn = sampler(
        Sampling(schedule=lambda step: {"big": 1.0} if step < 5000 else {"small": 1.0, "big": 1.0})
    )
    tasks = [drawn.task_of(step)[0] for step in range(10_000)]
    assert set(tasks[:5000]) == {"big"}
    assert 0.45 < tasks[5000:].count("small") / 5000 < 0.55 and "mixed" not in tasks


@pytest.mark.parametrize(
    ("exponent", "share"), [(1.0, 40 / 53), (0.0, 0.5), (0.3, 40**0.3 / (40**0.3 + 13**0.3))]
)
def test_languages_follow_their_exponent(exponent: float, share: float) -> None:
    drawn = sampler(
        Sampling(weights={"mixed": 1, "big": 0, "small": 0}), language_exponents={"mixed": exponent}
    )
    counts = Counter(drawn.task_of(step) for step in range(8000))
    assert set(counts) == {("mixed", "en"), ("mixed", "de")}
    assert abs(counts["mixed", "en"] / 8000 - share) < 0.02


def test_task_without_weight_is_never_drawn() -> None:
    drawn = sampler(Sampling(weights={"big": 1, "mixed": 0, "small": 0}))
    assert {drawn.task_of(step)[0] for step in range(5000)} == {"big"}


# --- every example once an epoch ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch_size", "accumulation", "ranks"),
    [(4, 1, 1), (3, 2, 1), (2, 1, 2), (5, 2, 3), (64, 1, 2)],
)
def test_every_example_exactly_once_an_epoch(
    batch_size: int, accumulation: int, ranks: int
) -> None:
    """No example is left out, a small task goes on with its next epoch, no epoch ends at the
    smallest.
    """
    drawn = sampler(batch_size=batch_size, accumulation=accumulation, ranks=ranks)
    streams: dict[tuple[str, str], list[int]] = {}
    for step in range(400):
        for micro, rank in itertools.product(range(accumulation), range(ranks)):
            draw = drawn.draw(step, micro, rank)
            stream = streams.setdefault((draw.task, draw.language), [])
            assert draw.stream_positions.tolist() == list(
                range(len(stream), len(stream) + batch_size)
            )
            stream += draw.rows.tolist()
    assert len(streams) == 4
    for (task, language), stream in streams.items():
        size = SIZES[task][language]
        assert len(stream) > size, f"{task} {language} is drawn over several epochs"
        epochs = [stream[i : i + size] for i in range(0, len(stream) - size + 1, size)]
        assert all(sorted(epoch) == list(range(size)) for epoch in epochs)
        assert size < 10 or all(one != other for one, other in itertools.pairwise(epochs)), (
            "shuffled anew"
        )
        assert size < 10 or epochs[0] != sorted(epochs[0])


def test_batch_larger_than_the_task() -> None:
    drawn = sampler(sizes={"tiny": {"en": 3}}, batch_size=10)
    rows = [row for step in range(3) for row in drawn.draw(step).rows.tolist()]
    assert len(rows) == 30 and all(sorted(rows[i : i + 3]) == [0, 1, 2] for i in range(0, 30, 3))


def test_weighted_small_task_never_runs_dry() -> None:
    """Tasknet promised more batches of a small task than there were, and stopped."""
    drawn = sampler(Sampling(weights={"big": 1, "small": 9, "mixed": 0}))
    assert sum(len(drawn.draw(step).rows) for step in range(500)) == 2000


# --- micro-batches and ranks ----------------------------------------------------------------------


def test_one_task_a_step_for_all_micros_and_ranks() -> None:
    drawn = sampler(accumulation=3, ranks=2)
    for step in range(60):
        draws = [drawn.draw(step, micro, rank) for micro in range(3) for rank in range(2)]
        assert {(d.task, d.language) for d in draws} == {drawn.task_of(step)}
        positions = [position for d in draws for position in d.stream_positions.tolist()]
        assert len(set(positions)) == len(positions) == 24 and max(positions) - min(positions) == 23


@pytest.mark.parametrize(
    ("batch_size", "accumulation", "ranks"), [(4, 2, 1), (4, 1, 2), (2, 2, 2), (1, 8, 1), (1, 1, 8)]
)
def test_the_global_batch_is_the_same_however_it_is_split(
    batch_size: int, accumulation: int, ranks: int
) -> None:
    """Batch 8 == 4 x 2 accumulated == 2 ranks x 4."""
    full, split = (
        sampler(batch_size=8),
        sampler(batch_size=batch_size, accumulation=accumulation, ranks=ranks),
    )
    assert full.steps_per_epoch == split.steps_per_epoch
    for step in range(50):
        micro_draws = [
            split.draw(step, micro, rank) for micro in range(accumulation) for rank in range(ranks)
        ]
        draw = full.draw(step)
        assert {(p.task, p.language) for p in micro_draws} == {(draw.task, draw.language)}
        assert np.concatenate([p.rows for p in micro_draws]).tolist() == draw.rows.tolist()
        assert (
            np.concatenate([p.stream_positions for p in micro_draws]).tolist()
            == draw.stream_positions.tolist()
        )


def test_batch_sizes_by_task() -> None:
    drawn = sampler(Sampling(batch_size={"small": 2, "big": 9}), accumulation=2)
    sizes = {drawn.draw(step).task: len(drawn.draw(step).rows) for step in range(200)}
    assert sizes == {"big": 9, "small": 2, "mixed": 4}


# --- a pure function of seed and step -------------------------------------------------------------


def test_seed_fixes_everything() -> None:
    """Jiant's sampler had a generator of its own that no seed reached."""
    one, again, other = (sampler(seed=seed) for seed in (3, 3, 4))
    assert all(same(one.draw(step), again.draw(step)) for step in range(100))
    assert [one.task_of(s) for s in range(100)] != [other.task_of(s) for s in range(100)]
    assert one.draw(0).rows.tolist() != other.draw(0).rows.tolist()


@pytest.mark.parametrize(
    "sampling",
    [Sampling(), Sampling(schedule=lambda s: {"big": 1.0, "small": s % 3})],
    ids=["fixed", "schedule"],
)
def test_any_order_across_the_border_of_a_block(sampling: Sampling) -> None:
    """A resumed run draws step s as the straight one did, without having drawn what came before."""
    steps = [*range(4090, 4102), 0, 1, 8191, 8192, 8193]
    straight = sampler(sampling)
    draws = {step: straight.draw(step) for step in range(8194)}
    for order in (steps, steps[::-1], sorted(steps, key=lambda s: generator("any", s).random())):
        fresh = sampler(sampling)
        assert all(same(fresh.draw(step), draws[step]) for step in order)
    assert all(same(sampler(sampling).draw(step), draws[step]) for step in (4095, 4096))
    for pair in {(d.task, d.language) for d in draws.values()}:  # the streams go on over the border
        positions = [
            d.stream_positions.tolist() for d in draws.values() if (d.task, d.language) == pair
        ]
        assert [p for draw_positions in positions for p in draw_positions] == list(
            range(4 * len(positions))
        )


def global_state() -> list[int]:
    state = np.random.get_state()
    assert isinstance(state, tuple)
    return state[1].tolist()


def test_global_generators_neither_matter_nor_move() -> None:
    np.random.seed(0)
    before = global_state()
    first = [sampler().draw(step).rows.tolist() for step in range(20)]
    assert global_state() == before
    np.random.seed(1)
    assert [sampler().draw(step).rows.tolist() for step in range(20)] == first


def test_order_of_a_task_does_not_depend_on_the_others() -> None:
    alone, among = sampler(sizes={"small": {"en": 7}}), sampler()
    stream = [
        row
        for step in range(300)
        if (d := among.draw(step)).task == "small"
        for row in d.rows.tolist()
    ]
    assert stream[:12] == [row for step in range(3) for row in alone.draw(step).rows.tolist()]


def test_generator_is_its_key() -> None:
    assert generator("a", 1).random() == generator("a", 1).random()
    numbers = {
        generator(*key).random()
        for key in (("a", 1), ("a", 2), ("b", 1), ("a1",), ("a", "1", ""), (1, "a"))
    }
    assert len(numbers) == 6


# --- epochs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sampling", "options", "expected"),
    [
        (Sampling(), {}, 40),  # 160 rows by 4
        (Sampling(), {"accumulation": 2}, 20),
        (Sampling(), {"ranks": 4, "batch_size": 1}, 40),
        (Sampling(), {"batch_size": 3}, 54),
        (Sampling(cap=20), {}, 12),  # 20 + 7 + 20
        (Sampling(cap=20, weights={"big": 0, "small": 1, "mixed": 0}), {}, 12),
        (Sampling(batch_size={"big": 10, "small": 7}), {"batch_size": 53}, 12),  # 10 + 1 + 1
    ],
)
def test_steps_per_epoch(sampling: Sampling, options: dict[str, int], expected: int) -> None:
    """Not the shortest task's rows."""
    assert sampler(sampling, **options).steps_per_epoch == expected


def test_epochs_follow_each_other() -> None:
    drawn = sampler(accumulation=2, ranks=2)
    for rank in range(2):
        epochs = [[draw for (draw,) in drawn.epoch(epoch, rank)] for epoch in range(3)]
        assert [len(epoch) for epoch in epochs] == [2 * drawn.steps_per_epoch] * 3
        full = [
            drawn.draw(step, micro, rank)
            for step in range(3 * drawn.steps_per_epoch)
            for micro in range(2)
        ]
        assert all(map(same, itertools.chain(*epochs), full))


# --- subsets --------------------------------------------------------------------------------------


def test_orders_of_many_languages_are_made_once_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Counter[tuple[Any, ...]] = Counter()

    def counted(*key: Any) -> np.random.Generator:
        made[key] += 1
        return generator(*key)

    monkeypatch.setattr("jiantx.sampling.generator", counted)
    languages = {f"l{index:02}": 40 for index in range(90)}
    many = sampler(sizes={"mlm": languages}, batch_size=2)
    for step in range(3000):
        many.draw(step)
    orders = {key: count for key, count in made.items() if key[0] == "order"}
    assert len(orders) > 100 and set(orders.values()) == {1}


def test_subset_is_random_and_stable() -> None:
    """The first rows are no sample."""
    chosen = subset(0, "a", "en", 1000, 100)
    assert len(set(chosen.tolist())) == 100 and (np.diff(chosen) > 0).all()
    assert 350 < chosen.mean() < 650 and chosen.max() > 900
    assert np.array_equal(chosen, subset(0, "a", "en", 1000, 100))
    for other in (
        subset(1, "a", "en", 1000, 100),
        subset(0, "b", "en", 1000, 100),
        subset(0, "a", "de", 1000, 100),
    ):
        assert not np.array_equal(chosen, other)
    assert set(chosen.tolist()) < set(subset(0, "a", "en", 1000, 200).tolist()), (
        "a larger part holds the smaller"
    )


# --- mixed steps ----------------------------------------------------------------------------------


def test_a_mixed_step_has_equal_parts_of_a_batch_and_one_composition_everywhere():
    sampling = Sampling(exponent=0.5, mix=4)
    drawn = Sampler(
        sampling, {"big": {"en": 900, "de": 90}, "small": {"en": 60}}, batch_size=8, seed=3, ranks=2
    )
    shares: Counter[str] = Counter()
    for step in range(300):
        draws_of_rank = [drawn.draws(step, 0, rank) for rank in range(2)]
        assert [
            [(d.task, d.language, len(d.rows)) for d in draws] for draws in draws_of_rank[:1]
        ] * 2 == [[(d.task, d.language, len(d.rows)) for d in draws] for draws in draws_of_rank]
        assert all(len(draw.rows) == 2 for draws in draws_of_rank for draw in draws)
        shares.update(draw.task for draw in draws_of_rank[0])
    expected = sampling.probabilities({"big": 990, "small": 60})
    assert shares["small"] / 1200 == pytest.approx(expected["small"], abs=0.05)
    assert [drawn.task_of(7, item) for item in range(4)] == [
        (d.task, d.language) for d in drawn.draws(7)
    ]


def test_mixing_changes_no_epoch_and_no_order():
    """A task's examples come in the order that they have without mixing, each once an epoch."""
    sizes = {"only": {"en": 24}}
    mixed = Sampler(Sampling(mix=2), sizes, batch_size=4, seed=1)
    plain = Sampler(Sampling(), sizes, batch_size=4, seed=1)
    assert mixed.steps_per_epoch == plain.steps_per_epoch == 6
    mixed_rows = [
        row for step in range(6) for draw in mixed.draws(step) for row in draw.rows.tolist()
    ]
    assert mixed_rows == [row for step in range(6) for row in plain.draw(step).rows.tolist()]
    assert sorted(mixed_rows) == list(range(24))


def test_a_mix_must_divide_the_batch():
    with pytest.raises(
        ValueError, match=r"Sampling\(mix=3\) does not divide task 'a''s batch of 8"
    ):
        Sampler(Sampling(mix=3), {"a": {"en": 10}}, batch_size=8, seed=0)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("mix", 0),
        ("cap", -1),
        ("exponent", math.nan),
        ("batch_size", 8),
        ("batch_size", {"a": 0}),
        ("max_examples", {"a": -5}),  # all but five
        ("max_examples", {"a": 2.5}),
        ("loss_weight", {"a": math.nan}),
        ("weights", [1, 2]),
    ],
)
def test_numbers_that_count_nothing_are_refused(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"Sampling: {option}.* Expected a "):
        Sampling(**{option: value})
    assert Sampling(cap=math.inf).capped(5) == 5  # type: ignore[arg-type]


def test_a_schedule_is_not_asked_beyond_the_run() -> None:
    """Draws are made ahead; a schedule may be a list as long as the run, or fall to 0 at its end."""
    plan = [{"big": 20 - step, "small": step, "mixed": 1} for step in range(20)]
    drawn = sampler(Sampling(schedule=plan.__getitem__))
    drawn.steps = 20
    beyond = sampler(Sampling(schedule=lambda step: plan[min(step, 19)]))
    for step in range(20):
        assert same(drawn.draw(step), beyond.draw(step))


def test_impossible_draws_are_refused_before_features_are_made() -> None:
    for sampling, message in (
        (Sampling(mix=3), "does not divide"),
        (Sampling(weights={"big": -1, "small": 2}), "must be 0 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            sampling.check({"big", "small"}, 8)

"""Nearest neighbours and bitext mining against brute force."""

import numpy as np
import pytest
import torch

from jiantx.metrics import best_threshold
from jiantx.nearest_neighbors import margin_pairs, nearest


def integers(rows, dimensions, seed, largest=2):
    """Small whole numbers: products are exact in float32, and full of ties."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-largest, largest + 1, (rows, dimensions), generator=generator).float()


def unit(rows, dimensions, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(rows, dimensions, generator=generator), dim=1)


def brute_force(queries, corpus, k):
    products = queries.double().numpy() @ corpus.double().numpy().T
    order = np.argsort(-products, axis=1, kind="stable")[:, :k]
    return torch.from_numpy(np.take_along_axis(products, order, axis=1)).float(), torch.from_numpy(
        order
    )


@pytest.mark.parametrize("memory", [4, 64, 4_000, 30_000, 1 << 30])
@pytest.mark.parametrize("k", [1, 4, 200])
def test_nearest_equals_brute_force_with_ties(k, memory):
    queries, corpus = integers(60, 4, seed=0), integers(200, 4, seed=1)
    if memory < 1_000:  # product by product
        queries = queries[:3]
    scores, indices = nearest(queries, corpus, k, memory=memory)
    expected_scores, expected_indices = brute_force(queries, corpus, k)
    assert scores.dtype == torch.float32
    assert torch.equal(scores, expected_scores)
    assert torch.equal(indices, expected_indices)


def test_nearest_of_random_vectors():
    queries, corpus = unit(300, 16, seed=0), unit(200, 16, seed=1)
    expected_scores, expected_indices = brute_force(queries, corpus, 5)
    for memory in (30_000, 1 << 20):
        scores, indices = nearest(queries, corpus, 5, memory=memory)
        assert torch.equal(indices, expected_indices)
        torch.testing.assert_close(scores, expected_scores, rtol=0, atol=1e-6)


def test_equal_rows_come_in_their_order():
    corpus = torch.ones(50, 3)
    for memory in (4, 100, 1 << 20):
        assert (
            nearest(torch.ones(2, 3), corpus, 7, memory=memory)[1].tolist() == [list(range(7))] * 2
        )


def test_nearest_in_half_precision_and_of_nothing():
    corpus = integers(20, 4, seed=0)
    assert torch.equal(
        nearest(corpus.bfloat16(), corpus.bfloat16(), 3)[1], brute_force(corpus, corpus, 3)[1]
    )
    assert nearest(torch.empty(0, 4), corpus, 3)[1].shape == (0, 3)


@pytest.mark.parametrize("k", [0, 21])
def test_k_has_borders(k):
    with pytest.raises(ValueError, match=f"k is {k}, .* 20 rows"):
        nearest(torch.ones(1, 4), torch.ones(20, 4), k)


@pytest.mark.parametrize("side", ["queries", "corpus"])
def test_vectors_must_be_finite(side):
    vectors = {"queries": torch.ones(5, 4), "corpus": torch.ones(5, 4)}
    vectors[side][3, 1] = torch.nan
    with pytest.raises(ValueError, match=f"Row 3 of the {side}"):
        nearest(vectors["queries"], vectors["corpus"], k=1)


def test_large_vectors_are_finite():
    """Their sum is not, in half precision or in float32."""
    half, single = torch.full((2, 64), 6e4, dtype=torch.float16), torch.full((2, 64), 3e38)
    for vectors in (half, single):
        assert nearest(vectors, vectors / vectors.max(), 1)[1].tolist() == [[0], [0]]


# --- Mining ---------------------------------------------------------------------------------------


def mined_by_brute_force(source, target, k):
    products = source.double().numpy() @ target.double().numpy().T
    forward = np.argsort(-products, axis=1, kind="stable")[:, :k]
    backward = np.argsort(-products.T, axis=1, kind="stable")[:, :k]
    source_mean = np.take_along_axis(products, forward, axis=1).mean(axis=1)
    target_mean = np.take_along_axis(products.T, backward, axis=1).mean(axis=1)
    margin = products / ((source_mean[:, None] + target_mean[None, :]) / 2)
    candidates = {(i, max(forward[i], key=lambda j: margin[i, j])) for i in range(len(source))}
    candidates |= {(max(backward[j], key=lambda i: margin[i, j]), j) for j in range(len(target))}
    pairs, left, right = [], set(), set()
    for i, j in sorted(candidates, key=lambda pair: (-margin[pair], pair)):
        if i not in left and j not in right:
            left.add(i)
            right.add(j)
            pairs.append((int(i), int(j), margin[i, j]))
    return pairs


@pytest.mark.parametrize(("rows", "k"), [((300, 200), 4), ((50, 80), 4), ((3, 2), 4), ((1, 1), 4)])
def test_mining_equals_brute_force(rows, k):
    source = unit(rows[0], 12, seed=0) + 0.5
    target = unit(rows[1], 12, seed=1) + 0.5  # a common part, as sentence vectors have one
    source, target = (torch.nn.functional.normalize(side, dim=1) for side in (source, target))
    expected = mined_by_brute_force(source, target, k)
    for memory in (50_000, 1 << 30):
        pairs, scores = margin_pairs(source, target, k=k, memory=memory)
        assert pairs.tolist() == [[i, j] for i, j, _ in expected]
        torch.testing.assert_close(
            scores.double(), torch.tensor([s for *_, s in expected]).double(), atol=1e-5, rtol=0
        )


@pytest.mark.slow
@pytest.mark.parametrize("ties", [False, True])
def test_mining_2000_by_2000_equals_float64(ties):
    """The same pairs and scores, best first; with small whole numbers, products are exact and full
    of ties.
    """
    if ties:
        source, target = (integers(2000, 6, seed, largest=3) + 4 for seed in (0, 1))
    else:
        source, target = (
            torch.nn.functional.normalize(unit(2000, 64, seed) + 0.2, dim=1) for seed in (0, 1)
        )
    expected = mined_by_brute_force(source, target, 4)
    pairs, scores = margin_pairs(source, target)
    assert pairs.tolist() == [[i, j] for i, j, _ in expected]
    np.testing.assert_allclose(scores.numpy(), [score for *_, score in expected], rtol=1e-12)


def test_mining_finds_planted_translations():
    target = unit(200, 32, seed=0)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    source = torch.nn.functional.normalize(target[order] + 0.05 * unit(200, 32, seed=2), dim=1)
    pairs, scores = margin_pairs(source, target)
    assert dict(pairs.tolist()) == dict(enumerate(order.tolist()))
    assert (scores[:-1] >= scores[1:]).all()


def test_mining_takes_ties_in_order():
    pairs, scores = margin_pairs(torch.eye(3), torch.eye(3), k=1)
    assert pairs.tolist() == [[0, 0], [1, 1], [2, 2]]
    assert scores.tolist() == [1.0, 1.0, 1.0]


def test_mining_what_has_no_neighbour():
    pairs, scores = margin_pairs(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    assert pairs.tolist() == [[0, 0]]
    assert scores.tolist() == [0.0]
    pairs, scores = margin_pairs(torch.empty(0, 2), torch.ones(3, 2))
    assert pairs.shape == (0, 2)
    assert scores.shape == (0,)


# --- Threshold ------------------------------------------------------------------------------------


def f1_at(threshold, scores, gold, total):
    is_kept = scores >= threshold
    return 200 * (is_kept & gold).sum() / (is_kept.sum() + total)


@pytest.mark.parametrize("seed", range(20))
def test_best_threshold_by_brute_force(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 15, 40) / 8 if seed % 2 else rng.normal(size=40)
    gold = rng.random(40) < 0.4
    total = int(gold.sum()) + seed
    threshold, f1 = best_threshold(scores, gold, total)
    assert f1 == pytest.approx(max(f1_at(cut, scores, gold, total) for cut in scores))
    assert f1 == pytest.approx(f1_at(threshold, scores, gold, total))


def test_threshold_lies_midway():
    assert best_threshold([0.5, 2.0, 1.0], [False, True, True], 2) == (0.75, 100.0)


def test_threshold_when_the_best_cut_is_the_last_candidate():
    assert best_threshold(torch.tensor([2.0, 1.0]), torch.tensor([True, True]), 2) == (1.0, 100.0)


def test_threshold_between_neighbouring_floats():
    low = 1.0
    high = float(np.nextafter(1.0, 2.0))
    assert best_threshold([high, low], [True, False], 1) == (high, 100.0)


def test_threshold_without_gold():
    assert best_threshold([1.0, 2.0], [False, False], 3) == (0.0, 0.0)
    assert best_threshold([], [], 3) == (0.0, 0.0)
    with pytest.raises(ValueError, match="2 pairs are gold, of 1 in total"):
        best_threshold([1.0, 2.0], [True, True], 1)

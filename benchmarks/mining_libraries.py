"""Search and mining by jiantx and by faiss, as functions of NumPy arrays.

Both return functions of (source, target, neighbours). `search` gives products and the places of
the neighbours, (source rows, neighbours) each; `mine` gives (pairs, 2) indices and (pairs,) scores.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

Arrays = tuple[np.ndarray, np.ndarray]
Function = Callable[[np.ndarray, np.ndarray, int], Arrays]


def jiantx_functions() -> tuple[Function, Function]:
    """Return search and mining by jiantx."""
    import torch

    from jiantx.nearest_neighbors import margin_pairs, nearest

    def search(source: np.ndarray, target: np.ndarray, neighbours: int) -> Arrays:
        products, indices = nearest(torch.from_numpy(source), torch.from_numpy(target), neighbours)
        return products.numpy(), indices.numpy()

    def mine(source: np.ndarray, target: np.ndarray, neighbours: int) -> Arrays:
        vectors = (torch.from_numpy(source), torch.from_numpy(target))
        pairs, scores = margin_pairs(*vectors, k=neighbours)
        return pairs.numpy(), scores.numpy()

    return search, mine


def faiss_functions(faiss_dir: str, threads: int) -> tuple[Function, Function]:
    """Return search by faiss, and mining by two searches and the margin in NumPy.

    Args:
        faiss_dir: Where faiss-cpu is installed, if not beside jiantx.
        threads: Threads of faiss.
    """
    sys.path.append(faiss_dir)  # at the end: numpy stays this environment's
    import faiss

    faiss.omp_set_num_threads(threads)

    def search(source: np.ndarray, target: np.ndarray, neighbours: int) -> Arrays:
        index = faiss.IndexFlatIP(target.shape[1])
        index.add(target)
        products, indices = index.search(source, neighbours)
        return products, indices

    def mine(source: np.ndarray, target: np.ndarray, neighbours: int) -> Arrays:
        forward = search(source, target, neighbours)
        backward = search(target, source, neighbours)
        return pairs_by_margin(*forward, *backward)

    return search, mine


def pairs_by_margin(
    forward: np.ndarray, targets: np.ndarray, backward: np.ndarray, sources: np.ndarray
) -> Arrays:
    """Pair rows by ratio margin from both sides' neighbours, one to one, best first.

    Args:
        forward: (source rows, neighbours) products with the targets.
        targets: (source rows, neighbours) indices of these targets.
        backward: (target rows, neighbours) products with the sources.
        sources: (target rows, neighbours) indices of these sources.
    """
    forward_mean = forward.mean(axis=1)
    backward_mean = backward.mean(axis=1)
    forward = forward / ((forward_mean[:, None] + backward_mean[targets]) / 2)
    backward = backward / ((backward_mean[:, None] + forward_mean[sources]) / 2)
    candidates = []
    for row, column in enumerate(forward.argmax(axis=1).tolist()):
        candidates.append((forward[row, column], row, targets[row, column]))
    for row, column in enumerate(backward.argmax(axis=1).tolist()):
        candidates.append((backward[row, column], sources[row, column], row))
    candidates.sort(key=lambda candidate: (-candidate[0], candidate[1], candidate[2]))
    paired_sources = set()
    paired_targets = set()
    pairs = []
    scores = []
    for score, source, target in candidates:
        if source in paired_sources or target in paired_targets:
            continue
        paired_sources.add(source)
        paired_targets.add(target)
        pairs.append((source, target))
        scores.append(score)
    return np.array(pairs), np.array(scores)

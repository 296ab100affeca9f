"""Exact search and bitext mining beside faiss's `IndexFlatIP`: the same vectors, the same threads,
taking turns.

    pip install --target /tmp/faiss --no-deps faiss-cpu
    python benchmarks/mining.py             # 50,000 x 50,000 x 384
    python benchmarks/mining.py --million   # 1,003,893 candidates x 1,024, as many as Mewsli-X has

Every measurement is a process of its own, so that its peak memory is its own and no library's
threads wait in the other's way. The clock runs from vectors in memory to results in memory, after a
small warm-up. CPU seconds count both threads, and say more on a machine that others use too."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import harness
import numpy as np

NEIGHBOURS = 4  # as many as count in the margin of BUCC's mining
MEWSLIX = 1_003_893
MEMORY_LIMIT = 8.0  # GB, for the search among Mewsli-X's candidates
TIE = 1e-6


def main() -> int:
    options = parse()
    if options.worker:
        work(options)
        return 0
    print(f"{harness.machine()}, {options.threads} threads\n")
    return million(options) if options.million else compare(options)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = harness.parser(__doc__)
    parser.add_argument(
        "--rows", type=int, help="of each side (50,000), or of the candidates with --million"
    )
    parser.add_argument("--dimensions", type=int, help="384, or 1,024 with --million")
    parser.add_argument(
        "--faiss-dir",
        default="/tmp/faiss",
        help="where faiss-cpu is installed, if not beside jiantx",
    )
    parser.add_argument(
        "--million", action="store_true", help="1,000 queries among 1,003,893 candidates, top 20"
    )
    parser.add_argument(
        "--worker", nargs=3, metavar=("WHO", "WHAT", "FILE"), help=argparse.SUPPRESS
    )
    options = parser.parse_args(arguments)
    options.rows = options.rows or (MEWSLIX if options.million else 50_000)
    options.dimensions = options.dimensions or (1024 if options.million else 384)
    return options


# --- one measurement ------------------------------------------------------------------------------


def work(options: argparse.Namespace) -> None:
    """Do WHAT by the library WHO, write the result to FILE, and print seconds and memory."""
    who, job, file = options.worker
    started = time.perf_counter()
    source, target = units(options) if job == "million" else pairs(options)
    making_seconds = time.perf_counter() - started
    resident = harness.peak_memory() / 1e9
    run = OURS[job] if who == "ours" else faiss_functions(options)[job]
    run(source[:500], target[:500])  # threads, kernels and lazy imports
    started = time.perf_counter()
    cpu = time.process_time()
    first, second = run(source, target)
    seconds = time.perf_counter() - started
    cpu = time.process_time() - cpu
    np.savez(file, first=first, second=second)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu": cpu,
                "made": making_seconds,
                "resident": resident,
                "peak": harness.peak_memory() / 1e9,
            }
        )
    )


def pairs(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of length 1, and as many translations: each the same vector with noise (cosine about
    0.5), shuffled.
    """
    rng = np.random.default_rng(0)
    source = unit(rng.standard_normal((options.rows, options.dimensions), np.float32))
    noise = unit(rng.standard_normal((options.rows, options.dimensions), np.float32))
    return source, unit(source[rng.permutation(options.rows)] + 1.7 * noise)


def units(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """1,000 queries and the candidates, made block by block so that making them needs no more
    memory than they.
    """
    rng = np.random.default_rng(0)
    candidates = np.empty((options.rows, options.dimensions), np.float32)
    for start in range(0, options.rows, 10_000):
        block = candidates[start : start + 10_000]
        rng.standard_normal(out=block, dtype=np.float32)
        unit(block)
    return unit(rng.standard_normal((1000, options.dimensions), np.float32)), candidates


def unit(vectors: np.ndarray) -> np.ndarray:
    vectors /= np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    return vectors


def ours_search(
    source: np.ndarray, target: np.ndarray, k: int = NEIGHBOURS
) -> tuple[np.ndarray, np.ndarray]:
    import torch

    from jiantx.nearest_neighbors import nearest

    products, indices = nearest(torch.from_numpy(source), torch.from_numpy(target), k)
    return products.numpy(), indices.numpy()


def ours_mine(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    import torch

    from jiantx.nearest_neighbors import margin_pairs

    mined, scores = margin_pairs(torch.from_numpy(source), torch.from_numpy(target), k=NEIGHBOURS)
    return mined.numpy(), scores.numpy()


OURS: dict[str, Callable[..., tuple[np.ndarray, np.ndarray]]] = {
    "search": ours_search,
    "mine": ours_mine,
    "million": lambda queries, candidates: ours_search(queries, candidates, 20),
}


def faiss_functions(
    options: argparse.Namespace,
) -> dict[str, Callable[..., tuple[np.ndarray, np.ndarray]]]:
    sys.path.append(options.faiss_dir)  # at the end: numpy stays this environment's own
    import faiss

    faiss.omp_set_num_threads(options.threads)

    def search(
        source: np.ndarray, target: np.ndarray, k: int = NEIGHBOURS
    ) -> tuple[np.ndarray, np.ndarray]:
        index = faiss.IndexFlatIP(target.shape[1])
        index.add(target)
        products, indices = index.search(source, k)
        return products, indices

    def mine(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return margin(search(source, target), search(target, source))

    return {
        "search": search,
        "mine": mine,
        "million": lambda queries, candidates: search(queries, candidates, 20),
    }


def margin(
    forward: tuple[np.ndarray, np.ndarray], backward: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs by ratio margin from both sides' neighbours, one to one, best first."""
    (forward_scores, targets), (backward_scores, sources) = forward, backward
    forward_mean = forward_scores.mean(axis=1)
    backward_mean = backward_scores.mean(axis=1)
    forward_scores = forward_scores / ((forward_mean[:, None] + backward_mean[targets]) / 2)
    backward_scores = backward_scores / ((backward_mean[:, None] + forward_mean[sources]) / 2)
    candidates = [
        (forward_scores[i, c], i, targets[i, c])
        for i, c in enumerate(forward_scores.argmax(axis=1).tolist())
    ]
    candidates += [
        (backward_scores[j, c], sources[j, c], j)
        for j, c in enumerate(backward_scores.argmax(axis=1).tolist())
    ]
    candidates.sort(key=lambda candidate: (-candidate[0], candidate[1], candidate[2]))
    used_sources = set()
    used_targets = set()
    mined = []
    for score, i, j in candidates:
        if i not in used_sources and j not in used_targets:
            used_sources.add(i)
            used_targets.add(j)
            mined.append((i, j, score))
    return np.array([pair[:2] for pair in mined]), np.array([pair[2] for pair in mined])


# --- the comparison -------------------------------------------------------------------------------


JOBS = {"search": f"k = {NEIGHBOURS} search", "mine": "mining, both ways and margin"}
HEADER = (
    "what",
    "jiantx, s",
    "faiss, s",
    "jiantx / faiss (range)",
    "the same of CPU seconds",
    "peak memory, GB",
)


def compare(options: argparse.Namespace) -> int:
    """Compare with faiss; 1 if a result differs by more than ties."""
    print(harness.table(HEADER, []))
    notes = []
    results_agree = True
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for job, title in JOBS.items():
            runs: dict[str, list[dict[str, float]]] = {"ours": [], "faiss": []}
            for _ in range(options.repeat):
                for who, finished in runs.items():
                    finished.append(measure(options, who, job, f"{folder}/{who}.npz"))
            records.append({"what": job, "runs": runs})
            print(harness.body([describe(options, title, runs)]), flush=True)
            with (
                np.load(f"{folder}/ours.npz") as our_result,
                np.load(f"{folder}/faiss.npz") as faiss_result,
            ):
                note, equal = SAME[job](our_result, faiss_result, options)
            notes.append(note)
            results_agree &= equal
    print("\n" + "\n".join(notes))
    harness.write("mining", vars(options), records, options.results)
    return 0 if results_agree else 1


def describe(
    options: argparse.Namespace, title: str, runs: dict[str, list[dict[str, float]]]
) -> list[str]:
    """The cells of one line of the table."""
    seconds = []
    memory = []
    for finished in runs.values():
        seconds.append(f"{statistics.median(run['seconds'] for run in finished):.1f}")
        memory.append(f"{max(run['peak'] for run in finished):.2f}")
    return [
        f"{title}, {options.rows:,} x {options.rows:,} x {options.dimensions}, "
        f"{options.repeat} times",
        *seconds,
        format_ratio(runs, "seconds"),
        format_ratio(runs, "cpu"),
        " and ".join(memory),
    ]


def format_ratio(runs: dict[str, list[dict[str, float]]], figure: str) -> str:
    our_figures = [run[figure] for run in runs["ours"]]
    faiss_figures = [run[figure] for run in runs["faiss"]]
    return harness.format_ratio(harness.ratio(our_figures, faiss_figures))


def measure(options: argparse.Namespace, who: str, job: str, file: str) -> dict[str, float]:
    """Do a job in a new process, by jiantx ("ours") or by "faiss"."""
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    flags = {
        "--rows": options.rows,
        "--dimensions": options.dimensions,
        "--threads": options.threads,
        "--faiss-dir": options.faiss_dir,
    }
    arguments = [__file__, "--worker", who, job, file]
    for flag, value in flags.items():
        arguments += [flag, str(value)]
    install = f"pip install --target {options.faiss_dir} --no-deps faiss-cpu"
    return harness.in_new_process(
        arguments,
        environment=dict.fromkeys(threads, str(options.threads)),
        failure=f"{who} failed. faiss: {install}",
    )


def same_neighbours(
    our_result: Any, faiss_result: Any, options: argparse.Namespace
) -> tuple[str, bool]:
    """Neighbours in another order or place must be ties, by their products in float64."""
    differ = our_result["second"] != faiss_result["second"]
    source, target = pairs(options)
    rows, columns = differ.nonzero()
    gap = 0.0
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        both = target[
            [our_result["second"][row, column], faiss_result["second"][row, column]]
        ].astype(np.float64)
        one, other = both @ source[row].astype(np.float64)
        gap = max(gap, abs(one - other))
    products = float(np.abs(our_result["first"] - faiss_result["first"]).max())
    note = (
        f"Neighbours: {100 * (1 - differ.mean()):.4f} % are equal, place by place. "
        f"{len(rows)} of {differ.size:,} differ; their products differ by {gap:.1e} at most "
        f"(ties to {TIE:g}). The products that both libraries give differ by {products:.1e} "
        "at most."
    )
    return note, gap <= TIE


def same_pairs(our_result: Any, faiss_result: Any, options: argparse.Namespace) -> tuple[str, bool]:
    """The mined pairs, as sets: margins in float32 and float64 may rank close pairs differently."""
    our_pairs = {tuple(pair) for pair in our_result["first"].tolist()}
    faiss_pairs = {tuple(pair) for pair in faiss_result["first"].tolist()}
    share = len(our_pairs & faiss_pairs) / max(1, len(our_pairs | faiss_pairs))
    count = min(len(our_result["second"]), len(faiss_result["second"]))
    gap = float(np.abs(our_result["second"][:count] - faiss_result["second"][:count]).max())
    note = (
        f"Mined pairs: {len(our_pairs):,} and {len(faiss_pairs):,}; "
        f"{100 * share:.4f} % of all are in both. "
        f"The scores, in order, differ by {gap:.1e} at most."
    )
    return note, share > 0.999


SAME = {"search": same_neighbours, "mine": same_pairs}


def million(options: argparse.Namespace) -> int:
    """Search as many candidates as Mewsli-X has; 1 if that needs too much memory."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/ours.npz"
        runs = [measure(options, "ours", "million", file) for _ in range(options.repeat)]
    seconds = sorted(run["seconds"] for run in runs)
    peak = max(run["peak"] for run in runs)
    header = (
        "candidates",
        "queries",
        "top",
        "seconds (range)",
        "making the vectors, s",
        "vectors, GB",
        "peak memory, GB",
    )
    cells = [
        f"{options.rows:,} x {options.dimensions}",
        "1,000",
        20,
        f"{statistics.median(seconds):.1f} ({seconds[0]:.1f} to {seconds[-1]:.1f})",
        f"{statistics.median(run['made'] for run in runs):.1f}",
        f"{options.rows * options.dimensions * 4 / 1e9:.2f}",
        f"{peak:.2f}",
    ]
    print(harness.table(header, [cells]))
    verdict = "stays under" if peak < MEMORY_LIMIT else "GOES OVER"
    print(
        "\nThe seconds are of `jiantx.nearest_neighbors.nearest` alone. Making the vectors is not "
        "in them, but it is in the peak memory (of the whole process, Python and torch included), "
        f"which {verdict} {MEMORY_LIMIT:g} GB."
    )
    harness.write("mining-million", vars(options), runs, options.results)
    return 0 if peak < MEMORY_LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())

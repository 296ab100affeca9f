"""Exact search and bitext mining beside faiss's `IndexFlatIP`: the same vectors, the same threads, taking turns.

    pip install --target /tmp/faiss --no-deps faiss-cpu
    python bench/mining.py             # 50,000 x 50,000 x 384
    python bench/mining.py --million   # 1,003,893 candidates x 1,024, as many as Mewsli-X has

Every measurement is a process of its own, so that its peak memory is its own and no library's threads wait in the
other's way. The clock runs from vectors in memory to results in memory, after a small warm-up. CPU seconds count both
threads, and say more on a machine that others use too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
NEIGHBOURS = 4  # as many as count in the margin of BUCC's mining
MEWSLIX = 1_003_893
MEMORY_LIMIT = 8.0  # GB, for the search among Mewsli-X's candidates
TIE = 1e-6


def main() -> int:
    options = parse()
    if options.worker:
        work(options)
        return 0
    print(f"{machine()}, {options.threads} threads\n")
    return million(options) if options.million else compare(options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", type=int, help="of each side (50,000), or of the candidates with --million"
    )
    parser.add_argument("--dimensions", type=int, help="384, or 1,024 with --million")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
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
    options = parser.parse_args()
    options.rows = options.rows or (MEWSLIX if options.million else 50_000)
    options.dimensions = options.dimensions or (1024 if options.million else 384)
    return options


# --- one measurement -------------------------------------------------------------------------------------------------


def work(options: argparse.Namespace) -> None:
    """Do WHAT by the library WHO, write the result to FILE, and print seconds and memory."""
    who, what, file = options.worker
    started = time.perf_counter()
    source, target = units(options) if what == "million" else pairs(options)
    made, resident = time.perf_counter() - started, peak()
    run = OURS[what] if who == "ours" else faiss_functions(options)[what]
    run(source[:500], target[:500])  # threads, kernels and lazy imports
    started, cpu = time.perf_counter(), time.process_time()
    first, second = run(source, target)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    np.savez(file, first=first, second=second)
    print(
        json.dumps(
            {"seconds": seconds, "cpu": cpu, "made": made, "resident": resident, "peak": peak()}
        )
    )


def peak() -> float:
    """The most memory that this process has held so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def pairs(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of length 1, and as many translations: each the same vector with noise (cosine about 0.5), shuffled."""
    rng = np.random.default_rng(0)
    source = unit(rng.standard_normal((options.rows, options.dimensions), np.float32))
    noise = unit(rng.standard_normal((options.rows, options.dimensions), np.float32))
    return source, unit(source[rng.permutation(options.rows)] + 1.7 * noise)


def units(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """1,000 queries and the candidates, made block by block so that making them needs no more memory than they."""
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

    products, places = nearest(torch.from_numpy(source), torch.from_numpy(target), k)
    return products.numpy(), places.numpy()


def ours_mine(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    import torch

    from jiantx.nearest_neighbors import margin_pairs

    found, scores = margin_pairs(torch.from_numpy(source), torch.from_numpy(target), k=NEIGHBOURS)
    return found.numpy(), scores.numpy()


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
        products, places = index.search(source, k)
        return products, places

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
    (there, targets), (back, sources) = forward, backward
    there_mean, back_mean = there.mean(axis=1), back.mean(axis=1)
    there = there / ((there_mean[:, None] + back_mean[targets]) / 2)
    back = back / ((back_mean[:, None] + there_mean[sources]) / 2)
    candidates = [
        (there[i, c], i, targets[i, c]) for i, c in enumerate(there.argmax(axis=1).tolist())
    ]
    candidates += [
        (back[j, c], sources[j, c], j) for j, c in enumerate(back.argmax(axis=1).tolist())
    ]
    candidates.sort(key=lambda candidate: (-candidate[0], candidate[1], candidate[2]))
    left, right, kept = set(), set(), []
    for score, i, j in candidates:
        if i not in left and j not in right:
            left.add(i)
            right.add(j)
            kept.append((i, j, score))
    return np.array([pair[:2] for pair in kept]), np.array([pair[2] for pair in kept])


# --- the comparison --------------------------------------------------------------------------------------------------


def compare(options: argparse.Namespace) -> int:
    size = f"{options.rows:,} x {options.rows:,} x {options.dimensions}"
    print(
        "| what | jiantx, s | faiss, s | jiantx / faiss (range) | the same of CPU seconds | peak memory, GB |"
    )
    print("|---|---|---|---|---|---|")
    agree = True
    notes = []
    with tempfile.TemporaryDirectory() as folder:
        for what, title in (
            ("search", f"k = {NEIGHBOURS} search"),
            ("mine", "mining, both ways and margin"),
        ):
            runs: dict[str, list[dict[str, float]]] = {"ours": [], "faiss": []}
            for _ in range(options.repeat):
                for who, done in runs.items():
                    done.append(measure(options, who, what, f"{folder}/{who}.npz"))
            ours, theirs = (
                statistics.median(run["seconds"] for run in done) for done in runs.values()
            )
            memory = (max(run["peak"] for run in done) for done in runs.values())
            print(
                f"| {title}, {size}, {options.repeat} times | {ours:.1f} | {theirs:.1f} | {ratio(runs, 'seconds')} "
                f"| {ratio(runs, 'cpu')} | {' and '.join(f'{gb:.2f}' for gb in memory)} |",
                flush=True,
            )
            with np.load(f"{folder}/ours.npz") as a, np.load(f"{folder}/faiss.npz") as b:
                note, equal = SAME[what](a, b, options)
            notes.append(note)
            agree &= equal
    print("\n" + "\n".join(notes))
    return 0 if agree else 1


def ratio(runs: dict[str, list[dict[str, float]]], figure: str) -> str:
    ratios = [
        ours[figure] / theirs[figure]
        for ours, theirs in zip(runs["ours"], runs["faiss"], strict=True)
    ]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def measure(options: argparse.Namespace, who: str, what: str, file: str) -> dict[str, float]:
    threads = dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(options.threads)
    )
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    command = [sys.executable, __file__, "--worker", who, what, file, "--rows", str(options.rows)]
    command += ["--dimensions", str(options.dimensions), "--threads", str(options.threads)]
    command += ["--faiss-dir", options.faiss_dir]
    done = subprocess.run(
        command,
        env={**os.environ, **threads, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(
            f"{who} failed. faiss: pip install --target {options.faiss_dir} --no-deps faiss-cpu"
        )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def same_neighbours(ours: Any, theirs: Any, options: argparse.Namespace) -> tuple[str, bool]:
    """Neighbours in another order or place must be ties, by their products in float64."""
    differ = ours["second"] != theirs["second"]
    source, target = pairs(options)
    rows, columns = differ.nonzero()
    gap = 0.0
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        both = target[[ours["second"][row, column], theirs["second"][row, column]]].astype(
            np.float64
        )
        one, other = both @ source[row].astype(np.float64)
        gap = max(gap, abs(one - other))
    products = float(np.abs(ours["first"] - theirs["first"]).max())
    note = (
        f"Neighbours: {100 * (1 - differ.mean()):.4f} % are equal, place by place. {len(rows)} of {differ.size:,} "
        f"differ; their products differ by {gap:.1e} at most (ties to {TIE:g}). The products that both libraries give "
        f"differ by {products:.1e} at most."
    )
    return note, gap <= TIE


def same_pairs(ours: Any, theirs: Any, options: argparse.Namespace) -> tuple[str, bool]:
    """The mined pairs, as sets: float32 margins and float64 ones may rank close pairs differently."""
    one, other = ({tuple(pair) for pair in side["first"].tolist()} for side in (ours, theirs))
    share = len(one & other) / max(1, len(one | other))
    n = min(len(ours["second"]), len(theirs["second"]))
    gap = float(np.abs(ours["second"][:n] - theirs["second"][:n]).max())
    note = (
        f"Mined pairs: {len(one):,} and {len(other):,}; {100 * share:.4f} % of all are in both. "
        f"The scores, in order, differ by {gap:.1e} at most."
    )
    return note, share > 0.999


SAME = {"search": same_neighbours, "mine": same_pairs}


def million(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            measure(options, "ours", "million", f"{folder}/ours.npz") for _ in range(options.repeat)
        ]
    seconds = sorted(run["seconds"] for run in runs)
    top = max(run["peak"] for run in runs)
    print(
        "| candidates | queries | top | seconds (range) | making the vectors, s | vectors, GB | peak memory, GB |"
    )
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {options.rows:,} x {options.dimensions} | 1,000 | 20 "
        f"| {statistics.median(seconds):.1f} ({seconds[0]:.1f} to {seconds[-1]:.1f}) "
        f"| {statistics.median(run['made'] for run in runs):.1f} | {options.rows * options.dimensions * 4 / 1e9:.2f} "
        f"| {top:.2f} |"
    )
    print(
        f"\nThe seconds are of `jiantx.nearest_neighbors.nearest` alone; making the vectors is not in them, but it is in the peak "
        f"memory (of the whole process, Python and torch included), which {'stays' if top < MEMORY_LIMIT else 'GOES'} "
        f"{'under' if top < MEMORY_LIMIT else 'OVER'} {MEMORY_LIMIT:g} GB."
    )
    return 0 if top < MEMORY_LIMIT else 1


def machine() -> str:
    """What ran it: processor, versions, date."""
    from importlib.metadata import version

    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.partition(":")[2].strip()
            for line in info.read_text().splitlines()
            if "model name" in line
        ]
        model = f"{len(names)} x {names[0]}" if names else model
    return f"{model}; Python {platform.python_version()}, torch {version('torch')}, numpy {version('numpy')}"


if __name__ == "__main__":
    sys.exit(main())

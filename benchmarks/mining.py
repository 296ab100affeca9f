"""Exact search and bitext mining beside faiss's `IndexFlatIP`, on the same vectors, in turn.

    pip install --target /tmp/faiss --no-deps faiss-cpu
    python benchmarks/mining.py             # 50,000 x 50,000 x 384
    python benchmarks/mining.py --million   # 1,003,893 candidates x 1,024, as many as Mewsli-X has

Every measurement is a process of its own, so that its peak memory is its own and no library's
threads wait in the other's way. The clock runs from vectors in memory to results in memory, after
a small warm-up. CPU seconds count all threads, and say more on a machine that others use too. The
exit code is 1 if results differ, or if --million needs over 8 GB.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from measuring import (
    argument_parser,
    format_ratio,
    machine,
    measure_apart,
    peak_memory,
    ratio,
    table,
    table_lines,
    write_results,
)
from mining_libraries import faiss_functions, jiantx_functions

NEIGHBOURS = 4  # as many as count in the margin of BUCC's mining
TOP = 20  # neighbours of a query among a million candidates
QUERIES = 1000
MEWSLIX = 1_003_893
MEMORY_BAR = 8.0  # GB, for the search among Mewsli-X's candidates
TIE = 1e-6
TITLES = {"search": f"k = {NEIGHBOURS} search", "mine": "mining, both ways and margin"}
HEADER = [
    "what",
    "jiantx, s",
    "faiss, s",
    "jiantx / faiss (range)",
    "the same of CPU seconds",
    "peak memory, GB",
]
MILLION_HEADER = [
    "candidates",
    "queries",
    "top",
    "seconds (range)",
    "making the vectors, s",
    "vectors, GB",
    "peak memory, GB",
]
Figures = dict[str, Any]


def main() -> int:
    """Compare with faiss, or search among a million; with --worker, measure once."""
    options = parse()
    if options.worker:
        library, work, file = options.worker
        print(json.dumps(measure(options, library, work, file)))
        return 0
    print(f"{machine()}; {options.threads} threads\n")
    return million(options) if options.million else compare(options)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argument_parser(__doc__)
    parser.add_argument("--rows", type=int, help="of each side; with --million, of the candidates")
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
        "--worker", nargs=3, metavar=("LIBRARY", "WORK", "FILE"), help=argparse.SUPPRESS
    )
    options = parser.parse_args(arguments)
    options.rows = options.rows or (MEWSLIX if options.million else 50_000)
    options.dimensions = options.dimensions or (1024 if options.million else 384)
    return options


# --- One measurement --------------------------------------------------------------------------


def measure_in_process(options: argparse.Namespace, library: str, work: str, file: str) -> Figures:
    """Measure once in a process of its own, which writes its result to `file`."""
    arguments = ["--worker", library, work, file, "--rows", str(options.rows)]
    arguments += ["--dimensions", str(options.dimensions), "--threads", str(options.threads)]
    arguments += ["--faiss-dir", options.faiss_dir]
    threads = str(options.threads)
    return measure_apart(
        __file__,
        arguments,
        failure=(
            f"{library} failed. faiss: pip install --target {options.faiss_dir} --no-deps faiss-cpu"
        ),
        OMP_NUM_THREADS=threads,
        MKL_NUM_THREADS=threads,
        OPENBLAS_NUM_THREADS=threads,
    )


def measure(options: argparse.Namespace, library: str, work: str, file: str) -> Figures:
    """Search or mine with one library, and write the result; return seconds and memory in GB."""
    started = time.perf_counter()
    if work == "million":
        source, target = queries_and_candidates(options.rows, options.dimensions)
    else:
        source, target = translations(options.rows, options.dimensions)
    making = time.perf_counter() - started
    resident = peak_memory() / 1e9
    if library == "jiantx":
        search, mine = jiantx_functions()
    else:
        search, mine = faiss_functions(options.faiss_dir, options.threads)
    neighbours = TOP if work == "million" else NEIGHBOURS
    run = mine if work == "mine" else search
    run(source[:500], target[:500], neighbours)  # threads, kernels and lazy imports
    started = time.perf_counter()
    cpu_started = time.process_time()
    first, second = run(source, target, neighbours)
    seconds = time.perf_counter() - started
    cpu_seconds = time.process_time() - cpu_started
    np.savez(file, first=first, second=second)
    return {
        "seconds": seconds,
        "cpu": cpu_seconds,
        "made": making,
        "resident": resident,
        "peak": peak_memory() / 1e9,
    }


def translations(rows: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw vectors of length 1, and as many translations.

    A translation is the same vector with noise (cosine about 0.5); translations are shuffled.
    """
    rng = np.random.default_rng(0)
    source = normalized(rng.standard_normal((rows, dimensions), np.float32))
    noise = normalized(rng.standard_normal((rows, dimensions), np.float32))
    return source, normalized(source[rng.permutation(rows)] + 1.7 * noise)


def queries_and_candidates(rows: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw 1,000 queries and the candidates.

    Candidates are made block by block, so that making them needs no more memory than they do.
    """
    rng = np.random.default_rng(0)
    candidates = np.empty((rows, dimensions), np.float32)
    for start in range(0, rows, 10_000):
        block = candidates[start : start + 10_000]
        rng.standard_normal(out=block, dtype=np.float32)
        normalized(block)
    queries = normalized(rng.standard_normal((QUERIES, dimensions), np.float32))
    return queries, candidates


def normalized(vectors: np.ndarray) -> np.ndarray:
    """Give vectors the length 1, in place."""
    vectors /= np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    return vectors


# --- The comparison with faiss ----------------------------------------------------------------


def compare(options: argparse.Namespace) -> int:
    """Measure search and mining by both libraries, and compare the results."""
    size = f"{options.rows:,} x {options.rows:,} x {options.dimensions}"
    print(table(HEADER, []))
    notes = []
    records = []
    all_equal = True
    with tempfile.TemporaryDirectory() as folder:
        files = {library: f"{folder}/{library}.npz" for library in ("jiantx", "faiss")}
        for work, title in TITLES.items():
            runs: dict[str, list[Figures]] = {"jiantx": [], "faiss": []}
            for _ in range(options.repeat):
                for library, library_runs in runs.items():
                    figures = measure_in_process(options, library, work, files[library])
                    library_runs.append(figures)
            records.append({"what": work, "runs": runs})
            print(table_line(f"{title}, {size}, {options.repeat} times", runs), flush=True)
            with np.load(files["jiantx"]) as our_result, np.load(files["faiss"]) as faiss_result:
                note, equal = SAME[work](our_result, faiss_result, options)
            notes.append(note)
            all_equal &= equal
    print("\n" + "\n".join(notes))
    print(f"\nWritten: {write_results('mining', options, records)}")
    return 0 if all_equal else 1


def table_line(title: str, runs: Mapping[str, Sequence[Figures]]) -> str:
    """Write medians of seconds, ratios by turn, and the most memory."""

    def values(library: str, figure: str) -> list[float]:
        return [run[figure] for run in runs[library]]

    ratios = []
    for figure in ("seconds", "cpu"):
        ratios.append(format_ratio(ratio(values("jiantx", figure), values("faiss", figure))))
    seconds = [f"{statistics.median(values(library, 'seconds')):.1f}" for library in runs]
    memory = [f"{max(values(library, 'peak')):.2f}" for library in runs]
    return table_lines([(title, *seconds, *ratios, " and ".join(memory))])


def same_neighbours(
    our_result: Any, faiss_result: Any, options: argparse.Namespace
) -> tuple[str, bool]:
    """Check that neighbours that differ are ties, by their products in float64."""
    differ = our_result["second"] != faiss_result["second"]
    source, target = translations(options.rows, options.dimensions)
    rows, columns = differ.nonzero()
    gap = 0.0
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        neighbours = [our_result["second"][row, column], faiss_result["second"][row, column]]
        products = target[neighbours].astype(np.float64) @ source[row].astype(np.float64)
        gap = max(gap, abs(products[0] - products[1]))
    product_gap = float(np.abs(our_result["first"] - faiss_result["first"]).max())
    note = (
        f"Neighbours: {100 * (1 - differ.mean()):.4f} % are equal, place by place. {len(rows)} of "
        f"{differ.size:,} differ; their products differ by {gap:.1e} at most (ties to {TIE:g}). "
        f"The products that both libraries give differ by {product_gap:.1e} at most."
    )
    return note, gap <= TIE


def same_pairs(our_result: Any, faiss_result: Any, options: argparse.Namespace) -> tuple[str, bool]:
    """Check that almost all mined pairs are equal.

    Margins in float32 and in float64 may rank close pairs differently.
    """
    our_pairs = set(map(tuple, our_result["first"].tolist()))
    their_pairs = set(map(tuple, faiss_result["first"].tolist()))
    share = len(our_pairs & their_pairs) / max(1, len(our_pairs | their_pairs))
    count = min(len(our_result["second"]), len(faiss_result["second"]))
    gap = float(np.abs(our_result["second"][:count] - faiss_result["second"][:count]).max())
    note = (
        f"Mined pairs: {len(our_pairs):,} and {len(their_pairs):,}; {100 * share:.4f} % of all are "
        f"in both. The scores, in order, differ by {gap:.1e} at most."
    )
    return note, share > 0.999


SAME = {"search": same_neighbours, "mine": same_pairs}


# --- A million candidates ---------------------------------------------------------------------


def million(options: argparse.Namespace) -> int:
    """Search among a million candidates with jiantx alone."""
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.repeat):
            runs.append(measure_in_process(options, "jiantx", "million", f"{folder}/jiantx.npz"))
    seconds = [run["seconds"] for run in runs]
    peak = max(run["peak"] for run in runs)
    size = f"{options.rows:,} x {options.dimensions}"
    median = statistics.median(seconds)
    time_text = f"{median:.1f} ({min(seconds):.1f} to {max(seconds):.1f})"
    making = f"{statistics.median(run['made'] for run in runs):.1f}"
    vectors = f"{options.rows * options.dimensions * 4 / 1e9:.2f}"
    line = (size, f"{QUERIES:,}", TOP, time_text, making, vectors, f"{peak:.2f}")
    print(table(MILLION_HEADER, [line]))
    verdict = "stays under" if peak < MEMORY_BAR else "GOES OVER"
    print(
        "\nThe seconds are of `jiantx.nearest_neighbors.nearest` alone; making the vectors is not "
        "in them, but it is in the peak memory (of the whole process, Python and torch included), "
        f"which {verdict} {MEMORY_BAR:g} GB."
    )
    print(f"\nWritten: {write_results('mining-million', options, runs)}")
    return 0 if peak < MEMORY_BAR else 1


if __name__ == "__main__":
    sys.exit(main())

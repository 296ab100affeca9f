"""Every target for long: `python tests/fuzz/soak.py --runs 100000`, so many inputs of hypothesis
and of atheris each.

Prints a table, and ends with 1 where a target failed. What failed is kept in `--folder`, to be
replayed by `--replay name file`, and to be moved into `corpus/` once it is mended. Without atheris,
hypothesis alone."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import pkgutil
import re
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
LONGEST = 300  # bytes


def by_hypothesis(name: str, runs: int, seed: int) -> str:
    """inputs, seconds, failure of one target."""
    from fuzz import inputs, targets

    start = time.perf_counter()
    try:
        had, failure = inputs.run(targets.TARGETS[name], runs, seed), ""
    except BaseException as error:  # a target may fail in any way
        had, failure = 0, f"{type(error).__name__}: {error}"
        print("\n".join(getattr(error, "__notes__", [])), file=sys.stderr)
    return f"{had:,} | {time.perf_counter() - start:.0f} | {failure}"


def by_atheris(name: str, runs: int, seed: int, folder: Path) -> str:
    """inputs, seconds, failure of one target; in a process of its own, since libFuzzer ends it."""
    import atheris
    from fuzz import inputs, targets

    (folder / name).mkdir(parents=True, exist_ok=True)
    flags = [f"-runs={runs}", f"-seed={seed + 1}", f"-max_len={LONGEST}", "-rss_limit_mb=16000"]
    flags += [f"-artifact_prefix={folder}/{name}-", str(folder / name)]
    corpus, log, start = inputs.CORPUS / name, folder / f"{name}.log", time.perf_counter()
    child = os.fork()
    if not child:
        with open(log, "wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            atheris.Setup([name, *flags, *[str(corpus)] * corpus.is_dir()], targets.TARGETS[name])
            atheris.Fuzz()
    _, status = os.waitpid(child, 0)
    log_text = log.read_text(errors="replace")
    done = re.search(r"Done (\d+) runs", log_text)
    failure = ""
    if status or not done:
        print(log_text[-3000:], file=sys.stderr)
        failure = next(
            (line for line in reversed(log_text.splitlines()) if "Error" in line),
            f"status {status}",
        )
    elif "cov: " not in log_text:
        failure = "atheris saw no branch of it"
    return f"{int(done[1]) if done else 0:,} | {time.perf_counter() - start:.0f} | {failure}"


def instrument() -> bool:
    """Import jiantx so that atheris sees its branches; whether there is an atheris."""
    if importlib.util.find_spec("atheris") is None:
        return False
    import atheris
    import conftest  # noqa: F401  # brings torch and transformers, which are left as they are

    for module in [m for m in sys.modules if m.partition(".")[0] in ("jiantx", "conftest")]:
        del sys.modules[module]
    with atheris.instrument_imports(include=["jiantx"]):
        import jiantx

        # all: one that comes later has no branches
        for module_info in pkgutil.walk_packages(jiantx.__path__, "jiantx."):
            importlib.import_module(module_info.name)
    return True


def main() -> int:
    warnings.simplefilter("ignore")
    logging.disable()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=100_000, help="inputs of each kind for each target"
    )
    parser.add_argument("--only", nargs="*", help="names of targets")
    engines = ["hypothesis", "atheris"]
    parser.add_argument("--engines", nargs="+", choices=engines, default=engines)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/fuzz"), help="where failing inputs are kept"
    )
    parser.add_argument(
        "--replay", nargs=2, metavar=("NAME", "FILE"), help="run one target on one file"
    )
    args = parser.parse_args()
    atheris = not args.replay and "atheris" in args.engines and instrument()
    from fuzz import targets

    if args.replay:
        targets.TARGETS[args.replay[0]](Path(args.replay[1]).read_bytes())
        return 0
    print(
        "| target | hypothesis: inputs | seconds | failure | atheris: inputs | seconds | failure |"
    )
    print("| --- | ---: | ---: | --- | ---: | ---: | --- |", flush=True)
    failed = 0
    for name in args.only or targets.TARGETS:
        cells = [
            by_hypothesis(name, args.runs, args.seed)
            if "hypothesis" in args.engines
            else "– | – | "
        ]
        cells.append(by_atheris(name, args.runs, args.seed, args.folder) if atheris else "– | – | ")
        failed += not all(cell.endswith("| ") for cell in cells)
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print(f"\n{failed} targets failed." if failed else "\nNo target failed.")
    targets.remove_folder()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

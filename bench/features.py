"""Features beside the usual ways of making them: rows to a cached data set, cold and warm, and the memory it takes.

    python bench/features.py                   # SQuAD windows, NLI and tagging: jiantx and its peers take turns
    python bench/features.py --million         # NLI of 10,000 to 1,000,000 rows: seconds and memory, cold and warm

The peers are restated here: the batched functions of transformers' examples (run_qa, run_glue, run_ner) through
`Dataset.map(batched=True)`, which caches too; and a featuriser that takes one example after the other, and its words
one by one, as run_squad did. That one need not write its features, and so is timed at its best.

Rows are the slices of ../shared/hub (or --data-root), made up by `jiantx.synthetic` where there are none. Each
measurement of memory is a process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import timing

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
SIZES = (10_000, 100_000, 1_000_000)
Columns = dict[str, list[Any]]


def main() -> int:
    options = parse()
    if options.worker:
        print(json.dumps(work(*options.worker, options.tokenizer)))
        return 0
    return million(options) if options.million else compare(options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2500, help="of each task")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="of the tokenizer")
    parser.add_argument("--tokenizer", default=str(SHARED / "models" / "tiny-xlm"))
    parser.add_argument("--data-root", type=Path, default=SHARED / "hub")
    parser.add_argument("--million", action="store_true", help="time and memory as the data grow")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="rows, with --million")
    parser.add_argument("--worker", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    return parser.parse_args()


# --- the peers: examples and tokenizer to columns --------------------------------------------------------------------


def batched_squad(
    rows: Mapping[str, Any], tokenizer: Any, max_length: int = 384, overlap: int = 128
) -> dict[str, list[Any]]:
    """run_qa's `prepare_train_features`: `overlap` tokens are in two windows; padding is left to the batches."""
    found = tokenizer(
        rows["question"],
        rows["context"],
        truncation="only_second",
        max_length=max_length,
        stride=overlap,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding=False,
    )
    owners, offsets_of = found.pop("overflow_to_sample_mapping"), found.pop("offset_mapping")
    found["start_positions"], found["end_positions"] = [], []
    for window, offsets in enumerate(offsets_of):
        ids, sides = found["input_ids"][window], found.sequence_ids(window)
        null = ids.index(tokenizer.cls_token_id)
        answers = rows["answers"][owners[window]]
        begin = end = null
        if answers["answer_start"]:
            start = answers["answer_start"][0]
            stop = start + len(answers["text"][0])
            first, last = 0, len(ids) - 1
            while sides[first] != 1:
                first += 1
            while sides[last] != 1:
                last -= 1
            if offsets[first][0] <= start and offsets[last][1] >= stop:
                # `sides`: theirs runs on to the last special token where the answer begins in the last of the window
                while sides[first] == 1 and offsets[first][0] <= start:
                    first += 1
                while offsets[last][1] >= stop:
                    last -= 1
                begin, end = first - 1, last + 1
        found["start_positions"].append(begin)
        found["end_positions"].append(end)
    return dict(found)


def looped_squad(
    rows: Mapping[str, Any], tokenizer: Any, max_length: int = 384, step: int = 128
) -> Columns:
    """run_squad: words between white space, their pieces one word at a time, and the answer found among the pieces."""
    found: Columns = {"input_ids": [], "start_positions": [], "end_positions": []}
    for question, context, answers in zip(
        rows["question"], rows["context"], rows["answers"], strict=True
    ):
        words, word_of = [], []  # type: list[str], list[int]
        apart = True
        for character in context:
            if character.isspace() or ord(character) == 0x202F:
                apart = True
            elif apart:
                words.append(character)
                apart = False
            else:
                words[-1] += character
            word_of.append(len(words) - 1)
        tokens, first_of, owner = [], [], []  # type: list[str], list[int], list[int]
        for number, word in enumerate(words):
            first_of.append(len(tokens))
            for piece in tokenizer.tokenize(word):
                owner.append(number)
                tokens.append(piece)
        begin = end = -1
        if answers["answer_start"]:
            start = answers["answer_start"][0]
            text = answers["text"][0]
            begin = first_of[word_of[start]]
            last = word_of[min(start + len(text) - 1, len(word_of) - 1)]
            end = first_of[last + 1] - 1 if last + 1 < len(words) else len(tokens) - 1
            begin, end = closer(tokens, begin, end, tokenizer, text)
        asked = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(question)[:64])
        room = max_length - len(asked) - tokenizer.num_special_tokens_to_add(pair=True)
        start = 0
        while True:
            length = min(len(tokens) - start, room)
            own = tokenizer.convert_tokens_to_ids(tokens[start : start + length])
            ids = framed(tokenizer, asked, own)
            head = len(ids) - len(own) - 1
            inside = begin >= start and end < start + length
            found["input_ids"].append(ids)
            found["start_positions"].append(begin - start + head if inside else 0)
            found["end_positions"].append(end - start + head if inside else 0)
            if start + length == len(tokens):
                break
            start += min(length, step)
    return found


def framed(tokenizer: Any, *texts: list[int]) -> list[int]:
    """[CLS] text [SEP], or a pair, which has one separator between (BERT) or two (RoBERTa)."""
    cls, sep = [tokenizer.cls_token_id], [tokenizer.sep_token_id]
    between = sep * (tokenizer.num_special_tokens_to_add(pair=True) - 2)
    return cls + texts[0] + sep if len(texts) == 1 else cls + texts[0] + between + texts[1] + sep


def closer(
    tokens: Sequence[str], begin: int, end: int, tokenizer: Any, text: str
) -> tuple[int, int]:
    """`_improve_answer_span`: the pieces within a word that spell the answer."""
    wanted = " ".join(tokenizer.tokenize(text))
    for first in range(begin, end + 1):
        for last in range(end, first - 1, -1):
            if " ".join(tokens[first : last + 1]) == wanted:
                return first, last
    return begin, end


def batched_nli(rows: Mapping[str, Any], tokenizer: Any, max_length: int = 256) -> Columns:
    """run_glue's, without padding."""
    found = tokenizer(rows["premise"], rows["hypothesis"], truncation=True, max_length=max_length)
    return {**found, "labels": rows["label"]}


def looped_nli(rows: Mapping[str, Any], tokenizer: Any, max_length: int = 256) -> Columns:
    """One pair at a time, its label looked up by name."""
    ids = [
        tokenizer(premise, hypothesis, truncation="longest_first", max_length=max_length)[
            "input_ids"
        ]
        for premise, hypothesis in zip(rows["premise"], rows["hypothesis"], strict=True)
    ]
    return {"input_ids": ids, "labels": list(rows["label"])}


def batched_tags(rows: Mapping[str, Any], tokenizer: Any, max_length: int = 256) -> Columns:
    """run_ner's `tokenize_and_align_labels`."""
    found = tokenizer(
        rows["tokens"], truncation=True, max_length=max_length, is_split_into_words=True
    )
    found["labels"] = []
    for number, tags in enumerate(rows["ner_tags"]):
        previous, labels = None, []
        for word in found.word_ids(batch_index=number):
            labels.append(-100 if word is None or word == previous else tags[word])
            previous = word
        found["labels"].append(labels)
    return dict(found)


def looped_tags(rows: Mapping[str, Any], tokenizer: Any, max_length: int = 256) -> Columns:
    """Words one by one, their tag at the first piece (run_ner before 2020, and jiant)."""
    found: Columns = {"input_ids": [], "labels": []}
    for words, tags in zip(rows["tokens"], rows["ner_tags"], strict=True):
        ids, labels = [], []  # type: list[int], list[int]
        for word, tag in zip(words, tags, strict=True):
            pieces = tokenizer.tokenize(word) or [tokenizer.unk_token]
            ids += tokenizer.convert_tokens_to_ids(pieces)
            labels += [tag] + [-100] * (len(pieces) - 1)
        room = max_length - tokenizer.num_special_tokens_to_add()
        found["input_ids"].append(framed(tokenizer, ids[:room]))
        found["labels"].append([-100, *labels[:room], -100])
    return found


PEERS = {
    "squad_v1": (batched_squad, looped_squad),
    "mnli": (batched_nli, looped_nli),
    "panx": (batched_tags, looped_tags),
}


# --- the comparison --------------------------------------------------------------------------------------------------


def compare(options: argparse.Namespace) -> int:
    os.environ["RAYON_NUM_THREADS"], os.environ["TQDM_DISABLE"] = str(options.threads), "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if options.threads > 1 else "false"
    import datasets
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # of passages longer than the model's positions
    datasets.disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        said = data(options.data_root, folder)
        records = [
            r for name in PEERS for r in speeds(name, options, tokenizer, f"{folder}/{name}")
        ]
    print(f"{timing.machine()}; {options.threads} threads of the tokenizer. {said}\n")
    lines = []
    for record in records:
        ours, *peers = record["seconds"]
        first = record["seconds"][ours]
        for peer in peers:
            theirs = record["seconds"][peer]
            times = timing.said(timing.ratio(theirs, first))
            size = f"{record['task']}, {record['rows']:,} rows, {record['what']}"
            windows = f"{record['features'][ours]:,} and {record['features'][peer]:,}"
            lines.append([size, peer, seconds(first), seconds(theirs), times, windows])
    head = ["what", "peer", "jiantx, s", "peer, s", "times as fast (range)", "features"]
    print(timing.table(head, lines))
    timing.write("features", {k: str(v) for k, v in vars(options).items()}, records)
    return 0


def seconds(figures: Sequence[float]) -> str:
    return f"{statistics.median(figures):.3f}"


def data(root: Path, folder: str) -> str:
    """Set the data root: real slices, or what `jiantx.synthetic` makes up; and say which."""
    import jiantx as jx
    from jiantx import synthetic

    real = root.is_dir()
    jx.data_root(
        root if real else synthetic.write_root(Path(folder) / "made-up", train_examples=2500)
    )
    return (
        "Rows: real, of ../shared/hub."
        if root == SHARED / "hub" and real
        else f"Rows: of {jx.data_root()}."
    )


def speeds(
    name: str, options: argparse.Namespace, tokenizer: Any, folder: str
) -> Iterator[dict[str, Any]]:
    import jiantx as jx
    from jiantx.features import load_features

    count = options.rows
    Path(folder).mkdir()
    raw = rows_of(name, count)
    batched, loop = PEERS[name]
    number, last, made = itertools.count(), {}, {}  # type: Iterator[int], dict[str, str], dict[str, int]

    def ours(fresh: bool, rows: int) -> int:
        some = raw.select(range(rows)) if rows < count else raw
        task = jx.get_task(name).replace(source=jx.Rows({"train": {"en": some}}))
        if fresh:
            os.environ["JIANTX_CACHE"] = f"{folder}/cache-{next(number)}"
        return len(load_features(task, "train", "en", tokenizer).table)

    def mapped(fresh: bool, rows: int) -> int:
        some = raw.select(range(rows)) if rows < count else raw
        if fresh:
            last["file"] = f"{folder}/map-{next(number)}.arrow"
        function = partial(batched, tokenizer=tokenizer)
        columns = some.column_names
        return len(
            some.map(function, batched=True, remove_columns=columns, cache_file_name=last["file"])
        )

    def looped(rows: int) -> int:
        return len(loop(raw[:rows], tokenizer)["input_ids"])

    def timed(key: str, run: Callable[[int], int]) -> Callable[[int], float]:
        def clock(rows: int) -> float:
            started = time.perf_counter()
            made[key] = run(rows)
            return time.perf_counter() - started

        return clock

    for what, fresh in (("cold", True), ("warm", False)):
        runs: dict[str, Callable[[int], int]] = {
            "jiantx": partial(ours, fresh),
            "batched map": partial(mapped, fresh),
        }
        if fresh:
            runs["one by one"] = looped
        else:  # what the last cold run left
            for run in runs.values():
                run(count)
        turns = {key: timed(key, run) for key, run in runs.items()}
        found = timing.take_turns(
            turns, count, repeat=options.repeat, warm_up=count if not fresh else 200
        )
        yield {"task": name, "rows": count, "what": what, "seconds": found, "features": dict(made)}


def rows_of(name: str, count: int) -> Any:
    """Training rows as stored, repeated if need be."""
    import datasets

    import jiantx as jx

    task = jx.get_task(name)
    source = getattr(task.source, "sources", (task.source,))[0]
    rows = source.rows("train", "en")
    return (
        datasets.concatenate_datasets([rows] * -(-count // len(rows)))
        .select(range(count))
        .flatten_indices()
    )


# --- as the data grow ------------------------------------------------------------------------------------------------


def million(options: argparse.Namespace) -> int:
    records, lines = [], []
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_nli(Path(folder) / "root", size, options.data_root)
            for what in ("cold", *["warm"] * options.repeat):
                records.append({"rows": size, "what": what, **measured(options, what, folder)})
        for what in ("cold", "warm"):
            runs = [run for run in records if (run["rows"], run["what"]) == (size, what)]
            middle = {
                k: statistics.median(run[k] for run in runs)
                for k in runs[0]
                if k not in ("rows", "what")
            }
            spread = (
                f" ({min(r['seconds'] for r in runs):.2f} to {max(r['seconds'] for r in runs):.2f})"
            )
            took = f"{middle['seconds']:.2f}{spread if len(runs) > 1 else ''}"
            memory = [f"{middle[k]:,.0f}" for k in ("private", "private_after", "peak", "file")]
            lines.append([f"{size:,}", what, took, f"{size / middle['seconds']:,.0f}", *memory])
    head = [
        "NLI rows",
        "cache",
        "seconds (range)",
        "rows/s",
        "most private memory, MB more than before",
    ]
    head += ["of that still held after, MB", "most of all memory, MB", "features' file, MB"]
    print(
        f"{timing.machine()}; {options.threads} threads of the tokenizer\n\n{timing.table(head, lines)}"
    )
    timing.write("features-million", {k: str(v) for k, v in vars(options).items()}, records)
    return int(any(run["what"] == "warm" and run["seconds"] > 2 for run in records))


def write_nli(root: Path, count: int, data_root: Path) -> None:
    """MNLI's repository with `count` training rows: those of the slice, a running number before each premise."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    import jiantx as jx

    data(data_root, str(root.parent))
    rows = jx.get_task("mnli").source.sources[0].rows("train", "en")  # type: ignore[attr-defined]
    table, folder = rows.with_format("arrow")[:].combine_chunks(), root / "nyu-mll" / "glue"
    (folder / "mnli").mkdir(parents=True)
    with pq.ParquetWriter(folder / "mnli" / "train-00000-of-00001.parquet", table.schema) as writer:
        for start in range(0, count, len(table)):
            part = table.slice(0, count - start)
            numbers = pa.array(f"{start + i} " for i in range(len(part)))
            premises = pc.binary_join_element_wise(numbers, part["premise"].combine_chunks(), "")
            writer.write_table(
                part.set_column(part.column_names.index("premise"), "premise", premises).cast(
                    table.schema
                )
            )
    config = {"config_name": "mnli", "data_files": [{"split": "train", "path": "mnli/train-*"}]}
    (folder / "README.md").write_text(
        f"---\nconfigs:\n- {json.dumps(config)}\n---\n", encoding="utf-8"
    )


def measured(options: argparse.Namespace, what: str, folder: str) -> dict[str, float]:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    more = {
        "PYTHONPATH": path,
        "JIANTX_CACHE": f"{folder}/cache",
        "HF_HUB_OFFLINE": "1",
        "TQDM_DISABLE": "1",
    }
    more |= {"RAYON_NUM_THREADS": str(options.threads), "TOKENIZERS_PARALLELISM": "true"}
    command = [sys.executable, __file__, "--worker", what, folder, "--tokenizer", options.tokenizer]
    done = subprocess.run(
        command, env={**os.environ, **more}, stdout=subprocess.PIPE, text=True, check=True
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def work(what: str, folder: str, tokenizer_path: str) -> dict[str, float]:
    """One process: open the rows, load the features, and what memory that took."""
    import datasets
    from transformers import AutoTokenizer

    import jiantx as jx
    from jiantx.features import load_features

    datasets.disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_path)
    jx.data_root(f"{folder}/root")
    task = jx.get_task("mnli")
    before = memory()
    with Watch() as watch:
        started = time.perf_counter()
        found = load_features(task, "train", "en", tokenizer)  # opens the rows first
        seconds = time.perf_counter() - started
    private, after = watch.private - before[1], memory()[1] - before[1]
    file = Path(found.table.cache_files[0]["filename"]).stat().st_size / 1e6
    return {
        "seconds": seconds,
        "private": private,
        "private_after": after,
        "peak": watch.total,
        "file": file,
    }


def memory() -> tuple[float, float]:
    """What this process holds in memory, in MB: all, and without the pages of files, which the system can take back."""
    with open("/proc/self/status", encoding="ascii") as file:
        found = dict(line.split(":", 1) for line in file)
    return tuple(int(found[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "RssAnon"))  # type: ignore[return-value]


class Watch:
    """The most memory that the process held while it ran, looked up every 20 ms."""

    total = private = 0.0

    def __enter__(self) -> Watch:
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.done.wait(0.02):
            self._look()

    def _look(self) -> None:
        total, private = memory()
        self.total, self.private = max(self.total, total), max(self.private, private)

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()
        self._look()


if __name__ == "__main__":
    sys.exit(main())

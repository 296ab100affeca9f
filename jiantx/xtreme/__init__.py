"""Files for the XTREME leaderboards, and their scorer: Google's `evaluate.py`, number for number."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from jiantx import metrics
from jiantx.cache import write_text
from jiantx.metrics import Answer, Answers, Metric, metric_name
from jiantx.report import Benchmark
from jiantx.sources import DataError, read_json, read_jsonl, read_lines, read_squad, read_text
from jiantx.task import Task
from jiantx.tasks import get_task
from jiantx.tasks.benchmarks import XTREME, XTREME_R

if TYPE_CHECKING:
    from jiantx.evaluation import SplitPredictions
    from jiantx.model import MultitaskModel

Version = Literal["xtreme", "xtreme-r"]
_BENCHMARKS: dict[str, Benchmark] = {"xtreme": XTREME, "xtreme-r": XTREME_R}
_UNSCORED = ("lareqa",)  # the official program has no reader for it
# Rows of the official test sets, by language where they differ (shared/facts.md 2a and 4; of UDPOS and BUCC, unknown).
_ROWS: dict[str, Mapping[str, int]] = {
    "xnli": dict.fromkeys(XTREME.languages["xnli"], 5010),
    "pawsx": dict.fromkeys(XTREME.languages["pawsx"], 2000),
    "panx": {
        **dict.fromkeys(XTREME_R.languages["panx"], 10000),
        **dict.fromkeys("af az bn hi kk ml mr ms sw ta te tl ur".split(), 1000),
        **dict.fromkeys("gu jv my pa qu yo".split(), 100),
    },
    "xquad": dict.fromkeys(XTREME_R.languages["xquad"], 1190),
    "mlqa": {"ar": 5335, "de": 4517, "en": 11590, "es": 5253, "hi": 4918, "vi": 5495, "zh": 5137},
    "tydiqa": {
        **{
            "ar": 921,
            "bn": 113,
            "en": 440,
            "fi": 782,
            "id": 565,
            "ko": 276,
            "ru": 812,
            "sw": 499,
            "te": 669,
        },
    },
    "tatoeba": {
        **dict.fromkeys(XTREME_R.languages["tatoeba"], 1000),
        **{"jv": 205, "ka": 746, "kk": 575, "ml": 687, "sw": 390, "ta": 307, "te": 234, "th": 548},
    },
    "xcopa": dict.fromkeys(XTREME_R.languages["xcopa"], 500),
    "mewslix": {
        **{
            "ar": 1501,
            "de": 1551,
            "en": 1490,
            "es": 1552,
            "fa": 458,
            "ja": 1519,
            "pl": 1562,
            "ro": 672,
            "ta": 1567,
        },
        **{"tr": 1215, "uk": 1537},
    },
}


def _benchmark(version: str) -> Benchmark:
    if version not in _BENCHMARKS:
        raise ValueError(f"There is no version {version!r}. There are: {', '.join(_BENCHMARKS)}.")
    return _BENCHMARKS[version]


# --- files -----------------------------------------------------------------------------------------------------------
# A file of predictions or labels is read as a list, one entry an item, or as a dictionary by id.


def _form(task: Task) -> str:
    """How a task's predictions are written."""
    if task.task_type != "retrieval":
        return task.task_type
    return "pairs" if task.threshold_split else "rankings" if task.corpus_task else "retrieval"


_SUFFIX = {"question_answering": "json", "rankings": "json", "multiple_choice": "jsonl"}


def _path(folder: str | Path, task: Task, language: str) -> Path:
    return Path(folder) / task.name / f"test-{language}.{_SUFFIX.get(_form(task), 'tsv')}"


def write_xtreme_predictions(
    model: MultitaskModel,
    tasks: Sequence[Task],
    folder: str | Path,
    version: Version = "xtreme",
    *,
    languages: Sequence[str] | None = None,
    batch_size: int = 32,
    check_counts: bool = True,
) -> list[Path]:
    """Predict test splits of XTREME or XTREME-R (version="xtreme-r"), and write `<folder>/<task>/test-<language>.tsv`.

    Call it once for each fine-tuned model, with one folder. All languages of the benchmark must be there unless
    `languages` chooses; check_counts=False allows splits of other sizes than the official ones. BUCC's threshold comes
    from its validation split. Errors: DataError, before anything is predicted.

    >>> write_xtreme_predictions(model, [get_task("xnli")], "submission")  # doctest: +SKIP
    """
    from jiantx.evaluation import predict_splits

    benchmark, chosen = _benchmark(version), {}
    wanted = [languages] if isinstance(languages, str) else languages
    for task in tasks:
        if task.name not in benchmark:
            raise DataError(
                f"Task {task.name} does not belong to {version}. Its tasks: {', '.join(benchmark)}."
            )
        chosen[task.name] = list(wanted or benchmark.languages[task.name])
        for code in chosen[task.name]:
            found, official = len(task.rows("test", code)), _ROWS.get(task.name, {}).get(code)
            if check_counts and official not in (None, found):
                raise DataError(
                    f"{_path(folder, task, code)}: the test split has {found:,} rows, the official one {official:,}. "
                    "Give check_counts=False to predict a part of it."
                )
    written = []
    for task in tasks:
        for part in predict_splits(
            model, task, "test", chosen[task.name], batch_size=batch_size, labelled=False
        ):
            path = _path(folder, task, part.features.language)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, "".join(_WRITE[_form(task)](part)))
            written.append(path)
    return written


def _sorted_by_query(part: SplitPredictions) -> Iterator[str]:
    """Tatoeba's English queries are asked in alphabetical order; the answer is a line number, from 0."""
    examples = part.features.examples()
    number = {example.id: place for place, example in enumerate(examples)}
    for place in sorted(range(len(examples)), key=lambda place: examples[place].query):
        yield f"{number[part.predictions[place].ranking[0]]}\n"


_WRITE: dict[str, Callable[[SplitPredictions], Iterator[str]]] = {
    "classification": lambda part: (f"{p.label}\n" for p in part.predictions),
    "multiple_choice": lambda part: (f'{{"label": {p.choice}}}\n' for p in part.predictions),
    "token_classification": lambda part: (
        "".join(f"{tag}\n" for tag in p.tags) + "\n" for p in part.predictions
    ),
    "question_answering": lambda part: iter([_json({p.id: p.answer for p in part.predictions})]),
    "rankings": lambda part: iter([_json({p.id: list(p.ranking) for p in part.predictions})]),
    "pairs": lambda part: (f"{p.id}\t{p.ranking[0]}\n" for p in part.predictions if p.ranking),
    "retrieval": _sorted_by_query,
}


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"


def _items(path: Path, form: str) -> list[Any] | dict[str, Any]:
    """What a file of predictions or labels holds; DataError where it cannot be read."""
    if not path.is_file():
        raise DataError(f"{path} is missing.")
    if form in ("question_answering", "rankings"):
        found, kind = read_json(path), str if form == "question_answering" else list
        if not isinstance(found, dict):
            raise DataError(f"{path}: expected a JSON object of ids, found {type(found).__name__}.")
        for id, value in found.items():
            if not isinstance(value, kind):
                raise DataError(
                    f"{path}: {id!r} has {value!r}; expected a {'text' if kind is str else 'list of ids'}."
                )
        return found
    if form == "multiple_choice":
        return [row.get("label") for row in read_jsonl(path)]
    if form == "token_classification":
        sentences = read_text(path).replace("\r", "").split("\n\n")
        return [sentence.split() for sentence in sentences if sentence.strip()]
    return [row["text"].strip() for row in read_lines(path)]


def _answers(path: Path, language: str) -> dict[str, Answers]:
    if not path.is_file():
        raise DataError(f"{path} is missing.")
    return {row["id"]: Answers(tuple(row["answers"]["text"]), language) for row in read_squad(path)}


# --- scores ----------------------------------------------------------------------------------------------------------


def score_xtreme(
    predictions_dir: str | Path,
    labels_dir: str | Path,
    version: Version = "xtreme",
    *,
    seqeval: Literal["0.0.12", "1.2.2"] = "0.0.12",
) -> dict[str, Any]:
    """Score a submission as XTREME's `evaluate.py` does, with its keys.

    `all_task` and a number for each group; for each task its metrics by language and their averages (`avg_<metric>`),
    and `avg_metric`, which enters the others. seqeval: whose rules score tags; from 1.0 on CCONJ and SCONJ are one.
    LAReQA is left out, as there. DataError for a file that is missing, too short or too long, by its name.
    """
    benchmark = _benchmark(version)
    found: dict[str, Any] = {}
    for name in (name for name in benchmark if name not in _UNSCORED):
        by_metric: dict[str, dict[str, float]] = {}
        for language in benchmark.languages[name]:
            for metric, value in _scores(
                get_task(name), predictions_dir, labels_dir, language, seqeval
            ).items():
                by_metric.setdefault(metric, {})[language] = value
        averages = {metric: fmean(values.values()) for metric, values in by_metric.items()}
        main = ("exact_match", "f1") if "exact_match" in averages else (next(iter(averages)),)
        found[name] = {
            **by_metric,
            **{f"avg_{metric}": value for metric, value in averages.items()},
            "avg_metric": fmean(averages[metric] for metric in main),
        }
    groups = {**benchmark.groups, **({"multi_choice": ("xcopa",)} if "xcopa" in benchmark else {})}
    means = {
        group: fmean(found[task]["avg_metric"] for task in tasks if task in found)
        for group, tasks in groups.items()
    }
    return {"all_task": fmean(scores["avg_metric"] for scores in found.values()), **means, **found}


def _scores(
    task: Task, predictions_dir: str | Path, labels_dir: str | Path, language: str, seqeval: str
) -> Any:
    """The official metrics of one task and language; the first is the one that is averaged."""
    form = _form(task)
    own, gold = (_path(folder, task, language) for folder in (predictions_dir, labels_dir))
    says: Any = _items(own, form)
    labels: Any = _answers(gold, language) if form == "question_answering" else _items(gold, form)
    if form == "pairs":
        pairs, right = (_pairs(path, lines) for path, lines in ((own, says), (gold, labels)))
        everyone = sorted({pair[0] for pair in pairs | right})
        says, labels = (_by_first(some, everyone) for some in (pairs, right))
    elif isinstance(labels, dict):
        if absent := [id for id in labels if id not in says]:
            raise DataError(
                f"{own} lacks {len(absent)} of {len(labels)} items, such as {absent[0]!r}."
            )
        says, labels = [says[id] for id in labels], list(labels.values())
    if len(says) != len(labels):
        raise DataError(f"{own} has {len(says)} items, {gold} has {len(labels)}. Expected as many.")
    if form == "question_answering":
        says = [Answer(text) for text in says]
    if form == "token_classification":
        for number, (one, other) in enumerate(zip(says, labels, strict=True)):
            if len(one) != len(other):
                raise DataError(
                    f"{own}: sentence {number} has {len(one)} tags, {gold} has {len(other)}."
                )
        scores = metrics.chunk_scores(says, labels, seqeval=seqeval)
        return {"f1": scores.f1, "precision": scores.precision, "recall": scores.recall}
    return {
        metric_name(metric): metric(says, labels) for metric in _METRICS.get(form, task.metrics)
    }


_METRICS: dict[str, tuple[Metric, ...]] = {
    "retrieval": (metrics.accuracy,),  # of line numbers
    "rankings": (metrics.mean_average_precision,),
}


def _pairs(path: Path, lines: Sequence[str]) -> set[tuple[str, ...]]:
    found = {tuple(line.split("\t")) for line in lines}
    if wrong := [pair for pair in found if len(pair) != 2]:
        raise DataError(f"{path}: expected two ids and a tab between them, found {wrong[0]}.")
    return found


def _by_first(pairs: set[tuple[str, ...]], firsts: Sequence[str]) -> list[tuple[str, ...]]:
    seconds: dict[str, list[str]] = {}
    for first, second in pairs:
        seconds.setdefault(first, []).append(second)
    return [tuple(seconds.get(first, ())) for first in firsts]

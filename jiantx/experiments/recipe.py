"""The recipe of Phang et al. 2020 (arXiv 2005.13013) as stages: encoder -> intermediate tasks -> target -> scores."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from accelerate import PartialState
from transformers import (
    AutoConfig,
    EarlyStoppingCallback,
    ProgressCallback,
    TrainingArguments,
    set_seed,
)

import jiantx
from jiantx.evaluation import evaluate
from jiantx.experiments.stages import Stage, Stages, fingerprint
from jiantx.features import CHANGE_COUNTS
from jiantx.fingerprints import fingerprint_text
from jiantx.metrics import metric_name
from jiantx.model import MultitaskModel
from jiantx.report import MAIN, Report, Score
from jiantx.sampling import Sampling, subset
from jiantx.sources import DataError, Rows, data_root
from jiantx.task import Task
from jiantx.tasks import get_task, training_tasks
from jiantx.tasks.benchmarks import XSTILTS_INTERMEDIATE
from jiantx.trainer import Trainer

BASELINE = "none"
_PAPER_ROWS = 500  # of English development, as in the paper's code
_PAPER_CAP = 2**17
_FORMAT = 2  # of what a stage leaves: a new number makes all stages run anew
QUIET = {"report_to": "none", "save_strategy": "no", "logging_strategy": "no"}
_ROW = re.compile(r"([a-z0-9_]+)(?:\[([\w\-, ]+)\])?")


def default_learning_rate(encoder: str | os.PathLike[str]) -> float:
    """1e-5 for XLM-R large (hidden size 1024), as in the paper's code; smaller encoders take larger steps, to 1e-3.

    The square of the widths' ratio, and its end, come from the artificial world alone: above 1e-3 encoders broke there.
    """
    return float(
        f"{min(1e-3, 1e-5 * (1024 / AutoConfig.from_pretrained(encoder).hidden_size) ** 2):.2g}"
    )


def parse_row(words: str) -> list[Task]:
    """The tasks of a row: `mnli+squad_v1` both, `all` the paper's nine, `mnli[en,de]` in these languages.

    ValueError for words that are no row, LookupError for a name that is no task.

    >>> [task.name for task in row_tasks("mnli[de]+mlm")]
    ['mnli', 'mlm']
    """
    found: dict[str, Task] = {}
    if words == BASELINE:
        return []
    for part in re.split(r"\+(?![^\[]*\])", words):
        match = _ROW.fullmatch(part)
        if match is None:
            raise ValueError(
                f"{words!r} is no row: write tasks joined by +, languages in brackets: mnli[en,de]+mlm."
            )
        name, languages = match.groups()
        for task in map(get_task, XSTILTS_INTERMEDIATE if name == "all" else [name]):
            # plain text needs no labels: without a word it is that of all languages that are there
            codes = (
                languages.split(",")
                if languages
                else task.languages("train")
                if task.gold == ""
                else ()
            )
            if codes:
                task = task.replace(train_languages=tuple(code.strip() for code in codes))
            if task.name in found:
                raise ValueError(f"The row {words!r} names {task.name} twice.")
            found[task.name] = task
    return list(found.values())


def joint_sampling(tasks: Sequence[Task], most: int | None = None) -> Sampling:
    """Tasks that train jointly are drawn by their rows, counted up to the paper's cap; one alone is read whole."""
    most_of = {task.name: most for task in tasks} if most else None
    return Sampling(cap=_PAPER_CAP if len(tasks) > 1 else None, max_examples=most_of)


@dataclass(frozen=True)
class Cell:
    """A place in the table: a row, a seed, and targets that are trained alike."""

    row: str
    seed: int
    names: tuple[str, ...]
    targets: tuple[Task, ...] = field(compare=False, repr=False)


@dataclass(frozen=True)
class _Group:
    """Targets that are trained alike: on what, how, which languages are scored, and what a stage depends on of it."""

    targets: tuple[Task, ...]
    course: list[tuple[Task, int | None]]
    arguments: list[dict[str, Any]]
    scored: dict[str, dict[str, list[str]]]  # target -> split -> languages
    facts: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What all rows of a table share: the encoder, how it is trained, what is scored, where results are kept.

    intermediate, target: `TrainingArguments` of the two kinds of training, by name; by_task: more of them for the
    training of a target, by the name of what is trained (`squad_v1`, for xquad); max_length: tokens, by that name.
    patience: evaluations without a gain that end a training early; eval_examples: development rows that these score,
    and that tell at the end whether a run failed (500). splits, languages: what is scored.
    train_languages, shots: after English, go on with so many rows of each of these languages (with shots None: train in
    them instead). adapt: what is trained of the encoder of a target: all, a "lora" of rank 8, or nothing ("frozen").

    A stage is known by this, its tasks' declarations, the encoder's files, the data root's path and the version, not by
    the rows: when they change, give another `output`.

    >>> Recipe(encoder="xlm-roberta-base", output="runs").run(["mnli"], ["xnli"]).mean()  # doctest: +SKIP
    """

    encoder: str | os.PathLike[str]
    output: str | os.PathLike[str]
    intermediate: Mapping[str, Any] = field(default_factory=dict)
    target: Mapping[str, Any] = field(default_factory=dict)
    by_task: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    max_length: Mapping[str, int] = field(default_factory=dict)
    patience: int | None = None
    eval_examples: int | None = None
    splits: tuple[str, ...] = ("validation",)
    languages: tuple[str, ...] | None = None
    max_train_examples: int | None = None
    train_languages: tuple[str, ...] = ()
    shots: int | None = None
    adapt: Literal["full", "lora", "frozen"] = "full"

    def run(self, rows: Sequence[str], targets: Sequence[str | Task], *, seeds: int = 1) -> Report:
        """Run what is not done of a table, and give its scores, tagged with `intermediate` (the row) and `seed`."""
        plan = self.plan(rows, targets, seeds=seeds)
        self.stages(plan).run()
        return self.report(plan)

    def plan(
        self, rows: Sequence[str], targets: Sequence[str | Task], *, seeds: int = 1
    ) -> dict[Cell, Stage]:
        """The stage of each place, those before it inside; targets that are trained alike share one."""
        alike: dict[tuple[Any, ...], list[Task]] = {}
        for target in targets:
            task = get_task(target) if isinstance(target, str) else target
            course = self.course(task)
            if course:
                task = task.replace(
                    max_length=self.max_length.get(course[-1][0].name, task.max_length)
                )
            alike.setdefault(tuple(_named(task for task, _ in course)) or (task.name,), []).append(
                task
            )
        groups, found = [self._group(tasks) for tasks in alike.values()], {}
        for seed, words in itertools.product(range(1, seeds + 1), dict.fromkeys([BASELINE, *rows])):
            after = () if words == BASELINE else (self._intermediate_stage(words, seed),)
            for group in groups:
                place = Cell(words, seed, tuple(group.scored), group.targets)
                found[place] = self._target_stage(words, seed, group, after)
        return found

    def stages(self, plan: Mapping[Cell, Stage]) -> Stages:
        """The stages of a plan in their order, each once."""
        return Stages(Path(self.output), plan.values())

    def report(self, plan: Mapping[Cell, Stage]) -> Report:
        """The scores of the places that are done, and how many training rows were changed.

        Tags: intermediate, seed, encoder, version; stage="intermediate" for the rows of the training before a target's.
        """
        stages, found = self.stages(plan), Report()
        own = {
            "encoder": self._fingerprint,
            "version": jiantx.__version__,
        }  # never averaged with another's
        for place, stage in plan.items():
            for part in filter(stages.done, (*stage.after, stage)):
                scores = Report.from_json(stages.folder_of(part) / "report.json")
                before = {} if part is stage else {"stage": "intermediate"}
                found += scores.with_tags(intermediate=place.row, seed=place.seed, **own, **before)
        return found

    def course(self, target: Task) -> list[tuple[Task, int | None]]:
        """What fine-tunes a target, in order, each with the most rows of a language that it takes (None: all)."""
        own = training_tasks(target)
        own = tuple(t.replace(max_length=self.max_length.get(t.name, t.max_length)) for t in own)
        shot = [(task.replace(train_languages=self.train_languages), self.shots) for task in own]
        if not self.train_languages:
            return [(task, None) for task in own]
        return shot if self.shots is None else [*((task, None) for task in own), *shot]

    # --- the stages ---

    def _intermediate_stage(self, words: str, seed: int) -> Stage:
        """Train the encoder on one task, or jointly on several; keep the encoder only."""
        tasks = parse_row(words)

        def run(folder: Path, before: Sequence[Path]) -> None:
            set_seed(seed)
            model = MultitaskModel.from_pretrained(self.encoder, tasks)
            changed = self._train(model, tasks, folder, self.intermediate, seed, None)
            if PartialState().is_main_process:
                model.save_encoder(folder / "encoder")
                changed.to_json(folder / "report.json")

        facts = self._facts(seed) | {"trained": _named(tasks), "arguments": dict(self.intermediate)}
        return Stage(f"{words}, seed {seed}", facts, run)

    def _group(self, targets: Sequence[Task]) -> _Group:
        course = self.course(targets[0])
        arguments = [{**self.target, **self.by_task.get(task.name, {})} for task, _ in course]
        scored = {
            task.name: {
                split: codes for split in self.splits if (codes := self.scored(task, split))
            }
            for task in targets
        }
        if bare := [name for name, splits in scored.items() if not splits]:
            raise DataError(
                f"Nothing to score of {', '.join(bare)}: no labelled rows of {' or '.join(self.splits)} here"
                + (f" in {', '.join(self.languages)}." if self.languages else ".")
            )
        facts = {"trained": _named([task for task, _ in course]), "arguments": arguments}
        facts |= {"targets": _named(targets), "scored": scored}
        facts |= {"shots": self.shots, "adapt": self.adapt} if course else {}
        return _Group(tuple(targets), course, arguments, scored, facts)

    def _target_stage(
        self, words: str, seed: int, group: _Group, after: tuple[Stage, ...]
    ) -> Stage:
        """Train a fresh copy of the intermediate encoder, with new heads, as its targets are trained; score them.

        What has nothing to train on, such as sentence retrieval, is scored on the intermediate encoder as it is.
        """

        def run(folder: Path, before: Sequence[Path]) -> None:
            set_seed(seed)
            start = before[0] / "encoder" if before else self.encoder
            known = {
                task.name: task for task in (*(task for task, _ in group.course), *group.targets)
            }
            model = MultitaskModel.from_pretrained(start, list(known.values()), heads="new")
            report = Report()
            for number, (task, most) in enumerate(group.course):
                place = folder / f"{number}-{task.name}"
                model, changed = self._fine_tune(
                    model, task, place, group.arguments[number], seed, most
                )
                report += changed.with_tags(course=number) if len(group.course) > 1 else changed
            for target in group.targets:
                for split, languages in group.scored[target.name].items():
                    report += evaluate(model, [target], split=split, languages=languages)
            if group.course:
                report += Report(self._development(model, group.course, seed, report))
            if PartialState().is_main_process:
                report.to_json(folder / "report.json")

        return Stage(
            f"{words} -> {'+'.join(group.scored)}, seed {seed}",
            self._facts(seed) | group.facts,
            run,
            after,
        )

    def scored(self, task: Task, split: str) -> list[str]:
        """The languages of a split that are scored; none where its labels are placeholders."""
        found = [code for code in task.languages(split) if code in (self.languages or [code])]
        return found if task.is_labelled(split, found) else []

    def development_rows(self, task: Task, seed: int) -> Task | None:
        """What was trained, with the English development rows that tell whether that failed; None if it has none."""
        if task.corpus_task is not None or "en" not in task.languages("validation"):
            return None  # a corpus would be encoded for this alone
        return _some(task, self.eval_examples or _PAPER_ROWS, seed, ["en"])

    def evaluated(self, tasks: Sequence[Task]) -> list[Task]:
        """The tasks whose development rows score their training on the way.

        In the training languages or, where these have none, as translations, in English.
        """
        found = []
        for task in tasks:
            have = (
                task.languages("validation") if task.corpus_task is None else ()
            )  # a corpus takes long to encode
            if codes := [code for code in task.train_languages if code in have] or [
                c for c in have if c == "en"
            ]:
                found.append(task.replace(train_languages=tuple(codes)))
        return found

    def _facts(self, seed: int) -> dict[str, Any]:
        """All that a stage's result depends on, beside what it trains and the stages before it."""
        return {
            "seed": seed,
            "max_train_examples": self.max_train_examples,
            "patience": self.patience,
            "eval_examples": self.eval_examples,
            "encoder": self._fingerprint,
            "data_root": str(data_root()),
            "version": jiantx.__version__,
            "format": _FORMAT,
        }

    @cached_property
    def _fingerprint(self) -> str:
        return fingerprint(self.encoder)  # reads all of a folder, and so once

    def _fine_tune(
        self,
        model: MultitaskModel,
        task: Task,
        folder: Path,
        arguments: Mapping[str, Any],
        seed: int,
        most: int | None,
    ) -> tuple[MultitaskModel, Report]:
        """Train a target's head, and as much of the encoder as `adapt` says."""
        if self.adapt == "lora":
            from peft import get_peft_model

            adapted: Any = get_peft_model(model, model.lora_config())  # type: ignore[arg-type]
            changed = self._train(adapted, [task], folder, arguments, seed, most)
            return adapted.merge_and_unload(), changed
        model.encoder.requires_grad_(self.adapt == "full")
        return model, self._train(model, [task], folder, arguments, seed, most)

    def _train(
        self,
        model: MultitaskModel,
        tasks: Sequence[Task],
        folder: Path,
        arguments: Mapping[str, Any],
        seed: int,
        most: int | None,
    ) -> Report:
        """Train on tasks in their training languages; a run that was stopped goes on from its last checkpoint.

        Returns how many training rows were cut, moved or not held, as scores of the train split.
        """
        evaluated = self.evaluated(tasks)
        never = {} if evaluated else {"eval_strategy": "no", "load_best_model_at_end": False}
        args = TrainingArguments(
            output_dir=str(folder), seed=seed, **{**QUIET, **arguments, **never}
        )
        most = most or self.max_train_examples
        trainer = Trainer(
            model,
            args,
            tasks=tasks,
            sampling=joint_sampling(tasks, most),
            eval_tasks=[
                _some(task, self.eval_examples, seed, task.train_languages) for task in evaluated
            ],
            callbacks=[EarlyStoppingCallback(self.patience)]
            if self.patience and args.eval_strategy != "no"
            else None,
        )
        if not args.disable_tqdm:
            trainer.remove_callback(ProgressCallback)
            trainer.add_callback(_Bar)
        trainer.train(resume_from_checkpoint=args.save_strategy != "no")
        return Report(
            Score(name, "train", code, what, float(count), len(found.rows))
            for (name, code), found in trainer.features.items()
            for what in CHANGE_COUNTS
            if (count := found.count(what))
        )

    def _development(
        self,
        model: MultitaskModel,
        course: Sequence[tuple[Task, int | None]],
        seed: int,
        scored: Report,
    ) -> Iterator[Score]:
        """The main score on English development rows, and that of guessing the commonest: 0 if it is no accuracy."""
        some = self.development_rows(course[-1][0], seed)
        if some is None:
            return
        task, rows = some, len(some.rows("validation", "en"))
        found = [
            r for r in _english(scored, task) if r.examples == rows
        ]  # the same rows: nothing is computed twice
        try:
            (record,) = found or _english(evaluate(model, [task], languages=["en"]), task)
        except DataError:  # no labels there
            return
        record = replace(record, task=training_name([task for task, _ in course]))
        yield replace(record, metric=DEVELOPMENT)
        chance = 0.0  # of tags and answers
        if [metric_name(metric) for metric in task.metrics] == ["accuracy"]:
            gold = Counter(task.reference(example) for example in task.examples("validation", "en"))
            chance = 100 * max(gold.values()) / gold.total()
        yield replace(record, metric=CHANCE, value=chance)


def _english(report: Report, task: Task) -> list[Score]:
    """The main score of a task's English development rows, if it is there."""
    place = (task.name, "validation", "en", MAIN)
    return [
        record
        for record in report
        if (record.task, record.split, record.language, record.metric) == place
    ]


def _named(tasks: Iterable[Task]) -> list[tuple[Any, ...]]:
    """What tells tasks apart: names, and a hash over what is declared, the text of column functions too."""
    found = []
    for task in tasks:
        values = {
            f.name: getattr(task, f.name)
            for f in fields(task)
            if f.name not in ("metrics", "main_metrics")
        }
        text = fingerprint_text(
            (
                task.task_type,
                task.user_classes(),
                values,
                [metric_name(metric) for metric in task.metrics],
            )
        )
        declared = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        found.append((task.name, *task.train_languages, task.max_length, declared))
    return found


def _some(task: Task, most: int | None, seed: int, languages: Iterable[str]) -> Task:
    """The task with at most so many development rows of each of these languages, chosen at random."""
    if most is None:
        return task
    rows = {
        code: task.rows("validation", code)
        for code in languages
        if code in task.languages("validation")
    }
    for code, part in rows.items():
        rows[code] = part.select(subset(seed, task.name, code, len(part), min(most, len(part))))
    return task.replace(source=Rows({"validation": rows} if rows else {}))


DEVELOPMENT, CHANCE = (
    "development",
    "chance",
)  # metrics beside the main score: of a course, not of a target


def training_name(trained: Iterable[Task]) -> str:
    """What fine-tunes a target, in a word: `siqa+copa`."""
    return "+".join(dict.fromkeys(task.name for task in trained))


def failed_runs(report: Report) -> dict[tuple[str, int], list[str]]:
    """(row, seed) -> what it was trained on without learning: not above guessing (95 %, one-sided) in development."""
    scores = {(r.task, *_run(r)): r.value for r in report if r.metric == DEVELOPMENT}
    found: dict[tuple[str, int], list[str]] = {}
    for record in report:
        if record.metric == CHANCE:
            share = record.value / 100
            noise = 164.5 * math.sqrt(share * (1 - share) / record.examples)
            if scores[record.task, *_run(record)] <= record.value + noise:
                found.setdefault(_run(record), []).append(record.task)
    return found


def without_failed(report: Report, targets: Iterable[Task]) -> Report:
    """The scores without those of runs that failed, where other seeds of the row have not."""
    course = {target.name: training_name(training_tasks(target)) for target in targets}
    failed = failed_runs(report)
    seeds: dict[tuple[str, str], set[int]] = {}  # of a row and a target
    for record in report:
        words, seed = _run(record)
        seeds.setdefault((words, record.task), set()).add(seed)

    def lost(record: Score) -> bool:
        words, seed = _run(record)
        bad = {
            s
            for s in seeds[words, record.task]
            if course.get(record.task) in failed.get((words, s), ())
        }
        return seed in bad and bad != seeds[words, record.task]

    return Report(record for record in report if not lost(record))


def best_rows(report: Report, targets: Sequence[Task]) -> dict[str, str]:
    """Target -> the row that is best in development; a target without such rows takes the one that is best elsewhere.

    A target's development score is its mean over the languages of its validation split, where that is another set than
    the test split (its scores differ); else that of what it was trained on, in English, if that is another task.
    """
    scored = report.where(metric=(MAIN, DEVELOPMENT))
    rows = list(dict.fromkeys(str(record.tags["intermediate"]) for record in scored))
    development, test = (
        {
            (r.task, *_run(r), r.language): (r.value, r.examples)
            for r in report.where(metric=MAIN)
            if (r.split == "validation") is own
        }
        for own in (True, False)
    )
    apart = {key[0] for key in development.keys() & test.keys() if development[key] != test[key]}
    course = {target.name: training_name(training_tasks(target)) for target in targets}
    scores: dict[str, dict[str, float]] = {}
    for name, trained in course.items():
        metric, of = (
            (MAIN, name) if name in apart else (DEVELOPMENT, trained if trained != name else "")
        )
        chosen = list(report.where(task=of, split="validation", metric=metric))
        of_row = {row: [r.value for r in chosen if r.tags["intermediate"] == row] for row in rows}
        if all(of_row.values()):
            scores[name] = {row: fmean(values) for row, values in of_row.items()}
    if not (rows and scores):
        return {}
    everywhere = {row: fmean(by_row[row] for by_row in scores.values()) for row in rows}
    return {name: max(rows, key=scores.get(name, everywhere).__getitem__) for name in course}


def _run(record: Score) -> tuple[str, int]:
    return str(record.tags["intermediate"]), int(record.tags["seed"])


class _Bar(ProgressCallback):
    """The progress bar alone, without a line for every log."""

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        pass

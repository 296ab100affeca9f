"""The recipe of Phang et al. 2020 (arXiv 2005.13013): encoder -> intermediate task -> target task -> other languages.

    python examples/intermediate_then_target.py                        # a small artificial world, in minutes
    python examples/intermediate_then_target.py --preset paper --encoder xlm-roberta-large --data-root hub --plan

Each word of --intermediate is a row of the result: `none` is the baseline and is always run, `mnli+squad_v1` trains on
both jointly, `all` on the paper's nine, `mnli+mlm` mixes multilingual masked LM in, `mnli[en,de]` trains in these
languages. All flags that are not listed below are `transformers.TrainingArguments`' own and hold for every training
stage; `--intermediate.learning_rate 1e-5` or `--target.num_train_epochs 5` hold for one of the two.

--plan says what would be run and what it would cost. Several processes may share an --output: each takes its part of
the rows with --shard, and whoever ends last writes the whole result. `torchrun --nproc-per-node 8` trains each stage
on eight GPUs.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from accelerate import PartialState
from filelock import FileLock
from transformers import HfArgumentParser, TrainingArguments
from transformers.utils import logging

import jiantx as jx

TRAINING = {
    "per_device_train_batch_size": 32,
    "warmup_steps": 0.1,
    "weight_decay": 0.01,
    "save_total_limit": 1,
}
BEST = {
    "eval_strategy": "steps",
    "save_strategy": "steps",
    "load_best_model_at_end": True,
}  # of all evaluations
SMALL = {"per_device_train_batch_size": 16}
SHORT = {"intermediate": {"max_steps": 150, **SMALL}, "target": {"max_steps": 40, **SMALL}}
# jiant's own scripts (guides/projects/xstilts.md and what it calls). Not known: the batch size of intermediate
# training (its guide has 4 a GPU), its epochs a task, the share of MLM and its languages.
PAPER = {
    "intermediate": {
        "learning_rate": 1e-5,
        "num_train_epochs": 3,
        "eval_steps": 1000,
        "save_steps": 1000,
        **BEST,
    },
    "target": {"learning_rate": 1e-5, "eval_steps": 1000, "save_steps": 1000, **BEST},
    "by_task": {
        "mnli": {"num_train_epochs": 2},
        "pawsx": {"num_train_epochs": 5},
        "udpos": {"num_train_epochs": 10},
        "panx": {"num_train_epochs": 10},
        "squad_v1": {"num_train_epochs": 2, "per_device_train_batch_size": 16},
        "tydiqa": {"num_train_epochs": 2, "per_device_train_batch_size": 16},
    },
    "patience": 30,
    "eval_examples": 500,
}
_XTREME = {"weight_decay": 0.0, "warmup_steps": 0}
_XTREME_QA = {
    "learning_rate": 3e-5,
    "num_train_epochs": 3,
    "warmup_steps": 500,
    "weight_decay": 1e-4,
}
# google-research/xtreme, scripts/train_{xnli,pawsx,udpos,panx,qa}.sh, of August 2021; they train on no intermediate
# task, so that stage is the paper's.
OFFICIAL = {
    "intermediate": PAPER["intermediate"],
    "target": {"learning_rate": 2e-5, **_XTREME},
    "by_task": {
        "mnli": {
            "learning_rate": 3e-5,
            "num_train_epochs": 5,
            "eval_steps": 100,
            "save_steps": 100,
            **BEST,
        },
        "pawsx": {"num_train_epochs": 5, "eval_steps": 200, "save_steps": 200, **BEST},
        "udpos": {"num_train_epochs": 10, "eval_steps": 500, "save_steps": 500, **BEST},
        "panx": {"num_train_epochs": 10, "eval_steps": 1000, "save_steps": 1000, **BEST},
        "squad_v1": _XTREME_QA,
        "tydiqa": _XTREME_QA,
    },
    "max_length": dict.fromkeys(("mnli", "pawsx", "udpos", "panx"), 128),
}
PRESETS: dict[str, dict[str, Any]] = {"demo": SHORT, "paper": PAPER, "xtreme": OFFICIAL}
NINE = tuple(jx.XSTILTS_INTERMEDIATE)
ROWS = {"demo": [*NINE, "all", *(f"{words}+mlm" for words in (*NINE, "all"))]}
ROWS["paper"] = [*ROWS["demo"], "mnli[de,ru,sw]", "mnli[en,de,ru,sw]"]
ROWS["xtreme"] = ROWS["paper"]


def main() -> None:
    options, given = parse(sys.argv[1:])
    ranks = PartialState(cpu=not torch.cuda.is_available())  # under torchrun; else one
    logging.disable_progress_bar()  # the bars of loading weights; training and scoring keep theirs
    root = options.data_root or jx.default_root()
    jx.data_root(None if root == "hub" else root)
    options.encoder = options.encoder or str(jx.default_encoder())
    recipe = recipe_of(options, given)
    targets = choose_targets(options, recipe)
    options.intermediate = choose_rows(options)
    options.own_rows = jx.experiments.shard(
        options.intermediate, *map(int, options.shard.split("/"))
    )
    plan = recipe.plan(options.intermediate, targets, seeds=options.seeds)
    own = {place: stage for place, stage in plan.items() if place.row in options.own_rows}
    stages = recipe.stages(own)
    done = sum(map(stages.done, stages))
    ranks.print(
        f"{len(own)} cells, {len(stages.stages)} stages, {done} of them done already, in {options.output}"
    )
    if options.plan:
        ranks.print(jx.experiments.estimate_costs(recipe, own).to_text())
        return
    stages.run()
    if ranks.is_main_process:
        options.output.mkdir(parents=True, exist_ok=True)
        with FileLock(
            options.output / "report.lock"
        ):  # whoever writes last has read all that is done
            show(recipe.report(plan), targets, recipe.stages(plan), options)
    ranks.wait_for_everyone()
    ranks.destroy_process_group()


def recipe_of(
    options: argparse.Namespace, given: Mapping[str, Mapping[str, Any]]
) -> jx.experiments.Recipe:
    """The preset, and over it what was asked for."""
    preset = PRESETS.get(options.preset, {})
    rate = {
        "learning_rate": jx.experiments.default_learning_rate(options.encoder),
        "num_train_epochs": 3,
    }
    kinds: dict[str, Any] = {
        kind: {**TRAINING, **rate, **preset.get(kind, {}), **given[kind]} for kind in given
    }
    by_task = {
        name: {**more, **given["target"]} for name, more in preset.get("by_task", {}).items()
    }
    return jx.experiments.Recipe(
        encoder=options.encoder,
        output=options.output,
        **kinds,
        by_task=by_task,
        **{
            name: preset[name]
            for name in ("patience", "eval_examples", "max_length")
            if name in preset
        },
        splits=tuple(options.split),
        languages=tuple(options.languages) if options.languages else None,
        max_train_examples=options.max_train_examples,
        train_languages=tuple(options.target_train_languages),
        shots=options.shots,
        adapt=options.adapt,
    )


# --- the result ------------------------------------------------------------------------------------------------------


def show(
    report: jx.Report,
    targets: Sequence[jx.Task],
    stages: jx.experiments.Stages,
    options: argparse.Namespace,
) -> None:
    """The paper's tables on one page: by target, by language, averages, the best rows; what is missing or failed."""
    output, names = options.output, [target.name for target in targets]
    page = jx.experiments.Page("English intermediate tasks, zero-shot cross-lingual transfer")
    page.add(f"`{' '.join(['python', *sys.argv])}`")
    if waiting := [stage.name for stage in stages if not stages.done(stage)]:
        page.add(
            f"**{len(waiting)} stages are not done yet**, such as {waiting[0]}: the tables lack them."
        )
    report.to_json(output / "report.json")
    (output / "timings.json").write_text(
        json.dumps(stages.timings(), indent=1) + "\n", encoding="utf-8"
    )
    failed = jx.experiments.failed_runs(report)
    scores = jx.experiments.without_failed(report, targets).where(task=names)
    for split in options.split:
        tables(page, scores.where(split=split), names, split, output)
    compared = {"validation", "test"} == set(options.split) and len(
        scores.where(intermediate="none")
    )
    if compared and (chosen := jx.experiments.best_rows(report, targets)):
        page.add("## The best intermediate task for each target", best_table(scores, chosen))
    changed: dict[tuple[str, ...], list[tuple[int, int]]] = {}  # in all rows, seeds and trainings
    for r in report.where(metric=list(CHANGED)):
        changed.setdefault((r.task, r.split, r.language, r.metric), []).append(
            (int(r.value), r.examples)
        )
    if changed:
        lines = []
        for (task, split, code, what), counts in sorted(changed.items()):
            (least, _), (most, rows) = min(counts), max(counts)
            count = f"{most}" if least == most else f"{least} to {most}"
            lines.append(f"- {task} {split} {code}: {CHANGED[what].format(f'{count} of {rows}')}")
        page.add("## Rows that were changed", "\n".join(lines))
    if failed:
        which = [
            f"- {words}, seed {seed}: {', '.join(trained)}"
            for (words, seed), trained in failed.items()
        ]
        page.add("## Runs that failed", FAILED, "\n".join(which))
    written = page.write(output)
    names = [path.name for path in (*written, *sorted(output.glob("*.png")))]
    print(f"\nWritten to {output}: report.json, timings.json, {', '.join(names)}")


CHANGED = {  # metrics that count
    "truncated": "text cut off in {} inputs",
    "realigned": "answers moved to the nearest exact occurrence in {} rows",
    "answer_outside_windows": "answers longer than a window in {} rows, which train as if there were none",
}
FAILED = """Trained, but in development not above guessing the commonest label (95 %, one-sided; tags and answers: not
above 0); left out of the tables where another seed of the row did not fail, and with it its seed from the means that it
is a part of."""


def tables(
    page: jx.experiments.Page, scores: jx.Report, targets: Sequence[str], split: str, output: Path
) -> None:
    """What is said of one split, on the page and in the terminal."""
    baseline = scores.where(intermediate="none")
    if not baseline.mean(by="task"):
        page.add(
            f"## {split}",
            "No table: the row `none`, to which the others are compared, has no scores here.",
        )
        return
    by_target = scores.compare(
        baseline, tasks=[name for name in targets if name in scores.mean(by="task")]
    )
    by_language = scores.compare(baseline, by="language")
    leaderboard = scores.benchmark(jx.XTREME)
    captions = (
        f"Main score by target ({split}), mean over languages",
        f"Main score by language ({split}), mean over the targets that have it",
    )
    print(f"\n{captions[0]}\n\n{by_target.to_text()}\n{captions[1]}\n\n{by_language.to_text()}")
    page.add(f"## {captions[0]}", by_target.to_markdown())
    pictures = {f"{split}-targets.png": by_target.plot, f"{split}-languages.png": by_language.plot}
    pictures[f"{split}-gaps.png"] = scores.plot_gaps
    drawn = []
    for name, draw in pictures.items():
        try:
            draw(output / name)
            drawn.append(output / name)
        except (ImportError, ValueError) as error:  # no matplotlib, or no language but English
            print(f"No picture {name}: {error}")
    page.add(*drawn[:1], f"## {captions[1]}", by_language.to_markdown(), *drawn[1:])
    page.add("## XTREME", leaderboard.to_markdown(), said(by_target))
    plain = jx.Report(
        replace(r, tags={name: r.tags[name] for name in ("intermediate", "seed")}) for r in scores
    )
    page.add(f"## Every target and language ({split})", plain.to_markdown())
    print(f"\n{said(by_target)}")


def said(comparison: Any) -> str:
    """What the differences say, in a sentence: what an interval around zero holds is not called a gain."""
    rows = [row for row in comparison.rows if not row.is_baseline]
    seeds = max((len(row.average.values) for row in rows), default=0)
    if seeds < 2:
        return "One seed says nothing of chance: no difference here is a result."
    sure = [row for row in rows if row.average.significant]
    up = [f"{row.label} ({row.average.mean:+.1f})" for row in sure if row.average.mean > 0]
    down = [f"{row.label} ({row.average.mean:+.1f})" for row in sure if row.average.mean < 0]
    return (
        f"Of {len(rows)} rows, {len(up)} raise the average ({', '.join(up) or 'none'}) and {len(down)} lower it "
        f"({', '.join(down) or 'none'}), their 95 % intervals over {seeds} seeds excluding zero; of the other "
        f"{len(rows) - len(sure)} that cannot be said. Intervals are one by one: of 20, one misses by chance."
    )


def best_table(scores: jx.Report, chosen: Mapping[str, str]) -> str:
    """Chosen in development, scored on test where there is one: as the paper chose what it submitted to XTREME."""
    lines = [
        "| target | chosen in development | none | chosen | difference |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    found: list[dict[int, tuple[float, float]]] = []  # of a target: seed -> none, chosen
    for name, words in chosen.items():
        own = scores.where(task=name)
        tested = own.where(split="test") if "test" in {record.split for record in own} else own
        none, best = (tested.where(intermediate=row).mean(by="seed") for row in ("none", words))
        found.append({seed: (none[seed], best[seed]) for seed in none.keys() & best.keys()})
        lines.append(f"| {name} | {words} | {paired(found[-1])} |")
    seeds = set.intersection(*map(set, found))
    means = {
        seed: (fmean(own[seed][0] for own in found), fmean(own[seed][1] for own in found))
        for seed in seeds
    }
    return "\n".join([*lines, f"| **average** | | {paired(means)} |", "", PAIRED])


PAIRED = "Over the seeds that both have (the average: in all targets); difference by seed, ± its 95 % interval."


def paired(by_seed: Mapping[int, tuple[float, float]]) -> str:
    """Cells: none, chosen, and their difference with its interval; empty where they share no seed."""
    if not by_seed:
        return "– | – | –"
    none, best = (fmean(side) for side in zip(*by_seed.values(), strict=True))
    mean, half = jx.report.interval([b - a for a, b in by_seed.values()])
    return f"{none:.1f} | {best:.1f} | {mean:+.1f}" + ("" if math.isnan(half) else f" ± {half:.1f}")


# --- the arguments ---------------------------------------------------------------------------------------------------


def parse(arguments: list[str]) -> tuple[argparse.Namespace, dict[str, dict[str, Any]]]:
    """Our flags, and the `TrainingArguments` that were given for the two kinds of training."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--preset",
        choices=sorted(PRESETS),
        help="rows and hyperparameters; what is given goes first",
    )
    parser.add_argument(
        "--encoder",
        help="Hub id or folder (default: the artificial world's own, made on first use)",
    )
    parser.add_argument(
        "--data-root",
        help="folder, or hub for the Hugging Face Hub (default: the artificial world)",
    )
    known = f"rows of the table (default: none mnli); tasks: {', '.join(jx.list_tasks())}"
    parser.add_argument("--intermediate", nargs="+", metavar="TASK[+TASK…]", help=known)
    parser.add_argument(
        "--targets",
        nargs="+",
        metavar="TASK",
        help="default: XTREME's, where the data root has them",
    )
    parser.add_argument(
        "--languages", nargs="+", metavar="CODE", help="what to score (default: all that are there)"
    )
    splits = (
        "scored (default: validation; presets paper and xtreme: both, which chooses the best rows)"
    )
    parser.add_argument("--split", nargs="+", choices=("validation", "test"), help=splits)
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="how often everything is run (default: 1)"
    )
    parser.add_argument(
        "--max-train-examples",
        type=int,
        metavar="N",
        help="at most so many random rows of each task",
    )
    few = "train targets in these languages: instead of English or, with --shots N, after it, on N rows of each"
    parser.add_argument("--target-train-languages", nargs="+", default=[], metavar="CODE", help=few)
    parser.add_argument("--shots", type=int, metavar="N")
    how = "what of the encoder a target trains: all, a LoRA, or nothing, which probes it (default: full)"
    parser.add_argument("--adapt", choices=("full", "lora", "frozen"), default="full", help=how)
    parser.add_argument(
        "--freeze-encoder",
        dest="adapt",
        action="store_const",
        const="frozen",
        help="--adapt frozen",
    )
    parser.add_argument(
        "--plan", action="store_true", help="say what would be run and what it costs, and stop"
    )
    parser.add_argument(
        "--shard", default="1/1", metavar="I/N", help="run the I-th of N parts of the rows"
    )
    output = Path("runs/intermediate_then_target")
    parser.add_argument(
        "--output", type=Path, default=output, metavar="DIR", help=f"default: {output}"
    )
    options, rest = parser.parse_known_args(arguments)
    for name in ("languages", "target_train_languages"):  # with blanks or commas between
        setattr(
            options,
            name,
            [code for word in getattr(options, name) or () for code in word.split(",") if code],
        )
    options.split = (
        options.split or ["validation", "test"][: 1 + (options.preset in ("paper", "xtreme"))]
    )
    options.rows_given = options.intermediate is not None or options.preset is None
    rows = options.intermediate or ROWS.get(options.preset, ["mnli"])
    options.intermediate = list(dict.fromkeys(["none", *rows]))
    try:
        part, parts = map(int, options.shard.split("/"))
        jx.experiments.shard(options.intermediate, part, parts)  # it may be wrong
    except ValueError as error:
        parser.error(f"--shard {options.shard}: {error}")
    if options.shots and not options.target_train_languages:
        parser.error("--shots N is of languages: name them with --target-train-languages")
    try:
        for words in options.intermediate:
            jx.experiments.parse_row(words)
        for name in options.targets or []:
            jx.get_task(name)
    except (LookupError, ValueError) as error:
        parser.error(str(error.args[0]))
    return options, training_flags(parser, rest)


def training_flags(
    parser: argparse.ArgumentParser, words: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Flags of `TrainingArguments` for either kind of training or for both, checked now and not in an hour."""
    flags: dict[str, list[str]] = {"intermediate": [], "target": []}
    kinds = list(flags)
    for word in words:
        if word.startswith("--"):
            kind, dot, name = word[2:].partition(".")
            kinds = [kind] if dot and kind in flags else list(flags)
            name = name if dot and kind in flags else word[2:]
            own = {"seed": "--seeds", "output_dir": "--output"}.get(
                name.partition("=")[0].replace("-", "_")
            )
            if own:
                parser.error(f"{word} is set by the recipe. Use {own}.")
            word = f"--{name}"
        for kind in kinds:
            flags[kind].append(word)
    found: dict[str, dict[str, Any]] = {}
    for kind, given in flags.items():
        known = HfArgumentParser(TrainingArguments, allow_abbrev=False)
        values, unknown = known.parse_known_args(given)
        if unknown:
            parser.error(f"{unknown[0]} is not a flag of this program, nor of TrainingArguments")
        names = [
            word[2:].partition("=")[0].replace("-", "_") for word in given if word.startswith("--")
        ]
        found[kind] = {
            name.removeprefix("no_") if not hasattr(values, name) else name: None for name in names
        }
        found[kind] = {name: getattr(values, name) for name in found[kind]}
    return found


def choose_targets(options: argparse.Namespace, recipe: jx.experiments.Recipe) -> list[jx.Task]:
    """The targets asked for, or those of XTREME that can be trained and scored here; the others are named."""
    found: list[jx.Task] = []
    absent: list[str] = []
    for name in options.targets or jx.XTREME:
        target = jx.get_task(name)
        scored = any(recipe.scored(target, split) for split in options.split)
        missing = [
            task.name
            for task, _ in recipe.course(target)
            if set(task.train_languages) - set(task.languages("train"))
        ]
        if scored and not missing:
            found.append(target)
        else:
            rows = f"labelled {' and '.join(options.split)} rows in these languages"
            lacks = f"training rows of {', '.join(missing)}" if scored else rows
            absent.append(f"{name} ({lacks})")
    place = jx.data_root() or "The Hugging Face Hub"
    if absent and (options.targets or not found):
        sys.exit(f"{place} lacks what these targets need: {'; '.join(absent)}.")
    if absent:
        print(f"Left out, as {place} lacks what they need: {'; '.join(absent)}.")
    if bare := [
        f"{t.name} ({split})"
        for t in found
        for split in options.split
        if not recipe.scored(t, split)
    ]:
        print(f"Not scored, as there are no labelled rows in these languages: {', '.join(bare)}.")
    return found


def choose_rows(options: argparse.Namespace) -> list[str]:
    """The rows that were asked for, or those of the preset that can be trained here; the others are named."""
    found: list[str] = []
    lacking: dict[str, list[str]] = {}
    for words in options.intermediate:
        try:
            for task in jx.experiments.parse_row(words):
                for code in task.train_languages:
                    task.rows("train", code)
            found.append(words)
        except jx.DataError as error:
            if options.rows_given:
                raise
            lacking.setdefault(str(error), []).append(words)
    for reason, rows in lacking.items():
        print(f"Left out: {', '.join(rows)}. {reason}")
    return found


if __name__ == "__main__":
    try:
        main()
    except jx.DataError as error:
        sys.exit(f"error: {error}")

"""The stage that trims the encoder's vocabulary to the data of a whole table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from accelerate import PartialState
from transformers import AutoConfig

from jiantx.experiments.cells import TargetGroup
from jiantx.experiments.recipe_stages import ENCODER, WITH_MASKED_LM, encoder_inputs
from jiantx.experiments.rows import parse_row
from jiantx.experiments.stages import Stage
from jiantx.experiments.training import task_fingerprints
from jiantx.model import MultitaskConfig, MultitaskModel
from jiantx.model.loading import load_tokenizer
from jiantx.model.vocabulary import SplitInLanguage, check_trimmable, trim_to_splits
from jiantx.report import Report
from jiantx.sources import DataError
from jiantx.task import Task

if TYPE_CHECKING:
    from jiantx.experiments.recipe import Recipe


def vocabulary_stage(
    recipe: Recipe, row_specs: Iterable[str], groups: Sequence[TargetGroup]
) -> Stage:
    """Trim the encoder's vocabulary to the pieces that the data of a table use.

    Args:
        recipe: The recipe.
        row_specs: All rows of the table.
        groups: All targets of the table.

    Returns:
        A stage that other stages start from. It is another one for other rows or targets, since
        their data may use other pieces.

    Raises:
        DataError: Pieces cannot be dropped from the encoder's tokenizer.
    """
    try:
        check_trimmable(load_tokenizer(recipe.encoder, {}))
    except DataError as error:
        raise DataError(f"The vocabulary cannot be trimmed: {error}") from None
    intermediate_tasks: list[Task] = []
    for row_spec in row_specs:
        intermediate_tasks += parse_row(row_spec)
    trained = [*intermediate_tasks]
    for group in groups:
        trained += group.trained_tasks
    splits = _splits_of_training(recipe, trained)
    for group in groups:
        splits += _splits_of_targets(group)
    by_key = {_key(split): split for split in splits}
    targets = [target for group in groups for target in group.targets]
    masked_lm = [task for task in (*trained, *targets) if task.task_type == "masked_lm"]

    def run(folder: Path, dependencies: Sequence[Path]) -> None:
        is_plain = not isinstance(AutoConfig.from_pretrained(recipe.encoder), MultitaskConfig)
        head_tasks = {task.head_name: task for task in masked_lm or targets[:1]}
        model = MultitaskModel.from_pretrained(
            recipe.encoder, list(head_tasks.values()) if is_plain else None
        )
        assert model.tokenizer is not None
        size_before = len(model.tokenizer)
        size = trim_to_splits(model, by_key.values())
        if not PartialState().is_main_process:
            return
        print(f"The vocabulary has {size:,} of {size_before:,} pieces.")
        if is_plain:
            model.save_encoder(folder / ENCODER)
        else:
            model.save_pretrained(folder / ENCODER)
        has_own_head = all("form" in head for head in model.config.heads.values())
        if is_plain and masked_lm and has_own_head:
            model.save_pretrained(folder / WITH_MASKED_LM)
        Report().to_json(folder / "report.json")

    return Stage("vocabulary", encoder_inputs(recipe) | {"vocabulary": sorted(by_key)}, run)


def _key(split: SplitInLanguage) -> str:
    """What identifies a split of a task in one language."""
    task, name, language = split
    is_corpus = getattr(task, "query", "") is None
    return json.dumps([*task_fingerprints([task])[0], is_corpus, name, language])


def _splits_of_training(recipe: Recipe, trained: Iterable[Task]) -> list[SplitInLanguage]:
    """The training rows of some tasks, and the validation rows that may be scored beside them."""
    splits: list[SplitInLanguage] = []
    for task in trained:
        splits += [(task.for_training, "train", language) for language in task.train_languages]
        for validated in recipe.validation_tasks([task]):
            languages = dict.fromkeys(validated.train_languages)
            if "en" in validated.languages("validation"):
                languages["en"] = None
            splits += [(task, "validation", language) for language in languages]
    return splits


def _splits_of_targets(group: TargetGroup) -> list[SplitInLanguage]:
    """The scored rows of some targets, their candidates, and the rows that set a threshold."""
    splits: list[SplitInLanguage] = []
    for target in group.targets:
        by_split = dict(group.languages[target.name])
        if target.threshold_split:
            languages = dict.fromkeys(code for codes in by_split.values() for code in codes)
            by_split[target.threshold_split] = list(languages)
        for name, languages_of_split in by_split.items():
            for language in languages_of_split:
                splits.append((target, name, language))
                if target.corpus_task is not None:
                    for candidates in target.candidate_languages(name, language):
                        splits.append((target.corpus_task, name, candidates))
    return splits

"""Extractive question answering."""

from jiantx.metrics import (
    best_exact_match,
    best_f1,
    mlqa_exact_match,
    mlqa_f1,
    squad_v2_exact,
    squad_v2_f1,
)
from jiantx.sources import Concat, Files, Hub, Row, read_squad
from jiantx.task_types import QuestionAnswering
from jiantx.tasks import languages
from jiantx.tasks.registry import register


def in_language(row: Row, language: str) -> bool:
    """TyDiQA's files mix languages; a row's id says which (`english-…`).

    Args:
        row: A row as stored.
        language: The language that is asked for.
    """
    return str(row["id"]).startswith(f"{languages.TYDIQA[language]}-")


# What is scored as development and as test are the same examples: XQuAD has one set, TyDiQA's test
# set is not public.
_ONE_SET = {"validation": "validation", "test": "validation"}
SQUAD_TRANSLATED = Files(  # by machine, for XTREME: to train on
    "xtreme_translations/SQuAD/translate-train/squad.translate.train.en-{language}.json",
    read_squad,
    languages=tuple(code for code in languages.XQUAD_R if code != "en"),
    splits={"train": "train"},
    origin="https://storage.googleapis.com/xtreme_translations",
)
TYDIQA = Hub(
    "google-research-datasets/tydiqa",
    "secondary_task",
    languages=tuple(languages.TYDIQA),
    splits={"train": "train", **_ONE_SET},
    where=in_language,
    revision="da78f23f9119363459acbaf46bf89426ff26c259",
)

# Rajpurkar et al. 2016 (1606.05250).
squad_v1 = register(
    QuestionAnswering(
        name="squad_v1",
        source=Concat(
            Hub("rajpurkar/squad", revision="7b6d24c440a36b6815f21b70d25016731768db1f"),
            SQUAD_TRANSLATED,
        ),
        head="squad",
    )
)

# Rajpurkar et al. 2018 (1806.03822); the paper's score is at the best threshold, as the official
# script finds it.
squad_v2 = register(
    QuestionAnswering(
        name="squad_v2",
        source=Hub("rajpurkar/squad_v2", revision="3ffb306f725f7d2ce8394bc1873b24868140c412"),
        unanswerable=True,
        metrics=(squad_v2_exact, squad_v2_f1, best_exact_match, best_f1),
        main_metrics=(best_exact_match, best_f1),
    )
)

# Artetxe et al. 2020 (1910.11856).
xquad = register(
    QuestionAnswering(
        name="xquad",
        source=Hub(
            "google/xquad",
            "xquad.{language}",
            languages=languages.XQUAD,
            splits=_ONE_SET,
            revision="51adfef1c1287aab1d2d91b5bead9bcfb9c68583",
        ),
        train_on=("squad_v1",),
        head="squad",
    )
)

# Lewis et al. 2020 (1910.07475); the question is in the passage's language.
mlqa = register(
    QuestionAnswering(
        name="mlqa",
        source=Hub("google/xtreme", "MLQA.{language}.{language}", languages=languages.MLQA),
        metrics=(mlqa_exact_match, mlqa_f1),
        train_on=("squad_v1",),
        head="squad",
    )
)

# Clark et al. 2020 (2003.05002), GoldP.
tydiqa = register(
    QuestionAnswering(
        name="tydiqa",
        source=TYDIQA,
    )
)

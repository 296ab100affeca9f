"""Extractive question answering."""

from jiantx.metrics import best_exact_match, best_f1, squad_v2_exact, squad_v2_f1
from jiantx.sources import Hub
from jiantx.task import register
from jiantx.task_types import QuestionAnswering
from jiantx.tasks import languages

# Rajpurkar et al. 2016 (1606.05250).
squad_v1 = register(QuestionAnswering(name="squad_v1", source=Hub("rajpurkar/squad"), head="squad"))

# Rajpurkar et al. 2018 (1806.03822); the paper's score is at the best threshold, as the official script finds it.
squad_v2 = register(
    QuestionAnswering(
        name="squad_v2",
        source=Hub("rajpurkar/squad_v2"),
        unanswerable=True,
        metrics=(squad_v2_exact, squad_v2_f1, best_exact_match, best_f1),
        main_metrics=(best_exact_match, best_f1),
    )
)

# Artetxe et al. 2020 (1910.11856). One set: what is scored as development and as test are the same examples.
xquad = register(
    QuestionAnswering(
        name="xquad",
        source=Hub(
            "google/xquad",
            "xquad.{language}",
            languages=languages.XQUAD,
            splits={"validation": "validation", "test": "validation"},
        ),
        train_on=("squad_v1",),
        head="squad",
    )
)

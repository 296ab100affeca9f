"""jiantx: train one Hugging Face encoder on several tasks, and see how well it carries over to other languages.

This is the one door: every public name, resolved on first use, so that `import jiantx` opens no heavy library.
Type checkers read the same names in `__init__.pyi`.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_OWNERS = {
    "costs": "estimate_costs parameter_count",
    "evaluation": "evaluate predict",
    "heads": "Head HeadOutput register_head",
    "model": "MultitaskConfig MultitaskModel",
    "page": "Page",
    "plots": "Point plot_points",
    "recipe": "Recipe best_rows default_learning_rate failed_runs row_tasks without_failed",
    "report": "Benchmark Report Score interval markdown_table",
    "sampling": "Sampling",
    "sources": """Concat DataError Files Hub Rows data_root read_conll read_conllu read_csv read_jsonl read_lines
        read_squad read_tsv""",
    "stages": "Stage Stages fingerprint shard",
    "submission": "score_xtreme write_xtreme_predictions",
    "synthetic": "default_encoder default_root",
    "task": "Task get_task register",
    "task_types": "Classification MaskedLM MultipleChoice QuestionAnswering Regression Retrieval TokenClassification",
    "tasks.benchmarks": "XSTILTS_INTERMEDIATE XTREME XTREME_R list_tasks",
    "trainer": "Trainer",
    "vocabulary": "trim_vocabulary",
}
_OWNER = {name: module for module, names in _OWNERS.items() for name in names.split()}
__all__ = ["__version__", *sorted(_OWNER)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _OWNER:
        raise AttributeError(f"module 'jiantx' has no attribute {name!r}")
    value = getattr(import_module(f"jiantx.{_OWNER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

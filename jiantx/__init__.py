"""jiantx: train one Hugging Face encoder on several tasks, and see how well it carries over to
other languages.

Every public name is here and is resolved on first use, so that `import jiantx` imports no heavy
library. Type checkers read the same names in `__init__.pyi`. What only experiments need is in
`jiantx.experiments`."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any
from warnings import warn

from jiantx.auto_classes import register_auto_classes

__version__ = "0.1.0"

_MODULES = {
    "evaluation": "evaluate predict",
    "glue": "score_glue score_superglue write_glue_predictions write_superglue_predictions",
    "heads": "Head HeadOutput register_head",
    "losses": "CrossEntropy FocalLoss",
    "model": "MultitaskConfig MultitaskModel",
    "model.vocabulary": "trim_vocabulary",
    "negatives": "mine_negatives",
    "predictor": "Predictor load",
    "probing": "probe",
    "progress_bars": "progress",
    "report": "Benchmark Comparison Report Score",
    "sampling": "Sampling",
    "sentence_vectors": "encode",
    "sources": """Concat Conll Csv DataError Files Hub Json Rows Source Split Squad Tsv Unfold
        data_root read_conll read_conllu read_csv read_jsonl read_lines read_squad read_tsv""",
    "synthetic": "default_encoder default_root",
    "task": "Example Prediction Task",
    "task_types": """Classification MaskedLM MultipleChoice QuestionAnswering Regression Retrieval
        SentenceRanking SpanClassification TokenClassification""",
    "tasks": """AFRICAN AMERICAN GLUE SUPERGLUE XSTILTS_INTERMEDIATE XTREME XTREME_R get_task
        list_tasks register""",
    "trainer": "Trainer",
    "wrong_predictions": "errors",
    "xtreme": "score_xtreme write_xtreme_predictions",
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}
# Old names, which still work in this release: old -> the new name behind `jx.`.
_DEPRECATED = {
    "Page": "experiments.Page",
    "Point": "report.plots.Point",
    "Recipe": "experiments.Recipe",
    "Stage": "experiments.Stage",
    "Stages": "experiments.Stages",
    "best_rows": "experiments.best_rows",
    "default_learning_rate": "experiments.default_learning_rate",
    "estimate_costs": "experiments.estimate_costs",
    "failed_runs": "experiments.failed_runs",
    "fingerprint": "experiments.fingerprint",
    "interval": "report.interval",
    "markdown_table": "report.markdown_table",
    "parameter_count": "experiments.parameter_count",
    "plot_points": "report.plots.plot_points",
    "row_tasks": "experiments.parse_row",
    "shard": "experiments.shard",
    "without_failed": "experiments.without_failed",
}
__all__ = ["__version__", *sorted(_MODULE_OF)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        value = getattr(import_module(f"jiantx.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value
    if name in _DEPRECATED:
        new_name = _DEPRECATED[name]
        warn(f"jiantx.{name} is now jiantx.{new_name}.", DeprecationWarning, stacklevel=2)
        module, _, attribute = new_name.rpartition(".")
        return getattr(import_module(f"jiantx.{module}"), attribute)
    if find_spec(f"jiantx.{name}") is not None:
        return import_module(f"jiantx.{name}")
    raise AttributeError(f"module 'jiantx' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


register_auto_classes()

"""Plain transformers models from ours: which parameter of theirs holds which of ours."""

from __future__ import annotations

from typing import Any

from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from jiantx.heads import Head
from jiantx.task import Task

_AUTO_CLASSES = {
    "classification": AutoModelForSequenceClassification,
    "regression": AutoModelForSequenceClassification,
    "token_classification": AutoModelForTokenClassification,
    "question_answering": AutoModelForQuestionAnswering,
    "multiple_choice": AutoModelForMultipleChoice,
    "masked_lm": AutoModelForMaskedLM,
}

# --- our parameter -> theirs, by model family -----------------------------------------------------

_BERT_MLM = {
    "dense": "cls.predictions.transform.dense",
    "norm": "cls.predictions.transform.LayerNorm",
    "bias": "cls.predictions.bias",
}
_ROBERTA_MLM = {"dense": "lm_head.dense", "norm": "lm_head.layer_norm", "bias": "lm_head.bias"}
_ROBERTA_SEQUENCE = {"dense": "classifier.dense", "out": "classifier.out_proj"}
_BERT_SEQUENCE = {"dense": "{base}.pooler.dense", "out": "classifier"}
_ROBERTA = {
    "classification": _ROBERTA_SEQUENCE,
    "regression": _ROBERTA_SEQUENCE,
    "multiple_choice": _BERT_SEQUENCE,
    "token_classification": {"out": "classifier"},
    "question_answering": {"out": "qa_outputs"},
    "masked_lm": _ROBERTA_MLM,
}
_BERT = {
    **_ROBERTA,
    "classification": _BERT_SEQUENCE,
    "regression": _BERT_SEQUENCE,
    "masked_lm": _BERT_MLM,
}
EXPORT_KEYS = {"roberta": _ROBERTA, "xlm-roberta": _ROBERTA, "camembert": _ROBERTA, "bert": _BERT}


def plain_model(encoder: PreTrainedModel, head: Head, task: Task, dtype: Any) -> PreTrainedModel:
    """Make an `AutoModelFor…` of an encoder and a head, with the task's label names.

    Args:
        encoder: XLM-R, RoBERTa, CamemBERT or BERT.
        head: The task's.
        task: Not of retrieval.
        dtype: Of the weights.

    Raises:
        ValueError: transformers has no class that fits.
    """
    family = encoder.config.model_type
    keys = EXPORT_KEYS.get(family, {}).get(task.task_type)
    if keys is None:
        raise ValueError(
            f"transformers has no class that a {task.task_type} head of {family!r} fits; "
            "use save_encoder()."
        )
    config = _plain_config(encoder.config, head, task)
    plain = _AUTO_CLASSES[task.task_type].from_config(config, dtype=dtype)
    base = plain.base_model_prefix
    state = {f"{base}.{key}": values for key, values in encoder.state_dict().items()}
    for key, values in head.state_dict().items():
        module = key.split(".")[0]
        state[key.replace(module, keys[module].format(base=base), 1)] = values
    loaded = plain.load_state_dict(state, strict=False)
    plain.tie_weights()
    tied_names = ("decoder.weight", "decoder.bias")
    missing = [key for key in loaded.missing_keys if not key.endswith(tied_names)]
    if missing or loaded.unexpected_keys:
        raise ValueError(f"{type(plain).__name__} has other parameters than expected: {loaded}.")
    return plain.eval()


def _plain_config(encoder_config: PreTrainedConfig, head: Head, task: Task) -> PreTrainedConfig:
    config = AutoConfig.for_model(**encoder_config.to_dict())
    if task.task_type in ("classification", "token_classification"):
        config.id2label = dict(enumerate(task.label_names))
        config.label2id = {label: id for id, label in enumerate(task.label_names)}
    elif task.task_type == "regression":
        config.num_labels = 1
        config.problem_type = "regression"
    elif task.task_type == "question_answering":
        config.num_labels = 2
    if head.config.get("multi_label"):
        config.problem_type = "multi_label_classification"
    return config

"""Plain transformers models from a `MultitaskModel`: how parameters correspond."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from jiantx.encoder_traits import probe_encoder
from jiantx.heads import Head, MaskedLMHead
from jiantx.model.masked_lm import gives_scores_of
from jiantx.task import Task
from jiantx.task_types import Regression
from jiantx.tokenization import tokenize_words

logger = logging.get_logger("jiantx.model")

AUTO_CLASSES = {
    "classification": AutoModelForSequenceClassification,
    "regression": AutoModelForSequenceClassification,
    "token_classification": AutoModelForTokenClassification,
    "question_answering": AutoModelForQuestionAnswering,
    "multiple_choice": AutoModelForMultipleChoice,
    "masked_lm": AutoModelForMaskedLM,
    "sentence_ranking": AutoModelForMaskedLM,
}

# --- a MultitaskModel's parameter -> transformers', by family ------------------------------------

_BERT_MLM = {
    "dense": "cls.predictions.transform.dense",
    "norm": "cls.predictions.transform.LayerNorm",
    "bias": "cls.predictions.bias",
    "decoder": "cls.predictions.decoder.weight",
}
_ROBERTA_MLM = {
    "dense": "lm_head.dense",
    "norm": "lm_head.layer_norm",
    "bias": "lm_head.bias",
    "decoder": "lm_head.decoder.weight",
}
_ROBERTA_SEQUENCE = {"dense": "classifier.dense", "out": "classifier.out_proj"}
_BERT_SEQUENCE = {"dense": "{base}.pooler.dense", "out": "classifier"}
_ROBERTA = {
    "classification": _ROBERTA_SEQUENCE,
    "regression": _ROBERTA_SEQUENCE,
    "multiple_choice": _BERT_SEQUENCE,
    "token_classification": {"out": "classifier"},
    "question_answering": {"out": "qa_outputs"},
    "masked_lm": _ROBERTA_MLM,
    "sentence_ranking": _ROBERTA_MLM,
}
_BERT = {
    **_ROBERTA,
    "classification": _BERT_SEQUENCE,
    "regression": _BERT_SEQUENCE,
    "masked_lm": _BERT_MLM,
    "sentence_ranking": _BERT_MLM,
}
EXPORT_KEYS = {"roberta": _ROBERTA, "xlm-roberta": _ROBERTA, "camembert": _ROBERTA, "bert": _BERT}


# transformers' pipelines and losses read these off the config
_PROBLEM_TYPES = {
    "classification": "single_label_classification",
    "regression": "regression",
}
# names of outputs that are no labels; a masked-LM or choice model reads no names
_UNNAMED_OUTPUTS = {
    "regression": ("score",),
    "question_answering": ("start", "end"),
}
# Cut by the exported tokenizer as by the task. Tagging is not: its long sentences become windows,
# and a word that is cut off would have no tag. Nor is masked LM: other tasks are trained on it.
_CUT_TASK_TYPES = (
    "classification",
    "regression",
    "multiple_choice",
    "question_answering",
    "retrieval",
)


_SAMPLE_WORDS = ["It's", "x2", "(The", "cat)", "1,000", "Ärger"]


def plain_model(encoder: PreTrainedModel, head: Head, task: Task, dtype: Any) -> PreTrainedModel:
    """Make an `AutoModelFor…` of an encoder and a head, with the task's label names.

    Its outputs are those that the task's predictions are made of; the numbers of a regression are
    on the task's scale.

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
    _check_outputs(head, task)
    if isinstance(task, Regression):
        dtype = torch.float32  # the scale's own digits would be lost in half precision
    config = _plain_config(encoder.config, head, task)
    plain = AUTO_CLASSES[task.task_type].from_config(config, dtype=dtype)
    base = plain.base_model_prefix
    state = {f"{base}.{key}": values for key, values in encoder.state_dict().items()}
    for key, values in _scaled_state(head, task).items():
        module = key.split(".")[0]
        state[key.replace(module, keys[module].format(base=base), 1)] = values
    loaded = plain.load_state_dict(state, strict=False)
    plain.tie_weights()
    tied_names = ("decoder.weight", "decoder.bias")
    missing = [key for key in loaded.missing_keys if not key.endswith(tied_names)]
    if missing or loaded.unexpected_keys:
        raise ValueError(f"{type(plain).__name__} has other parameters than expected: {loaded}.")
    if isinstance(head, MaskedLMHead):
        _match_masked_lm(plain, head, task)
    return plain.eval()


def _match_masked_lm(plain: PreTrainedModel, head: MaskedLMHead, task: Task) -> None:
    """Set the decoder's bias, which is tied only where its weights are, and compare the scores."""
    output: Any = plain.get_output_embeddings()
    output.bias.data.copy_(head.bias)
    if not gives_scores_of(copy.deepcopy(head).to(plain.device), plain):
        raise ValueError(
            f"Task {task.name}: {type(plain).__name__} computes other scores than its masked-LM "
            f"head ({type(head.activation).__name__}); use save_encoder()."
        )


def _check_outputs(head: Head, task: Task) -> None:
    """Refuse what transformers' class would compute otherwise."""
    if getattr(task, "label_map", None) is not None:
        raise ValueError(
            f"Task {task.name} maps the head's labels to others (label_map), which transformers' "
            f"class does not. Export a task that has the labels {list(task.label_names)}"
            f"{': ' if task.train_on else ''}{', '.join(task.train_on)}."
        )
    pooling = head.config.get("cls_pooling", "cls")
    reads_one_vector = task.task_type in ("classification", "regression", "multiple_choice")
    if reads_one_vector and pooling != "cls":
        raise ValueError(
            f"Task {task.name}: its head pools by {pooling!r} here, and transformers' class would "
            "read the first token; use save_encoder()."
        )
    is_softmax = task.task_type == "classification" and not head.config["multi_label"]
    if is_softmax and len(task.label_names) == 1:
        raise ValueError(
            f"Task {task.name} has one label, {task.label_names[0]!r}, whose probability is "
            "always 1; transformers would report a sigmoid. Declare the task with multi_label=True."
        )


def _scaled_state(head: Head, task: Task) -> dict[str, Tensor]:
    """A head's state; a regression's, which learns from 0 to 1, on the scale of its task."""
    state = dict(head.state_dict())
    if isinstance(task, Regression):
        scale = task.high - task.low
        state["out.weight"] = state["out.weight"].float() * scale
        state["out.bias"] = state["out.bias"].float() * scale + task.low
    return state


def _plain_config(encoder_config: PreTrainedConfig, head: Head, task: Task) -> PreTrainedConfig:
    """The encoder's config with the task's labels, and none of a task it was trained on before."""
    config = AutoConfig.for_model(**encoder_config.to_dict())
    names = _UNNAMED_OUTPUTS.get(task.task_type, task.label_names)
    if names:
        config.id2label = dict(enumerate(names))
        config.label2id = {label: id for id, label in enumerate(names)}
    config.problem_type = _PROBLEM_TYPES.get(task.task_type)
    if isinstance(head, MaskedLMHead):
        config.tie_word_embeddings = head.decoder is None
    if head.config.get("multi_label"):
        config.problem_type = "multi_label_classification"
    return config


def plain_tokenizer(
    tokenizer: PreTrainedTokenizerBase, task: Task, encoder_config: PreTrainedConfig
) -> PreTrainedTokenizerBase:
    """A copy of a tokenizer that cuts texts, pads and reads words as a task and its model do.

    Args:
        tokenizer: The model's.
        task: The exported one.
        encoder_config: The model's.
    """
    plain = copy.deepcopy(tokenizer)
    options: dict[str, Any] = {"padding_side": "right"}  # or absolute positions would shift
    if not probe_encoder(encoder_config).takes_segments(encoder_config):  # as `states` drops them
        names = tokenizer.model_input_names
        options["model_input_names"] = [name for name in names if name != "token_type_ids"]
    if task.task_type in _CUT_TASK_TYPES:
        options["model_max_length"] = min(task.max_length, tokenizer.model_max_length)
    if task.task_type == "multiple_choice":
        options["truncation_side"] = "left"
    byte_levels = _byte_levels(plain.backend_tokenizer.pre_tokenizer)
    if task.task_type == "token_classification" and byte_levels:
        options["add_prefix_space"] = True  # as `tokenize_words` does
        for byte_level in byte_levels:
            byte_level.add_prefix_space = True
    for name, value in options.items():
        setattr(plain, name, value)
        plain.init_kwargs[name] = value  # which is what `save_pretrained` writes
    if task.task_type == "token_classification":
        ((ids, _),) = tokenize_words(tokenizer, [_SAMPLE_WORDS])
        plain_ids = plain(_SAMPLE_WORDS, is_split_into_words=True, add_special_tokens=False)
        if ids.tolist() != plain_ids["input_ids"]:
            logger.warning(
                f"Task {task.name}: the exported tokenizer splits words in other pieces than "
                f"jiantx does (tried: {' '.join(_SAMPLE_WORDS)}), so some tags will differ. Put a "
                "space before each word."
            )
    return plain


def _byte_levels(pre_tokenizer: Any) -> Sequence[ByteLevel]:
    """The byte-level steps of a pre-tokenizer, which may be a sequence of steps."""
    steps = pre_tokenizer if hasattr(pre_tokenizer, "__getitem__") else [pre_tokenizer]
    return [step for step in steps if isinstance(step, ByteLevel)]

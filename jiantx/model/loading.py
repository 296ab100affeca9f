"""Loading encoders, masked-LM heads and tokenizers, and the checks of what was loaded."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from safetensors import SafetensorError
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from jiantx.attention import encoder_class
from jiantx.model.masked_lm import MaskedLMWeights, read_masked_lm_head
from jiantx.progress_bars import without_weight_bars
from jiantx.sources import DataError
from jiantx.tokenization import check_tokenizer

logger = logging.get_logger("jiantx.model")

# The loading info tells what does not fit; `check_weights` makes an error of it.
LOADING_OPTIONS = {"output_loading_info": True, "ignore_mismatched_sizes": True}
# endings of transformers' classes whose heads are fine-tuned
_TASK_ARCHITECTURES = (
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForMultipleChoice",
)
_TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",  # DeBERTa's
    "sentencepiece.model",  # RemBERT's
)
_TOKENIZER_CONFIG = "tokenizer_config.json"  # alone where a tokenizer has no vocabulary: ByT5's


def without_pooler(encoder_type: type[PreTrainedModel]) -> dict[str, bool]:
    """Arguments that leave out an encoder's pooler.

    Heads have their own. A pooler that nobody reads would cost memory and confuse DDP.
    """
    parameters = inspect.signature(encoder_type.__init__).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in parameters else {}


def load_encoder(
    path: str | os.PathLike[str],
    config: PreTrainedConfig,
    dtype: Any,
    kwargs: Mapping[str, Any],
    *,
    with_mlm: bool,
) -> tuple[PreTrainedModel, MaskedLMWeights | None]:
    """Load a plain encoder.

    Args:
        path: Hub id or folder.
        config: Its config.
        dtype: Of the weights.
        kwargs: For transformers' `from_pretrained`.
        with_mlm: Load the checkpoint's masked-LM head too. If it has none, a warning says so.

    Returns:
        The encoder, and the masked-LM head or None.

    Raises:
        ValueError: Encoder weights are missing or cannot be read.
    """
    encoder_type = encoder_class(config)
    has_mlm_head = with_mlm and _has_mlm_head(config, encoder_type)
    mlm_head = None
    with errors_only(), weight_errors(path):
        if has_mlm_head:
            model, info = AutoModelForMaskedLM.from_pretrained(
                path, dtype=dtype, **LOADING_OPTIONS, **kwargs
            )
            prefix = f"{model.base_model_prefix}."
            missing_in_head = {key for key in info["missing_keys"] if not key.startswith(prefix)}
            # an ELECTRA discriminator, say, has no such head
            has_mlm_head = not missing_in_head
            if has_mlm_head:
                mlm_head = read_masked_lm_head(model)
            info["missing_keys"] = set(info["missing_keys"]) - missing_in_head
            encoder = model.base_model
            if without_pooler(encoder_type):
                encoder.pooler = None
        else:
            encoder, info = encoder_type.from_pretrained(
                path, dtype=dtype, **LOADING_OPTIONS, **without_pooler(encoder_type), **kwargs
            )
    check_weights(path, config, encoder, info)
    if architecture := task_architecture(config):
        logger.warning(
            f"{os.fspath(path)} holds a fine-tuned {architecture}. Only its encoder is "
            "loaded; all heads are new. "
            f"To predict with the checkpoint's own head, use transformers.{architecture}."
        )
    if with_mlm and mlm_head is None:
        reason = "of a form that jiantx cannot read" if has_mlm_head else "missing"
        logger.warning(
            f"The masked-LM head of {os.fspath(path)} is {reason}. A new one with random weights "
            "takes its place: its guesses mean nothing until it is trained."
        )
    return encoder, mlm_head


def task_architecture(config: PreTrainedConfig) -> str | None:
    """The class of a checkpoint that holds a fine-tuned head of transformers, or None."""
    architecture = (config.architectures or [""])[0]
    return architecture if architecture.endswith(_TASK_ARCHITECTURES) else None


def _has_mlm_head(config: PreTrainedConfig, encoder_type: type[PreTrainedModel]) -> bool:
    """Whether the config names a model with a masked-LM head on this encoder."""
    architecture = (config.architectures or [""])[0]
    auto_classes = AutoModelForMaskedLM._model_mapping
    if type(config) not in auto_classes or config.is_encoder_decoder:
        return False
    mlm_class = auto_classes[type(config)]
    suffixes = ("ForMaskedLM", "ForPreTraining", mlm_class.__name__)
    has_encoder = mlm_class.base_model_prefix == encoder_type.base_model_prefix
    return architecture.endswith(suffixes) and has_encoder


def check_folder(path: str | os.PathLike[str], subfolder: str | None) -> None:
    """Check that a path is a folder with a config, or may be a Hub id.

    Args:
        path: Hub id or folder.
        subfolder: Where the model is in it.

    Raises:
        ValueError: It is neither.
    """
    folder = Path(path)
    model_folder = Path(path, subfolder or "")
    if folder.is_dir() and not (model_folder / "config.json").is_file():
        checkpoints = [config.parent for config in model_folder.glob("checkpoint-*/config.json")]
        latest = max(checkpoints, key=lambda path: path.stat().st_mtime, default=None)
        hint = f" It holds checkpoints: load {latest}, say." if latest else ""
        raise ValueError(
            f"The folder {model_folder} holds no config.json, and so no encoder and no saved "
            f"model.{hint}"
        )
    looks_like_folder = (
        folder.is_absolute() or os.fspath(path).startswith(".") or len(folder.parts) > 2
    )
    if looks_like_folder and not folder.exists():
        raise ValueError(
            f"There is no folder {folder}, and a Hub id has the form name or organisation/name."
        )


def check_config(path: str | os.PathLike[str], config: PreTrainedConfig) -> None:
    """Check that a config names no code of the Hub: transformers would fetch such a kernel and run
    it.

    Args:
        path: Where the config comes from.
        config: The config; the configs inside it are checked too.

    Raises:
        ValueError: It does.
    """
    inner_configs = [getattr(config, name, None) for name in config.sub_configs]
    for checked in (config, *inner_configs):
        for name in ("_attn_implementation", "_experts_implementation"):
            value = getattr(checked, name, None)
            if "/" in str(value):
                raise ValueError(
                    f"The config of {os.fspath(path)} asks for {value!r}, a kernel from the Hub, "
                    f"and would run its code. Take {name.removeprefix('_')!r} out of config.json."
                )


@contextmanager
def weight_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise ValueError if a file of weights is damaged, or a pickle of more than tensors."""
    try:
        yield
    except (SafetensorError, UnpicklingError) as error:
        raise ValueError(
            f"The weights of {os.fspath(path)} cannot be read ({type(error).__name__}). Expected "
            "safetensors, or a pytorch_model.bin that holds tensors only; no other pickle is "
            "loaded."
        ) from None


@contextmanager
def errors_only() -> Iterator[None]:
    """Silence transformers' table of keys and its bar of weights, which takes a second.

    `check_weights` says in a sentence what the table says.
    """
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with without_weight_bars():
            yield
    finally:
        logging.set_verbosity(level)


def check_weights(
    path: str | os.PathLike[str],
    config: PreTrainedConfig,
    model: PreTrainedModel,
    info: Mapping[str, Any],
) -> None:
    """Check that a checkpoint held all weights except the pooler's: others would be random.

    Args:
        path: Hub id or folder.
        config: The checkpoint's.
        model: What was loaded.
        info: transformers' loading info.

    Raises:
        ValueError: Weights are missing or have another shape.
    """
    problems = sorted(key for key in info["missing_keys"] if "pooler" not in key)
    problems += sorted(
        f"{key} ({tuple(shape)} instead of {tuple(expected)})"
        for key, shape, expected in info["mismatched_keys"]
    )
    if problems:
        architecture = (config.architectures or [config.model_type])[0]
        raise ValueError(
            f"{os.fspath(path)} does not hold the weights of a {type(model).__name__}: "
            f"{len(problems)} are missing or of another shape, such as {', '.join(problems[:3])}. "
            f"Its config says {architecture}; check that config.json and weights belong together."
        )


def load_tokenizer(
    path: str | os.PathLike[str], hub_options: Mapping[str, Any]
) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a checkpoint.

    Args:
        path: Hub id or folder.
        hub_options: Revision, subfolder, token, …

    Raises:
        DataError: There is none, it cannot be read, or it has no fast form.
    """
    folder = Path(path, hub_options.get("subfolder") or "")
    has_files = any((folder / name).exists() for name in (*_TOKENIZER_FILES, _TOKENIZER_CONFIG))
    if Path(path).is_dir() and not has_files:
        reason = f"none of {', '.join(_TOKENIZER_FILES)} is there"
    else:
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, **hub_options)
        # tokenizers raises no narrower type for a file that it cannot read
        except Exception as error:
            reason = str(error).partition("\n")[0]
        else:
            check_tokenizer(tokenizer)
            return tokenizer
    raise DataError(
        f"{os.fspath(path)} has no tokenizer that can be loaded ({reason}). Save the encoder's "
        "tokenizer into the same folder: tokenizer.save_pretrained(folder)."
    )

"""A checkpoint's own masked-LM head, found by its structure and not by the name of its family."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import BaseModelOutput

from jiantx.heads import MaskedLMHead

_NUM_STATES = 8  # random states on which the two heads are compared


class MaskedLMWeights(NamedTuple):
    """A masked-LM head that `MaskedLMHead` can take over.

    Args:
        form: For the head's config; see `MaskedLMHead`.
        state: The head's state.
    """

    form: dict[str, Any]
    state: dict[str, Tensor]


def read_masked_lm_head(model: PreTrainedModel) -> MaskedLMWeights | None:
    """Read the masked-LM head off transformers' own model.

    The head is what lies outside the encoder: the output embeddings, their bias, and either a
    linear layer with an activation and a norm, or neither. `MaskedLMHead` with these weights must
    give the same scores as the model on random states.

    Args:
        model: A `…ForMaskedLM`, with the checkpoint's weights.

    Returns:
        The head; None if it has another structure or gives other scores.
    """
    embedding = model.get_input_embeddings().weight
    decoder = getattr(model.get_output_embeddings(), "weight", embedding)
    if len(decoder) != len(embedding):  # some of DeBERTa's name another layer
        decoder = embedding
    vocabulary, size = decoder.shape
    encoder_modules = set(model.base_model.modules())
    modules = [module for module in model.modules() if module not in encoder_modules]
    shape = (size, model.config.hidden_size)
    linears = [module for module in modules if isinstance(module, nn.Linear)]
    denses = [module for module in linears if module.weight.shape == shape]
    denses = [module for module in denses if module.weight is not decoder]
    norms = [module for module in modules if isinstance(module, nn.LayerNorm)]
    norms = [module for module in norms if module.normalized_shape == (size,)]
    form: dict[str, Any] = {"size": size, "has_transform": bool(denses)}
    parameters: dict[str, Tensor] = {}
    if len(denses) == len(norms) == 1:
        form["dense_bias"] = denses[0].bias is not None
        form["norm_eps"] = norms[0].eps
        form["norm_bias"] = norms[0].bias is not None
        for name, module in (("dense", denses[0]), ("norm", norms[0])):
            parameters |= {f"{name}.{key}": value for key, value in module.named_parameters()}
    elif denses or norms or size != model.config.hidden_size:
        return None
    for module in modules:  # the bias may be the output embeddings' or stand beside them
        for value in module.parameters(recurse=False):
            if value.shape == (vocabulary,):
                parameters["bias"] = value
    form["has_decoder"] = decoder is not embedding
    if form["has_decoder"]:
        parameters["decoder"] = decoder
    state = {name: value.detach() for name, value in parameters.items()}
    state.setdefault("bias", decoder.detach().new_zeros(vocabulary))
    return _verified(model, form, state)


def _verified(
    model: PreTrainedModel, form: dict[str, Any], state: dict[str, Tensor]
) -> MaskedLMWeights | None:
    """The head with the activation that gives the model's own scores; None if there is none."""
    tolerance = _tolerance(model)
    # RoBERTa's head has GELU, whatever its config says
    activations = dict.fromkeys(["gelu", *map(str, model.config.to_dict().values())])
    best: MaskedLMWeights | None = None
    for activation in activations:
        if activation not in ACT2FN:
            continue
        tried = {**form, "activation": activation}
        with torch.device("meta"):
            head = MaskedLMHead(model.config, {"type": "masked_lm", "form": tried})
        head.load_state_dict(state, assign=True)
        error = _score_error(head, model)
        if error < tolerance:
            best = MaskedLMWeights(tried, state)
            tolerance = error
    return best


def gives_scores_of(head: MaskedLMHead, model: PreTrainedModel) -> bool:
    """Whether a head scores random states as transformers' own model does.

    Args:
        head: With the same weights.
        model: A `…ForMaskedLM`.
    """
    return _score_error(head, model) < _tolerance(model)


def _tolerance(model: PreTrainedModel) -> float:
    """Relative to the largest score. Half precision: the two ways add up in another order."""
    return 1e-4 if model.dtype == torch.float32 else 2e-2


@torch.no_grad()
def _score_error(head: MaskedLMHead, model: PreTrainedModel) -> float:
    """The largest difference between two heads' scores; infinite if the model gives none."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(_NUM_STATES, model.config.hidden_size, generator=generator)
    states = states.to(model.device, model.dtype)
    expected = _scores(model, states)
    if expected is None:
        return math.inf
    scores = head.scores(states, model.get_input_embeddings().weight)
    return float((scores - expected).abs().max() / expected.abs().max())


class _States(BaseModelOutput):
    """An encoder's output that holds its states alone; whatever else a family has is None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("_"):
            raise AttributeError(name)


@torch.no_grad()
def _scores(model: PreTrainedModel, states: Tensor) -> Tensor | None:
    """(states, vocabulary) scores of a `…ForMaskedLM` for states of its encoder."""
    encoder: Any = model.base_model
    encoder.forward = lambda *args, **kwargs: _States(last_hidden_state=states[None])
    ids = torch.zeros(1, len(states), dtype=torch.long, device=states.device)
    try:
        return model(input_ids=ids).logits[0].float()
    except (TypeError, ValueError, RuntimeError, AttributeError, IndexError):
        return None  # it reads more of its encoder than the states
    finally:
        del encoder.forward  # the class's own again

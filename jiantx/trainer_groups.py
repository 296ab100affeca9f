"""Parameters chosen by name: frozen, or with a learning rate and a weight decay of their own."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from numbers import Real
from typing import Any

import transformers
from torch import nn
from torch.optim import Optimizer
from transformers.utils import logging

from jiantx.attention import layer_lists
from jiantx.registry import near_names
from jiantx.trainer_card import without_adapters

logger = logging.get_logger("jiantx.trainer")

# what FSDP and activation checkpointing put into names
_WRAPPERS = ("_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_orig_mod")
_LISTED = 40  # names in an error


@dataclass(frozen=True, kw_only=True)
class ParameterSettings:
    """What a trainer does with parameters by their names.

    A pattern is a name, or several with dots between them. It matches the parameters whose own
    dotted name has these names in a row: `encoder.layer.1` matches
    `encoder.encoder.layer.1.output.dense.weight`, and not layer 11. Each of the names may hold `*`,
    `?` and `[0-5]`.

    Args:
        freeze: Patterns of parameters that are not trained.
        learning_rates: Pattern -> learning rate; where several match, the last one counts.
        weight_decays: Pattern -> weight decay, likewise.
        layer_decay: The learning rate of a layer is that of the layer above times this.

    Raises:
        ValueError: A number is outside its range.
    """

    freeze: Sequence[str] = ()
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    weight_decays: Mapping[str, float] = field(default_factory=dict)
    layer_decay: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.freeze, str):
            raise ValueError(f"Trainer(freeze={self.freeze!r}): expected a list of patterns.")
        for option in ("learning_rates", "weight_decays"):
            values = getattr(self, option)
            if not isinstance(values, Mapping):
                raise ValueError(
                    f"Trainer({option}={values!r}): expected a dictionary, pattern -> number."
                )
            for pattern, value in values.items():
                is_number = isinstance(value, Real) and 0 <= float(value) < math.inf
                if not is_number or (option == "learning_rates" and value == 0):
                    raise ValueError(
                        f"Trainer({option}={{{pattern!r}: {value!r}}}): expected a positive number."
                        " To leave parameters as they are, name them in `freeze`."
                    )
        decay = self.layer_decay
        if decay is not None and not (isinstance(decay, Real) and 0 < decay <= 1):
            raise ValueError(
                f"Trainer(layer_decay={decay!r}): expected a factor above 0 and at most 1."
            )

    @property
    def makes_groups(self) -> bool:
        """Whether the optimizer's groups are other than transformers' two."""
        return bool(self.learning_rates or self.weight_decays or self.layer_decay is not None)

    def described(self) -> dict[str, Any]:
        """The settings as plain values, by the names of the trainer's parameters."""
        return asdict(self)

    def check(self, model: nn.Module, decaying: Callable[[], Iterable[str]]) -> None:
        """Check that every pattern matches parameters that it can change.

        Args:
            model: What is trained.
            decaying: Returns the names of the parameters that decay.

        Raises:
            ValueError: A pattern matches nothing, or only what it cannot change; or nothing is left
                to train.
        """
        names = [name for name, _ in named_parameters(model)]
        for option in ("freeze", "learning_rates", "weight_decays"):
            for pattern in getattr(self, option):
                _check_matches(option, pattern, names)
        trained = [
            name
            for name, parameter in named_parameters(model)
            if parameter.requires_grad and not _matches_any(self.freeze, name)
        ]
        if self.freeze and not trained:
            raise ValueError(f"Trainer(freeze={list(self.freeze)}) leaves no parameter to train.")
        for pattern in self.learning_rates:
            if not any(matches(pattern, name) for name in trained):
                raise ValueError(
                    f"Trainer(learning_rates=…): all parameters of {pattern!r} are frozen."
                )
        if self.weight_decays:
            decaying_names = {_clean(name) for name in decaying()}
        for pattern in self.weight_decays:
            if not any(matches(pattern, name) for name in decaying_names):
                raise ValueError(
                    f"Trainer(weight_decays=…): {pattern!r} matches only parameters that do not "
                    "decay: biases, norms and the weights of mixed layers."
                )
        if self.layer_decay is not None:
            layer_factors(model, self.layer_decay)

    @contextmanager
    def frozen(self, model: nn.Module) -> Iterator[None]:
        """Freeze parameters inside the block.

        Args:
            model: What is trained.
        """
        parameters = [
            parameter
            for name, parameter in named_parameters(model)
            if parameter.requires_grad and _matches_any(self.freeze, name)
        ]
        for parameter in parameters:
            parameter.requires_grad_(False)
        if parameters:
            count = sum(parameter.numel() for parameter in parameters)
            logger.info(f"{len(parameters)} tensors are frozen: {count:,} numbers.")
        try:
            yield
        finally:
            for parameter in parameters:
                parameter.requires_grad_(True)

    def regroup(self, optimizer: Optimizer, model: nn.Module, decaying: Iterable[str]) -> None:
        """Split an optimizer's groups by learning rate and weight decay, before its first step.

        Args:
            optimizer: With transformers' groups; changed in place.
            model: What is trained.
            decaying: Names of the parameters that decay.
        """
        decaying_names = {_clean(name) for name in decaying}
        name_of = {id(parameter): name for name, parameter in named_parameters(model)}
        factors = {} if self.layer_decay is None else layer_factors(model, self.layer_decay)
        groups: dict[Any, dict[str, Any]] = {}
        base_rate = float(optimizer.param_groups[0]["lr"])
        for index, group in enumerate(optimizer.param_groups):
            for parameter in group["params"]:
                name = name_of[id(parameter)]
                rate = _last_match(self.learning_rates, name, group["lr"])
                rate *= factors.get(id(parameter), 1.0)
                decay = group["weight_decay"]
                if name in decaying_names:
                    decay = _last_match(self.weight_decays, name, decay)
                options = {**group, "params": [], "lr": rate, "weight_decay": decay}
                groups.setdefault((index, rate, decay), options)["params"].append(parameter)
        # first those with the run's own learning rate: transformers logs that of the first group
        optimizer.param_groups[:] = sorted(
            groups.values(), key=lambda group: bool(group["lr"] != base_rate)
        )
        for group in optimizer.param_groups:
            logger.info(
                f"{len(group['params'])} tensors: learning rate {group['lr']:.3g}, weight decay "
                f"{group['weight_decay']:.3g}."
            )


class ParameterGroupsMixin(transformers.Trainer):
    """The trainer's optimizer, with groups of parameters by their names."""

    parameter_settings: ParameterSettings

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        """As transformers', then with the groups that the trainer's settings ask for.

        Args:
            model: What is trained; the trainer's own if None.
        """
        is_new = self.optimizer is None
        optimizer: Optimizer = super().create_optimizer(model)
        if is_new and self.parameter_settings.makes_groups:
            trained_model = self.model if model is None else model
            decaying = self.get_decay_parameter_names(trained_model)
            plain_optimizer = getattr(optimizer, "optimizer", optimizer)
            self.parameter_settings.regroup(plain_optimizer, trained_model, decaying)
        return optimizer


def check_optimizer(settings: ParameterSettings, args: Any, optimizers: Sequence[Any]) -> None:
    """Refuse groups where the optimizer has parameters of its own choice.

    Args:
        settings: Of the trainer.
        args: `TrainingArguments`.
        optimizers: The optimizer and the scheduler that the trainer was given.

    Raises:
        ValueError: Groups are asked for, and the optimizer cannot have them.
    """
    if not settings.makes_groups:
        return
    reason = ""
    if optimizers and optimizers[0] is not None:
        reason = "the trainer was given an optimizer: give its groups their rates yourself"
    elif args.optim_target_modules:
        reason = "with `optim_target_modules`, the optimizer makes groups of its own"
    if reason:
        raise ValueError(
            "Trainer(learning_rates=…, weight_decays=…, layer_decay=…) cannot be applied, since "
            f"{reason}."
        )


def matches(pattern: str, name: str) -> bool:
    """Whether a parameter has the names of a pattern in a row.

    Args:
        pattern: Names with dots between them; each may hold `*`, `?` and `[0-5]`.
        name: The parameter's dotted name.

    >>> matches("layer.1", "encoder.layer.1.dense.bias")
    True
    >>> matches("layer.1", "encoder.layer.11.dense.bias")
    False
    >>> matches("layer.[0-5]", "encoder.layer.3.dense.bias")
    True
    """
    wanted = pattern.split(".")
    steps = name.split(".")
    for start in range(len(steps) - len(wanted) + 1):
        row = steps[start : start + len(wanted)]
        if all(map(fnmatchcase, row, wanted)):
            return True
    return False


def named_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters of a model, by their names without wrappers."""
    for name, parameter in model.named_parameters():
        yield _clean(name), parameter


def layer_factors(model: Any, decay: float) -> dict[int, float]:
    """The factor of the learning rate of each parameter below the encoder's last layer.

    The last layer has the factor 1, as the heads have; the layer below it `decay`; the embeddings
    `decay` to the power of the number of layers. That is the rule of Sun et al. 2019 (1905.05583).

    Args:
        model: What is trained, perhaps wrapped.
        decay: From one layer to the next.

    Returns:
        id of a parameter -> factor; parameters that are not there have 1.

    Raises:
        ValueError: The encoder's layers share their parameters, or it has no layers.
    """
    encoder = without_adapters(model).encoder
    lists = layer_lists(encoder)
    if not lists:
        raise ValueError(
            f"Trainer(layer_decay={decay}): {type(encoder).__name__} has no layers with parameters "
            "of their own. Leave it out."
        )
    depth_of: dict[int, int] = {}
    for layers in lists:  # XLM has lists of attentions, norms and feed-forward networks
        for index, layer in enumerate(layers, 1):
            for parameter in layer.parameters():
                depth_of[id(parameter)] = index
    factors = {}
    for parameter in encoder.parameters():
        if id(parameter) in depth_of:
            break
        depth_of[id(parameter)] = 0  # what comes before the first layer: embeddings
    for module in encoder.modules():
        if isinstance(module, nn.Embedding):  # tables of relative positions come after the layers
            depth_of.setdefault(id(module.weight), 0)
    for key, depth in depth_of.items():
        factors[key] = decay ** (len(lists[0]) - depth)
    return factors


def _clean(name: str) -> str:
    return ".".join(step for step in name.split(".") if step not in _WRAPPERS)


def _matches_any(patterns: Iterable[str], name: str) -> bool:
    return any(matches(pattern, name) for pattern in patterns)


def _last_match(values: Mapping[str, float], name: str, default: float) -> float:
    for pattern, value in values.items():
        if matches(pattern, name):
            default = value
    return float(default)


def _check_matches(option: str, pattern: Any, names: Sequence[str]) -> None:
    if isinstance(pattern, str) and any(matches(pattern, name) for name in names):
        return
    listed = list(dict.fromkeys(_short_name(name) for name in names))
    prefixes = [name.rpartition(".")[0] for name in listed]
    suggestion = near_names(pattern, [*prefixes, *listed]) if isinstance(pattern, str) else ""
    more = f", … ({len(listed)} in all)" if len(listed) > _LISTED else ""
    raise ValueError(
        f"Trainer({option}=…): {pattern!r} matches no parameter.{suggestion} There are "
        f"{', '.join(listed[:_LISTED])}{more}; # is the number of a layer."
    )


def _short_name(name: str) -> str:
    """A parameter's module, with # for the number of its layer."""
    return re.sub(r"\.\d+(?=\.|$)", ".#", name.rpartition(".")[0] or name)

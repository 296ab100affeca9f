"""Input embeddings that are trained in the rows that the training data use, and in no other."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle


class UsedEmbeddings(nn.Embedding):
    """Embeddings whose parameter holds, during a training step, only the rows that are used.

    A row that no batch uses never has a gradient, and its moments stay 0. All that AdamW does to
    such a row is weight decay, the same factor for all of them. Gradient, moments, their norm and
    all passes over them are therefore as small as the used rows.

    The parameter is one `nn.Parameter` in two forms. It is compact, (used ids, size), while the
    model runs in training mode and while the optimizer steps. Whatever else looks at it finds the
    whole matrix, (vocabulary, size), with the unused rows decayed: `weight`, the forward pass in
    evaluation mode, `state_dict` and `load_state_dict`. Only `parameters()` shows the form that the
    parameter has at the moment.

    `use_rows` makes one of a plain `nn.Embedding` by changing its class, as torch's
    parametrizations do, so that hooks and references to the module stay valid.
    """

    _ids: Tensor  # (used ids,) in increasing order
    _row_of: Tensor  # (vocabulary,) id -> compact row; an unused id has a row that does not exist
    _padding_row: int | None  # the compact row of `padding_idx`
    _whole: Tensor | None  # (vocabulary, size) while the parameter is compact
    _decay: float  # by which the unused rows of `_whole` are still to be multiplied

    # --- the two forms ----------------------------------------------------------------------------

    @property
    def parameter(self) -> nn.Parameter:
        """The parameter, in the form that it has."""
        return cast(nn.Parameter, self._parameters["weight"])

    @property
    def is_compact(self) -> bool:
        """Whether the parameter holds the used rows only."""
        return self._whole is not None

    @property
    def weight(self) -> nn.Parameter:  # type: ignore[override]
        """The parameter, as the whole matrix."""
        self.restore()
        return self.parameter

    @torch.no_grad()
    def compact(self) -> None:
        """Let the parameter hold the used rows only."""
        if self._whole is None:
            self._whole = self.parameter.data
            self.parameter.data = self._whole.index_select(0, self._ids)

    @torch.no_grad()
    def restore(self) -> None:
        """Let the parameter hold the whole matrix, as it would be without this class."""
        if self._whole is None:
            return
        if self._decay != 1:
            self._whole.mul_(self._decay)
        self._whole.index_copy_(0, self._ids, self.parameter.data)
        self.parameter.data = self._whole
        self._whole = None
        self._decay = 1.0

    # --- those who look ---------------------------------------------------------------------------

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and torch.is_grad_enabled()):
            self.restore()
            return embedding(input, self.parameter, self.padding_idx)
        self.compact()
        return embedding(self._row_of[input], self.parameter, self._padding_row)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy gets: not the node of this parameter's graph."""
        return {name: value for name, value in vars(self).items() if name != "_accumulator"}

    def _save_to_state_dict(self, *args: Any) -> None:
        self.restore()
        super()._save_to_state_dict(*args)

    def _load_from_state_dict(self, *args: Any) -> None:
        self.restore()
        super()._load_from_state_dict(*args)

    def _apply(self, fn: Any, recurse: bool = True) -> UsedEmbeddings:
        """Move or convert the other tensors together with the parameter."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._ids = fn(self._ids)
        self._row_of = fn(self._row_of)
        if self._whole is not None:
            self._whole = fn(self._whole)
        return self

    # --- the optimizer ----------------------------------------------------------------------------

    def follow(self, optimizer: Optimizer) -> list[RemovableHandle]:
        """Be compact whenever an AdamW steps, and count the weight decay of its steps.

        Args:
            optimizer: Which trains the parameter.

        Returns:
            Handles that remove the hooks.
        """

        def before_step(*_: Any) -> None:
            self.compact()

        def after_step(*_: Any) -> None:
            if self.parameter.grad is not None:  # otherwise AdamW skips the parameter
                group = optimizer.param_groups[group_of(optimizer, self.parameter)]
                self._decay *= 1 - group["lr"] * group["weight_decay"]

        return [
            optimizer.register_step_pre_hook(before_step),
            optimizer.register_step_post_hook(after_step),
        ]


def use_rows(module: nn.Embedding, ids: Tensor) -> UsedEmbeddings:
    """Make embeddings compact, in place, until `use_all_rows`.

    Args:
        module: A plain `nn.Embedding`.
        ids: (used ids,) in increasing order, with the padding id if there is one. In training mode
            the module refuses other ids.
    """
    weight = module.weight
    state = vars(module)
    state["_ids"] = ids.to(weight.device)
    row_of = torch.full((len(weight),), len(ids), device=weight.device)
    row_of[state["_ids"]] = torch.arange(len(ids), device=weight.device)
    state["_row_of"] = row_of
    state["_padding_row"] = None if module.padding_idx is None else int(row_of[module.padding_idx])
    state["_whole"] = None
    state["_decay"] = 1.0
    module.__class__ = UsedEmbeddings
    compact_module = cast(UsedEmbeddings, module)
    compact_module.compact()
    # autograd takes a gradient's shape from this node: held, it stays that of the compact form,
    # also while somebody keeps a graph of the whole matrix
    node = compact_module.parameter.view_as(compact_module.parameter).grad_fn
    state["_accumulator"] = node and node.next_functions[0][0]
    return compact_module


def use_all_rows(module: UsedEmbeddings) -> None:
    """Make a plain `nn.Embedding` of it again, with the whole matrix."""
    module.restore()
    for name in ("_ids", "_row_of", "_padding_row", "_whole", "_decay", "_accumulator"):
        vars(module).pop(name, None)
    module.__class__ = nn.Embedding  # type: ignore[assignment]


def group_of(optimizer: Optimizer, parameter: nn.Parameter) -> int:
    """Find the group of parameters that holds one.

    Args:
        optimizer: With some groups.
        parameter: That is looked for.

    Returns:
        The index of the group; -1 if there is none.
    """
    for index, group in enumerate(optimizer.param_groups):
        if any(member is parameter for member in group["params"]):
            return index
    return -1

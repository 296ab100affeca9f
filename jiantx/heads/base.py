"""What every head is, and which task type has which."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.utils import ModelOutput

from jiantx.heads.layer_mix import LayerMix
from jiantx.registry import Registry

Batch = Mapping[str, Any]


@dataclass
class HeadOutput(ModelOutput):
    """What a head computes.

    Args:
        loss: Scalar, summed over the items of the batch.
        num_items: Scalar, how many items there are: examples, words, windows or masked positions.
        outputs: Name -> tensor, with one entry for each entry of the task's `output_column`.
        sub_outputs: Of a batch that mixes several draws, the output of each draw.
    """

    loss: Tensor | None = None
    # not `items`: a ModelOutput is a dictionary, and has a method of that name
    num_items: Tensor | None = None
    outputs: dict[str, Tensor] | None = None
    sub_outputs: list[HeadOutput] | None = None


class Head(nn.Module):
    """The layers of one task, on top of the shared encoder.

    Args:
        encoder: The encoder's config.
        config: The task type's `head_config()`, and `layer_mix`: the layers of a mix.

    Attributes:
        layer: The hidden state that the head reads; 0 is the embeddings, None the last.
        layer_mix: Of the layers that the head reads instead, with learned weights; None without.
        settings: Entries of the config that its parameters do not depend on, so that a task may
            have other ones than the model's head.
        smooths_labels: The loss is a cross-entropy that reads the batch's `label_smoothing`.
        takes_loss: The head computes the batch's `loss` where there is one, by `chosen_loss`.
        evaluation_loss: It computes a loss outside training, too.
        undecayed: Names of its own parameters, beside biases and norms, that weight decay leaves.
        reads_embedding: The head reads the batch's `embedding`, all rows of it. If False, the batch
            has none, and the trainer may hold only the embeddings that its data use.
    """

    layer: int | None = None
    layer_mix: LayerMix | None
    settings: ClassVar[tuple[str, ...]] = ()
    smooths_labels: bool = False
    takes_loss: ClassVar[bool] = False
    evaluation_loss: ClassVar[bool] = True
    undecayed: ClassVar[tuple[str, ...]] = ()
    reads_embedding: ClassVar[bool] = True

    @property
    def pools_step(self) -> bool:
        """Whether an example's loss depends on the other examples of the whole step."""
        return False

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)
        layers = self.config.get("layer_mix")
        self.layer_mix = None if layers is None else LayerMix(layers)

    @property
    def needed_layers(self) -> tuple[int | None, ...]:
        """The hidden states that the head needs; see `layer`."""
        return (self.layer,) if self.layer_mix is None else self.layer_mix.layers

    def mix_layers(self, states: Sequence[Tensor]) -> Tensor:
        """Make one state of each token, for `forward`.

        Args:
            states: (total tokens, hidden) for each of `needed_layers`.

        Returns:
            (total tokens, hidden).
        """
        return states[0] if self.layer_mix is None else self.layer_mix(states)

    def check_draw(self, task: str, size: int) -> None:
        """Refuse a number of examples that the head cannot learn from.

        Args:
            task: The name of the task that trains the head.
            size: Different examples of a draw.

        Raises:
            ValueError: There are too few.
        """
        return

    @abstractmethod
    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        """Compute the loss and, outside training, the outputs.

        Args:
            states: (total tokens, hidden), the sequences of the batch one after the other.
            batch: Tensors on the states' device. `lengths`, `starts` (sequences,): tokens of each
                sequence and the index of its first; `longest`: the largest length; `sequences`
                (features,): sequences of each feature; `most_sequences`: their maximum; `labels`:
                one entry for each item, -100 if it has none; `embedding` (vocabulary, size): the
                input embeddings, if `reads_embedding`; `label_smoothing`: a number,
                and `loss`: a function of (scores, targets), both from the trainer; and every list
                column that the task's `features` makes, flat. Columns that end in `_positions` are
                indices into `states`.
        """

    def resize_vocabulary(self, size: int) -> None:
        """Follow the encoder's embeddings, where parameters belong to tokens.

        Args:
            size: Tokens with an embedding.
        """

    def collect(
        self, outputs: dict[str, Tensor], corpus: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Turn the outputs of a whole split in one language into what `task.decode` reads.

        Args:
            outputs: Of all rows, in their order.
            corpus: Of all candidates, for tasks with a corpus, language by language; `rows_per_id`
                (distinct ids,), how many of them have the same id, the largest number first; and
                `rows_per_language` (languages,).
        """
        return outputs


def check_output(head: Any, output: Any) -> None:
    """Check what a head returned.

    Args:
        head: The head, or what wraps it.
        output: Of its `forward`.

    Raises:
        TypeError: It is no `HeadOutput`.
        ValueError: In training it has no loss, or a loss of several numbers or of no items.
    """
    noun = f"{type(head).__name__}.forward"
    if not isinstance(output, HeadOutput):
        raise TypeError(f"{noun} returned {type(output).__name__}; expected a HeadOutput.")
    if output.loss is None:
        if head.training and not head.pools_step:
            raise ValueError(f"{noun} returned no loss in training: HeadOutput(loss=…).")
        return
    if output.loss.dim() or output.num_items is None:
        raise ValueError(
            f"{noun} returned a loss of shape {tuple(output.loss.shape)} and num_items="
            f"{output.num_items}. Expected the sum of the loss over the items, and how many items "
            'there are: HeadOutput(loss=…, num_items=(batch["labels"] != -100).sum()).'
        )


HEADS: Registry[Callable[[PreTrainedConfig, Mapping[str, Any]], Head]] = Registry(
    "head for the task type"
)


def register_head(task_type: str, head: type[Head], *, overwrite: bool = False) -> type[Head]:
    """Register the head of a task type and return it.

    Args:
        task_type: The class variable `task_type` of the task's class.
        head: A subclass of `Head`. One of the same code may be registered already.
        overwrite: Replace another head of the task type.

    Raises:
        ValueError: The task type has another head, and `overwrite` is false.
    """
    HEADS.register(task_type, head, overwrite=overwrite)
    return head

"""Dropout whose masks are drawn quickly on a CPU.

There, torch draws a mask number by number (`bernoulli_`), which takes longer than any other
operation of a training step in bfloat16 that is no matrix product."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_STEPS = 2**16  # a mask is decided by 16 random bits, so probabilities are multiples of 1 / _STEPS


class FastDropout(nn.Dropout):
    """`nn.Dropout` that decides four elements by each random number of torch's CPU generator.

    The probability is the nearest multiple of 2 ** -16, and what is kept is divided by exactly that
    of being kept. Other devices, compiled graphs and probabilities near 0 or 1 run torch's own.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Set elements to 0 at random while training, and scale up the others.

        Args:
            input: Of any shape.
        """
        dropped = round(self.p * _STEPS)
        draws_quickly = (
            self.training
            and 0 < dropped < _STEPS
            and input.device.type == "cpu"
            and input.is_floating_point()
            and not self.inplace
            and not torch.compiler.is_compiling()
        )
        return input * _noise(input, dropped) if draws_quickly else super().forward(input)


@torch.no_grad()
def _noise(like: Tensor, dropped: int) -> Tensor:
    """Factors of dropout: 0 in `dropped` of 2 ** 16 cases, else such that their mean is 1.

    Args:
        like: Of its shape and dtype.
        dropped: More than 0 and less than 2 ** 16.
    """
    count = like.numel()
    numbers = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = numbers.view(torch.int16)[:count].view(like.shape)
    smallest_kept = dropped - _STEPS // 2  # an int16 begins at -2 ** 15
    is_kept = bits.clamp_(smallest_kept - 1, smallest_kept).sub_(smallest_kept - 1)
    return is_kept.to(like.dtype).mul_(_STEPS / (_STEPS - dropped))


def draw_masks_quickly(module: nn.Module) -> None:
    """Make every `nn.Dropout` inside a module a `FastDropout`; its own subclasses are left alone.

    Args:
        module: Changed in place.
    """
    for inner in module.modules():
        if type(inner) is nn.Dropout:
            inner.__class__ = FastDropout

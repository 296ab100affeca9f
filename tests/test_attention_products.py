"""Attention by products equals torch's attention of each sequence, with all its gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from jiantx.attention import SequenceLayout, flat_attention
from jiantx.attention_products import FLOAT32_BELOW, attend_by_products

LENGTHS = [3, 1, FLOAT32_BELOW - 1, FLOAT32_BELOW, 70, 3]  # 70 is the longest
LONG_LENGTHS = [FLOAT32_BELOW, FLOAT32_BELOW + 5]


def random_states(lengths: list[int], dtype: torch.dtype) -> list[Tensor]:
    """Query, key, value and the gradient of what attention returns, the last by tokens."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, 3, sum(lengths), 8)
    states = [torch.randn(shape, generator=generator).to(dtype) for _ in range(4)]
    return [*(x.requires_grad_() for x in states[:3]), states[3].transpose(1, 2)]


def attend(states: list[Tensor], lengths: list[int], scaling: float | None = None) -> Tensor:
    query, key, value = states
    return attend_by_products(query, key, value, lengths, scaling)


def flat(states: list[Tensor], window: int | None = None) -> Tensor:
    query, key, value = states
    layout = SequenceLayout(torch.tensor(LENGTHS), max(LENGTHS))
    attended, _ = flat_attention(
        torch.nn.Module(), query, key, value, sequences=layout, sliding_window=window
    )
    return attended


def expected_attention(
    states: list[Tensor], lengths: list[int], scaling: float | None = None
) -> Tensor:
    attended = []
    for query, key, value in zip(*(x.split(lengths, dim=2) for x in states), strict=True):
        attended.append(scaled_dot_product_attention(query, key, value, scale=scaling))
    return torch.cat(attended, dim=2).transpose(1, 2)


@pytest.mark.parametrize("lengths", [LENGTHS, LONG_LENGTHS, [5]])
@pytest.mark.parametrize("scaling", [None, 0.3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 5e-2)])
def test_equals_torchs_attention(
    dtype: torch.dtype, tolerance: float, scaling: float | None, lengths: list[int]
) -> None:
    *states, upstream = random_states(lengths, dtype)
    attended = attend(states, lengths, scaling)
    assert attended.dtype == dtype
    gradients = torch.autograd.grad(attended, states, upstream)

    precise_states = [x.detach().float().requires_grad_() for x in states]
    expected = expected_attention(precise_states, lengths, scaling)
    expected_gradients = torch.autograd.grad(expected, precise_states, upstream.float())
    torch.testing.assert_close(attended.float(), expected, atol=tolerance, rtol=tolerance)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert gradient.dtype == dtype
        torch.testing.assert_close(
            gradient.float(), expected_gradient, atol=tolerance, rtol=tolerance
        )


@pytest.mark.parametrize("length", [FLOAT32_BELOW - 1, FLOAT32_BELOW, 2 * FLOAT32_BELOW])
def test_sharp_attention_is_as_exact_as_torchs(length: int) -> None:
    """Scores that are rounded before the softmax would be off by several percent."""
    *states, upstream = random_states([length], torch.bfloat16)
    query, key, value = states
    states = [(x.detach() * 6).requires_grad_() for x in (query, key)] + [value]
    precise_states = [x.detach().float().requires_grad_() for x in states]
    expected = expected_attention(precise_states, [length])
    expected_gradients = torch.autograd.grad(expected, precise_states, upstream.float())

    def errors(attended: Tensor) -> list[float]:
        gradients = torch.autograd.grad(attended, states, upstream)
        errors = []
        for one, exact in zip((attended, *gradients), (expected, *expected_gradients)):
            error = (one.float() - exact).norm() / exact.norm()
            errors.append(error.item())
        return errors

    ours = errors(attend(states, [length]))
    fused = errors(expected_attention(states, [length]))
    assert max(fused) < 0.02
    for our_error, fused_error in zip(ours, fused, strict=True):
        assert our_error < 2 * fused_error


def test_short_sequences_are_computed_in_float32_under_autocast() -> None:
    # one rounding, at the end
    lengths = [5, FLOAT32_BELOW - 1]
    *states, _ = random_states(lengths, torch.bfloat16)
    expected = expected_attention([x.float() for x in states], lengths).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        attended = attend(states, lengths)
    assert torch.equal(attended, expected)


def test_flat_attention_in_bfloat16_is_one_record_of_the_graph() -> None:
    *states, _ = random_states(LENGTHS, torch.bfloat16)
    attended = flat(states)
    assert torch.equal(attended, attend(states, LENGTHS))
    assert attended.grad_fn is not None
    (before, _), *_ = attended.grad_fn.next_functions
    assert before is not None and before.name() == "_AttentionBackward"


def test_a_window_that_hides_no_token_changes_nothing() -> None:
    *states, _ = random_states(LENGTHS, torch.bfloat16)
    of_all = flat(states)
    narrow = flat(states, window=20)
    assert torch.equal(flat(states, window=70), of_all)
    assert not torch.allclose(narrow, of_all)
    assert torch.allclose(narrow[:, :4], of_all[:, :4], atol=2e-2)  # of 3 tokens and 1


def test_a_second_derivative_is_refused() -> None:
    *states, upstream = random_states([5], torch.bfloat16)
    attended = attend(states, [5])
    with pytest.raises(RuntimeError, match="cannot be differentiated twice"):
        torch.autograd.grad(attended, states, upstream, create_graph=True)

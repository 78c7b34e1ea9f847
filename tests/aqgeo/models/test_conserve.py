"""The layer that keeps what was observed: means of cells, no less than nothing, gaps."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from aqgeo.models import conserve

FACTORS = st.sampled_from([2, 3, 4, 8])


def fields(
    seed: int, factor: int, *, level: float = 5.0, gaps: float = 0.2
) -> tuple[Tensor, Tensor]:
    """Return a fine field of any values, and cells of which some are negative and some missing."""
    made = torch.Generator().manual_seed(seed)
    coarse = 10 * torch.randn(2, 6, 7, generator=made, dtype=torch.float64) + level
    coarse[torch.rand(coarse.shape, generator=made) < gaps] = torch.nan
    fine = 30 * torch.randn(2, 6 * factor, 7 * factor, generator=made, dtype=torch.float64)
    return fine, coarse


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), FACTORS)
def test_every_cell_keeps_its_mean_even_where_noise_made_it_negative(
    seed: int, factor: int
) -> None:
    fine, coarse = fields(seed, factor)
    found = conserve.block_mean(conserve.conserve(fine, coarse, factor), factor)
    known = torch.isfinite(coarse)
    assert torch.equal(torch.isfinite(found), known)
    torch.testing.assert_close(found[known], coarse[known], rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), FACTORS)
def test_no_pixel_is_below_nothing_or_below_its_own_negative_cell(seed: int, factor: int) -> None:
    fine, coarse = fields(seed, factor)
    found = conserve.conserve(fine, coarse, factor)
    least = conserve.repeat(coarse.clamp(max=0), factor)
    known = torch.isfinite(found)
    assert (found[known] >= least[known] - 1e-9).all()


def test_a_negative_cell_stays_flat() -> None:
    fine, coarse = fields(3, 4, level=-50.0, gaps=0)
    found = conserve.conserve(fine, coarse, 4)
    torch.testing.assert_close(found, conserve.repeat(coarse, 4))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), FACTORS)
def test_what_is_right_already_is_not_changed(seed: int, factor: int) -> None:
    fine = fields(seed, factor)[0].abs()
    coarse = conserve.block_mean(fine, factor)
    torch.testing.assert_close(conserve.conserve(fine, coarse, factor), fine)
    once = conserve.conserve(fields(seed + 1, factor)[0], coarse, factor)
    torch.testing.assert_close(conserve.conserve(once, coarse, factor), once)


def test_it_is_the_nearest_field_that_keeps_means_within_a_single_cell() -> None:
    """A projection: no other field of the same mean without negative pixels is nearer."""
    rng = np.random.default_rng(0)
    fine = torch.from_numpy(rng.normal(size=(1, 4, 4)) * 10)
    coarse = torch.full((1, 1, 1), 3.0, dtype=torch.float64)
    found = conserve.conserve(fine, coarse, 4)
    distance = (found - fine).square().sum()
    for _ in range(200):
        other = torch.from_numpy(rng.exponential(size=(1, 4, 4)))
        other *= 3.0 / other.mean()
        assert (other - fine).square().sum() >= distance - 1e-9


def test_single_precision_keeps_means_to_a_millionth() -> None:
    fine, coarse = (part.float() for part in fields(0, 4, level=30.0))
    found = conserve.conserve(fine, coarse, 4).double()
    known = torch.isfinite(coarse)
    off = (conserve.block_mean(found, 4) - coarse)[known] / coarse[known]
    assert off.abs().max() < 1e-6


def test_gradients_pass_and_are_finite_beside_gaps() -> None:
    fine, coarse = fields(1, 4)
    fine.requires_grad_()
    found = conserve.conserve(fine, coarse, 4)
    found[torch.isfinite(found)].square().sum().backward()  # type: ignore[no-untyped-call]
    assert fine.grad is not None
    assert torch.isfinite(fine.grad).all()
    assert fine.grad.abs().sum() > 0


@pytest.mark.parametrize("factor", [2, 4])
def test_tiles_with_a_rim_equal_the_whole(factor: int) -> None:
    fine, coarse = (part[:1] for part in fields(5, factor))
    whole = conserve.conserve(fine, coarse, factor)
    part = conserve.conserve(fine[:, :, : 6 * factor], coarse[:, :, :6], factor)
    kept = (6 - conserve.REACH) * factor
    known = torch.isfinite(whole[..., :kept])
    torch.testing.assert_close(part[..., :kept][known], whole[..., :kept][known])

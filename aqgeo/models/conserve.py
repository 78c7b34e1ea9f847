"""Fields on a finer grid that keep what was observed: interpolation, and a layer that projects.

An observed value is a mean over fine pixels. On a regular grid of cells that is the mean of a
block; for satellite pixels it is a weighted mean, `processing.superres` has that one.
"""

import torch
import torch.nn.functional as nnf
from torch import Tensor

# Smoothing and corrections, each of which reaches one cell further.
_CORRECTIONS = 3
REACH = 1 + _CORRECTIONS
"""Cells whose values reach a fine pixel."""


def interpolate(coarse: Tensor, factor: int) -> Tensor:
    """Return a smooth field on a finer grid whose block means are the coarse values.

    Linear interpolation is corrected by the interpolated misfit of its block means, as in Rymes
    and Meyers (2001, Solar Energy 71, 225-231); a last constant for each cell makes means exact.
    No data stay no data and lend nothing to neighbours.

    Args:
        coarse: (b, y, x), any unit; NaN is no data.
        factor: fine pixels along one side of a coarse cell.

    Returns:
        (b, y x factor, x x factor).
    """
    known = torch.isfinite(coarse)
    target = torch.where(known, coarse, 0)
    weight = _linear(known.to(coarse.dtype), factor)
    fine = torch.zeros_like(weight)
    for _ in range(REACH):
        misfit = torch.where(known, target - block_mean(fine, factor), 0)
        smooth = _linear(misfit, factor)
        fine = fine + torch.where(weight > 0, smooth / weight.clamp(min=1e-12), 0)
    fine = fine + repeat(target - block_mean(fine, factor), factor)
    return torch.where(repeat(known, factor), fine, torch.nan)


def conserve(fine: Tensor, coarse: Tensor, factor: int) -> Tensor:
    """Return the fine field, changed so that every block's mean is the coarse value.

    The misfit is taken up smoothly, so that cells leave no steps. Then no pixel may be below 0, or
    below its cell's value where noise made that negative: the nearest such field with the same
    means (projection onto a simplex; Held et al. 1974, doi:10.1007/BF01580223). A cell that is
    negative stays flat, since noise has no structure.

    Args:
        fine: (b, Y, X), any unit; all finite where coarse is.
        coarse: (b, y, x), the same unit; NaN is no data.
        factor: fine pixels along one side of a coarse cell.

    Returns:
        (b, Y, X); NaN where coarse is.
    """
    known = repeat(torch.isfinite(coarse), factor)
    held = torch.where(known, fine, 0)
    fine = held + interpolate(coarse - block_mean(held, factor), factor)
    least = coarse.clamp(max=0)
    above = _simplex(_cells(fine - repeat(least, factor), factor), coarse - least)
    found = _pixels(above, factor, fine.shape) + repeat(least, factor)
    return torch.where(known, found, torch.nan)


def guess(fine: Tensor, coarse: Tensor, factor: int) -> Tensor:
    """Return a guess at a field, changed so that it keeps what was observed.

    Args:
        fine: (b, Y, X) in the unit of `coarse`; where it is NaN the interpolation stands for it.
        coarse: (b, y, x); NaN is no data.
        factor: fine pixels along one side of a coarse cell.
    """
    smooth = interpolate(coarse, factor)
    return conserve(torch.where(torch.isfinite(fine), fine, smooth), coarse, factor)


def block_mean(fine: Tensor, factor: int) -> Tensor:
    """Return (b, y, x) means over blocks of (b, y x factor, x x factor)."""
    return nnf.avg_pool2d(fine[:, None], factor)[:, 0]


def repeat(coarse: Tensor, factor: int) -> Tensor:
    """Return (b, y x factor, x x factor): every value repeated over its block."""
    return coarse.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def _linear(coarse: Tensor, factor: int) -> Tensor:
    """Interpolate linearly between the centres of cells; constant outside them."""
    fine = nnf.interpolate(coarse[:, None], scale_factor=factor, mode="bilinear")
    return fine[:, 0]


def _simplex(values: Tensor, mean: Tensor) -> Tensor:
    """Return the nearest (b, y, x, n) without negative numbers that have these means (b, y, x)."""
    count = values.shape[-1]
    ordered = torch.sort(values, -1, descending=True).values
    surplus = ordered.cumsum(-1) - (mean * count)[..., None]
    shift = surplus / torch.arange(1, count + 1, dtype=values.dtype, device=values.device)
    kept = (ordered > shift).sum(-1, keepdim=True).clamp(min=1)
    above = torch.relu(values - shift.gather(-1, kept - 1))
    # Rounding of the sums aside.
    total = above.mean(-1, keepdim=True)
    scale = torch.where(
        total > 0, mean[..., None] / total.clamp(min=torch.finfo(total.dtype).tiny), 0
    )
    return above * scale


def _cells(fine: Tensor, factor: int) -> Tensor:
    b, rows, cols = fine.shape
    blocks = fine.reshape(b, rows // factor, factor, cols // factor, factor)
    return blocks.transpose(2, 3).reshape(b, rows // factor, cols // factor, factor**2)


def _pixels(cells: Tensor, factor: int, shape: torch.Size) -> Tensor:
    b, rows, cols, _ = cells.shape
    return cells.reshape(b, rows, cols, factor, factor).transpose(2, 3).reshape(shape)

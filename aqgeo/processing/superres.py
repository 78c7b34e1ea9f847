"""NO2 columns on a finer grid, which keep what every cell or satellite pixel has observed."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import torch
import torch.nn.functional as nnf
from dask.array import overlap
from scipy import ndimage
from torch import Tensor

from aqgeo.errors import ModelError
from aqgeo.models import checkpoint, conserve
from aqgeo.processing import predict

TASK = "columns"
_COLUMN, _SIGMA = "no2_column", "no2_column_sigma"
_MICRO = 1e6
_RIVALS = ("bicubic", "conservative")


def refine(coarse: np.ndarray, factor: int) -> np.ndarray:
    """Return a smooth field on a finer grid whose block means are the coarse values.

    Args:
        coarse: (y, x) float, any unit; NaN is no data, stays so and lends nothing to neighbours.
        factor: fine pixels along one side of a coarse cell.

    Returns:
        (y x factor, x x factor) float64.
    """
    values = torch.from_numpy(np.ascontiguousarray(coarse, "float64"))
    return np.asarray(conserve.interpolate(values[None], factor)[0].numpy())


def bicubic(coarse: np.ndarray, factor: int) -> np.ndarray:
    """Return a field on a finer grid by bicubic interpolation (Keys 1981, a = -0.5): the rival.

    Args:
        coarse: (y, x) float, any unit; NaN is no data, stays so, and lends its nearest neighbour.
        factor: fine pixels along one side of a coarse cell.

    Returns:
        (y x factor, x x factor) float64; means of cells are not kept.
    """
    lost = ~np.isfinite(coarse)
    if lost.all():
        return np.full([n * factor for n in coarse.shape], np.nan)
    nearest = ndimage.distance_transform_edt(lost, return_distances=False, return_indices=True)
    values = torch.from_numpy(np.asarray(coarse, "float64")[tuple(nearest)])[None, None]
    fine = nnf.interpolate(values, scale_factor=factor, mode="bicubic", antialias=True)[0, 0]
    return np.where(lost.repeat(factor, 0).repeat(factor, 1), np.nan, fine.numpy())


def interpolated(coarse: da.Array, factor: int) -> da.Array:
    """Return `refine` of a lazy field, chunk by chunk; chunks cannot be told apart.

    Args:
        coarse: (y, x) float, any unit.
        factor: fine pixels along one side of a coarse cell.
    """
    coarse = _roomy(coarse)
    wide = overlap.overlap(coarse, _depth(coarse, 1), "none")
    chunks = tuple(tuple(size * factor for size in sizes) for sizes in wide.chunks)
    fine = wide.map_blocks(refine, factor=factor, chunks=chunks, dtype="float64")
    return overlap.trim_internal(fine, _depth(coarse, factor), "none")


def estimate(
    column: da.Array,
    sigma: da.Array | None,
    covariates: Mapping[str, da.Array],
    weights: Path,
    *,
    settings: predict.Settings | None = None,
) -> tuple[da.Array, da.Array]:
    """Return column and its sigma on the fine grid of a network, lazily.

    Args:
        column: (y, x) mol m-2 on cells; NaN is no data, and stays so.
        sigma: (y, x) its one-sigma, mol m-2, if it is known.
        covariates: (Y, X) on the fine grid by name, in the units of the network's card.
        weights: a checkpoint for `columns`.
        settings: where and how the network runs.

    Returns:
        (Y, X) float32 both, mol m-2. The mean of every cell is kept, no pixel is below 0 or below
        its own cell.

    Raises:
        ModelError: the weights are for something else, or do not know a covariate.
    """
    network, _ = checkpoint.read(weights, task=TASK)
    factor, column = network.factor, _roomy(column)
    known = {_COLUMN: interpolated(column, factor)}
    if sigma is not None:
        known[_SIGMA] = sigma.repeat(factor, 0).repeat(factor, 1)
    known |= {
        name: _conserved(values.rechunk(known[_COLUMN].chunks), column, factor)
        if name in network.guesses
        else values
        for name, values in covariates.items()
    }
    if unknown := set(known) - set(network.bands):
        raise ModelError(
            f"{weights} knows no {', '.join(sorted(unknown))}: it takes {', '.join(network.bands)}"
        )
    bands = tuple(name for name in network.bands if name in known)
    chunks = known[_COLUMN].chunks
    given = da.stack([known[name].astype("float32").rechunk(chunks) for name in bands])
    job = predict.Job(
        weights, bands, as_is, 2, "float32", float("nan"), settings or predict.Settings()
    )
    found = predict.predict(given[None], job)[0]
    kept = _conserved(found[0].rechunk(chunks), column, factor)
    seen = da.isfinite(kept)
    return kept, da.where(seen, found[1].rechunk(chunks), np.float32("nan"))


def gate(weights: Path, factor: int, given: set[str]) -> str:
    """Return why a network is not to be used, or nothing if it may be.

    It must have been better than bicubic and than conservative interpolation on scenes that it
    never saw, with no more than what it is given now.

    Args:
        weights: a checkpoint for `columns`.
        factor: fine pixels along one side of a cell.
        given: names of the covariates at hand.

    Raises:
        ModelError: the weights are for something else, or cannot be used.
    """
    card = checkpoint.read_card(weights)
    if card.task != TASK:
        raise ModelError(f"{weights} is for {card.task!r}: weights for {TASK!r} are needed")
    if card.arguments.get("factor") != factor:
        return f"the network makes cells {card.arguments.get('factor')} times finer, not {factor}"
    rmse = held_out(card, given)
    if not rmse:
        return "the network was never judged on held-out scenes with what is known here"
    for rival in _RIVALS:
        ours, its = (math.nan if (v := rmse[k]) is None else v for k in ("network", rival))
        if not ours < its:
            return (
                f"on held-out scenes the network's error of {ours:.2f} umol m-2 is not below the "
                f"{its:.2f} of {rival} interpolation"
            )
    return ""


def held_out(card: checkpoint.Card, given: set[str]) -> dict[str, float | None]:
    """Return errors on held-out scenes by method, umol m-2, with the most of what is given.

    Args:
        card: of weights for `columns`.
        given: names of the covariates at hand.

    Returns:
        Errors of `network`, `bicubic` and `conservative`; empty if it was never judged so.
    """
    judged = [one for one in card.scores.get("held_out", ()) if set(one["covariates"]) <= given]
    best: dict[str, Any] = max(judged, key=lambda one: len(one["covariates"]), default={"rmse": {}})
    return dict(best["rmse"])


def as_is(found: Tensor) -> Tensor:
    """Return a network's output as it is."""
    return found


def _conserved(fine: da.Array, coarse: da.Array, factor: int) -> da.Array:
    """Return the fine field with every cell's mean, chunk by chunk; both have the same chunks."""
    wide = overlap.overlap(fine, _depth(coarse, factor), "none")
    cells = overlap.overlap(coarse, _depth(coarse, 1), "none")
    how = {"factor": factor, "dtype": "float32", "chunks": wide.chunks}
    kept = da.map_blocks(_conserve_block, wide, cells, **how)
    return overlap.trim_internal(kept, _depth(coarse, factor), "none")


def _conserve_block(fine: np.ndarray, coarse: np.ndarray, *, factor: int) -> np.ndarray:
    # In umol m-2, where float32 has digits to spare; means are exact in float64 alone.
    made, cells = (
        torch.from_numpy(np.asarray(v, "float64") * _MICRO)[None] for v in (fine, coarse)
    )
    return np.asarray(conserve.guess(made, cells, factor)[0].numpy() / _MICRO, "float32")


def _roomy(coarse: da.Array) -> da.Array:
    """Return cells in chunks that are no smaller than what reaches into them."""
    least = [min(conserve.REACH, n) for n in coarse.shape]
    pairs = zip(least, coarse.chunks, strict=True)
    return coarse.rechunk(tuple(overlap.ensure_minimum_chunksize(*pair) for pair in pairs))


def _depth(coarse: da.Array, factor: int) -> dict[int, int]:
    """Return how far neighbours reach into a chunk; an axis in one piece has none."""
    reach = conserve.REACH * factor
    return {axis: reach if coarse.numblocks[axis] > 1 else 0 for axis in (0, 1)}

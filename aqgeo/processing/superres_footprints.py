"""NO2 columns on a fine grid straight from satellite pixels: each keeps its own mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dask.array as da
import numpy as np
from odc.geo.geobox import GeoBox
from scipy import ndimage, sparse
from scipy.sparse import linalg

from aqgeo.gridding import binning
from aqgeo.models import checkpoint
from aqgeo.processing import predict, superres

_COLUMN = "no2_column"
# Rounds of smoothing; each takes up what the last one missed.
_ROUNDS = 4
# Rounds in which pixels that fell below their least value are held there and the rest is solved.
_HOLDS = 30
# Share of a pixel's area that must lie on the grid, and how far beyond it that is looked for.
_INSIDE, _RIM = 1 - 1e-6, 64


@dataclass(frozen=True, slots=True)
class Pixels:
    """Satellite pixels that lie wholly on a grid, and what they saw."""

    values: np.ndarray
    """(n,) column, mol m-2."""
    means: sparse.csr_array
    """(n, y x) weights of fine cells in a pixel; rows sum to 1."""
    shape: tuple[int, int]
    """Rows and columns of the grid."""

    @property
    def seen(self) -> np.ndarray:
        """(y x,) whether any pixel reaches a fine cell."""
        return np.asarray(self.means.sum(axis=0) > 0)


def place(values: np.ndarray, lon: np.ndarray, lat: np.ndarray, grid: GeoBox) -> Pixels:
    """Return the usable pixels that lie wholly on a grid.

    Args:
        values: (n,) column, mol m-2; pixels without one are left out.
        lon: (n, 4) corner longitudes, degrees, in order round the pixel.
        lat: (n, 4) corner latitudes, degrees.
        grid: fine grid.

    Raises:
        GridError: the grid has no CRS.
    """
    known = np.isfinite(values)
    wide = grid.pad(_RIM)
    shares = binning.shares(lon[known], lat[known], wide)
    rows, cols = wide.shape
    number = np.arange(rows * cols).reshape(rows, cols)[_RIM:-_RIM, _RIM:-_RIM].ravel()
    inner = shares.tocsc()[:, number].tocsr()
    area, inside = (np.asarray(one.sum(axis=1)) for one in (shares, inner))
    kept = np.flatnonzero((inside > 0) & (inside >= _INSIDE * area))
    means = sparse.diags_array(1 / inside[kept]) @ inner[kept]
    return Pixels(values[known][kept].astype("float64"), means.tocsr(), grid.shape.yx)


def interpolate(pixels: Pixels) -> np.ndarray:
    """Return a smooth field (y, x) whose mean over each pixel is what the pixel saw.

    As `conserve.interpolate` with pixels for cells: the misfit, spread over pixels and smoothed,
    is added again and again; the rest is solved. NaN where no pixel reaches.
    """
    weights = np.asarray(pixels.means.sum(axis=0))
    seen = pixels.seen
    # As wide as a pixel: a smooth field has no detail within one.
    width = np.sqrt(1 / max(float(pixels.means.power(2).sum(axis=1).mean()), 1e-12)) / 2
    fine = np.zeros(seen.size)
    blurred = _smooth(weights, pixels.shape, width)
    for _ in range(_ROUNDS):
        misfit = pixels.means.T @ (pixels.values - pixels.means @ fine)
        fine += np.divide(
            _smooth(misfit, pixels.shape, width),
            blurred,
            out=np.zeros(seen.size),
            where=blurred > 0,
        )
    return np.where(seen, fine + _correction(fine, pixels, seen), np.nan).reshape(pixels.shape)


def conserve(fine: np.ndarray, pixels: Pixels) -> np.ndarray:
    """Return the fine field, changed so that its mean over each pixel is what the pixel saw.

    The change is the smallest one (least squares). Cells that fall below 0, or below the lowest
    pixel that reaches them where noise made that negative, are held there and the rest is solved
    again. Pixels that overlap and contradict each other may leave no such field: then means are
    kept, and values below remain.

    Args:
        fine: (y, x) mol m-2, finite wherever a pixel reaches.
        pixels: what was seen.

    Returns:
        (y, x) float64; NaN where no pixel reaches.
    """
    seen = pixels.seen
    found = np.where(seen, np.nan_to_num(fine.ravel()), 0)
    least = _least(pixels)
    free = seen.copy()
    for _ in range(_HOLDS):
        trial = np.where(free, found, least)
        trial = trial + _correction(trial, pixels, free)
        below = free & (trial < least - 1e-12)
        left = pixels.means @ (free & ~below).astype("float64")
        if not below.any() or (left <= 0).any():
            break
        free &= ~below
    trial = trial + _correction(trial, pixels, seen)
    return np.where(seen, trial, np.nan).reshape(pixels.shape)


def estimate(
    pixels: Pixels,
    covariates: Mapping[str, np.ndarray],
    weights: Path,
    *,
    settings: predict.Settings | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return column and its sigma (y, x) on the fine grid, mol m-2.

    Args:
        pixels: of one overpass.
        covariates: (y, x) by name, in the units of the network's card.
        weights: a checkpoint for `columns`.
        settings: where and how the network runs.

    Raises:
        ModelError: the weights are for something else, or do not know a covariate.
    """
    network, _ = checkpoint.read(weights, task=superres.TASK)
    known = {_COLUMN: interpolate(pixels)}
    for name, values in covariates.items():
        guess = np.where(np.isfinite(values), values, known[_COLUMN])
        known[name] = conserve(guess, pixels) if name in network.guesses else values
    bands = tuple(name for name in network.bands if name in known)
    given = np.stack([known[name] for name in bands]).astype("float32")
    how = settings or predict.Settings()
    job = predict.Job(weights, bands, superres.as_is, 2, "float32", float("nan"), how)
    lazy = predict.predict(da.from_array(given[None]), job)
    found, sigma = lazy.compute(scheduler="synchronous")[0]
    return conserve(found, pixels), np.where(pixels.seen.reshape(pixels.shape), sigma, np.nan)


def _least(pixels: Pixels) -> np.ndarray:
    """Return (y x,) what no cell may be below: 0, or the lowest pixel that reaches it."""
    least = np.zeros(pixels.means.shape[1])
    entries = pixels.means.tocoo()
    np.minimum.at(least, entries.coords[1], np.minimum(pixels.values, 0)[entries.coords[0]])
    return least


def _correction(fine: np.ndarray, pixels: Pixels, free: np.ndarray) -> np.ndarray:
    """Return the smallest change of free cells after which every pixel's mean is right."""
    part = pixels.means @ sparse.diags_array(free.astype("float64"))
    misfit = pixels.values - pixels.means @ fine
    # Far below the misfit that matters: lets pixels that see the same be solved too.
    normal = part @ part.T
    normal = normal + sparse.diags_array(np.full(normal.shape[0], 1e-12 * normal.diagonal().max()))
    return np.asarray(part.T @ linalg.spsolve(normal.tocsc(), misfit))


def _smooth(values: np.ndarray, shape: tuple[int, int], width: float) -> np.ndarray:
    return np.asarray(
        ndimage.gaussian_filter(values.reshape(shape), width, mode="constant").ravel()
    )

"""Smoke of stacks and fires, drawn out by the wind."""

import math
from collections.abc import Sequence

import numpy as np
from odc.geo.geobox import GeoBox

from aqgeo.simulation import zoom
from aqgeo.simulation.noise import FloatArray

Source = tuple[float, float, float]
"""x and y in m of the CRS; extinction cross-section emitted per second, m2 s-1 (a stack 100-500,
a fire 1000-10000; illustrative)."""
_LENGTH_M = 25_000.0  # smoke is followed so far
_LIFE_S = 3600.0  # e-fold of what stays visible; illustrative
_CELL_M = 40  # plumes are drawn on pixels of this size
_LEAST_WIND = 1.0


def thickness(
    grid: GeoBox, sources: Sequence[Source], wind: tuple[float, float], seed: int, day: int
) -> FloatArray | None:
    """Return optical thickness at 550 nm, (y, x), of Gaussian plumes; None where there is none.

    tau = Q/(sqrt(2 pi) u s) exp(-y2/2s2) exp(-x/(u life)), s = .16 x (1 + 4e-4 x)**-.5 (Briggs,
    urban D; simulation-facts, section 5), torn by turbulence.

    Args:
        grid: pixels of 10 m times a power of two.
        sources: where smoke rises and how much.
        wind: eastward and northward, m/s.
        seed: of the world.
        day: ordinal of the date.
    """
    pixel = round(grid.affine.a)
    factor = max(_CELL_M // pixel, 1)
    speed = max(math.hypot(*wind), _LEAST_WIND)
    ahead = math.atan2(wind[1], wind[0])
    near = [s for s in sources if _reaches(grid, s, ahead)]
    if not near:
        return None
    coarse, crop = _cells(grid, factor)
    rows, cols = coarse.shape
    x = coarse.affine.c + (np.arange(cols, dtype="float64") + 0.5) * coarse.affine.a
    y = coarse.affine.f + (np.arange(rows, dtype="float64")[:, None] + 0.5) * coarse.affine.e
    bend = zoom.field(coarse, 1, seed, "smoke bend", day, slope=3.0, outer_m=6000)
    found = np.zeros(coarse.shape, "float32")
    for source in near:
        along = (x - source[0]) * math.cos(ahead) + (y - source[1]) * math.sin(ahead)
        across = (y - source[1]) * math.cos(ahead) - (x - source[0]) * math.sin(ahead)
        found += _plume(along, across, bend, source[2], speed)
    torn = zoom.field(coarse, 1, seed, "smoke", day, slope=8 / 3, outer_m=1500)
    found *= np.exp(np.float32(0.6) * torn)
    return np.ascontiguousarray(zoom.enlarge(found, factor)[crop])


def _plume(
    along: np.ndarray, across: np.ndarray, bend: FloatArray, strength: float, speed: float
) -> FloatArray:
    ahead = np.clip(along, 1.0, _LENGTH_M)
    width = 15 + 0.16 * ahead / np.sqrt(1 + 4e-4 * ahead)
    shape = np.exp(-((across + 0.8 * width * bend) ** 2) / (2 * width**2))
    shape *= np.exp(-ahead / (speed * _LIFE_S)) * ((along > 0) & (along < _LENGTH_M))
    return np.asarray(shape * (strength / (math.sqrt(math.tau) * speed * width)), dtype="float32")


def _reaches(grid: GeoBox, source: Source, ahead: float) -> bool:
    """Say whether a plume may cross a window."""
    box = grid.extent.boundingbox
    x, y = (box.left + box.right) / 2 - source[0], (box.bottom + box.top) / 2 - source[1]
    along = x * math.cos(ahead) + y * math.sin(ahead)
    across = abs(y * math.cos(ahead) - x * math.sin(ahead))
    half = math.hypot(box.right - box.left, box.top - box.bottom) / 2
    return bool(
        -half < along < _LENGTH_M + half and across < half + 0.25 * max(along + half, 0) + 500
    )


def _cells(grid: GeoBox, factor: int) -> tuple[GeoBox, tuple[slice, slice]]:
    """Return cells of `factor` pixels around a window, and the window within their pixels."""
    pixel = grid.affine.a
    rows, cols = grid.shape
    col, row = round(grid.affine.c / pixel), round(-grid.affine.f / pixel)
    left, top = col % factor, row % factor
    outer = zoom.shift(grid, -left * pixel, top * pixel)
    shape = -(-(rows + top) // factor), -(-(cols + left) // factor)
    cells = GeoBox(shape, outer.affine * type(outer.affine).scale(factor), grid.crs)
    return zoom.widen(cells, 1), (slice(top, top + rows), slice(left, left + cols))

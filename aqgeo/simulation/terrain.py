"""Terrain: height above the sea, and where water stands and runs."""

import math
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo.simulation import noise
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.presets import Preset

COARSE_M = 640
"""Pixel size at which it is asked whether a place lies in the sea."""
# Shapes of an invented land; only the orders of size matter.
_STRIP_M = 110_000.0  # from one sea of the preset coast to the next
_BLOCK = 64  # pixels of 640 m along the side of a block whose sea is remembered
_SMOOTH_M = 40  # heights and water courses have no detail below this
_LOW_M = 4.0
_RIVERS = ((26_000.0, 70.0), (11_000.0, 15.0))  # spacing and half width of rivers and brooks, m


@dataclass(frozen=True, slots=True)
class Terrain:
    """Heights of one window, (y, x)."""

    elevation: FloatArray
    """Height in m; 0 on the sea."""
    sea: NDArray[np.bool_]
    """Where the sea is."""
    shore_m: FloatArray
    """Height above the sea's level before it is cut off there, m; beaches lie just above 0."""


def terrain(grid: GeoBox, seed: int, preset: Preset) -> Terrain:
    """Return heights on pixels of 10 m times a power of two."""

    def draw(coarse: GeoBox) -> FloatArray:
        return noise.field(coarse, seed, "hills", slope=3.8, outer_m=40_000, inner_m=400)

    hills = noise.refined(grid, _SMOOTH_M, draw)
    height = np.float32(preset.relief_m) * hills
    if preset.sea:
        strips = noise.refined(grid, _SMOOTH_M, lambda coarse: _strips(coarse, seed))
        height = np.float32(0.4) * height + np.float32(160) * strips + np.float32(90)
        sea = height < 0
    else:
        height += np.float32(mean_m(preset))
        sea = np.zeros(height.shape, bool)
    # Inland nothing lies lower than a few metres.
    elevation = np.maximum(height, np.float32(0 if preset.sea else _LOW_M))
    return Terrain(elevation, sea, height)


def mean_m(preset: Preset) -> float:
    """Return the mean height of the land in m: hills stand on a base that keeps most of it dry."""
    return 30 + 2 * preset.relief_m


def rivers(grid: GeoBox, seed: int) -> NDArray[np.bool_]:
    """Return the pixels of rivers: zero lines of smooth fields, of even width."""
    wide = grid.pad(1)
    found = np.zeros(grid.shape.yx, bool)
    for number, (spacing, half) in enumerate(_RIVERS):
        draw = partial(
            noise.field,
            seed=seed, purpose=f"rivers {number}", slope=4, outer_m=spacing, inner_m=spacing / 8,
        )  # fmt: skip
        course = noise.refined(wide, _SMOOTH_M, draw)
        south, east = np.gradient(course, grid.affine.a)
        distance = np.abs(course) / np.maximum(np.hypot(south, east), 1e-9)
        found |= distance[1:-1, 1:-1] < half
    return found


def in_sea(
    x: NDArray[np.float64], y: NDArray[np.float64], seed: int, preset: Preset
) -> NDArray[np.bool_]:
    """Tell which points, in metres of the CRS, lie in the sea, on pixels of 640 m."""
    found = np.zeros(x.shape, bool)
    if preset.sea:
        cols, rows = (np.floor(v / COARSE_M).astype(int) for v in (x, -y))
        blocks = np.stack([rows // _BLOCK, cols // _BLOCK], axis=-1)
        for row, col in np.unique(blocks.reshape(-1, 2), axis=0):
            here = (blocks == (row, col)).all(axis=-1)
            sea = _sea_block(seed, preset, int(row), int(col))
            found[here] = sea[rows[here] - row * _BLOCK, cols[here] - col * _BLOCK]
    return found


@lru_cache(maxsize=256)
def _sea_block(seed: int, preset: Preset, row: int, col: int) -> NDArray[np.bool_]:
    size = COARSE_M * _BLOCK
    corner = Affine(COARSE_M, 0, col * size, 0, -COARSE_M, -row * size)
    return terrain(GeoBox((_BLOCK, _BLOCK), corner, None), seed, preset).sea


def _strips(grid: GeoBox, seed: int) -> FloatArray:
    """Return waves of land and sea, -1 to 1, that wind across the country."""
    rows, cols = grid.shape
    x, y = grid.affine * np.meshgrid(np.arange(cols) + 0.5, np.arange(rows) + 0.5)
    bends = noise.field(grid, seed, "coast", slope=3.2, outer_m=60_000, inner_m=0)
    waves = np.sin(math.tau * (0.95 * x + 0.3 * y) / _STRIP_M + 1.1 * bends)
    return np.asarray(waves, "float32")

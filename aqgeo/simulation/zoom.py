"""Windows and arrays on wider, coarser or finer pixels."""

from typing import Any

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo.simulation import noise
from aqgeo.simulation.noise import FloatArray


def widen(grid: GeoBox, pixels: int) -> GeoBox:
    """Return a grid with so many more pixels on each side."""
    rows, cols = grid.shape
    return GeoBox(
        (rows + 2 * pixels, cols + 2 * pixels),
        grid.affine * Affine.translation(-pixels, -pixels),
        grid.crs,
    )


def shift(grid: GeoBox, east_m: float, north_m: float) -> GeoBox:
    """Return a grid moved by a vector, rounded to whole pixels."""
    pixel = grid.affine.a
    steps = Affine.translation(round(east_m / pixel), -round(north_m / pixel))
    return GeoBox(grid.shape, grid.affine * steps, grid.crs)


def coarsen(grid: GeoBox, factor: int) -> GeoBox:
    """Return the grid of pixels `factor` times as large; shape and edges must divide."""
    rows, cols = grid.shape
    return GeoBox((rows // factor, cols // factor), grid.affine * Affine.scale(factor), grid.crs)


def field(
    grid: GeoBox, factor: int, seed: int, purpose: str, *numbers: int, **spectrum: Any
) -> FloatArray:
    """Return `noise.field` drawn on pixels `factor` times as large and interpolated, (y, x).

    Cheap where the finest octaves would not be seen. The window may begin anywhere.
    """
    if factor == 1:
        return noise.field(grid, seed, purpose, *numbers, **spectrum)
    pixel, cell = grid.affine.a, grid.affine.a * factor
    rows, cols = grid.shape
    col, row = round(grid.affine.c / pixel), round(-grid.affine.f / pixel)
    first = col // factor - 1, row // factor - 1
    last = -(-(col + cols) // factor) + 1, -(-(row + rows) // factor) + 1
    corner = Affine(cell, 0, first[0] * cell, 0, -cell, -first[1] * cell)
    coarse = GeoBox((last[1] - first[1], last[0] - first[0]), corner, grid.crs)
    fine = enlarge(noise.field(coarse, seed, purpose, *numbers, **spectrum), factor)
    top, left = row - (first[1] + 1) * factor, col - (first[0] + 1) * factor
    return fine[top : top + rows, left : left + cols]


def enlarge(coarse: FloatArray, factor: int) -> FloatArray:
    """Interpolate linearly to pixels 1/factor as large; the outermost ring of pixels is used up.

    Args:
        coarse: (y + 2, x + 2).
        factor: how many fine pixels lie along the side of a coarse one.

    Returns:
        (y * factor, x * factor).
    """
    return _finer_rows(np.ascontiguousarray(_finer_rows(coarse.T, factor).T), factor)


def shrink(fine: FloatArray, factor: int) -> FloatArray:
    """Return means over blocks of factor x factor pixels, (..., y, x)."""
    if factor == 1:
        return fine
    total = fine[..., 0::factor, :].copy()
    for k in range(1, factor):
        total += fine[..., k::factor, :]
    found = total[..., 0::factor].copy()
    for k in range(1, factor):
        found += total[..., k::factor]
    found *= np.float32(1 / factor**2)
    return found


def _finer_rows(coarse: FloatArray, factor: int) -> FloatArray:
    fine = np.empty(((coarse.shape[0] - 2) * factor, coarse.shape[1]), "float32")
    for k in range(factor):
        share = np.float32(abs((k + 0.5) / factor - 0.5))
        other = coarse[:-2] if 2 * k + 1 < factor else coarse[2:]
        np.multiply(coarse[1:-1], 1 - share, out=fine[k::factor])
        fine[k::factor] += other * share
    return fine

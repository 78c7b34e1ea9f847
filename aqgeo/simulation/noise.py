"""Random fields that depend on nothing but a seed and the place."""

import math
import zlib
from collections.abc import Callable
from functools import cache, lru_cache

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

FloatArray = NDArray[np.float32]
Window = tuple[int, int, int, int]
Name = tuple[int | str, ...]

UNIT_M = 10
"""Finest lattice in metres; all lattices have cells of 10 m times a power of two."""
_BLOCK = 128  # cells along the side of a block that has a random stream of its own
_SPLINE_VARIANCE = 0.55  # white noise under a quadratic B-spline keeps this much, a dimension
_FAINT = 2e-3  # octaves below this share of the standard deviation are left out


def stream(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """Return the random numbers of one purpose, the same whatever else was drawn before."""
    return np.random.default_rng(
        [seed, zlib.crc32(purpose.encode()), *(n % 2**32 for n in numbers)]
    )


def white(grid: GeoBox, seed: int, purpose: str, *numbers: int) -> FloatArray:
    """Return independent standard normal numbers, (y, x), that belong to a place and pixel size."""
    level, window = _place(grid)
    return _white(window, (seed, purpose, *numbers), level, _draw)


def field(
    grid: GeoBox,
    seed: int,
    purpose: str,
    *numbers: int,
    slope: float,
    outer_m: float,
    inner_m: float = 0.0,
) -> FloatArray:
    """Return a Gaussian field with a power-law spectrum, (y, x), mean 0, standard deviation 1.

    The mean and deviation are those over all worlds; a window has its own. Octaves of white noise
    are refined by quadratic B-splines, so a value depends on the place alone, not on the window;
    on pixels twice as large the finest octave is missing, all else is equal.

    Args:
        grid: north-up, pixels of 10 m times a power of two, edges on multiples of the pixel.
        seed: seed of the world.
        purpose: name of the field.
        numbers: which one of several fields of that name.
        slope: two-dimensional power falls as wavenumber ** -slope.
        outer_m: wavelength above which there is no power.
        inner_m: wavelength below which power falls as wavenumber ** -4; 0 is never.
    """
    level, window = _place(grid)
    top = max(math.ceil(math.log2(outer_m / 3 / UNIT_M)), level)
    waves = [3.0 * UNIT_M * 2**n for n in range(top + 1)]
    weights = np.array([_amplitude(w, slope, inner_m) for w in waves])
    weights /= np.sqrt((weights**2).sum())
    name: Name = (seed, purpose, *numbers)
    windows = _windows(window, top - level)
    found = np.zeros((1, 1), "float32")
    for n, w in zip(range(top, level - 1, -1), reversed(windows), strict=True):
        share = np.float32(weights[n] / (_SPLINE_VARIANCE if n else 1.0))
        fine = _inside(_double(found), w) if n < top else np.zeros(_shape(w), "float32")
        found = fine + _white(w, name, n, _remembered) * share if weights[n] > _FAINT else fine
    return found


def refined(grid: GeoBox, pixel_m: int, draw: Callable[[GeoBox], FloatArray]) -> FloatArray:
    """Return what a function draws on larger pixels, refined by quadratic B-splines, (y, x).

    Args:
        grid: pixels of 10 m times a power of two on their multiples.
        pixel_m: pixel size to draw at, the same kind of number.
        draw: function of a grid of that pixel size, whose values depend on the place alone.
    """
    level, window = _place(grid)
    steps = max(round(math.log2(pixel_m / UNIT_M)) - level, 0)
    windows = _windows(window, steps)
    size, (row, row_end, col, col_end) = grid.affine.a * 2**steps, windows[-1]
    corner = Affine(size, 0, col * size, 0, -size, -row * size)
    found = draw(GeoBox((row_end - row, col_end - col), corner, grid.crs))
    for w in windows[-2::-1]:
        found = _inside(_double(found), w)
    return found


def _place(grid: GeoBox) -> tuple[int, Window]:
    """Return the level of a grid's pixels and its window in cells of that level."""
    pixel = grid.affine.a
    level = round(math.log2(pixel / UNIT_M))
    col, row = grid.affine.c / pixel, -grid.affine.f / pixel
    if pixel != UNIT_M * 2**level or level < 0 or col != round(col) or row != round(row):
        raise ValueError(f"{grid} has no pixels of 10 m times a power of two on their multiples")
    rows, cols = grid.shape
    return level, (round(row), round(row) + rows, round(col), round(col) + cols)


def _amplitude(wave: float, slope: float, inner: float) -> float:
    """Return the standard deviation of an octave, in any unit."""
    if wave >= inner:
        return float(wave ** ((slope - 2) / 2))
    return float(inner ** ((slope - 2) / 2) * wave / inner)


def _windows(w: Window, steps: int) -> list[Window]:
    """Return a window and those of cells 2, 4, ... times as large that it is refined from."""
    found = [w]
    for _ in range(steps):
        w = ((w[0] >> 1) - 1, ((w[1] - 1) >> 1) + 2, (w[2] >> 1) - 1, ((w[3] - 1) >> 1) + 2)
        found.append(w)
    return found


def _shape(w: Window) -> tuple[int, int]:
    return w[1] - w[0], w[3] - w[2]


def _inside(fine: FloatArray, w: Window) -> FloatArray:
    """Cut a window out of the refined cells of its parent, which begin at even numbers."""
    row, col = w[0] - (w[0] & ~1), w[2] - (w[2] & ~1)
    return fine[row : row + w[1] - w[0], col : col + w[3] - w[2]]


def _double(coarse: FloatArray) -> FloatArray:
    """Refine all cells but those of the rim: Chaikin's rule, whose limit is a B-spline."""
    quarter, rest = np.float32(0.25), np.float32(0.75)
    inner = rest * coarse[:, 1:-1]
    wide = np.empty((coarse.shape[0], 2 * inner.shape[1]), "float32")
    np.add(quarter * coarse[:, :-2], inner, out=wide[:, 0::2])
    np.add(quarter * coarse[:, 2:], inner, out=wide[:, 1::2])
    inner = rest * wide[1:-1]
    fine = np.empty((2 * inner.shape[0], wide.shape[1]), "float32")
    np.add(quarter * wide[:-2], inner, out=fine[0::2])
    np.add(quarter * wide[2:], inner, out=fine[1::2])
    return fine


def _white(
    w: Window, name: Name, level: int, draw: Callable[[Name, int, int, int], FloatArray]
) -> FloatArray:
    found = np.empty((w[1] - w[0], w[3] - w[2]), "float32")
    for i in range(w[0] // _BLOCK, (w[1] - 1) // _BLOCK + 1):
        for j in range(w[2] // _BLOCK, (w[3] - 1) // _BLOCK + 1):
            r, c = i * _BLOCK, j * _BLOCK
            rows = slice(max(r, w[0]), min(r + _BLOCK, w[1]))
            cols = slice(max(c, w[2]), min(c + _BLOCK, w[3]))
            block = draw(name, level, i, j)
            found[rows.start - w[0] : rows.stop - w[0], cols.start - w[2] : cols.stop - w[2]] = (
                block[rows.start - r : rows.stop - r, cols.start - c : cols.stop - c]
            )
    return found


def _draw(name: Name, level: int, i: int, j: int) -> FloatArray:
    """Return the white noise of a block; nobody may change it."""
    seed, purpose, *numbers = name
    key = (int(seed), _crc(str(purpose)), *(int(n) % 2**32 for n in numbers))
    bits = np.random.SFC64(np.random.SeedSequence([*key, level, i % 2**32, j % 2**32]))
    found = np.random.Generator(bits).standard_normal((_BLOCK, _BLOCK), dtype="float32")
    found.flags.writeable = False
    return found


# Neighbouring windows of a field share blocks; the sun's and the satellite's view of a cloud too.
_remembered = lru_cache(maxsize=1024)(_draw)  # of 64 KiB


@cache
def _crc(text: str) -> int:
    return zlib.crc32(text.encode())

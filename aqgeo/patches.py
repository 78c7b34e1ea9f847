"""Patches: a raster cut into overlapping squares and put together again."""

from collections.abc import Iterable, Iterator

import numpy as np

Window = tuple[slice, slice]


def windows(shape: tuple[int, int], size: int, overlap: int = 0) -> list[Window]:
    """Return the windows of size x size pixels that cover a raster, row by row.

    The last window of a row or column is moved back so that it ends at the edge: nothing is
    dropped or padded. A raster smaller than `size` has one window.

    Args:
        shape: rows, columns of the raster.
        size: rows and columns of a window.
        overlap: pixels that neighbours share, at least.
    """
    if not 0 <= overlap < size:
        raise ValueError(f"overlap {overlap} must be at least 0 and below size {size}")
    rows, cols = (_starts(length, size, size - overlap) for length in shape)
    return [
        (slice(r, min(r + size, shape[0])), slice(c, min(c + size, shape[1])))
        for r in rows
        for c in cols
    ]


def cut(array: np.ndarray, size: int, overlap: int = 0) -> Iterator[tuple[Window, np.ndarray]]:
    """Yield each window with its patch, a view of `array` (..., h, w)."""
    for rows, cols in windows((array.shape[-2], array.shape[-1]), size, overlap):
        yield (rows, cols), array[..., rows, cols]


def merge(
    patches: Iterable[tuple[Window, np.ndarray]], shape: tuple[int, ...], overlap: int = 0
) -> np.ndarray:
    """Put patches together; where they overlap, weights fall linearly to the patch's edge.

    `merge(cut(a, size, overlap), a.shape, overlap)` is `a`.

    Args:
        patches: windows and patches (..., h, w), float.
        shape: shape of the result (..., h, w).
        overlap: pixels over which neighbours are blended.
    """
    total = np.zeros(shape, "float64")
    weight = np.zeros(shape[-2:], "float64")
    for (rows, cols), patch in patches:
        w = np.outer(_ramp(patch.shape[-2], overlap), _ramp(patch.shape[-1], overlap))
        total[..., rows, cols] += patch * w
        weight[rows, cols] += w
    if not weight.all():
        raise ValueError("the patches do not cover the raster")
    return (total / weight).astype("float32")


def _starts(length: int, size: int, step: int) -> list[int]:
    last = max(length - size, 0)
    return [*range(0, last, step), last]


def _ramp(length: int, overlap: int) -> np.ndarray:
    distance = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1))
    return np.minimum(distance / (overlap + 1), 1.0)


def shrink(values: np.ndarray, size: int) -> np.ndarray:
    """Return an image brought to `size` rows and columns, each the mean of the area it covers.

    Args:
        values: (band, y, x) values, NaN where there is no data.
        size: rows and columns, more or less than there are.

    Returns:
        (band, size, size) float32; NaN where less than half of the area holds data.
    """
    known = ~np.isnan(values)
    rows, columns = (_areas(n, size) for n in values.shape[1:])
    total = rows @ np.where(known, values, 0).astype("float32") @ columns.T
    weight = rows @ known.astype("float32") @ columns.T
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = np.where(weight >= 0.5, total / weight, np.nan).astype("float32")
    return found


def _areas(n: int, size: int) -> np.ndarray:
    """Return (size, n) shares of each of n pixels in each of `size` cells over the same length."""
    edges = np.arange(size + 1) * (n / size)
    low, high = edges[:-1, None], edges[1:, None]
    here = np.arange(n)[None]
    shared = np.clip(np.minimum(high, here + 1) - np.maximum(low, here), 0, None)
    return np.asarray(shared * (size / n), "float32")

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
    total = _sums(_sums(np.where(known, values, 0.0), size, 1), size, 2)
    weight = _sums(_sums(known.astype("float64"), size, 1), size, 2)
    area = values.shape[1] * values.shape[2] / size**2
    enough = weight >= 0.5 * area
    return np.where(enough, total / np.where(enough, weight, 1), np.nan).astype("float32")


def _sums(array: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Return sums over `size` equal parts of an axis; pixels on a border count by their share."""
    n = array.shape[axis]
    running = np.cumsum(array, axis=axis, dtype="float64")
    running = np.concatenate([np.zeros_like(running.take([0], axis)), running], axis=axis)
    edges = np.arange(size + 1) * (n / size)
    low = np.minimum(edges.astype("int64"), n - 1)
    part = np.expand_dims(edges - low, tuple(i for i in range(array.ndim) if i != axis))
    at = running.take(low, axis) * (1 - part) + running.take(low + 1, axis) * part
    return np.diff(at, axis=axis)

"""Exact areas that polygons share with grid cells, summed in compiled code.

The area of a polygon left in each cell follows from its edges alone (Green's theorem): an edge adds
to a row its height times what lies right of it. Summed along the row this is the covered share of
every cell, without any clipping. The idea is that of scan converters for fonts.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])

BAND_ROWS = 16
"""Rows summed by one thread at a time; bits of a result depend on it, so it is fixed."""
ROUNDING = 1e-12
"""A smaller part of the lesser of cell and polygon is rounding of coordinates, not overlap."""
_EPSILON = 1e-15  # what rounding leaves of the edges of a row, in parts of their height x width


class Targets(NamedTuple):
    """What is summed, over a grid of (y, x) cells; arrays of no size are left out."""

    weight: Array
    """(y, x) float64 area, as a share of the cell."""
    total: Array
    """(y, x) float64 area x value."""
    pixels: Array
    """(y, x) uint32 polygons with a share in the cell."""
    fields: Array
    """(y, x, field) float64 area x field."""
    value_square: Array
    """(y, x) float64 area x value², or (0, 0)."""
    weight_square: Array
    """(y, x) float64 area², or (0, 0)."""


def compiled(function: Function) -> Function:
    """Compile for float64 without the GIL; kept on disk where a folder can be written."""
    try:
        return cast(Function, njit(nogil=True, cache=True)(function))
    except RuntimeError:  # numba finds no place for its cache: compile in each process
        return cast(Function, njit(nogil=True)(function))


@compiled
def extent(ring: Array) -> tuple[float, float, float, float]:
    """Return the least and greatest column and the least and greatest row of a ring (vertex, 2)."""
    west = east = ring[0, 0]
    north = south = ring[0, 1]
    for at in range(1, ring.shape[0]):
        west, east = min(west, ring[at, 0]), max(east, ring[at, 0])
        north, south = min(north, ring[at, 1]), max(south, ring[at, 1])
    return west, east, north, south


@compiled
def bands(rings: Array, rows: int, height: int) -> tuple[Array, Array]:
    """Sort rings by the bands of rows they reach; a ring may reach several.

    Args:
        rings: (n, vertex, 2) column, row in cells.
        rows: of the grid.
        height: rows in a band.

    Returns:
        start of each band in the second array and its length at the end, (bands + 1,) int64;
        indices of rings, band by band, in their own order, (m,) int32.
    """
    count = (rows + height - 1) // height
    first = np.empty(rings.shape[0], np.int32)
    last = np.empty(rings.shape[0], np.int32)
    starts = np.zeros(count + 1, np.int64)
    for ring in range(rings.shape[0]):
        _, _, low, high = extent(rings[ring])
        first[ring] = max(math.floor(low), 0) // height
        last[ring] = (min(math.ceil(high), rows) - 1) // height
        if math.ceil(high) <= 0:
            last[ring] = -1
        for band in range(first[ring], last[ring] + 1):
            starts[band + 1] += 1
    starts = np.cumsum(starts)
    order = np.empty(starts[count], np.int32)
    at = starts[:-1].copy()
    for ring in range(rings.shape[0]):
        for band in range(first[ring], last[ring] + 1):
            order[at[band]] = ring
            at[band] += 1
    return starts, order


@compiled
def add(
    rings: Array,
    pixel: Array,
    order: Array,
    rows: tuple[int, int],
    values: Array,
    fields: Array,
    into: Targets,
) -> None:
    """Add the overlaps of rings with the cells of some rows.

    Args:
        rings: (n, vertex, 2) column, row in cells; closed by itself, simple, of either sense.
        pixel: (n,) where the ring's value stands.
        order: indices of the rings to add, in this order.
        rows: first row and the one after the last.
        values: (m,) float64.
        fields: (m, field) float64.
        into: sums that grow; other rows are left alone.
    """
    scratch = np.zeros(1024)
    for ring in order:
        corners = rings[ring]
        west, east, north, south = extent(corners)
        left, right = max(math.floor(west), 0), min(math.ceil(east), into.weight.shape[1])
        top, bottom = max(math.floor(north), rows[0]), min(math.ceil(south), rows[1])
        if left >= right or top >= bottom:
            continue
        size = (right - left + 1) * (bottom - top)
        if scratch.size < size:
            scratch = np.zeros(2 * size)
        cover = scratch[:size].reshape(bottom - top, right - left + 1)
        area = _walk(corners, left, top, cover)
        noise = _EPSILON * min(south - north, 1.0) * max(east - west, 1.0)
        at = pixel[ring]
        _sum(cover, area, noise, (top, left), values[at], fields[at], into)


@compiled
def shares(rings: Array, pixel: Array, rows: int, cols: int) -> tuple[Array, Array, Array]:
    """Return which polygon shares how much with which cell.

    Args:
        rings: (n, vertex, 2) column, row in cells; closed by itself, simple, of either sense.
        pixel: (n,) number of the polygon that a ring belongs to.
        rows: of the grid.
        cols: of the grid.

    Returns:
        number of the polygon, number of the cell (row by row) and area in cells, (m,) each.
    """
    most = 0
    for ring in range(rings.shape[0]):
        west, east, north, south = extent(rings[ring])
        most += max(math.ceil(east) - math.floor(west), 1) * max(
            math.ceil(south) - math.floor(north), 1
        )
    owner, cell, part = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most)
    count = 0
    for ring in range(rings.shape[0]):
        west, east, north, south = extent(rings[ring])
        left, right = max(math.floor(west), 0), min(math.ceil(east), cols)
        top, bottom = max(math.floor(north), 0), min(math.ceil(south), rows)
        if left >= right or top >= bottom:
            continue
        cover = np.zeros((bottom - top, right - left + 1))
        area = _walk(rings[ring], left, top, cover)
        sign = -1.0 if area > 0 else 1.0
        least = ROUNDING * min(abs(area), 1.0)
        for row in range(cover.shape[0]):
            share = 0.0
            for column in range(cover.shape[1] - 1):
                share += cover[row, column]
                if sign * share > least:
                    owner[count] = pixel[ring]
                    cell[count] = (top + row) * cols + left + column
                    part[count] = sign * share
                    count += 1
    return owner[:count], cell[:count], part[:count]


@compiled
def _walk(corners: Array, left: int, top: int, cover: Array) -> float:
    """Add the edges of a ring to the changes of cover along each row; return its signed area."""
    count = corners.shape[0]
    # Coordinates within the window: small numbers keep the digits of slivers.
    x, y = corners[count - 1, 0] - left, corners[count - 1, 1] - top
    x_first, y_first = x, y
    area = 0.0
    for at in range(count):
        x_next, y_next = corners[at, 0] - left, corners[at, 1] - top
        area += (x - x_first) * (y_next - y_first) - (x_next - x_first) * (y - y_first)
        if y < y_next:
            _edge(x, y, x_next, y_next, 1.0, cover)
        elif y > y_next:
            _edge(x_next, y_next, x, y, -1.0, cover)
        x, y = x_next, y_next
    return area / 2


@compiled
def _edge(x0: float, y0: float, x1: float, y1: float, sign: float, cover: Array) -> None:
    """Add an edge that runs down (y0 < y1) to the rows it crosses."""
    rows = cover.shape[0]
    if y1 <= 0 or y0 >= rows:
        return
    slope = (x1 - x0) / (y1 - y0)
    begin, end = max(y0, 0.0), min(y1, float(rows))
    x = x0 if y0 >= 0 else x0 - y0 * slope
    y = begin
    for row in range(int(begin), math.ceil(end)):
        y_next = min(row + 1.0, end)
        # From the edge's own end, so that errors do not add up from row to row.
        x_next = x1 if y_next == y1 else x0 + (y_next - y0) * slope
        _span(min(x, x_next), max(x, x_next), sign * (y_next - y), cover[row])
        x, y = x_next, y_next


@compiled
def _span(low: float, high: float, height: float, cover: Array) -> None:
    """Add a piece of an edge within one row, from column low to high, to the row's changes."""
    last = cover.size - 1
    if low >= last:
        return
    if high <= 0:
        cover[0] += height
        return
    first = int(max(low, 0.0))
    if low >= 0 and high <= first + 1:
        right = height * ((low + high) / 2 - first)
        cover[first] += height - right
        cover[first + 1] += right
        return
    steep = height / (high - low)
    if low < 0:
        cover[0] -= low * steep
    for column in range(first, min(math.ceil(high), last)):
        begin, end = max(low, float(column)), min(high, column + 1.0)
        part = steep * (end - begin)
        right = part * ((begin + end) / 2 - column)
        cover[column] += part - right
        cover[column + 1] += right


@compiled
def _sum(
    cover: Array,
    area: float,
    noise: float,
    corner: tuple[int, int],
    value: float,
    fields: Array,
    into: Targets,
) -> None:
    """Turn changes of cover into shares of cells, add them, and clear the changes."""
    # Rows count downward: in a ring of positive area it is the right edge that runs down.
    sign = -1.0 if area > 0 else 1.0
    least = max(ROUNDING * min(abs(area), 1.0), noise)
    for row in range(cover.shape[0]):
        share = 0.0
        for column in range(cover.shape[1] - 1):
            share += cover[row, column]
            cover[row, column] = 0
            if sign * share <= least:
                continue
            cell = (corner[0] + row, corner[1] + column)
            part = sign * share
            into.weight[cell] += part
            into.total[cell] += part * value
            into.pixels[cell] += 1
            for field in range(fields.size):
                into.fields[cell[0], cell[1], field] += part * fields[field]
            if into.weight_square.size:
                into.value_square[cell] += part * value * value
                into.weight_square[cell] += part * part
        cover[row, cover.shape[1] - 1] = 0

"""Overlaps of polygons with cells are those of shapely, for pixels of any shape and size."""

from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from aqgeo.gridding import overlap

ROWS, COLS = 45, 23  # two bands
WHOLE = [(-5.0, -3.0), (60.0, -3.0), (60.0, 99.0), (-5.0, 99.0)]


def shares(rings: np.ndarray, rows: int = ROWS, cols: int = COLS) -> np.ndarray:
    """Return the areas (y, x) that rings (n, vertex, 2) add to the cells of a grid."""
    n, none = len(rings), np.zeros((0, 0))
    into = overlap.Targets(
        weight=np.zeros((rows, cols)),
        total=np.zeros((rows, cols)),
        pixels=np.zeros((rows, cols), "uint32"),
        fields=np.zeros((rows, cols, 0)),
        value_square=none,
        weight_square=none,
    )
    starts, order = overlap.bands(rings, rows, overlap.BAND_ROWS)
    for band, (first, last) in enumerate(pairwise(starts)):
        top = band * overlap.BAND_ROWS
        span = (top, min(top + overlap.BAND_ROWS, rows))
        pixel = np.arange(n, dtype="int32")
        overlap.add(rings, pixel, order[first:last], span, np.full(n, -2.0), np.zeros((n, 0)), into)
    assert ((into.weight > 0) == (into.pixels > 0)).all()
    np.testing.assert_allclose(into.total, -2 * into.weight, rtol=1e-12)
    return into.weight


def clipped(ring: np.ndarray) -> np.ndarray:
    """Return the areas (y, x) that shapely finds."""
    row, col = np.indices((ROWS, COLS))
    return np.asarray(
        shapely.area(
            shapely.intersection(shapely.Polygon(ring), shapely.box(col, row, col + 1, row + 1))
        )
    )


def check(ring: np.ndarray) -> None:
    """Compare cells one by one; what is a trifle of the pixel and of the cell may be either."""
    found, wanted = shares(ring[None]), clipped(ring)
    trifle = min(shapely.Polygon(ring).area, 1)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9 * trifle)
    # What is dropped as rounding in each of the cells.
    wide, high = np.ptp(ring, axis=0)
    dropped = max(1e-12 * trifle, 1e-15 * min(high, 1) * max(wide, 1)) * np.count_nonzero(wanted)
    assert found.sum() == pytest.approx(wanted.sum(), rel=1e-9, abs=dropped)


numbers = st.floats(-1, 1, allow_nan=False, width=64)
places = st.tuples(st.floats(-4, COLS + 4), st.floats(-4, ROWS + 4))


@settings(max_examples=300, deadline=None)
@given(places, st.lists(st.tuples(numbers, numbers), min_size=4, max_size=4), st.floats(-5, 2))
def test_any_simple_quad_agrees_with_shapely(place, corners, size) -> None:
    ring = np.array(place) + np.array(corners) * 10**size
    if shapely.Polygon(ring).is_valid and shapely.Polygon(ring).area > 1e-3 * 100**size:
        check(ring)


@settings(max_examples=100, deadline=None)
@given(places, st.floats(0, 6.3), st.floats(-8, 0), st.floats(-2, 2))
def test_slivers_agree_with_shapely(place, angle, width, length) -> None:
    along = 10**length * np.array([np.cos(angle), np.sin(angle)])
    across = 10**width * np.array([-np.sin(angle), np.cos(angle)])
    ring = np.array(place) + np.array([0 * along, along, along + across, across])
    found, wanted = shares(ring[None]), clipped(ring)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7 * wanted.max() + 1e-13)


@settings(max_examples=100, deadline=None)
@given(st.integers(-3, COLS), st.integers(-3, ROWS), st.integers(1, 30), st.integers(1, 50))
def test_pixels_whose_edges_are_those_of_cells_fill_them_and_no_others(left, top, wide, high):
    ring = np.array(
        [(left, top), (left + wide, top), (left + wide, top + high), (left, top + high)]
    )
    wanted = np.zeros((ROWS, COLS))
    wanted[max(top, 0) : max(top + high, 0), max(left, 0) : max(left + wide, 0)] = 1
    np.testing.assert_array_equal(shares(ring[None].astype("float64")), wanted)


@pytest.mark.parametrize(
    "ring",
    [
        WHOLE,
        [(5.2, 5.1), (9.7, 6.0), (6.5, 6.4), (5.9, 9.9)],  # bent inward
        [(2.5, 3.0), (18.5, 3.0), (10.5, 3.5), (10.5, 40.0)],  # bent inward, across bands
        [(3.0, 31.5), (9.0, 31.5), (9.0, 32.5), (3.0, 32.5)],  # over the edge of two bands
        [(3.0, 32.0), (9.0, 32.0), (9.0, 32.25), (3.0, 32.25)],
        [(-3.3, -2.2), (0.4, 0.3), (0.2, 0.6), (-2.0, 1.0)],  # over the grid's corner
        [(22.5, 44.5), (25.0, 44.7), (24.0, 48.0), (22.7, 46.0)],
        [(4.0, 4.0), (4.0, 4.0), (7.5, 4.0), (4.0, 9.5)],  # a triangle
        [(4.0, 4.0), (8.0, 4.0), (6.0, 4.0), (6.0, 9.0)],  # a spike along an edge
        [(1e-7, 1e-7), (3e-7, 1e-7), (3e-7, 2e-7), (1e-7, 2e-7)],
        [(-1e6, 10.2), (1e6, 10.3), (1e6, 11.4), (-1e6, 11.2)],
        [(0.0, 0.0), (23.0, 45.0), (23.0, 45.0 + 1e-6), (0.0, 1e-6)],
    ],
)
def test_odd_pixels_agree_with_shapely_in_either_sense(ring: list[tuple[float, float]]) -> None:
    corners = np.array(ring)
    wanted = clipped(corners) if shapely.Polygon(ring).is_valid else clipped(corners[[0, 2, 3]])
    atol = 1e-9 * max(wanted.max(), 1e-300)
    for turn in range(4):
        for one in (np.roll(corners, turn, axis=0), np.roll(corners, turn, axis=0)[::-1].copy()):
            np.testing.assert_allclose(shares(one[None]), wanted, rtol=1e-6, atol=atol)


def test_pixels_that_share_edges_cover_the_ground_once() -> None:
    rng = np.random.default_rng(8)
    y, x = np.meshgrid(np.linspace(-2, ROWS + 2, 40), np.linspace(-2, COLS + 2, 30), indexing="ij")
    x, y = (a + rng.uniform(-0.3, 0.3, a.shape) for a in (x, y))
    p = np.stack([x, y], axis=-1)
    rings = np.stack([p[:-1, :-1], p[:-1, 1:], p[1:, 1:], p[1:, :-1]], axis=2).reshape(-1, 4, 2)
    np.testing.assert_allclose(shares(rings), 1, rtol=1e-12)

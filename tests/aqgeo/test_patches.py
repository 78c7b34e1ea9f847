"""Patches: what is cut and put together again is the same raster."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqgeo import patches

SIDES = st.integers(1, 40)


@st.composite
def cuts(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(st.integers(1, 24))
    return size, draw(st.integers(0, size - 1))


@settings(deadline=None)
@given(SIDES, SIDES, cuts(), st.integers(0, 2))
def test_cut_then_merge_is_the_identity(
    rows: int, cols: int, cut: tuple[int, int], bands: int
) -> None:
    shape = ((), (3,), (2, 3))[bands] + (rows, cols)
    raster = np.random.default_rng(rows * 100 + cols).normal(size=shape).astype("float32")
    again = patches.merge(patches.cut(raster, *cut), raster.shape, cut[1])
    np.testing.assert_array_equal(again, raster)


@settings(deadline=None)
@given(SIDES, SIDES, cuts())
def test_windows_cover_every_pixel_lie_inside_and_overlap_as_asked(
    rows: int, cols: int, cut: tuple[int, int]
) -> None:
    size, overlap = cut
    windows = patches.windows((rows, cols), size, overlap)
    seen = np.zeros((rows, cols), int)
    for r, c in windows:
        assert 0 <= r.start < r.stop <= rows and 0 <= c.start < c.stop <= cols
        assert r.stop - r.start == min(size, rows) and c.stop - c.start == min(size, cols)
        seen[r, c] += 1
    assert seen.all()
    assert len(windows) == len({(r.start, c.start) for r, c in windows})
    starts = sorted({c.start for _, c in windows})
    assert all(a + size - b >= overlap for a, b in pairwise(starts))


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (63, 64), (64, 63), (64, 64)])
def test_a_raster_no_larger_than_the_patch_has_one_window(shape: tuple[int, int]) -> None:
    assert patches.windows(shape, 64, 8) == [(slice(0, shape[0]), slice(0, shape[1]))]


def test_no_data_stays_where_it_was() -> None:
    raster = np.arange(900, dtype="float32").reshape(30, 30)
    raster[4:9, 11:25] = np.nan
    again = patches.merge(patches.cut(raster, 8, 3), raster.shape, 3)
    np.testing.assert_array_equal(again, raster)


def test_neighbours_that_disagree_are_blended_without_a_step_or_an_overshoot() -> None:
    windows = patches.windows((16, 26), 16, 6)
    parts = [(w, np.full((16, 16), float(n), "float32")) for n, w in enumerate(windows)]
    row = patches.merge(parts, (16, 26), 6)[8]
    assert (np.diff(row) >= 0).all()
    assert row[0] == 0 and row[-1] == 1 and np.diff(row).max() <= 1 / 6


def test_a_hole_between_patches_is_an_error_and_not_a_zero() -> None:
    parts = list(patches.cut(np.ones((20, 20), "float32"), 10))
    with pytest.raises(ValueError, match="do not cover"):
        patches.merge(parts[:-1], (20, 20))


@pytest.mark.parametrize(("size", "overlap"), [(8, 8), (8, 9), (8, -1), (0, 0)])
def test_an_overlap_that_leaves_no_step_is_refused(size: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap"):
        patches.windows((10, 10), size, overlap)

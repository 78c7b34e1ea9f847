"""Cover and its classes, and images shrunk by area."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqgeo import cover
from aqgeo.patches import shrink


def test_bounds_belong_to_the_class_above() -> None:
    told = {0: 0, 24.999: 0, 25: 1, 49.999: 1, 50: 2, 74.999: 2, 75: 3, 100: 3}
    assert {k: int(cover.class_of(k)) for k in told} == told
    np.testing.assert_array_equal(cover.class_of(np.array(list(told))), list(told.values()))


@given(st.floats(-10, 110), st.integers(0, 3))
def test_cover_moved_into_a_class_lies_in_it_and_is_else_unchanged(value: float, own: int) -> None:
    moved = cover.within(np.array([value]), np.array([own]))
    assert cover.class_of(moved)[0] == own
    if 0 <= value <= 100 and cover.class_of(value) == own:
        assert moved[0] == value


def test_thick_and_thin_count_shadow_does_not_and_unknown_is_left_out() -> None:
    label = np.array([[0, 1, 2, 3], [0, 255, 255, 255]], "uint8")
    assert cover.share(label) == (40.0, 5 / 8)
    percent, known = cover.share(np.full((3, 3), 255, "uint8"))
    assert np.isnan(percent) and known == 0


def test_shrinking_by_a_whole_number_is_the_mean_of_blocks() -> None:
    image = np.random.default_rng(0).random((2, 12, 20), dtype="float32")
    blocks = image.reshape(2, 4, 3, 4, 5).mean((2, 4))
    np.testing.assert_allclose(shrink(image, 4), blocks, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 30))
def test_shrinking_keeps_the_mean(rows: int, columns: int, size: int) -> None:
    image = np.random.default_rng(rows).random((1, rows, columns), dtype="float32")
    assert shrink(image, size).mean() == pytest.approx(image.mean(), abs=1e-5)


def test_no_data_is_left_out_and_stays_where_it_is_most() -> None:
    image = np.ones((1, 4, 4), "float32")
    image[0, :2, :2] = np.nan
    image[0, 0, 2] = np.nan
    image[0, 2, 2] = 5
    found = shrink(image, 2)[0]
    assert np.isnan(found[0, 0])
    np.testing.assert_allclose([found[0, 1], found[1, 0], found[1, 1]], [1, 1, 2])

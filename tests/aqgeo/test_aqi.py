"""Air quality classes: bands of the standard, and no class where nothing is known."""

import numpy as np
import pytest

from aqgeo import aqi

# Upper edges of the revised European index for NO2, µg m-3, ETC HE Report 2024/17.
EDGES = (10, 25, 60, 100, 150)


def test_a_value_on_an_edge_is_in_the_lower_band_and_one_above_it_in_the_next() -> None:
    edges = np.array(EDGES, "float64")
    assert aqi.category(edges).tolist() == [1, 2, 3, 4, 5]
    assert aqi.category(np.nextafter(edges, np.inf)).tolist() == [2, 3, 4, 5, 6]


def test_float32_edges_are_edges_too() -> None:
    assert aqi.category(np.array(EDGES, "float32")).tolist() == [1, 2, 3, 4, 5]


def test_no_data_has_no_class() -> None:
    assert aqi.category(np.array([np.nan, 5.0, np.nan])).tolist() == [aqi.NO_DATA, 1, aqi.NO_DATA]
    assert aqi.NO_DATA == 0


def test_more_pollution_is_never_a_better_class() -> None:
    codes = aqi.category(np.linspace(-5, 500, 10_000)).astype(int)
    assert (np.diff(codes) >= 0).all()
    assert set(codes) == {1, 2, 3, 4, 5, 6}


def test_negative_noise_is_the_best_class_and_infinity_the_worst() -> None:
    assert aqi.category(np.array([-3.0, np.inf])).tolist() == [1, 6]


def test_codes_keep_the_shape_and_are_bytes() -> None:
    codes = aqi.category(np.zeros((2, 3, 4), "float32"))
    assert (codes.shape, codes.dtype) == ((2, 3, 4), np.dtype("uint8"))


@pytest.mark.parametrize("name", aqi.STANDARDS)
def test_every_standard_names_one_more_class_than_edges_and_its_averaging_time(name: str) -> None:
    standard = aqi.STANDARDS[name]
    assert len(standard.labels) == len(standard.upper) + 1
    assert list(standard.upper) == sorted(set(standard.upper))
    assert standard.name and standard.averaging

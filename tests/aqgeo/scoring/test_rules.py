"""Simple rules, and truth brought to a product's pixels and times."""

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo import cube
from aqgeo.grid import refine
from aqgeo.scoring import matching, rules

COARSE = GeoBox((6, 8), Affine(1000, 0, 500_000, 0, -1000, 4_400_000), "EPSG:32633")


def layer(data: np.ndarray, where: GeoBox) -> xr.DataArray:
    make = (
        cube.values(data[None], "1")
        if data.dtype != "uint8"
        else cube.classes(data[None], {0: "a"})
    )
    return cube.make({"v": make}, np.array(["2024-06-01"], "datetime64[s]"), where)["v"].isel(
        time=0
    )


def test_the_nearest_clear_date_is_the_earlier_of_two_and_never_the_date_itself() -> None:
    days, valid = np.array([0.0, 5, 10, 11]), np.ones((4, 1, 3), bool)
    values = [np.full((1, 3), float(day)) for day in days]
    valid[0, 0, 1] = valid[3, 0, 1] = False  # the second pixel is clear on dates 1 and 2 only
    valid[:, 0, 2] = False
    assert rules.nearest_date(values, valid, days, 1).tolist()[0][:2] == [0.0, 10.0]
    assert rules.nearest_date(values, valid, days, 2).tolist()[0][:2] == [11.0, 5.0]
    assert np.isnan(rules.nearest_date(values, valid, days, 1)[0, 2])


def test_inverse_distance_meets_its_stations_and_stays_within_them() -> None:
    rng = np.random.default_rng(4)
    at, values = rng.uniform(0, 1e5, (12, 2)), rng.uniform(5, 50, 12)
    assert rules.inverse_distance(values, at, at) == pytest.approx(values, rel=1e-3)
    cells = rng.uniform(-1e5, 2e5, (500, 2))
    found = rules.inverse_distance(values, at, cells)
    assert values.min() < found.min() and found.max() < values.max()
    assert rules.inverse_distance(np.full(12, 7.0), at, cells) == pytest.approx(7)
    mean, near = rules.leave_one_out(values, at)
    assert mean[0] == pytest.approx(values[1:].mean())
    assert near[0] == pytest.approx(rules.inverse_distance(values[1:], at[1:], at[:1])[0])


def test_distance_is_that_to_the_nearest() -> None:
    cells, at = np.array([[0.0, 0], [10, 0]]), np.array([[3.0, 4], [10, 1]])
    assert rules.distance_to_nearest(cells, at).tolist() == [5, 1]
    assert np.isinf(rules.distance_to_nearest(cells, np.empty((0, 2)))).all()


def test_truth_is_averaged_by_area_and_keeps_its_sum() -> None:
    fine = refine(COARSE, 4)
    data = np.random.default_rng(5).uniform(0, 1, fine.shape.yx).astype("float32")
    means = data.reshape(6, 4, 8, 4).mean(axis=(1, 3))
    assert matching.onto(layer(data, fine), COARSE) == pytest.approx(means, rel=1e-5)
    assert matching.onto(layer(data, fine), fine) == pytest.approx(data)


def test_pixels_that_reach_beyond_the_truth_are_no_data() -> None:
    fine = refine(COARSE, 4)
    part = fine[2:, :-2]
    ones = np.ones(part.shape.yx, "float32")
    found = matching.onto(layer(ones, part), COARSE)
    inside = np.zeros((6, 8), bool)
    inside[1:, :-1] = True
    assert np.isfinite(found).tolist() == inside.tolist()
    codes = matching.onto(layer(np.ones(part.shape.yx, "uint8"), part), COARSE, how="mode")
    assert (codes == np.where(inside, 1, matching.NO_DATA)).all()


def test_classes_become_the_most_frequent_one() -> None:
    fine = refine(COARSE, 3)
    codes = np.kron(np.arange(48).reshape(6, 8) % 4, np.ones((3, 3))).astype("uint8")
    codes[::3, ::3] = 9
    found = matching.onto(layer(codes, fine), COARSE, how="mode")
    assert (found == np.arange(48).reshape(6, 8) % 4).all()


def test_times_are_matched_to_the_same_scene_and_to_the_pass_after_an_orbits_begin() -> None:
    times = np.array(["2024-06-01T10:00", "2024-06-02T10:00", "2024-06-02T11:41"], "datetime64[s]")
    wanted = np.array(["2024-06-01T10:03", "2024-06-05T10:00"], "datetime64[s]")
    assert matching.nearest_times(wanted, times, np.timedelta64(6, "h")) == [0, -1]
    begins = times - np.timedelta64(55, "m")
    assert matching.first_times(begins, times, np.timedelta64(101, "m")) == [0, 1, 2]
    assert matching.first_times(times + np.timedelta64(1, "s"), times, np.timedelta64(99, "m")) == [
        *(-1, -1, -1)
    ]

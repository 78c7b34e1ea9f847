"""Bins of time hold every instant once, and orbits add up in any order."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from aqgeo.errors import GridError, PeriodError
from aqgeo.gridding import binning, temporal

GRID = GeoBox((6, 8), Affine(0.5, 0, 10, 0, -0.5, 50), "EPSG:4326")
EVERY = ("day", "week", "month", "season")
instants = st.datetimes(datetime(1999, 1, 1), datetime(2101, 1, 1), timezones=st.just(UTC))


def orbit(seed: int, n: int = 60, grid: GeoBox = GRID) -> binning.Sums:
    rng = np.random.default_rng(seed)
    lon = rng.uniform(9.5, 14, (n, 1)) + np.array([0, 0.3, 0.4, 0.1]) * rng.uniform(1, 4)
    lat = rng.uniform(46.5, 50, (n, 1)) + np.array([0, 0.1, 0.5, 0.4]) * rng.uniform(1, 4)
    values = rng.normal(3e-5, 4e-5, n)
    more = {"kernel": rng.uniform(0, 1, (n, 3))}
    return binning.average(values, lon, lat, grid, fields=more, scatter=True)


@given(instants)
@pytest.mark.parametrize("every", EVERY)
def test_bins_follow_each_other_without_gap_or_overlap(every, instant: datetime) -> None:
    period = temporal.bin_of(instant, every)
    assert instant in period
    assert temporal.bin_of(period.start, every) == period
    last = period.end - timedelta(microseconds=1)
    assert temporal.bin_of(last, every) == period
    assert temporal.bin_of(period.end, every).start == period.end
    assert temporal.bin_of(period.start - timedelta(microseconds=1), every).end == period.start


@pytest.mark.parametrize(
    ("every", "instant", "name"),
    [
        ("day", "2024-06-30T23:59:59+00:00", "2024-06-30"),
        ("day", "2024-07-01T01:00:00+02:00", "2024-06-30"),
        ("week", "2024-12-31T12:00:00+00:00", "2024-12-30/2025-01-06"),
        ("week", "2021-01-03T12:00:00+00:00", "2020-12-28/2021-01-04"),
        ("month", "2024-02-29T00:00:00+00:00", "2024-02"),
        ("season", "2023-12-01T00:00:00+00:00", "2023-12/2024-03"),
        ("season", "2024-02-29T23:00:00+00:00", "2023-12/2024-03"),
        ("season", "2024-03-01T00:00:00+00:00", "2024-03/2024-06"),
        ("season", "2024-11-30T00:00:00+00:00", "2024-09/2024-12"),
    ],
)
def test_bins_are_those_of_the_calendar(every, instant: str, name: str) -> None:
    assert str(temporal.bin_of(datetime.fromisoformat(instant), every)) == name


def test_an_instant_without_a_time_zone_is_refused() -> None:
    with pytest.raises(PeriodError, match="no time zone"):
        temporal.bin_of(datetime(2024, 6, 15), "day")


def test_a_time_zone_moves_nothing() -> None:
    there = timezone(timedelta(hours=-9))
    instant = datetime(2024, 3, 1, 2, tzinfo=UTC)
    for every in EVERY:
        assert temporal.bin_of(instant.astimezone(there), every) == temporal.bin_of(instant, every)


def test_orbits_add_up_to_the_same_in_any_order_and_days_to_months() -> None:
    rng = np.random.default_rng(0)
    begin = datetime(2024, 6, 3, tzinfo=UTC)
    orbits = [(begin + timedelta(hours=13 * k), orbit(k)) for k in range(24)]
    months = temporal.merge(orbits, "month")
    order = rng.permutation(len(orbits))
    again = temporal.merge((orbits[k] for k in order), "month")
    days = temporal.merge(orbits, "day")
    by_days = temporal.merge(((day.start, sums) for day, sums in days.items()), "month")
    assert list(months) == list(again) == list(by_days) == sorted(months)
    assert len(days) > len(months) == 1
    for one, two, three in zip(months.values(), again.values(), by_days.values(), strict=True):
        for other in (two, three):
            for name in ("weight", "total", "count", "pixels", "square", "value_square"):
                np.testing.assert_allclose(
                    getattr(one, name), getattr(other, name), rtol=1e-12, atol=1e-18, err_msg=name
                )
            np.testing.assert_allclose(one.mean("kernel"), other.mean("kernel"), rtol=1e-12)


def test_the_mean_of_a_bin_weighs_orbits_by_the_area_they_saw() -> None:
    noon = datetime(2024, 6, 15, 12, tzinfo=UTC)
    one, two = orbit(1), orbit(2)
    (sums,) = temporal.merge([(noon, one), (noon, two)], "day").values()
    weight = one.weight + two.weight
    mean = np.nan_to_num(one.mean()) * one.weight + np.nan_to_num(two.mean()) * two.weight
    seen = weight > 0
    np.testing.assert_allclose(sums.mean()[seen], mean[seen] / weight[seen], rtol=1e-12)
    assert sums.count.max() == 2


def test_orbits_of_different_grids_do_not_add_up() -> None:
    noon = datetime(2024, 6, 15, 12, tzinfo=UTC)
    with pytest.raises(GridError, match="do not add up"):
        temporal.merge([(noon, orbit(1)), (noon, orbit(1, grid=GRID[:3, :4]))], "day")


def test_nothing_gives_no_bins() -> None:
    assert temporal.merge([], "week") == {}

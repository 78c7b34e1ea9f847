"""Stations: the table's columns and kinds, values that agree with the true air."""

import numpy as np
import pandas as pd
import pytest

from aqgeo.simulation import air, stations
from aqgeo.simulation.weather import Weather

from .conftest import PERIOD, SEED, Archive


@pytest.fixture(scope="module")
def table(small: Archive) -> pd.DataFrame:
    (path,) = (small.folder / "data/stations").iterdir()
    return pd.read_csv(path)


def test_columns_are_those_of_openaq_and_two_more(table: pd.DataFrame) -> None:
    assert ",".join(table.columns) == (
        "location_id,sensors_id,location,datetime,lat,lon,parameter,units,value,"
        "station_type,station_area"
    )
    assert set(table.parameter) == {"no2"}
    assert set(table.units) == {"µg/m³"}
    assert set(table.station_type) == {"background", "traffic", "industrial"}
    assert set(table.station_area) == {"urban", "suburban", "rural"}
    assert table.groupby("location_id").sensors_id.nunique().eq(1).all()


def test_hours_are_stamped_at_their_end_with_an_offset(table: pd.DataFrame) -> None:
    assert table.datetime.str.fullmatch(r"2024-\d\d-\d\dT\d\d:00:00\+01:00").all()
    times = pd.to_datetime(table.datetime, utc=True)
    assert times.min() == PERIOD.start + pd.Timedelta(hours=1)
    assert times.max() == PERIOD.end
    assert not table.duplicated(["location_id", "datetime"]).any()


def test_some_hours_are_lost(table: pd.DataFrame) -> None:
    share = len(table) / (table.location_id.nunique() * 144)
    assert 0.85 < share < 0.97


def test_stations_lie_in_the_domain(table: pd.DataFrame, small: Archive) -> None:
    west, south, east, north = small.summary["bbox"]
    assert table.lon.between(west, east).all() and table.lat.between(south, north).all()


def test_readings_agree_with_the_true_air(place) -> None:
    network = stations.place(place)
    hours = list(air.hours(place, Weather(SEED, *place.lonlat), PERIOD))
    truth = np.array([stations.concentrations(place, network, hour) for hour in hours])
    table = stations.measure(place, network, [h.start for h in hours], truth)
    means = table.groupby("location_id").value.mean().to_numpy()
    ratio = means / truth.mean(axis=0)
    assert ratio.mean() == pytest.approx(1, abs=0.1)
    assert 0.05 < ratio.std() < 0.35


def test_streets_are_worse_than_towns_and_towns_than_fields(table: pd.DataFrame) -> None:
    means = table.groupby(["station_type", "station_area"]).value.mean()
    assert means["traffic", "urban"] > means["background", "urban"] + 4
    assert means["background", "urban"] > means["background", "rural"]
    assert 2 < means["background", "rural"] < 14


def test_rush_hours_show_at_traffic_stations(table: pd.DataFrame) -> None:
    traffic = table[table.station_type == "traffic"]
    by_hour = traffic.groupby(traffic.datetime.str[11:13].astype(int)).value.mean()
    assert by_hour[9] > 1.2 * by_hour[4]

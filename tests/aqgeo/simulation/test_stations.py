"""Stations: where they stand, what traffic adds, how readings err, columns of real networks."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo.period import Period
from aqgeo.simulation import air, monitors, stations
from aqgeo.simulation.emission import Inventory
from aqgeo.simulation.land import CROPLAND, INDUSTRY, ROAD, WATER, Land
from aqgeo.simulation.monitors import CODE, Faults
from aqgeo.simulation.presets import PRESETS
from aqgeo.simulation.stations import STREET_INTEGRAL, Station
from aqgeo.simulation.weather import Weather
from aqgeo.simulation.world import World
from aqgeo.sources import stations as sources

CENTRE = 492_000.0, 5_208_000.0
PERIOD = Period.parse("2024-10-07/2024-10-14")


def box(pixel: int, side_m: int, left: float, top: float) -> GeoBox:
    count = side_m // pixel
    return GeoBox((count, count), Affine(pixel, 0, left, 0, -pixel, top), "EPSG:32633")


def make_world(pixel: int = 20, side_m: int = 24_000) -> World:
    left, top = CENTRE[0] - side_m / 2, CENTRE[1] + side_m / 2
    return World(5, box(pixel, side_m, left, top), PRESETS["city"])


def place_of(grid: GeoBox) -> tuple[np.ndarray, np.ndarray]:
    rows, cols = grid.shape
    x = grid.affine.c + (np.arange(cols) + 0.5) * grid.affine.a - CENTRE[0]
    y = grid.affine.f + (np.arange(rows) + 0.5) * grid.affine.e - CENTRE[1]
    return np.meshgrid(x, y)


def look(grid: GeoBox) -> Land:
    """A round city, roads every 1920 m and quiet streets between, works in the east, a lake."""
    x, y = place_of(grid)
    people = (30 + 14_000 * np.exp(-0.35 * np.hypot(x, y) / 1000)).astype("float32")
    vehicles = np.zeros(people.shape, "float32")
    for every, busy, shift in ((480, 1_500, 200), (1920, 18_000, 700)):
        lines = [((v - shift) // 20 % (every // 20)) < grid.affine.a / 20 for v in (x, y)]
        on = (lines[0] | lines[1]) & ((people > 1200) | (busy > 2000))
        vehicles[on] = busy
    cover = np.full(people.shape, CROPLAND, "uint8")
    cover[(np.abs(x - 5500) < 500) & (np.abs(y) < 400)] = INDUSTRY
    cover[(x < -4000) & (x > -8000) & (y > 0)] = WATER
    vehicles[cover == WATER] = 0
    cover[vehicles > 0] = ROAD
    zero = np.zeros_like(people)
    return Land(grid, cover, zero, zero, zero, people, vehicles)


def inventory(world: World) -> Inventory:
    x, y = place_of(world.air_grid)
    people = 30 + 14_000 * np.exp(-0.35 * np.hypot(x, y) / 1000)
    nox = people * 8e-6 / 3.156e7 / 0.046
    works = np.where((np.abs(x - 5500) < 500) & (np.abs(y) < 400), 3e-8, 0)
    sources = {"traffic": 0.6 * nox, "homes": 0.25 * nox, "industry": works}
    return Inventory(world.air_grid, sources, np.zeros_like(nox))


@pytest.fixture(scope="module")
def network() -> list[Station]:
    return stations.place(make_world(), look)


@pytest.fixture(scope="module")
def truth(network: list[Station]) -> tuple[list[air.Hour], np.ndarray]:
    world = make_world()
    weather = Weather(world.seed, *world.lonlat, world.preset)
    hours = list(air.hours(inventory(world), weather, PERIOD))
    return hours, np.array([stations.concentrations(world, network, h) for h in hours])


def readings(network: list[Station], truth, *, faults: Faults = monitors.USUAL) -> pd.DataFrame:
    world = make_world()
    weather = Weather(world.seed, *world.lonlat, world.preset)
    starts = [h.start for h in truth[0]]
    return stations.measure(world, weather, network, starts, truth[1], faults=faults)


def test_each_kind_stands_where_it_belongs(network: list[Station]) -> None:
    assert {(s.kind, s.area) for s in network} >= {
        ("background", "urban"), ("background", "suburban"), ("background", "rural"),
        ("traffic", "urban"), ("industrial", "suburban"),
    }  # fmt: skip
    world = make_world()
    bounds = world.grid.extent.boundingbox
    for s in network:
        assert bounds.left < s.x < bounds.right and bounds.bottom < s.y < bounds.top
        here = look(box(20, 1280, s.x - 650, s.y + 630))
        row, col = 31, 32
        assert (here.grid.affine * (col + 0.5, row + 0.5)) == pytest.approx((s.x, s.y))
        low, high = {"rural": (0, 500), "suburban": (500, 3000), "urban": (3000, 1e9)}[s.area]
        assert low <= here.population[row, col] < high
        assert here.cover[row, col] not in (WATER, INDUSTRY, ROAD)
        kerb = here.vehicles[row - 1 : row + 2, col - 1 : col + 2].max() > 5000
        assert kerb == (s.kind == "traffic")
        # The increment was taken from a patch that does not end at the same roads.
        assert s.street == pytest.approx(stations.street(here)[row, col], abs=0.6)
    street = {
        k: np.mean([s.street for s in network if s.kind == k]) for k in ("traffic", "background")
    }
    assert 6 < street["traffic"] < 25 and street["background"] < 4


def test_places_follow_from_seed_and_domain_alone(network: list[Station]) -> None:
    looks: list[GeoBox] = []

    def counted(grid: GeoBox) -> Land:
        looks.append(grid)
        return look(grid)

    assert stations.place(make_world(pixel=10), counted) == network
    assert len(looks) < 4 * len(network) + 1
    assert all(g.affine.a == 20 and g.shape == (64, 64) for g in looks[1:])


def test_larger_domains_have_more_stations_and_tiny_ones_none() -> None:
    small, large = (len(stations.place(make_world(side_m=m), look)) for m in (12_000, 60_000))
    assert 0 < small < 30 < large < 60
    assert stations.place(make_world(side_m=240), look) == []


@pytest.mark.parametrize("pixel", [10, 20])
def test_roads_add_the_same_for_any_pixel_and_direction(pixel: int) -> None:
    grid = box(pixel, 3000, 0, 3000)
    found = []
    # Not 45 degrees: whether a line through corners touches the pixels beside it is rounding.
    for angle in np.radians([3, 20, 35, 44, 60, 85]):
        # Every pixel that the line touches, by points far closer than pixels.
        along = 1500 + np.outer(np.linspace(-600, 600, 50_001), [np.cos(angle), np.sin(angle)])
        burnt = np.zeros(grid.shape.yx, "float32")
        burnt[((3000 - along[:, 1]) // pixel).astype(int), (along[:, 0] // pixel).astype(int)] = 2e4
        zero = np.zeros_like(burnt)
        field = stations.street(Land(grid, zero.astype("uint8"), zero, zero, zero, zero, burnt))
        found.append(float(field.sum()) * pixel**2 / (20_000 * 1200))
    assert np.mean(found) == pytest.approx(STREET_INTEGRAL, rel=0.05)
    assert np.ptp(found) < 0.45 * STREET_INTEGRAL


def test_increment_halves_within_100_m_of_a_road() -> None:
    grid = box(20, 4000, 0, 4000)
    vehicles = np.zeros(grid.shape.yx, "float32")
    vehicles[:, 100] = 18_000
    zero = np.zeros_like(vehicles)
    across = stations.street(Land(grid, zero.astype("uint8"), zero, zero, zero, zero, vehicles))[
        100
    ]
    kerb = across[101]
    assert 7 < kerb < 18  # traffic minus urban background: +12 (section 5; measured)
    assert 0.4 < across[100 + 3] / kerb < 0.85 and across[100 + 5] < 0.55 * kerb
    assert across[100 + 25] < 0.05 * kerb


def test_kinds_differ_as_in_real_networks(network: list[Station], truth) -> None:
    table = stations.truth_table(make_world(), network, truth[1])
    assert tuple(table.columns) == stations.TRUTH_COLUMNS
    means = table.groupby(["station_type", "station_area"]).no2.mean()
    # p10-p90 of EEA stations (section 6; measured).
    assert 3 < means["background", "rural"] < 17
    assert 9 < means["background", "suburban"] < 26
    assert 12 < means["background", "urban"] < 31
    assert 17 < means["traffic", "urban"] < 48
    assert means["background", "rural"] < means["background", "suburban"]
    assert means["background", "suburban"] < means["background", "urban"]
    assert 5 < means["traffic", "urban"] - means["background", "urban"] < 25


def test_columns_are_those_of_openaq_and_two_more(network: list[Station], truth) -> None:
    table = readings(network, truth)
    assert ",".join(table.columns) == (
        "location_id,sensors_id,location,datetime,lat,lon,parameter,units,value,"
        "station_type,station_area"
    )
    assert set(table.parameter) == {"no2"} and set(table.units) == {"µg/m³"}
    assert table.datetime.str.fullmatch(r"2024-10-\d\dT\d\d:00:00\+01:00").all()
    times = pd.to_datetime(table.datetime, utc=True)
    assert times.min() == PERIOD.start + timedelta(hours=1) and times.max() == PERIOD.end
    assert not table.duplicated(["location_id", "datetime"]).any()
    assert readings(network, truth).equals(table)


def test_nine_hours_of_ten_are_valid_and_codes_are_left_out_by_the_reader(
    network: list[Station], truth, tmp_path
) -> None:
    table = readings(network, truth)
    assert 0.88 < (table.value > CODE).sum() / truth[1].size < 0.97
    assert (table.value == CODE).sum() > 3 and table.value[table.value > CODE].min() >= -10
    stations.write(table, tmp_path / "stations.csv")
    found, notes = sources.read(tmp_path / "stations.csv", PERIOD, make_world().grid)
    assert "impossible or missing" in notes[0]
    assert len(found) == (table.value > CODE).sum() and found.no2.min() > -10


def test_errors_have_the_size_of_real_ones(network: list[Station], truth) -> None:
    table = readings(network, truth, faults=Faults(0, 0, 0, 0))
    start = {h.start + timedelta(hours=1): i for i, h in enumerate(truth[0])}
    rows = [start[t.to_pydatetime()] for t in pd.to_datetime(table.datetime, utc=True)]
    table["true"] = truth[1][rows, table.location_id - 900_001]
    means = table.groupby(["station_type", "location_id"])[["value", "true"]].mean()
    error = means.value / means.true - 1
    assert abs(error.mean()) < 0.12 and 0.08 < error.std() < 0.3
    high = table[table.true > 15]
    hourly = np.log(high.value / high.true)
    within = hourly - hourly.groupby(table.location_id).transform("mean")
    assert 0.15 < within.std() < 0.3


def test_one_monitor_has_noise_drift_limit_and_converter() -> None:
    hours = np.arange(24.0 * 365)
    truth, calm = np.full(hours.size, 20.0), np.zeros(hours.size)
    none = Faults(0, 0, 0, 0)

    def many(value: float, noz: np.ndarray, kind: tuple[str, str]) -> np.ndarray:
        rngs = [np.random.default_rng(i) for i in range(25)]
        return np.array(
            [monitors.readings(truth * value / 20, hours, noz, kind, r, none) for r in rngs]
        )

    clean = many(20, calm, ("background", "rural"))
    aged = many(20, np.ones(hours.size), ("background", "rural"))
    bias = np.nanmean(aged, 1) / np.nanmean(clean, 1) - 1
    share = (bias > 0.05).mean()
    assert 0.2 < share < 0.8 and 0.1 < bias[bias > 0.05].mean() < 0.3
    low = many(0.2, calm, ("background", "rural"))
    limited = (np.nanmin(low, axis=1) == 0.5).mean()
    assert 0.1 < limited < 0.6
    assert 0.5 < np.nanmean(np.nanstd(low[np.nanmin(low, axis=1) < 0], axis=1)) < 1.2
    assert 0.9 < (~np.isnan(clean)).mean() < 0.97


def test_faults_are_rare_and_known() -> None:
    hours = np.arange(24.0 * 365)
    truth = 20 + 10 * np.sin(hours)
    kind = ("background", "urban")
    clean, dirty = (
        monitors.readings(truth, hours, 0 * hours, kind, np.random.default_rng(1), f)
        for f in (Faults(0, 0, 0, 0), monitors.USUAL)
    )
    there = ~np.isnan(dirty)
    assert 0.001 < (dirty[there] == CODE).mean() < 0.006
    assert 0 < (dirty[there] > 100).mean() < 0.002
    assert 0 < ((dirty[there] < -0.9) & (dirty[there] >= -9)).mean() < 0.003
    assert np.nanmin(clean) > -3 and np.nanmax(clean) < 100
    assert (
        np.isclose(np.diff(dirty), 0, atol=1e-9).sum()
        > 10 + np.isclose(np.diff(clean), 0, atol=1e-9).sum()
    )

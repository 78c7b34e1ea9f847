"""Ground stations: where they stand, hourly NO2 concentrations in OpenAQ's columns, the truth."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.ndimage
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo.simulation import air, monitors, noise
from aqgeo.simulation.air import Hour
from aqgeo.simulation.land import INDUSTRY, WATER, Land
from aqgeo.simulation.monitors import Faults
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.weather import Weather
from aqgeo.simulation.world import World

Look = Callable[[GeoBox], Land]

COLUMNS = (
    "location_id", "sensors_id", "location", "datetime", "lat", "lon", "parameter", "units",
    "value", "station_type", "station_area",
)  # fmt: skip
TRUTH_COLUMNS = ("location_id", "lon", "lat", "station_type", "station_area", "no2")
# How many of each kind on 48 km x 48 km; the mix follows the EEA's network (simulation-facts,
# section 6), thinned.
_PLAN = {
    ("background", "urban"): 9,
    ("background", "suburban"): 7,
    ("background", "rural"): 6,
    ("traffic", "urban"): 7,
    ("traffic", "suburban"): 3,
    ("industrial", "suburban"): 2,
    ("industrial", "rural"): 2,
}
_PLAN_KM2, _MOST = 48.0 * 48.0, 150
_AREAS = {"rural": (0.0, 500.0), "suburban": (500.0, 3000.0), "urban": (3000.0, np.inf)}
_APART_M = 400.0  # between two stations, but for a kerb's and a yard's near it; illustrative
_BUSY = (7_000.0, 45_000.0)  # vehicles a day where a traffic station stands; illustrative
_QUIET = {"urban": 6.0, "suburban": 4.0, "rural": 2.0}  # most increment by traffic, ug m-3
_FENCE_M = 600.0  # industrial stations stand so near to industry; illustrative
_OVERVIEW_M, _OVERVIEW_PIXELS = 160, 1024  # pixels of the overview, how many along a side at most
_PATCH_M, _PATCH_PIXEL_M, _CORE_M = 1280, 20, 380
# Traffic minus background stations: +12 ug m-3 in towns (simulation-facts, section 5; measured),
# met beside roads of some 18 thousand vehicles a day (illustrative).
_KERB_PER_VEHICLE = 12 / 18_000
# Widths and shares at the kerb: half gone at 50-100 m, background at 200-500 m (same place;
# recalled).
_WIDTHS_M, _SHARES = (40.0, 150.0), (0.75, 0.25)
STREET_INTEGRAL = (
    _KERB_PER_VEHICLE
    * math.sqrt(math.tau)
    * sum(s * w for s, w in zip(_SHARES, _WIDTHS_M, strict=True))
)
"""Increment of NO2 by traffic in ug m-3, mean of the week over any area, for 1 vehicle metre a day
on each square metre of it."""


@dataclass(frozen=True, slots=True)
class Station:
    """One place of measurement."""

    number: int
    """Running number from 0."""
    kind: str
    """background, traffic or industrial."""
    area: str
    """urban, suburban or rural."""
    x: float
    """Easting in metres of the world's CRS."""
    y: float
    """Northing in metres."""
    street: float
    """Increment by near traffic, mean of the week, ug m-3."""


def street(land: Land) -> FloatArray:
    """Return (y, x) increment of NO2 by near traffic, mean of the week, ug m-3.

    Beside a long straight road it falls as two Gaussians; contributions of roads add up. Roads
    that lie outside the land count for nothing: nearer than 450 m to its edge values are too low.
    """
    pixel = float(land.grid.affine.a)
    # A line that takes every pixel it touches takes 4/pi as many as its length has, on average
    # over directions.
    driven = land.vehicles * np.float32(math.pi / 4 / pixel)
    found = np.zeros_like(driven)
    reach = sum(s * w for s, w in zip(_SHARES, _WIDTHS_M, strict=True))
    for share, width in zip(_SHARES, _WIDTHS_M, strict=True):
        weight = np.float32(STREET_INTEGRAL * share * width / reach)
        found += weight * scipy.ndimage.gaussian_filter(
            driven, width / pixel, truncate=3, mode="constant"
        )
    return found


def place(world: World, look: Look) -> list[Station]:
    """Return the stations; a kind of place that the world lacks gets none.

    Candidates come from an overview of the domain, the more likely the more people live there;
    each is looked at closely. Their number grows with the domain's area to the power of .6.

    Args:
        world: the world.
        look: draws the land of any window, pixels of 10 m times a power of two.
    """
    grid = _overview(world)
    if grid is None:
        return []
    overview = look(grid)
    km2 = grid.shape[0] * grid.shape[1] * (grid.affine.a / 1000) ** 2
    scale = min((km2 / _PLAN_KM2) ** 0.6, _MOST / sum(_PLAN.values()))
    found: list[Station] = []
    for number, ((kind, area), count) in enumerate(_PLAN.items()):
        rng = noise.stream(world.seed, "station places", number)
        wanted = len(found) + max(round(count * scale), 1)
        for x, y in _candidates(overview, kind, area, rng):
            if len(found) == wanted:
                break
            if any(math.hypot(s.x - x, s.y - y) < _APART_M for s in found):
                continue
            spot = _spot(look(_patch(x, y, grid)), kind, area, rng)
            if spot is not None:
                found.append(Station(len(found), kind, area, *spot))
    return found


def concentrations(world: World, stations: Sequence[Station], hour: Hour) -> FloatArray:
    """Return (station,) true NO2 concentrations of an hour, ug m-3."""
    x, y = (np.array([getattr(s, axis) for s in stations]) for axis in "xy")
    near = np.array([s.street for s in stations], "float32") * np.float32(hour.traffic)
    return air.sample(hour.concentration, world.air_grid, x, y) + near


def measure(
    world: World, weather: Weather, stations: Sequence[Station], starts: Sequence[datetime],
    truth: FloatArray, *, faults: Faults = monitors.USUAL,
) -> pd.DataFrame:  # fmt: skip
    """Return what the instruments report, one row an hour and station; lost hours have none.

    Args:
        world: the world.
        weather: its weather.
        stations: the stations.
        starts: begins of the hours, UTC.
        truth: (hour, station) true concentrations, ug m-3.
        faults: how often monitors report nonsense.
    """
    zone = timezone(timedelta(hours=round(world.lonlat[0] / 15)))  # standard time, no summer time
    local = [s.astimezone(zone) for s in starts]
    # OpenAQ stamps an hour at its end (sources-handbook, section 6).
    stamps = np.array([(s + timedelta(hours=1)).isoformat() for s in local])
    hours = np.array([s.toordinal() * 24.0 + s.hour for s in local])
    noz = np.array([weather.convection(s) * (1 - weather.season(s)) / 2 for s in starts])
    tables = []
    for station in stations:
        rng = noise.stream(world.seed, "station", station.number)
        real = truth[:, station.number].astype("float64")
        values = monitors.readings(real, hours, noz, (station.kind, station.area), rng, faults)
        there = ~np.isnan(values)
        table = pd.DataFrame({"datetime": stamps[there], "value": values[there]})
        tables.append(table.assign(**_identity(world, station)))
    if not tables:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)]


def truth_table(world: World, stations: Sequence[Station], truth: FloatArray) -> pd.DataFrame:
    """Return the true mean over a period at each station, in TRUTH_COLUMNS; no2 in ug m-3.

    The truth is that of the place's surroundings on 20 m, so the inlet's own siting is an error.

    Args:
        world: the world.
        stations: the stations.
        truth: (hour, station) true concentrations, ug m-3.
    """
    means = truth.mean(axis=0, dtype="float64").round(3)
    rows = [_identity(world, s) | {"no2": means[s.number]} for s in stations]
    return pd.DataFrame(rows, columns=list(TRUTH_COLUMNS))


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV in UTF-8."""
    table.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def _overview(world: World) -> GeoBox | None:
    """Return large pixels over the domain but its edges, or None where it has no room."""
    pixel = _OVERVIEW_M
    while max(world.grid.shape) * world.pixel_m > _OVERVIEW_PIXELS * pixel:
        pixel *= 2
    box, inset = world.grid.extent.boundingbox, _CORE_M / 2
    left, bottom = (math.ceil((v + inset) / pixel) for v in (box.left, box.bottom))
    right, top = (math.floor((v - inset) / pixel) for v in (box.right, box.top))
    if right <= left or top <= bottom:
        return None
    corner = Affine(pixel, 0, left * pixel, 0, -pixel, top * pixel)
    return GeoBox((top - bottom, right - left), corner, world.grid.crs)


def _candidates(
    overview: Land, kind: str, area: str, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Return centres of pixels where a kind of station may stand, in the order to be tried."""
    low, high = _AREAS[area]
    people, pixel = overview.population, float(overview.grid.affine.a)
    fits = (people >= low) & (people < high) & (overview.cover != WATER)
    if kind == "traffic":
        fits &= (overview.vehicles > _BUSY[0]) & (overview.vehicles < _BUSY[1])
    if kind == "industrial":
        fits &= _near(overview.cover == INDUSTRY, pixel, _FENCE_M)
    rows, cols = np.nonzero(fits)
    # The smallest of exponential waiting times: each is next with the chance of its weight.
    wait = rng.exponential(size=rows.size) / np.sqrt(people[rows, cols] + 1)
    order = np.argsort(wait)[:200]
    x = overview.grid.affine.c + (cols[order] + 0.5) * pixel
    y = overview.grid.affine.f - (rows[order] + 0.5) * pixel
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _patch(x: float, y: float, like: GeoBox) -> GeoBox:
    """Return pixels of 20 m around a point that lies on their corners."""
    half, side = _PATCH_M / 2, _PATCH_M // _PATCH_PIXEL_M
    corner = Affine(_PATCH_PIXEL_M, 0, x - half, 0, -_PATCH_PIXEL_M, y + half)
    return GeoBox((side, side), corner, like.crs)


def _spot(
    land: Land, kind: str, area: str, rng: np.random.Generator
) -> tuple[float, float, float] | None:
    """Return easting, northing and increment by traffic of a place near the middle, if any."""
    near = street(land)
    low, high = _AREAS[area]
    fits = (land.population >= low) & (land.population < high)
    fits &= (land.cover != WATER) & (land.cover != INDUSTRY) & (land.vehicles == 0)
    if kind == "traffic":
        busy = (land.vehicles > _BUSY[0]) & (land.vehicles < _BUSY[1])
        fits &= _near(busy, _PATCH_PIXEL_M, _PATCH_PIXEL_M)
    else:
        fits &= near < _QUIET[area]
    if kind == "industrial":
        fits &= _near(land.cover == INDUSTRY, _PATCH_PIXEL_M, _FENCE_M)
    edge = (_PATCH_M - _CORE_M) // 2 // _PATCH_PIXEL_M
    inside = np.zeros_like(fits)
    inside[edge:-edge, edge:-edge] = True
    rows, cols = np.nonzero(fits & inside)
    if not rows.size:
        return None
    choice = int(rng.integers(rows.size))
    x, y = land.grid.affine * (cols[choice] + 0.5, rows[choice] + 0.5)
    return float(x), float(y), float(near[rows[choice], cols[choice]])


def _near(there: NDArray[np.bool_], pixel: float, metres: float) -> NDArray[np.bool_]:
    """Return what lies within a distance of pixels that are True."""
    if not there.any():
        return np.zeros_like(there)
    distance = scipy.ndimage.distance_transform_edt(~there, sampling=pixel)
    return np.asarray(distance <= metres)


def _identity(world: World, station: Station) -> dict[str, str | int | float]:
    lon, lat = world.to_lonlat(np.array(station.x), np.array(station.y))
    number = 900_001 + station.number
    return {
        "location_id": number,
        "sensors_id": 10 * number + 5,
        "location": f"Simulated {station.area} {station.kind} {station.number + 1:02d}",
        "lat": round(float(lat), 5),
        "lon": round(float(lon), 5),
        "parameter": "no2",
        "units": "µg/m³",
        "station_type": station.kind,
        "station_area": station.area,
    }

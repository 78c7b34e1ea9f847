"""Ground stations: hourly NO2 concentrations as a table in OpenAQ's columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqgeo.simulation import air, noise
from aqgeo.simulation.air import Hour
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.world import INDUSTRY, WATER, World

COLUMNS = (
    "location_id", "sensors_id", "location", "datetime", "lat", "lon", "parameter", "units",
    "value", "station_type", "station_area",
)  # fmt: skip
# How many of each kind; the mix follows the EEA's network (simulation-facts, section 6), thinned.
_PLAN = {
    ("background", "urban"): 9,
    ("background", "suburban"): 7,
    ("background", "rural"): 6,
    ("traffic", "urban"): 7,
    ("traffic", "suburban"): 3,
    ("industrial", "suburban"): 4,
}
_AREAS = {"rural": (0.0, 500.0), "suburban": (500.0, 3000.0), "urban": (3000.0, np.inf)}
# Siting: what 20 m pixels do not resolve; residual sigma 5-8 background, 10-12 traffic ug m-3
# (simulation-facts, section 5; recalled) at means of about 20 and 35, halved, since those residuals
# hold the error of a map too.
_SITING = {"background": 0.15, "industrial": 0.15, "traffic": 0.18}
_NOISE, _NOISE_SHARE = 0.8, 0.025  # reference instrument, hourly (simulation-facts, 6; recalled)
_CALIBRATION_HOURS = (1, 2, 3)  # ends of the daily lost hour: calibration at 00-02 h (recalled)
_OUTAGE_RATE = 1 / 250  # outages per hour, Pareto with median 3 h: valid hours 90-97 % (recalled)


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


def place(world: World) -> list[Station]:
    """Return the stations; a kind of place that the world lacks gets none."""
    rng = noise.stream(world.seed, "station places")
    found: list[Station] = []
    for (kind, area), count in _PLAN.items():
        rows, cols = np.nonzero(_suitable(world, kind, area))
        chosen = rng.choice(rows.size, size=min(count, rows.size), replace=False)
        for row, col in zip(rows[chosen], cols[chosen], strict=True):
            x, y = world.grid.affine * (4 * col + 2, 4 * row + 2)
            street = float(world.street[4 * row + 2, 4 * col + 2])
            found.append(Station(len(found), kind, area, x, y, street))
    return found


def concentrations(world: World, stations: Sequence[Station], hour: Hour) -> FloatArray:
    """Return (station,) true NO2 concentrations of an hour, ug m-3."""
    x, y = (np.array([getattr(s, axis) for s in stations]) for axis in "xy")
    street = np.array([s.street for s in stations], "float32") * np.float32(hour.traffic)
    return air.sample(hour.concentration, world.air_grid, x, y) + street


def measure(
    world: World, stations: Sequence[Station], starts: Sequence[datetime], truth: FloatArray
) -> pd.DataFrame:
    """Return what the instruments report, one row an hour and station; lost hours have none.

    Args:
        world: the world.
        stations: the stations.
        starts: begins of the hours, UTC.
        truth: (hour, station) true concentrations, ug m-3.
    """
    zone = timezone(timedelta(hours=round(world.lonlat[0] / 15)))  # standard time, no summer time
    # OpenAQ stamps an hour at its end (sources-handbook, section 6).
    stamps = [(s + timedelta(hours=1)).astimezone(zone) for s in starts]
    tables = []
    for station in stations:
        rng = noise.stream(world.seed, "station", station.number)
        values = _readings(truth[:, station.number], station.kind, rng)
        keep = ~_lost(stamps, rng)
        texts = [s.isoformat() for s in stamps]
        table = pd.DataFrame({"datetime": texts, "value": values})[keep]
        for name, value in _identity(world, station).items():
            table[name] = value
        tables.append(table)
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)]


def write(table: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV in UTF-8."""
    table.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def _suitable(world: World, kind: str, area: str) -> NDArray[np.bool_]:
    """Return where a kind of station may stand, on every fourth pixel."""
    part = (slice(2, None, 4), slice(2, None, 4))
    low, high = _AREAS[area]
    people, street = world.population[part], world.street[part]
    cover = world.land_cover[part]
    found = (people >= low) & (people < high) & (cover != WATER)
    if kind == "traffic":
        return np.asarray(found & (street > 6) & (street < 25))
    if kind == "industrial":
        near = np.zeros_like(found)
        near[:, 8:] = cover[:, :-8] == INDUSTRY  # some 600 m east of it
        return np.asarray(found & near & (street < 3))
    return np.asarray(found & (street < (2.5 if area == "urban" else 1.0)) & (cover != INDUSTRY))


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


def _readings(truth: FloatArray, kind: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """Add the station's siting error, hourly small-scale variation and instrument noise."""
    siting = _SITING[kind]
    factor = rng.lognormal(-(siting**2) / 2, siting)
    local = truth * factor * rng.lognormal(-0.02, 0.2, truth.size)
    noise_ug = rng.normal(0, _NOISE, truth.size) + rng.normal(0, _NOISE_SHARE, truth.size) * local
    return np.asarray(np.round(local + noise_ug, 2), "float64")


def _lost(stamps: Sequence[datetime], rng: np.random.Generator) -> NDArray[np.bool_]:
    calibration = rng.choice(_CALIBRATION_HOURS)
    lost = np.array([s.hour == calibration for s in stamps])
    for begin in np.nonzero(rng.random(lost.size) < _OUTAGE_RATE)[0]:
        # Pareto with shape 1 has its median at twice its scale of 1.5 h.
        length = min(1.5 * (1 + rng.pareto(1.0)), 240.0)
        lost[begin : begin + round(length)] = True
    return lost

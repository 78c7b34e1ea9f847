"""Station measurements from CSV and Parquet files as one checked set.

A station set is a GeoDataFrame of hourly values with the columns of COLUMNS: `time` is the end of
the hour in UTC, `no2` in µg m-3, geometry in lon/lat.
"""

from collections import Counter
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.sources import plain_table, station_rows
from aqgeo.sources.station_rows import Scope

COLUMNS = station_rows.SET
# Monitors report up to 500 µg m-3 (EN 14211); far beyond, or far below zero, are error codes.
_PLAUSIBLE = (-10.0, 2000.0)
# A monitor that stands still: one value for a day, with lost hours between. Zeros are left out,
# since clean air reads so. All numbers below are illustrative.
_STILL_H, _LOST_H = 24, 3
# A spike: so much above both hours beside it, and so many times the larger one.
_SPIKE_UG, _SPIKE_TIMES = 50.0, 3.0
_MOVED_DEG = 0.001  # some 100 m


def read(path: Path, period: Period, where: GeoBox) -> tuple[gpd.GeoDataFrame, list[str]]:
    """Read hourly NO2 of a file, or of all files in a folder, inside a period and a grid.

    Units are converted row by row (ppb and ppm at 20 °C and 1013 hPa, the EU's conditions). Of
    hours that come twice the one that was updated last is kept, and without such a time the one
    that comes last in the file: networks append what they have corrected. Spikes, standing values
    and moves are reported and kept: smoke, calm air below the detection limit and a mended
    coordinate look the same, and who removes them should know the station.

    Args:
        path: CSV in UTF-8 (may be gzipped) or Parquet with at least location_id, lat, lon,
            datetime (ISO 8601 with UTC offset, end of the hour), parameter, units, value;
            station_type and station_area are read if there. Also Parquet files of the EEA, with
            its metadata CSV beside them, and station sets.
        period: an hour belongs to it when it ends after the start and not after the end.
        where: grid in whose bounding box stations must lie.

    Returns:
        The station set, sorted by station and time, its `attrs["counts"]` the number of rows by
        what befell them; and notes, one for each count that a reader of the map should know.

    Raises:
        SourceError: columns are missing, a unit is unknown, times have no UTC offset, the file is
            damaged, or nothing is left.
    """
    counts: Counter[str] = Counter()
    table = station_rows.collect(path, Scope.of(period, where), counts).to_pandas()
    if table.empty:
        raise SourceError(
            f"{path} has no NO2 inside the region in {period}: add station data{_reasons(counts)}"
        )
    wrong = ~table["no2"].between(*_PLAUSIBLE)
    counts["impossible or missing values left out"] += int(wrong.sum())
    # An error code must not push out the value that came before it.
    table = _once(table[~wrong], counts)
    if table.empty:
        raise SourceError(f"{path}: no usable value is left: see its value and units columns")
    _look(table, counts)
    found = _station_set(table)
    told = {what: number for what, number in counts.items() if number}
    found.attrs["counts"] = told
    notes = [f"{path.name}: {n} {what}" for what, n in told.items() if what != "rows read"]
    return found, [*plain_table.notes(path), *notes]


def check(stations: gpd.GeoDataFrame) -> None:
    """Refuse a table that is no station set.

    Raises:
        SourceError: with the columns that are missing or the rule that is broken.
    """
    missing = [c for c in COLUMNS if c not in stations.columns]
    if missing:
        raise SourceError(f"the station set lacks {', '.join(missing)}")
    if stations.crs is None or stations.crs.to_epsg() != 4326:
        raise SourceError(f"the station set is in CRS {stations.crs}, EPSG:4326 is needed")
    if stations.duplicated(["station_id", "time"]).any():
        raise SourceError("the station set has an hour of a station twice")


def means(stations: gpd.GeoDataFrame, period: Period, *, min_capture: float) -> gpd.GeoDataFrame:
    """Return each station's mean over a period, for stations with enough hours.

    Args:
        stations: a station set.
        period: the span that hours are counted against.
        min_capture: share of the period's hours that a station must have, 0 to 1.

    Returns:
        One row a station: station_id, station_type, station_area, no2 [µg m-3], hours, geometry.
    """
    hours = (period.end - period.start).total_seconds() / 3600
    grouped = stations.groupby("station_id", sort=True)
    table = grouped.first()[["station_type", "station_area", "geometry"]]
    table["no2"] = grouped["no2"].mean()
    table["hours"] = grouped["no2"].size()
    enough = table[table["hours"] >= min_capture * hours]
    return gpd.GeoDataFrame(enough.reset_index(), geometry="geometry", crs=stations.crs)


def _reasons(counts: Counter[str]) -> str:
    told = [f"{number} {what}" for what, number in counts.items() if number]
    return f" ({'; '.join(told)})" if told else ""


def _once(table: pd.DataFrame, counts: Counter[str]) -> pd.DataFrame:
    """Return rows by station and time, each hour once, and count the others."""
    # Text order of the names, which the categories do not keep.
    names = np.asarray(table["station_id"].cat.categories.astype(str))
    station = np.argsort(np.argsort(names, kind="stable"))[table["station_id"].cat.codes]
    time = table["time"].astype(np.int64).to_numpy()
    order = np.lexsort((table["updated"].to_numpy(), time, station))
    table, station, time = table.iloc[order], station[order], time[order]
    last = np.append((np.diff(station) != 0) | (np.diff(time) != 0), True)[: len(table)]
    value = table["no2"].to_numpy()
    kept = value[last][np.cumsum(last) - last]
    counts["repeated hours left out"] += int((~last & (value == kept)).sum())
    counts["repeated hours with another value left out, the last one is kept"] += int(
        (~last & (value != kept)).sum()
    )
    return table[last]


def _look(table: pd.DataFrame, counts: Counter[str]) -> None:
    """Count what looks wrong and stays; rows are sorted by station and time."""
    value, hour = table["no2"].to_numpy(), table["time"].astype(np.int64).to_numpy() / 3.6e9
    same = np.diff(table["station_id"].cat.codes.to_numpy()) == 0
    step = np.diff(hour)
    counts["values of monitors that stand still for a day or longer, kept"] += _still(
        value, hour, same & (step <= _LOST_H + 1)
    )
    beside = same & (step == 1)
    before = np.where(np.append(False, beside), np.roll(value, 1), np.inf)
    after = np.where(np.append(beside, False), np.roll(value, -1), np.inf)
    most = np.maximum(before, after)
    spikes = (value > most + _SPIKE_UG) & (value > most * _SPIKE_TIMES)
    counts["spikes of one hour kept"] += int(spikes.sum())
    counts["values less than an hour after the one before, so no hourly means, kept"] += int(
        (same & (step < 1)).sum()
    )
    places = table.groupby("station_id", observed=True)[["lon", "lat"]].agg(["min", "max"])
    low, high = (places.xs(end, axis=1, level=1).to_numpy() for end in ("min", "max"))
    counts["stations that moved by more than 100 m kept at all their places"] += int(
        (high - low > _MOVED_DEG).any(axis=1).sum()
    )


def _still(value: NDArray[np.float64], hour: NDArray[np.float64], joined: NDArray[np.bool_]) -> int:
    """Return how many values stand in runs of one value, not zero, that last long."""
    run = np.cumsum(np.append(True, ~(joined & (np.diff(value) == 0))))
    first, size = np.unique(run, return_index=True, return_counts=True)[1:]
    lasts = hour[first + size - 1] - hour[first] + 1
    return int(size[(lasts >= _STILL_H) & (value[first] != 0) & (size > 1)].sum())


def _station_set(table: pd.DataFrame) -> gpd.GeoDataFrame:
    # One point object for each place, not for each hour.
    lonlat = table["lon"].to_numpy() + 1j * table["lat"].to_numpy()
    places, number = np.unique(lonlat, return_inverse=True)
    columns = {name: table[name].astype("str") for name in COLUMNS[:3]}
    columns |= {name: table[name] for name in COLUMNS[3:5]}
    found = gpd.GeoDataFrame(
        pd.DataFrame(columns).reset_index(drop=True),
        geometry=np.asarray(shapely.points(places.real, places.imag))[number],
        crs="EPSG:4326",
    )
    check(found)
    return found

"""Station measurements read from CSV in the columns of the OpenAQ archive.

A station set is a GeoDataFrame of hourly values with the columns of COLUMNS: `time` is the end of
the hour in UTC, `no2` in µg m-3, geometry in lon/lat.
"""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from odc.geo.geobox import GeoBox

from aqgeo import grid
from aqgeo.errors import SourceError
from aqgeo.period import Period

COLUMNS = ("station_id", "station_type", "station_area", "time", "no2", "geometry")
_NEEDED = ("location_id", "lat", "lon", "datetime", "parameter", "units", "value")
_UNITS = {"µg/m³", "μg/m³", "ug/m3", "µg m-3", "ug m-3", "ug.m-3"}
# Monitors report up to 500 µg m-3 (EN 14211); far beyond, or far below zero, are error codes.
_PLAUSIBLE = (-10.0, 2000.0)


def read(path: Path, period: Period, where: GeoBox) -> tuple[gpd.GeoDataFrame, list[str]]:
    """Read hourly NO2 of one CSV file inside a period and a grid.

    Args:
        path: CSV with at least location_id, lat, lon, datetime (ISO 8601 with UTC offset, end of
            the hour), parameter, units, value; station_type and station_area are read if there.
        period: an hour belongs to it when it ends after the start and not after the end.
        where: grid in whose bounding box stations must lie.

    Returns:
        The station set, sorted by station and time, and notes on rows left out.

    Raises:
        SourceError: columns are missing, units are mixed or unknown, times have no UTC offset, or
            nothing is left.
    """
    table = _table(path)
    notes = []
    table["time"] = _times(table["datetime"], path)
    inside = (table["time"] > period.start) & (table["time"] <= period.end)
    inside &= (table["parameter"] == "no2") & _within(table, where)
    table = table[inside].copy()
    if table.empty:
        raise SourceError(f"{path} has no NO2 inside the region in {period}: add station data")
    _check_units(table, path)
    table["no2"] = pd.to_numeric(table["value"], errors="coerce")
    wrong = ~table["no2"].between(*_PLAUSIBLE)
    # An error code must not push out the value that came after it.
    twice = table[~wrong].duplicated(["location_id", "time"]).reindex(table.index, fill_value=False)
    for what, rows in (("impossible or missing values", wrong), ("repeated hours", twice)):
        if rows.any():
            notes.append(f"{path.name}: {int(rows.sum())} {what} left out")
    return _station_set(table[~wrong & ~twice], path), notes


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


def _table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as err:
        raise SourceError(f"{path} cannot be read as CSV: {err}") from err
    missing = [c for c in _NEEDED if c not in table.columns]
    if missing:
        raise SourceError(
            f"{path} lacks the columns {', '.join(missing)}: a station table has "
            f"{', '.join(_NEEDED)}"
        )
    for name in ("station_type", "station_area"):
        if name not in table.columns:
            table[name] = "unknown"
    for name in ("lat", "lon"):
        table[name] = pd.to_numeric(table[name], errors="coerce")
    return table


def _times(text: pd.Series, path: Path) -> pd.Series:
    without = text[
        ~text.str.contains(r"\d:\d\d(?:[:.\d]*)(?:Z|[+-]\d{2}(?::?\d{2})?)$", regex=True)
    ]
    if len(without):
        raise SourceError(
            f"{path}: datetime {without.iloc[0]!r} has no UTC offset: write it as "
            "2024-06-01T13:00:00Z or with +01:00"
        )
    try:
        return pd.to_datetime(text, utc=True, format="ISO8601")
    except ValueError as err:
        why = " ".join(str(err).split())
        raise SourceError(f"{path}: a datetime is not ISO 8601: {why}") from err


def _within(table: pd.DataFrame, where: GeoBox) -> pd.Series:
    west, south, east, north = grid.lonlat_bbox(where)
    return table["lon"].between(west, east) & table["lat"].between(south, north)


def _check_units(table: pd.DataFrame, path: Path) -> None:
    units = sorted(set(table["units"]))
    other = [unit for unit in units if unit not in _UNITS]
    if other and len(units) > 1:
        raise SourceError(f"{path} mixes the units {', '.join(units)}: convert all to µg/m³")
    if other:
        raise SourceError(
            f"{path} is in {other[0]!r}: convert to µg/m³ (1 ppb NO2 = 1.9125 µg/m³ at 20 °C)"
        )


def _station_set(table: pd.DataFrame, path: Path) -> gpd.GeoDataFrame:
    if table.empty:
        raise SourceError(f"{path}: no usable value is left: see its value and units columns")
    found = gpd.GeoDataFrame(
        {
            "station_id": table["location_id"],
            "station_type": table["station_type"],
            "station_area": table["station_area"],
            "time": table["time"],
            "no2": table["no2"].astype(np.float64),
        },
        geometry=gpd.points_from_xy(table["lon"], table["lat"]),
        crs="EPSG:4326",
    )
    found = found.sort_values(["station_id", "time"]).reset_index(drop=True)
    check(found)
    return found

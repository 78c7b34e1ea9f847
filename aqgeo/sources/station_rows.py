"""Rows of NO2 from station tables in three layouts, in one unit, one zone and one hour stamp.

OpenAQ's archive stamps an hour at its end, in local time with an offset; the EEA's files at its
begin, in UTC+1 without summer time. Rows bear the end in UTC.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import CRS
from pyproj.exceptions import CRSError

from aqgeo import grid
from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.sources import plain_table, sampling_points, tables
from aqgeo.sources.sampling_points import Point
from aqgeo.sources.station_columns import (
    Codes,
    Reals,
    Texts,
    categories,
    coded,
    concentration,
    each,
    instants,
    numbers,
)

SET = ("station_id", *plain_table.KINDS, "time", "no2", "geometry")
"""Columns of a station set."""
EEA = ("Samplingpoint", "Pollutant", "Start", "End", "Value", "Unit", "AggType", "Validity")
"""Columns of the EEA's Parquet files that are needed (sources-handbook, section 6)."""
ROWS = pa.schema(
    {name: pa.dictionary(pa.int32(), pa.string()) for name in ("station_id", *plain_table.KINDS)}
    | {"time": pa.timestamp("us", "UTC"), "updated": pa.int64()}
    | dict.fromkeys(("no2", "lon", "lat"), pa.float64())
)
"""What `collect` returns: `time` is the hour's end, `no2` in µg m-3, `updated` in µs."""
MOST_ROWS = 20_000_000
"""Rows that are kept at most, of some 300 bytes while they are sorted."""
_NO2 = 8  # the EEA's code
_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows are wanted."""

    period: Period
    """The hour must end after its start and not after its end."""
    box: tuple[float, float, float, float]
    """West, south, east, north in degrees."""

    @classmethod
    def of(cls, period: Period, where: GeoBox) -> "Scope":
        """Return the scope of a period and a grid's bounding box."""
        return cls(period, grid.lonlat_bbox(where))

    def places(self, lon: Reals, lat: Reals, counts: Counter[str]) -> NDArray[np.bool_]:
        """Tell which places lie in the box, and count why others do not."""
        west, south, east, north = self.box
        valid = (np.abs(lon) <= 180) & (np.abs(lat) <= 90)
        null = (lon == 0) & (lat == 0)
        inside = (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
        counts["rows without a place on Earth left out"] += int((~valid).sum())
        counts["rows at 0° N 0° E, which is no place of a station, left out"] += int(null.sum())
        counts["rows outside the region left out"] += int((valid & ~null & ~inside).sum())
        return np.asarray(inside & ~null)

    def times(self, ends: Codes) -> NDArray[np.bool_]:
        """Tell which hours, by their ends in µs since 1970, belong to the period."""
        first, last = (int(t.timestamp()) * 1_000_000 for t in (self.period.start, self.period.end))
        return np.asarray((ends > first) & (ends <= last))


def collect(
    path: Path, scope: Scope, counts: Counter[str], known: Mapping[str, Point] | None = None
) -> pa.Table:
    """Return the rows of NO2 of a table, or of a folder of tables, that a scope holds.

    Args:
        path: CSV (UTF-8, may be gzipped) or Parquet in the columns of a plain table,
            SET or EEA; a file of the EEA needs the metadata CSV beside it.
        scope: what is wanted.
        counts: gets how many rows were left out or converted, and why.
        known: sampling points of files of the EEA, instead of the metadata CSV.

    Returns:
        Columns ROWS, in the order of the files; no2 may still be impossible or NaN.

    Raises:
        SourceError: the files are no such tables, a unit is unknown, a time has no UTC offset, or
            there is more than MOST_ROWS.
    """
    parts, kept = [ROWS.empty_table()], 0
    for file in _files(path):
        columns, read = _layout(file, known)
        for batch in tables.batches(file, columns, counts):
            counts["rows read"] += batch.num_rows
            try:
                parts.append(read(batch, scope, counts))
            except tables.UNREADABLE as err:
                why = tables.brief(err)
                raise SourceError(f"{file}: a column holds what it should not: {why}") from err
            kept += parts[-1].num_rows
            if kept > MOST_ROWS:
                raise SourceError(
                    f"{path} has more than {MOST_ROWS} rows of the region in {scope.period}: "
                    "choose a shorter period or a smaller region"
                )
    return pa.concat_tables(parts).unify_dictionaries()


def _files(path: Path) -> list[Path]:
    """Return the tables in a folder, or the one that is named."""
    if not path.is_dir():
        return [path]
    found = [p for end in ("*.parquet", "*.csv", "*.csv.gz") for p in sorted(path.glob(end))]
    found = [p for p in found if sampling_points.ID not in tables.names(p)]
    if not found:
        raise SourceError(f"{path} holds no .parquet, .csv or .csv.gz: add station data")
    return found


Read = Callable[[pa.RecordBatch, Scope, Counter[str]], pa.Table]


def _layout(path: Path, known: Mapping[str, Point] | None) -> tuple[Sequence[str], Read]:
    """Return the columns that a table is read from, and how."""
    there = tables.names(path)
    if "Samplingpoint" in there:
        _check_columns(path, there, EEA)
        spots = _metadata_beside(path) if known is None else known
        return (*EEA, "ResultTime"), lambda *job: _from_eea(path, spots, *job)
    if {"station_id", "no2", "geometry"} <= set(there):
        _check_columns(path, there, SET)
        _check_crs(path)
        return SET, lambda *job: _from_set(path, *job)
    _check_columns(path, there, plain_table.NEEDED)
    return (*plain_table.NEEDED, *plain_table.KINDS), lambda *job: _from_plain(path, *job)


def _check_columns(path: Path, there: Sequence[str], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in there]
    if missing:
        raise SourceError(
            f"{path} lacks the columns {', '.join(missing)}: a station table has "
            f"{', '.join(needed)}"
        )


def _check_crs(path: Path) -> None:
    """Refuse a station set whose GeoParquet metadata name another CRS than lon/lat on WGS 84."""
    try:
        told = json.loads(tables.metadata(path).get(b"geo", b"{}"))
        crs = told.get("columns", {}).get("geometry", {}).get("crs")
        right = crs is None or CRS.from_user_input(crs).to_authority() in (
            ("EPSG", "4326"), ("OGC", "CRS84"),
        )  # fmt: skip
    except (ValueError, AttributeError, TypeError, KeyError, CRSError) as err:
        raise SourceError(f"{path}: its CRS cannot be read: {tables.brief(err)}") from err
    if not right:
        raise SourceError(f"{path} is not in EPSG:4326: bring its stations to lon/lat")


def _metadata_beside(path: Path) -> Mapping[str, Point]:
    for beside in sorted(path.parent.glob("*.csv")):
        if sampling_points.ID in tables.names(beside):
            return sampling_points.read(beside)
    raise SourceError(
        f"{path} holds no coordinates: put the EEA's metadata CSV (column Sampling Point Id) "
        "beside it"
    )


def _from_plain(path: Path, batch: pa.RecordBatch, scope: Scope, counts: Counter[str]) -> pa.Table:
    gas = each(coded(batch["parameter"]), lambda t: [s.strip().lower() == "no2" for s in t])
    batch = batch.filter(pa.array(gas == 1))
    lon, lat = numbers(batch["lon"]), numbers(batch["lat"])
    there = scope.places(lon, lat, counts)
    batch, lon, lat = batch.filter(pa.array(there)), lon[there], lat[there]
    ends = instants(batch["datetime"], path)
    wanted = scope.times(ends)
    batch = batch.filter(pa.array(wanted))
    names = {name: coded(batch[name]) for name in plain_table.KINDS if name in batch.schema.names}
    return _rows(
        {"station_id": coded(batch["location_id"]), **names},
        ends[wanted],
        concentration(batch["value"], batch["units"], path, counts),
        (lon[wanted], lat[wanted]),
        counts=counts,
    )


def _from_set(path: Path, batch: pa.RecordBatch, scope: Scope, counts: Counter[str]) -> pa.Table:
    shapes = batch["geometry"]
    shapes = shapes.storage if isinstance(shapes, pa.ExtensionArray) else shapes
    try:
        place = shapely.from_wkb(shapes.to_numpy(zero_copy_only=False))
    except (shapely.errors.ShapelyError, TypeError, ValueError) as err:
        raise SourceError(f"{path}: a geometry is no WKB: {tables.brief(err)}") from err
    lon, lat = shapely.get_x(place), shapely.get_y(place)
    ends = instants(batch["time"], path)
    wanted = scope.places(lon, lat, counts) & scope.times(ends)
    batch = batch.filter(pa.array(wanted))
    names = {name: coded(batch[name]) for name in ("station_id", *plain_table.KINDS)}
    places = (lon[wanted], lat[wanted])
    return _rows(names, ends[wanted], numbers(batch["no2"]), places, counts=counts)


def _from_eea(
    path: Path, known: Mapping[str, Point], batch: pa.RecordBatch, scope: Scope,
    counts: Counter[str],
) -> pa.Table:  # fmt: skip
    starts, ends = (instants(batch[name], path, naive=True) for name in ("Start", "End"))
    # UTC+1 at the begin of an hour reads as UTC at its end.
    wanted = scope.times(starts)
    batch = _valid(batch.filter(pa.array(wanted)), (ends - starts)[wanted] == _HOUR_US, counts)
    codes, ids = coded(batch["Samplingpoint"])
    found = [known.get(name) for name in ids]
    lost = each((codes, ids), lambda _: [p is None for p in found]) != 0
    counts["rows of sampling points without coordinates left out"] += int(lost.sum())
    batch, codes = batch.filter(pa.array(~lost)), codes[~lost]
    spots = [(p.lon, p.lat) if p else (np.nan, np.nan) for p in found]
    lon, lat = (np.array([s[axis] for s in spots], float)[codes] for axis in (0, 1))
    there = scope.places(lon, lat, counts)
    batch, codes = batch.filter(pa.array(there)), codes[there]
    names = {
        "station_id": (codes, ids),
        "station_type": (codes, [p.kind if p else "" for p in found]),
        "station_area": (codes, [p.area if p else "" for p in found]),
    }
    ends = instants(batch["Start"], path, naive=True)
    amount = concentration(batch["Value"], batch["Unit"], path, counts)
    updated = None
    if "ResultTime" in batch.schema.names:
        updated = instants(batch["ResultTime"], path, naive=True)
    return _rows(names, ends, amount, (lon[there], lat[there]), counts=counts, updated=updated)


def _valid(batch: pa.RecordBatch, hour: NDArray[np.bool_], counts: Counter[str]) -> pa.RecordBatch:
    """Return the EEA's hourly rows of NO2 that are valid (codes in sources-handbook, section 6)."""
    gas = numbers(batch["Pollutant"]) == _NO2
    batch, hour = batch.filter(pa.array(gas)), hour[gas]
    named = each(coded(batch["AggType"]), lambda t: [s.strip().lower() == "hour" for s in t])
    whole = hour & (named == 1)
    counts["rows of days or other spans than an hour left out"] += int((~whole).sum())
    valid = numbers(batch["Validity"]) >= 1
    counts["hours that their network calls invalid left out"] += int((whole & ~valid).sum())
    return batch.filter(pa.array(whole & valid))


def _rows(
    names: Mapping[str, Texts], ends: Codes, amount: Reals, places: tuple[Reals, Reals], *,
    counts: Counter[str], updated: Codes | None = None,
) -> pa.Table:  # fmt: skip
    unknown: Texts = (np.zeros(len(ends), np.int64), ["unknown"])
    columns = {
        name: categories(names.get(name, unknown)) for name in ("station_id", *plain_table.KINDS)
    }
    table = pa.table(
        columns
        | {"time": pa.array(ends, pa.int64()).cast(pa.timestamp("us", "UTC"))}
        | {"updated": np.zeros(len(ends), np.int64) if updated is None else updated}
        | {"no2": amount, "lon": places[0], "lat": places[1]},
    )
    named = each(names["station_id"], lambda t: [bool(s.strip()) for s in t]) == 1
    counts["rows without a station's name left out"] += int((~named).sum())
    return table.filter(pa.array(named)).cast(ROWS)

"""Rows of NO2 from station tables in three layouts, in one unit, one zone and one hour stamp.

OpenAQ's archive stamps an hour at its end, in local time with an offset; the EEA's files at its
begin, in UTC+1 without summer time. Rows bear the end in UTC.
"""

import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import CRS
from pyproj.exceptions import CRSError

from aqgeo import grid
from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.sources import tables

Reals = NDArray[np.float64]
Codes = NDArray[np.int64]
Texts = tuple[Codes, list[str]]

NEEDED = ("location_id", "lat", "lon", "datetime", "parameter", "units", "value")
"""Columns of OpenAQ's archive that a plain table must have."""
KINDS = ("station_type", "station_area")
SET = ("station_id", *KINDS, "time", "no2", "geometry")
"""Columns of a station set."""
EEA = ("Samplingpoint", "Pollutant", "Start", "End", "Value", "Unit", "AggType", "Validity")
"""Columns of the EEA's Parquet files that are needed (sources-handbook, section 6)."""
ROWS = pa.schema(
    {name: pa.dictionary(pa.int32(), pa.string()) for name in ("station_id", *KINDS)}
    | {"time": pa.timestamp("us", "UTC"), "updated": pa.int64()}
    | dict.fromkeys(("no2", "lon", "lat"), pa.float64())
)
"""What `collect` returns: `time` is the hour's end, `no2` in µg m-3, `updated` in µs."""
PLAIN = pa.schema(
    {name: pa.string() for name in ("location_id", "parameter", "units", *KINDS)}
    | {"datetime": pa.timestamp("us", "UTC")}
    | dict.fromkeys(("lat", "lon", "value"), pa.float64())
)
"""A plain table as `write` makes it."""
MOST_ROWS = 20_000_000
"""Rows that are kept at most, of some 300 bytes while they are sorted."""
# 1 ppb of NO2 at 20 °C and 1013 hPa, the conditions of Directive 2008/50/EC, annex VI:
# 46.0055 g mol-1 over 24.055 l mol-1 (sources-handbook, section 6).
_PPB = 1.9125
_FACTORS = {"ug/m3": 1.0, "mg/m3": 1e3, "ppb": _PPB, "ppm": 1e3 * _PPB}
_SPELLED = {
    "ugm3": "ug/m3", "ugm-3": "ug/m3", "microgramspercubicmeter": "ug/m3", "mgm-3": "mg/m3",
    "partsperbillion": "ppb", "ppbv": "ppb", "nmol/mol": "ppb",
    "partspermillion": "ppm", "ppmv": "ppm", "umol/mol": "ppm",
}  # fmt: skip
_OFFSET = re.compile(r"\d:\d\d[:.\d]*(?:Z|[+-]\d{2}(?::?\d{2})?)$")
_NO2 = 8  # the EEA's code
_NOTES = b"aqgeo:notes"
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


@dataclass(frozen=True, slots=True)
class Point:
    """A sampling point of the EEA's metadata."""

    lon: float
    """Degrees."""
    lat: float
    """Degrees."""
    kind: str
    """background, traffic, industrial or unknown."""
    area: str
    """urban, suburban, rural or unknown."""


def collect(
    path: Path, scope: Scope, counts: Counter[str], known: Mapping[str, Point] | None = None
) -> pa.Table:
    """Return the rows of NO2 of a table, or of a folder of tables, that a scope holds.

    Args:
        path: CSV (UTF-8, may be gzipped) or Parquet in the columns NEEDED, SET or EEA; a file of
            the EEA needs the metadata CSV beside it.
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
            parts.append(read(batch, scope, counts))
            kept += parts[-1].num_rows
            if kept > MOST_ROWS:
                raise SourceError(
                    f"{path} has more than {MOST_ROWS} rows of the region in {scope.period}: "
                    "choose a shorter period or a smaller region"
                )
    return pa.concat_tables(parts).unify_dictionaries()


def points(path: Path) -> dict[str, Point]:
    """Read the EEA's metadata CSV: NO2's sampling points by `<CC>/<Sampling Point Id>`.

    Rows of one point at different times differ in instruments; the first one's place is taken.

    Raises:
        SourceError: the file is no such table.
    """
    columns = {
        "point": "Sampling Point Id", "code": "Air Quality Station EoI Code", "gas":
        "Air Pollutant", "lon": "Longitude", "lat": "Latitude", "kind": "Air Quality Station Type",
        "area": "Air Quality Station Area", "country": "Country",
    }  # fmt: skip
    missing = sorted({*columns.values()} - {"Country"} - {*tables.names(path)})
    if missing:
        raise SourceError(f"{path} lacks the columns {', '.join(missing)}: it is no EEA metadata")
    found: dict[str, Point] = {}
    for batch in tables.batches(path, list(columns.values()), Counter()):
        for row in batch.to_pylist():
            if row[columns["gas"]] not in ("NO2", "Nitrogen dioxide (air)"):
                continue
            place = _parse([row[columns["lon"]], row[columns["lat"]]])
            kinds = (_kind(row[columns[name]]) for name in ("kind", "area"))
            name = _point_id(row[columns["point"]], row.get("Country"), row[columns["code"]])
            found.setdefault(name, Point(*place.tolist(), *kinds))
    return found


def notes(path: Path) -> list[str]:
    """Return what `write` was told beside a table's rows."""
    try:
        told = json.loads(tables.metadata(path).get(_NOTES, b"[]")) if path.is_file() else []
    except ValueError:
        told = []
    return [tables.brief(n, 400) for n in told[:100]] if isinstance(told, list) else []


def write(path: Path, parts: Iterable[pa.Table], told: Callable[[], Sequence[str]]) -> None:
    """Write a plain table as a whole or not at all.

    Args:
        path: where it will lie.
        parts: tables in PLAIN.
        told: gives, once the parts are written, the notes that go with the table.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with pq.ParquetWriter(aside, PLAIN, compression="zstd") as writer:
            for part in parts:
                writer.write_table(part)
            writer.add_key_value_metadata({_NOTES: json.dumps(list(told()))})
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def plain(rows: pa.Table) -> pa.Table:
    """Return rows in the columns of a plain table."""
    found = {new: rows[old] for old, new in (
        ("station_id", "location_id"), ("time", "datetime"), ("no2", "value"), ("lat", "lat"),
        ("lon", "lon"), *zip(KINDS, KINDS, strict=True),
    )}  # fmt: skip
    found |= {"parameter": pa.repeat("no2", len(rows)), "units": pa.repeat("µg/m³", len(rows))}
    return pa.table({name: found[name] for name in PLAIN.names}).cast(PLAIN)


def factor(unit: str) -> float | None:
    """Return µg m-3 per one of a unit of NO2, None if the unit is unknown."""
    word = _word(unit)
    return _FACTORS.get(word)


def _word(unit: str) -> str:
    plainly = unicodedata.normalize("NFKC", unit).lower().replace("μ", "u")
    word = re.sub(r"[\s.^*()]", "", plainly)
    return _SPELLED.get(word, word)


def _files(path: Path) -> list[Path]:
    """Return the tables in a folder, or the one that is named."""
    if not path.is_dir():
        return [path]
    found = [p for end in ("*.parquet", "*.csv", "*.csv.gz") for p in sorted(path.glob(end))]
    found = [p for p in found if "Sampling Point Id" not in tables.names(p)]
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
    _check_columns(path, there, NEEDED)
    return (*NEEDED, *KINDS), lambda *job: _from_plain(path, *job)


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
    except (ValueError, AttributeError, CRSError) as err:
        raise SourceError(f"{path}: its CRS cannot be read: {tables.brief(err)}") from err
    if not right:
        raise SourceError(f"{path} is not in EPSG:4326: bring its stations to lon/lat")


def _metadata_beside(path: Path) -> Mapping[str, Point]:
    for beside in sorted(path.parent.glob("*.csv")):
        if "Sampling Point Id" in tables.names(beside):
            return points(beside)
    raise SourceError(
        f"{path} holds no coordinates: put the EEA's metadata CSV (column Sampling Point Id) "
        "beside it"
    )


def _from_plain(path: Path, batch: pa.RecordBatch, scope: Scope, counts: Counter[str]) -> pa.Table:
    gas = _each(_texts(batch["parameter"]), lambda t: [s.strip().lower() == "no2" for s in t])
    batch = batch.filter(pa.array(gas == 1))
    lon, lat = _numbers(batch["lon"]), _numbers(batch["lat"])
    there = scope.places(lon, lat, counts)
    batch, lon, lat = batch.filter(pa.array(there)), lon[there], lat[there]
    ends = _instants(batch["datetime"], path)
    wanted = scope.times(ends)
    batch = batch.filter(pa.array(wanted))
    names = {name: _texts(batch[name]) for name in KINDS if name in batch.schema.names}
    return _rows(
        {"station_id": _texts(batch["location_id"]), **names},
        ends[wanted],
        _concentration(batch["value"], batch["units"], path, counts),
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
    ends = _instants(batch["time"], path)
    wanted = scope.places(lon, lat, counts) & scope.times(ends)
    batch = batch.filter(pa.array(wanted))
    names = {name: _texts(batch[name]) for name in ("station_id", *KINDS)}
    places = (lon[wanted], lat[wanted])
    return _rows(names, ends[wanted], _numbers(batch["no2"]), places, counts=counts)


def _from_eea(
    path: Path, known: Mapping[str, Point], batch: pa.RecordBatch, scope: Scope,
    counts: Counter[str],
) -> pa.Table:  # fmt: skip
    starts, ends = (_instants(batch[name], path, naive=True) for name in ("Start", "End"))
    # UTC+1 at the begin of an hour reads as UTC at its end.
    wanted = scope.times(starts)
    batch = _valid(batch.filter(pa.array(wanted)), (ends - starts)[wanted] == _HOUR_US, counts)
    codes, ids = _texts(batch["Samplingpoint"])
    found = [known.get(name) for name in ids]
    lost = _each((codes, ids), lambda _: [p is None for p in found]) != 0
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
    ends = _instants(batch["Start"], path, naive=True)
    amount = _concentration(batch["Value"], batch["Unit"], path, counts)
    updated = None
    if "ResultTime" in batch.schema.names:
        updated = _instants(batch["ResultTime"], path, naive=True)
    return _rows(names, ends, amount, (lon[there], lat[there]), counts=counts, updated=updated)


def _valid(batch: pa.RecordBatch, hour: NDArray[np.bool_], counts: Counter[str]) -> pa.RecordBatch:
    """Return the EEA's hourly rows of NO2 that are valid (codes in sources-handbook, section 6)."""
    gas = _numbers(batch["Pollutant"]) == _NO2
    batch, hour = batch.filter(pa.array(gas)), hour[gas]
    named = _each(_texts(batch["AggType"]), lambda t: [s.strip().lower() == "hour" for s in t])
    whole = hour & (named == 1)
    counts["rows of days or other spans than an hour left out"] += int((~whole).sum())
    valid = _numbers(batch["Validity"]) >= 1
    counts["hours that their network calls invalid left out"] += int((whole & ~valid).sum())
    return batch.filter(pa.array(whole & valid))


def _rows(
    names: Mapping[str, Texts], ends: Codes, amount: Reals, places: tuple[Reals, Reals], *,
    counts: Counter[str], updated: Codes | None = None,
) -> pa.Table:  # fmt: skip
    unknown: Texts = (np.zeros(len(ends), np.int64), ["unknown"])
    columns = {name: _categories(names.get(name, unknown)) for name in ("station_id", *KINDS)}
    table = pa.table(
        columns
        | {"time": pa.array(ends, pa.int64()).cast(pa.timestamp("us", "UTC"))}
        | {"updated": np.zeros(len(ends), np.int64) if updated is None else updated}
        | {"no2": amount, "lon": places[0], "lat": places[1]},
    )
    named = _each(names["station_id"], lambda t: [bool(s.strip()) for s in t]) == 1
    counts["rows without a station's name left out"] += int((~named).sum())
    return table.filter(pa.array(named)).cast(ROWS)


def _categories(texts: Texts) -> pa.DictionaryArray:
    """Return texts with each of them once in the dictionary, and an empty one for null."""
    codes, known = texts
    number, unique = pd.factorize(np.array([*known, ""], dtype=object))
    return pa.DictionaryArray.from_arrays(
        pa.array(number[codes], pa.int32()), pa.array(unique, pa.string())
    )


def _concentration(values: pa.Array, units: pa.Array, path: Path, counts: Counter[str]) -> Reals:
    """Return µg m-3, row by row, whatever units are mixed."""
    codes, texts = _texts(units)
    codes = np.where(codes < 0, len(texts), codes)
    texts = [*texts, ""]
    factors = np.ones(len(texts))
    for code in np.unique(codes):
        found = factor(texts[code])
        if found is None:
            raise SourceError(
                f"{path} has NO2 in {tables.brief(texts[code], 40)!r}: known units are µg/m³, "
                "mg/m³, ppb and ppm: convert it to one of them"
            )
        factors[code] = found
        if found != 1:
            unit = _word(texts[code]).replace("m3", "m³")
            counts[
                f"values converted from {unit}, 1 {unit} of NO2 = {found:g} µg/m³"
                + (" at 20 °C and 1013 hPa" if unit in ("ppb", "ppm") else "")
            ] += int((codes == code).sum())
    return np.asarray(_numbers(values) * factors[codes])


def _texts(column: pa.Array) -> Texts:
    """Return a column as codes, -1 where it is null, and the texts that they stand for."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    codes = column.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    texts = column.dictionary.cast(pa.string()).to_pylist()
    return codes, ["" if text is None else text for text in texts]


def _each(texts: Texts, judge: Callable[[list[str]], Sequence[float] | Reals]) -> Reals:
    """Return a number for each row from one for each text, NaN where it is null."""
    codes, known = texts
    return np.asarray(np.append(np.asarray(judge(known), float), np.nan)[codes])


def _numbers(column: pa.Array) -> Reals:
    if pa.types.is_dictionary(column.type) or pa.types.is_string(column.type):
        return _each(_texts(column), _parse)
    found = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(found, np.float64)


def _parse(texts: list[str]) -> Reals:
    found = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce")
    return found.to_numpy(np.float64, na_value=np.nan)


def _instants(column: pa.Array, path: Path, *, naive: bool = False) -> Codes:
    """Return µs since 1970 in UTC; where a naive clock is meant, its reading as if UTC."""
    if pa.types.is_timestamp(column.type):
        if column.type.tz is None and not naive:
            raise SourceError(
                f"{path}: its times have no UTC offset: store them with a time zone, as with +01:00"
            )
        plainly = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
        return np.asarray(plainly.fill_null(0).to_numpy(zero_copy_only=False))
    codes, texts = _texts(column)
    return np.append(_parsed(texts, path, naive=naive), 0)[codes]


def _parsed(texts: list[str], path: Path, *, naive: bool) -> Codes:
    for text in texts:
        if not naive and not _OFFSET.search(text[-40:]):
            raise SourceError(
                f"{path}: datetime {tables.brief(text, 40)!r} has no UTC offset: write it as "
                "2024-06-01T13:00:00Z or with +01:00"
            )
    try:
        found = pd.to_datetime(pd.Series(texts, dtype=object), utc=True, format="ISO8601")
    except (ValueError, OverflowError) as err:
        raise SourceError(f"{path}: a datetime is not ISO 8601: {tables.brief(err)}") from err
    return np.asarray(found.dt.as_unit("us").astype(np.int64).to_numpy())


def _point_id(point: str, country: str | None, code: str) -> str:
    """Return the name that measurements use, whatever the metadata put before it.

    An EoI code begins with the country's two letters, which `Country` may spell out.
    """
    prefix = country if country and re.fullmatch(r"[A-Z]{2}", country) else code[:2]
    return point if point.startswith(f"{prefix}/") else f"{prefix}/{point}"


def _kind(text: str) -> str:
    """Return a type or area of a station in one word: `rural-regional` and the like are rural."""
    return text.strip().lower().partition("-")[0] or "unknown"

"""Plain station tables: columns of OpenAQ's archive, written to Parquet with notes."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from aqgeo.sources import tables

NEEDED = ("location_id", "lat", "lon", "datetime", "parameter", "units", "value")
"""Columns of OpenAQ's archive that a plain table must have."""
KINDS = ("station_type", "station_area")
"""Columns that it may have."""
PLAIN = pa.schema(
    {name: pa.string() for name in ("location_id", "parameter", "units", *KINDS)}
    | {"datetime": pa.timestamp("us", "UTC")}
    | dict.fromkeys(("lat", "lon", "value"), pa.float64())
)
"""A plain table as `write` makes it."""
_NOTES = b"aqgeo:notes"


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


def of(rows: pa.Table) -> pa.Table:
    """Return rows in the columns of a plain table."""
    found = {new: rows[old] for old, new in (
        ("station_id", "location_id"), ("time", "datetime"), ("no2", "value"), ("lat", "lat"),
        ("lon", "lon"), *zip(KINDS, KINDS, strict=True),
    )}  # fmt: skip
    found |= {"parameter": pa.repeat("no2", len(rows)), "units": pa.repeat("µg/m³", len(rows))}
    return pa.table({name: found[name] for name in PLAIN.names}).cast(PLAIN)

"""Places and kinds of stations, from the EEA's metadata CSV."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from aqgeo.errors import SourceError
from aqgeo.sources import station_columns, tables

ID = "Sampling Point Id"
"""A column that no table of measurements has."""


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


def read(path: Path) -> dict[str, Point]:
    """Read the EEA's metadata CSV: NO2's sampling points by `<CC>/<Sampling Point Id>`.

    Rows of one point at different times differ in instruments; the first one's place is taken.

    Raises:
        SourceError: the file is no such table.
    """
    columns = {
        "point": ID, "code": "Air Quality Station EoI Code", "gas":
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
            place = station_columns.parsed([row[columns["lon"]], row[columns["lat"]]])
            kinds = (_kind(row[columns[name]]) for name in ("kind", "area"))
            name = _point_id(row[columns["point"]], row.get("Country"), row[columns["code"]])
            found.setdefault(name, Point(*place.tolist(), *kinds))
    return found


def _point_id(point: str, country: str | None, code: str) -> str:
    """Return the name that measurements use, whatever the metadata put before it.

    An EoI code begins with the country's two letters, which `Country` may spell out.
    """
    prefix = country if country and re.fullmatch(r"[A-Z]{2}", country) else code[:2]
    return point if point.startswith(f"{prefix}/") else f"{prefix}/{point}"


def _kind(text: str) -> str:
    """Return a type or area of a station in one word: `rural-regional` and the like are rural."""
    return text.strip().lower().partition("-")[0] or "unknown"

"""What a run would ask Sentinel Hub for: days, tiles of the grid and their price."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from itertools import groupby
from typing import Any

from odc.geo.geobox import GeoBox
from sentinelhub.data_collections import DataCollection

from aqgeo import cube, grid
from aqgeo.catalog import Source, pick
from aqgeo.errors import GridError, SourceError
from aqgeo.period import Period

# Four chunks of a cube a side, so that no chunk needs two tiles; the Process API renders up to
# 2500 pixels a side.
TILE = 4 * cube.CHUNK
SCL, NO2 = "SCL", "sentinel-5p-l2-no2"
# The collections of the service's library, by our names.
COLLECTIONS = {
    "sentinel-2-l2a": DataCollection.SENTINEL2_L2A,
    "sentinel-2-l1c": DataCollection.SENTINEL2_L1C,
    NO2: DataCollection.SENTINEL5P,
}
MAIN = "https://services.sentinel-hub.com"
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of the grid that one request renders."""

    row: int
    """First row in the grid."""
    col: int
    """First column in the grid."""
    height: int
    """Rows."""
    width: int
    """Columns."""
    bbox: tuple[float, float, float, float]
    """Outer pixel edges: left, bottom, right, top in the grid's CRS."""


@dataclass(frozen=True, slots=True)
class Day:
    """A solar day on which the satellite has passed."""

    start: datetime
    """First acquisition, UTC: the cube's time step."""
    span: tuple[datetime, datetime]
    """First and last instant that are asked for, UTC."""
    products: tuple[str, ...]
    """Ids of the products that the Catalog API lists, sorted."""


@dataclass(frozen=True)
class Plan:
    """What one run would ask for."""

    source: Source
    """The service."""
    collection: str
    """Our name of the collection."""
    where: GeoBox
    """Grid of the result."""
    bands: tuple[str, ...]
    """Bands in the order of the reply, without the data mask."""
    min_qa: float | None
    """Bound that qa_value of Sentinel-5P pixels must exceed, 0 to 1."""
    days: tuple[Day, ...]
    """Days with products, ascending."""
    side: int = TILE
    """Longest side of a tile, pixels: a multiple of a cube's chunk, up to 2500."""

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """The tiles of a day, row by row; neighbours share the very same edge."""
        (rows, cols), side = self.where.shape, self.side
        return tuple(
            _tile(self.where, row, col, min(side, rows - row), min(side, cols - col))
            for row in range(0, rows, side)
            for col in range(0, cols, side)
        )

    @property
    def requests(self) -> int:
        """Process requests of the whole run."""
        return len(self.days) * len(self.tiles)

    @property
    def units(self) -> float:
        """Processing units of the whole run."""
        wide = self.collection == NO2
        each = [processing_units(t.width, t.height, len(self.bands), wide=wide) for t in self.tiles]
        return len(self.days) * sum(each)

    @property
    def notes(self) -> list[str]:
        """What a reader of the product should know, for its provenance."""
        if self.min_qa is None:
            return [
                "rendered by Sentinel Hub from the nearest pixel, not averaged, without its "
                "clamping of values below zero; where scenes of a day overlap, the first one shows"
            ]
        return [
            "resampled by Sentinel Hub from the nearest pixel, not weighted by area; where orbits "
            "of a day overlap, the last one shows; of an orbit's products, those of the slowest "
            "timeliness; each day counts the same",
            f"minQa {lowest_qa(self.min_qa)} was asked for, which is inclusive: qa_value is stored "
            f"in hundredths, so this means above {self.min_qa}",
        ]

    @property
    def attribution(self) -> str:
        """The line that Commission Delegated Regulation (EU) No 1159/2013, article 8, asks for."""
        first, last = self.days[0].start.year, self.days[-1].start.year
        years = f"{first}" if first == last else f"{first}-{last}"
        return f"Contains modified Copernicus Sentinel data {years}, processed by Sentinel Hub"

    def told(self) -> dict[str, Any]:
        """Return the plan as plain values for JSON."""
        return {
            "source": self.source.name,
            "service": root(self.source, self.collection),
            "collection": self.collection,
            "bands": list(self.bands),
            "min_qa": self.min_qa,
            "crs": str(self.where.crs),
            "width": self.where.shape.x,
            "height": self.where.shape.y,
            "tiles": len(self.tiles),
            "requests": self.requests,
            "processing_units": round(self.units, 3),
            "days": [
                {"start": d.start.isoformat(), "products": list(d.products)} for d in self.days
            ],
        }

    def __str__(self) -> str:
        """Write the plan as a small table."""
        told, (rows, cols) = self.told(), self.where.shape
        first, last = (f"{day.start:%Y-%m-%d}" for day in (self.days[0], self.days[-1]))
        lines = {
            "service": told["service"],
            "collection": f"{self.collection}, {', '.join(self.bands)}",
            "grid": f"{cols} x {rows} pixels in {told['crs']}",
            "days": f"{len(self.days)} from {first} to {last}",
            "requests": f"{self.requests}, {len(self.tiles)} a day",
            "estimate": f"{self.units:.2f} processing units",
        }
        return "\n".join(f"{name:<11} {text}" for name, text in lines.items())


def processing_units(width: int, height: int, bands: int, *, wide: bool) -> float:
    """Return the price of one request.

    Sentinel Hub's documentation, chapter Processing Unit: one unit is 512 x 512 pixels of three
    bands with 16 bits each; the data mask is free.

    Args:
        width: pixels.
        height: pixels.
        bands: input bands without the data mask.
        wide: whether the reply holds 32-bit floats.
    """
    area = max(width * height / 512**2, 0.01)
    return max(area * bands / 3 * (2 if wide else 1), 0.005)


def lowest_qa(bound: float) -> int:
    """Return the lowest qa_value, in hundredths as it is stored, that is above a bound.

    Raises:
        SourceError: no qa_value can be above the bound, or all are.
    """
    if not 0 <= bound < 1:
        raise SourceError(f"min_qa {bound} is not from 0 to below 1: the product manual says 0.75")
    return round(bound * 100) + 1


def check_grid(where: GeoBox) -> None:
    """Refuse a grid that the service cannot render.

    Raises:
        GridError: it is turned, upside down, or has no EPSG code.
    """
    step = where.affine
    if step.b or step.d or step.a <= 0 or step.e >= 0:
        raise GridError("the grid is turned or upside down: Sentinel Hub renders north up only")
    epsg(where)


def epsg(where: GeoBox) -> int:
    """Return the EPSG code of a grid's CRS."""
    code = where.crs.epsg if where.crs else None
    if code is None:
        raise GridError(f"CRS {where.crs} has no EPSG code: Sentinel Hub needs one")
    return int(code)


def days(found: list[tuple[datetime, str]], where: GeoBox, period: Period) -> Iterator[Day]:
    """Group acquisitions by the solar day in the middle of the grid, as the passes are."""
    west, _, east, _ = grid.lonlat_bbox(where)
    shift = timedelta(hours=(west + east) / 2 / 15)
    for day, group in groupby(sorted(found), key=lambda one: (one[0] + shift).date()):
        times, names = zip(*group, strict=True)
        yield Day(times[0], _span(day, shift, period), tuple(sorted(set(names))))


def _span(day: date, shift: timedelta, period: Period) -> tuple[datetime, datetime]:
    begin = datetime.combine(day, datetime.min.time(), UTC) - shift
    # The service counts the last instant in, and knows no fractions of a second.
    first = max(begin, period.start).replace(microsecond=0)
    last = min(begin + timedelta(days=1), period.end) - timedelta(seconds=1)
    return first, max(last.replace(microsecond=0), first)


def root(source: Source, collection: str) -> str:
    """Return the root of the deployment that serves a collection."""
    return str(sensor(source, collection).service_url)


def sensor(source: Source, collection: str) -> DataCollection:
    """Return the library's record of a collection at a service.

    The main service keeps Sentinel-5P on a host of its own, which the library's record names; at
    other services all collections lie below the one root. Names are global: one for each root.
    """
    url, record = source.href.rstrip("/"), COLLECTIONS[collection]
    name = pick(source.collections, collection, f"collection of source {source.name!r}")
    if (url, name) == (MAIN, record.api_id):
        return record
    with _LOCK:
        return record.define_from(f"{name} at {url}", api_id=name, catalog_id=name, service_url=url)


def _tile(where: GeoBox, row: int, col: int, height: int, width: int) -> Tile:
    left, top = where.affine @ (col, row)
    right, bottom = where.affine @ (col + width, row + height)
    return Tile(row, col, height, width, (left, bottom, right, top))

"""Sentinel-2 and Sentinel-5P days, rendered onto a grid by Sentinel Hub."""

import hashlib
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from importlib.resources import files
from itertools import groupby, islice
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlsplit

import dask.array as da
import numpy as np
import rasterio
import requests
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError
from rasterio.windows import Window
from sentinelhub.api.catalog import SentinelHubCatalog
from sentinelhub.api.process import SentinelHubRequest
from sentinelhub.config import SHConfig
from sentinelhub.constants import CRS, MimeType, MosaickingOrder, RequestType, ResamplingType
from sentinelhub.data_collections import DataCollection
from sentinelhub.download.handlers import fail_user_errors, retry_temporary_errors
from sentinelhub.download.models import DownloadRequest, DownloadResponse
from sentinelhub.download.sentinelhub_client import SentinelHubDownloadClient
from sentinelhub.download.session import SentinelHubSession
from sentinelhub.exceptions import DownloadFailedException, MissingDataInRequestException
from sentinelhub.geometry import BBox
from urllib3.exceptions import HTTPError

from aqgeo import cube, grid
from aqgeo.catalog import Source, pick
from aqgeo.errors import GridError, SourceError
from aqgeo.gridding import binning
from aqgeo.period import Period
from aqgeo.sources import auth

# Four chunks of a cube a side, so that no chunk needs two tiles; the Process API renders up to
# 2500 pixels a side.
TILE = 4 * cube.CHUNK
PARALLEL = 4
# The NO2 product's user manual asks for qa_value above 0.75 for cloud-free tropospheric columns.
MIN_QA = 0.75
UNIT = "mol m-2"
# The collections of the service's library, by our names.
COLLECTIONS = {
    "sentinel-2-l2a": DataCollection.SENTINEL2_L2A,
    "sentinel-2-l1c": DataCollection.SENTINEL2_L1C,
    "sentinel-5p-l2-no2": DataCollection.SENTINEL5P,
}
# Scene classification of Sen2Cor, Sentinel-2 L2A product definition.
SCL = "SCL"
SCL_CLASSES = {
    1: "saturated or defective",
    2: "dark area",
    3: "cloud shadow",
    4: "vegetation",
    5: "not vegetated",
    6: "water",
    7: "unclassified",
    8: "cloud medium probability",
    9: "cloud high probability",
    10: "thin cirrus",
    11: "snow or ice",
}
# What evalscripts/sentinel2.js makes of reflectance; its highest number means saturated, as in the
# product.
SCALE, OFFSET, SATURATED = 1e-4, -0.1, 65535
# Where the two services hand out tokens (their documentation, chapter Authentication).
TOKEN_PATH = "/auth/realms/main/protocol/openid-connect/token"
TOKEN_URLS = {
    "services.sentinel-hub.com": f"https://services.sentinel-hub.com{TOKEN_PATH}",
    "creodias.sentinel-hub.com": f"https://services.sentinel-hub.com{TOKEN_PATH}",
    "sh.dataspace.copernicus.eu": "https://identity.dataspace.copernicus.eu"
    "/auth/realms/CDSE/protocol/openid-connect/token",
}
MAIN = "https://services.sentinel-hub.com"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_PRODUCTS, MOST_JSON_BYTES = 100_000, 2**26
# What to do about an HTTP status.
ADVICE = {
    400: "ask for another grid, period or band",
    401: "check SH_CLIENT_ID and SH_CLIENT_SECRET",
    403: "the account lacks the right or its processing units are used up, see its dashboard",
    404: "check href and collections of the source",
    429: "go on later (what has come is kept) or ask for fewer days or pixels",
}
_LOCK = threading.RLock()
_SESSIONS: dict[tuple[str, str, str], "_Session"] = {}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a service is waited for."""

    attempts: int = 4
    """Tries of one request that is refused for the moment, or breaks."""
    wait_s: float = 5.0
    """Wait before the second try, seconds; three times longer before each further one."""
    timeout_s: float = 300.0
    """Longest time for one whole reply, seconds."""
    longest_s: float = 300.0
    """Longest wait that the service may ask for, seconds; it asks for more when a quota is gone."""


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

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """The tiles of a day, row by row; neighbours share the very same edge."""
        rows, cols = self.where.shape
        return tuple(
            _tile(self.where, row, col, min(TILE, rows - row), min(TILE, cols - col))
            for row in range(0, rows, TILE)
            for col in range(0, cols, TILE)
        )

    @property
    def requests(self) -> int:
        """Process requests of the whole run."""
        return len(self.days) * len(self.tiles)

    @property
    def units(self) -> float:
        """Processing units of the whole run."""
        wide = self.collection == "sentinel-5p-l2-no2"
        each = [processing_units(t.width, t.height, len(self.bands), wide=wide) for t in self.tiles]
        return len(self.days) * sum(each)

    @property
    def notes(self) -> list[str]:
        """What a reader of the product should know, for its provenance."""
        if self.min_qa is None:
            return [
                "rendered by Sentinel Hub from the nearest pixel, not averaged; where scenes of a "
                "day overlap, the first one shows"
            ]
        return [
            "resampled by Sentinel Hub from the nearest pixel, not weighted by area; where orbits "
            "of a day overlap, the last one shows; each day counts the same",
            f"minQa {_min_qa(self.min_qa)} was asked for, which is inclusive: qa_value is stored "
            f"in hundredths, so this means above {self.min_qa}",
        ]

    def told(self) -> dict[str, Any]:
        """Return the plan as plain values for JSON."""
        return {
            "source": self.source.name,
            "service": _url(self.source, self.collection),
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


def plan(
    source: Source,
    collection: str,
    where: GeoBox,
    period: Period,
    *,
    bands: Sequence[str] = ("B02", "B03", "B04", "B08"),
    min_qa: float = MIN_QA,
    patience: Patience = Patience(),
) -> Plan:
    """Ask the Catalog API on which days there are products; nothing is rendered or charged.

    Args:
        source: its `collections` give the service's name of the collection.
        collection: a key of COLLECTIONS.
        where: north up, with an EPSG code.
        period: acquisitions must start in it.
        bands: of Sentinel-2, such as `B04`.
        min_qa: bound that qa_value of Sentinel-5P pixels must exceed, 0 to 1.
        patience: how long the service is waited for.

    Raises:
        SourceError: the service refuses or stays broken, no product is found, or a band is unknown.
        GridError: the grid is turned or has no EPSG code.
    """
    sensor = pick(COLLECTIONS, collection, "collection")
    is_s5p = sensor is DataCollection.SENTINEL5P
    known = [band.name for band in sensor.bands or ()]
    if not is_s5p and (not bands or set(bands) - set(known) or len(set(bands)) < len(bands)):
        raise SourceError(
            f"bands {', '.join(bands) or 'none'} are not bands of {collection}: choose from "
            f"{', '.join(known)}, each once"
        )
    _check_grid(where)
    asked = ("NO2",) if is_s5p else (*bands, *([SCL] if collection == "sentinel-2-l2a" else []))
    _min_qa(min_qa)
    found = _search(source, collection, where, period, patience)
    if not found:
        raise SourceError(
            f"source {source.name!r} has no product of {collection!r} over the region in {period}: "
            "choose another period or region"
        )
    days = tuple(_days(found, where, period))
    return Plan(source, collection, where, asked, min_qa if is_s5p else None, days)


def read(
    plan: Plan, day: Day, folder: Path, *, patience: Patience = Patience()
) -> xr.Dataset | None:
    """Return one day as a lazy cube of one time step, or None where it shows nothing.

    Replies are kept in the folder as GeoTIFFs, each renamed into its place when it is whole and
    checked: what is there is not asked for, and not charged, again. The cube reads them chunk by
    chunk.

    Args:
        plan: what is asked for.
        day: one of `plan.days`.
        folder: where replies are kept.
        patience: how long the service is waited for.

    Returns:
        Cube (1, y, x). Sentinel-2: bands as float32 reflectance, 1, and for L2A `SCL` as uint8
        classes. Sentinel-5P: `no2_column` as float32, mol m-2. NaN or 0 where the service has no
        data.

    Raises:
        SourceError: the service refuses or stays broken, or a reply is not what was asked for.
    """
    jobs = {_path(plan, day, tile, folder): tile for tile in plan.tiles}
    seen = {path: _look(path, tile, plan) for path, tile in jobs.items() if path.exists()}
    wanted = {path: tile for path, tile in jobs.items() if seen.get(path) is None}
    if wanted:
        seen |= _fetch(plan, day, wanted, patience)
    if not any(seen.values()):
        return None
    time_step = np.array([day.start.replace(tzinfo=None)], "datetime64[s]")
    return cube.make(_variables(plan, _mosaic(plan, list(jobs))), time_step, plan.where)


def day_sums(column: np.ndarray) -> binning.Sums:
    """Return the sums of one day's column (y, x), in which every cell with data counts as one.

    Sums of days add up to a mean of days with equal weights and its standard error.
    """
    seen = np.isfinite(column).astype("float64")
    total = np.where(seen, column, 0).astype("float64")
    return binning.Sums(weight=seen, total=total, square=total**2, count=seen)


# What is asked for


def _check_grid(where: GeoBox) -> None:
    step = where.affine
    if step.b or step.d or step.a <= 0 or step.e >= 0:
        raise GridError("the grid is turned or upside down: Sentinel Hub renders north up only")
    _epsg(where)


def _epsg(where: GeoBox) -> int:
    code = where.crs.epsg if where.crs else None
    if code is None:
        raise GridError(f"CRS {where.crs} has no EPSG code: Sentinel Hub needs one")
    return int(code)


def _tile(where: GeoBox, row: int, col: int, height: int, width: int) -> Tile:
    left, top = where.affine @ (col, row)
    right, bottom = where.affine @ (col + width, row + height)
    return Tile(row, col, height, width, (left, bottom, right, top))


def _min_qa(bound: float) -> int:
    """Return the lowest qa_value, in hundredths as it is stored, that is above a bound."""
    if not 0 <= bound < 1:
        raise SourceError(f"min_qa {bound} is not from 0 to below 1: the product manual says 0.75")
    return round(bound * 100) + 1


def _days(found: list[tuple[datetime, str]], where: GeoBox, period: Period) -> Iterator[Day]:
    """Group acquisitions by the solar day in the middle of the grid, as the passes are."""
    west, _, east, _ = grid.lonlat_bbox(where)
    shift = timedelta(hours=(west + east) / 2 / 15)
    for day, group in groupby(sorted(found), key=lambda one: (one[0] + shift).date()):
        times, names = zip(*group, strict=True)
        yield Day(times[0], _span(day, shift, period), tuple(sorted(set(names))))


def _span(day: date, shift: timedelta, period: Period) -> tuple[datetime, datetime]:
    begin = datetime.combine(day, datetime.min.time(), UTC) - shift
    # The service counts the last instant in, and knows no fractions of a second.
    last = min(begin + timedelta(days=1), period.end) - timedelta(seconds=1)
    return max(begin, period.start).replace(microsecond=0), last.replace(microsecond=0)


def _evalscript(plan: Plan) -> str:
    folder = files("aqgeo.sources") / "evalscripts"
    if plan.min_qa is not None:
        return (folder / "sentinel5p_no2.js").read_text("utf-8")
    lists = {
        "bands": [band for band in plan.bands if band != SCL],
        "classes": [band for band in plan.bands if band == SCL],
    }
    template = Template((folder / "sentinel2.js").read_text("utf-8"))
    return template.substitute({name: json.dumps(value) for name, value in lists.items()})


def _payload(plan: Plan, day: Day, tile: Tile) -> dict[str, Any]:
    """Return the body of a Process request."""
    sensor = _sensor(plan.source, plan.collection)
    processing: dict[str, int]
    if plan.min_qa is None:
        order, processing = MosaickingOrder.LEAST_RECENT, {"harmonizeValues": False}
    else:
        order, processing = None, {"minQa": _min_qa(plan.min_qa)}
    data = SentinelHubRequest.input_data(
        sensor,
        time_interval=day.span,
        mosaicking_order=order,
        upsampling=ResamplingType.NEAREST,
        downsampling=ResamplingType.NEAREST,
        other_args={"processing": processing},
    )
    reply = SentinelHubRequest.output_response("default", MimeType.TIFF)
    bbox = BBox(tile.bbox, CRS(str(_epsg(plan.where))))
    return SentinelHubRequest.body(
        SentinelHubRequest.bounds(bbox),
        [data],
        _evalscript(plan),
        SentinelHubRequest.output([reply], size=(tile.width, tile.height)),
    )


def _search(
    source: Source, collection: str, where: GeoBox, period: Period, patience: Patience
) -> list[tuple[datetime, str]]:
    """Return time and id of each product over the grid that starts in the period."""
    client = _Client(source, collection, patience)
    catalog = SentinelHubCatalog(client.config)
    catalog.client = client
    hits = catalog.search(
        _sensor(source, collection),
        time=(period.start, period.end),
        bbox=BBox(grid.lonlat_bbox(where), CRS.WGS84),
        filter="s5p:type = 'NO2'" if collection == "sentinel-5p-l2-no2" else None,
        fields={"include": ["id", "properties.datetime"]},
    )
    host = _host(_url(source, collection))
    try:
        with client.plainly():
            products = list(islice(hits, MOST_PRODUCTS))
    except (ValueError, TypeError, KeyError, AttributeError, MissingDataInRequestException) as err:
        raise SourceError(f"{host} answers a search with no list: try again later") from err
    if len(products) == MOST_PRODUCTS:
        raise SourceError(
            f"{host} lists {MOST_PRODUCTS} products or more in {period}: choose a shorter period"
        )
    found = [_product(product, host) for product in products]
    return [(instant, name) for instant, name in found if instant in period]


def _product(product: Any, host: str) -> tuple[datetime, str]:
    try:
        instant = datetime.fromisoformat(product["properties"]["datetime"])
        return instant.astimezone(UTC), str(product["id"])
    except (KeyError, TypeError, ValueError) as err:
        raise SourceError(
            f"{host} lists a product without an id or a datetime: "
            f"{_short(json.dumps(product))}: try again later"
        ) from err


# Replies


def _path(plan: Plan, day: Day, tile: Tile, folder: Path) -> Path:
    """Return where a reply is kept: newer products of a day make it another one."""
    asked = [_url(plan.source, plan.collection), _payload(plan, day, tile), day.products]
    name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return folder / f"{name}.tif"


def _fetch(
    plan: Plan, day: Day, wanted: dict[Path, Tile], patience: Patience
) -> dict[Path, bool | None]:
    """Bring the tiles of a day into the folder and tell which of them show anything."""
    client = _Client(plan.source, plan.collection, patience)
    seen: dict[Path, bool | None] = {}

    def keep(request: DownloadRequest, content: bytes) -> None:
        path = request.extra_params["path"]
        seen[path] = _keep(content, path, wanted[path], plan)

    client.keep = keep
    asks = [_request(plan, day, tile, path) for path, tile in wanted.items()]
    with client.plainly():
        # In groups, so that a refusal does not call for all the others.
        for start in range(0, len(asks), PARALLEL):
            client.download(asks[start : start + PARALLEL], PARALLEL, decode_data=False)
    return seen


def _request(plan: Plan, day: Day, tile: Tile, path: Path) -> DownloadRequest:
    kind = MimeType.TIFF.get_string()
    pixels = tile.width * tile.height * (len(plan.bands) + 1)
    return DownloadRequest(
        url=f"{_url(plan.source, plan.collection)}/api/v1/process",
        headers={"content-type": MimeType.JSON.get_string(), "accept": kind},
        request_type=RequestType.POST,
        post_values=_payload(plan, day, tile),
        use_session=True,
        # Room for a container and for pixels that compression made larger.
        extra_params={"path": path, "limit": 2 * pixels * _dtype(plan).itemsize + 2**20},
    )


def _dtype(plan: Plan) -> np.dtype[Any]:
    return np.dtype("uint16" if plan.min_qa is None else "float32")


def _keep(content: bytes, path: Path, tile: Tile, plan: Plan) -> bool | None:
    """Write a reply aside, check it and rename it into its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(f".{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        seen = _look(aside, tile, plan)
        if seen is None:
            raise SourceError(
                f"{_host(_url(plan.source, plan.collection))} sent {len(content)} bytes, no "
                f"whole GeoTIFF of {tile.width} x {tile.height} pixels with {len(plan.bands) + 1} "
                f"bands of {_dtype(plan)} in its place; they begin with {content[:40]!r}: run again"
            )
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return seen


def _look(path: Path, tile: Tile, plan: Plan) -> bool | None:
    """Tell whether a reply shows anything; None if it is not whole or not what was asked for."""
    try:
        with rasterio.open(path, driver="GTiff") as src:
            shape = (src.count, src.height, src.width)
            if shape != (len(plan.bands) + 1, tile.height, tile.width):
                return None
            if set(src.dtypes) != {str(_dtype(plan))} or not _lies_at(src, tile):
                return None
            return bool((src.read()[-1] == 1).any())
    except RasterioError:
        return None


def _lies_at(src: Any, tile: Tile) -> bool:
    """Tell whether a reply lies where it should, to a hundredth of a pixel."""
    slack = 0.01 * (tile.bbox[2] - tile.bbox[0]) / tile.width
    return src.crs is None or np.allclose(src.bounds, tile.bbox, rtol=0, atol=slack)


def _mosaic(plan: Plan, paths: list[Path]) -> da.Array:
    """Return the replies side by side, (band, y, x), read chunk by chunk."""
    rows, cols = plan.where.shape
    bands = len(plan.bands) + 1
    sizes = da.core.normalize_chunks((bands, cube.CHUNK, cube.CHUNK), (bands, rows, cols))
    return da.map_blocks(
        _chunk, paths=paths, across=math.ceil(cols / TILE), chunks=sizes, dtype=_dtype(plan)
    )


def _chunk(*, paths: list[Path], across: int, block_info: Any = None) -> np.ndarray:
    _, (top, bottom), (left, right) = block_info[None]["array-location"]
    path = paths[top // TILE * across + left // TILE]
    window = Window(left % TILE, top % TILE, right - left, bottom - top)
    with rasterio.open(path, driver="GTiff") as src:
        return np.asarray(src.read(window=window))


def _variables(plan: Plan, raw: da.Array) -> dict[str, xr.Variable]:
    seen, layers = raw[-1:] == 1, dict(zip(plan.bands, raw[:, None], strict=False))
    if plan.min_qa is not None:
        column = da.where(seen & (abs(layers["NO2"]) < 1e30), layers["NO2"], np.float32(np.nan))
        return {"no2_column": cube.values(column, UNIT, long_name="tropospheric NO2 column")}
    level = "surface" if SCL in layers else "top-of-atmosphere"
    made = {}
    for band, numbers in layers.items():
        if band == SCL:
            classes = da.where(seen, numbers, 0)
            made[SCL] = cube.classes(classes, SCL_CLASSES, long_name="scene classification")
            continue
        known = seen & (numbers != SATURATED)
        reflectance = numbers.astype("float32") * np.float32(SCALE) + np.float32(OFFSET)
        reflectance = da.where(known, reflectance, np.float32(np.nan))
        made[band] = cube.values(reflectance, "1", long_name=f"{level} reflectance, {band}")
    return made


# The service


def _url(source: Source, collection: str) -> str:
    """Return the root of the deployment that serves a collection."""
    return str(_sensor(source, collection).service_url)


def _sensor(source: Source, collection: str) -> DataCollection:
    """Return the library's record of a collection at a service.

    The main service keeps Sentinel-5P on a host of its own, which the library's record names; at
    other services all collections lie below the one root. Names are global: one for each root.
    """
    root, record = source.href.rstrip("/"), COLLECTIONS[collection]
    if root == MAIN:
        return record
    name = pick(source.collections, collection, f"collection of source {source.name!r}")
    with _LOCK:
        return record.define_from(
            f"{name} at {root}", api_id=name, catalog_id=name, service_url=root
        )


@dataclass(frozen=True, slots=True)
class _Line:
    """The only way out: listed hosts, no redirects, bounded replies and waits."""

    hosts: tuple[str, ...]
    patience: Patience

    def post(self, url: str, limit: int, **what: Any) -> requests.Response:
        """Return a whole reply, after waiting where the service says that it is too busy."""
        _check_host(url, self.hosts)
        for attempt in range(1, self.patience.attempts + 1):
            reply = self._once(url, limit, **what)
            if reply.status_code != 429:
                return reply
            if attempt < self.patience.attempts:
                time.sleep(self._pause(reply))
        reply.raise_for_status()
        return reply

    def _once(self, url: str, limit: int, **what: Any) -> requests.Response:
        deadline = time.monotonic() + self.patience.timeout_s
        wait = self.patience.timeout_s
        with requests.post(url, stream=True, allow_redirects=False, timeout=wait, **what) as reply:
            if reply.is_redirect:
                raise SourceError(f"{_host(url)} redirects to another address: check its href")
            content = bytearray()
            try:
                # What has come, however little: a larger read would wait for a slow sender.
                while piece := reply.raw.read1(2**16, decode_content=True):
                    content += piece
                    if len(content) > limit:
                        raise SourceError(f"{_host(url)} sends more than {limit} bytes: run again")
                    if time.monotonic() > deadline:
                        raise requests.Timeout(f"more than {self.patience.timeout_s} s")
            except HTTPError as err:
                raise requests.ConnectionError("cut short") from err
            reply._content = bytes(content)
        return reply

    def _pause(self, reply: requests.Response) -> float:
        """Return seconds to wait; the header counts milliseconds at this service."""
        try:
            wait = float(reply.headers["Retry-After"]) / 1000
        except (KeyError, ValueError):
            wait = self.patience.wait_s
        if not 0 <= wait <= self.patience.longest_s:
            raise SourceError(
                f"{_host(reply.url)} asks to wait {wait:.0f} s: a quota is used up, go on later "
                "(what has come is kept) or ask for fewer days or pixels"
            )
        return wait


class _Session(SentinelHubSession):
    """One token for many threads, renewed before it expires."""

    def __init__(self, config: SHConfig, line: _Line) -> None:
        self._line, self._lock = line, threading.RLock()
        super().__init__(config)

    @property
    def token(self) -> dict[str, Any]:
        """The token, fresh for the next request."""
        with self._lock:
            token: dict[str, Any] = super().token
            return token

    def renew(self, refused: str) -> None:
        """Fetch a new token, unless another thread has replaced the one that was refused."""
        with self._lock:
            if self.session_headers["Authorization"] == refused:
                self._token = self._collect_new_token()

    @retry_temporary_errors
    @fail_user_errors
    def _fetch_token(self, request: DownloadRequest) -> dict[str, Any]:
        # The library's own way has no time-out and follows redirects with the secret.
        form = {
            "grant_type": "client_credentials",
            "client_id": self.config.sh_client_id,
            "client_secret": self.config.sh_client_secret,
        }
        reply = self._line.post(str(request.url), MOST_JSON_BYTES, data=form)
        reply.raise_for_status()
        try:
            told = reply.json()
            token, lasts = str(told["access_token"]), float(told["expires_in"])
        except (ValueError, KeyError, TypeError) as err:
            raise SourceError(f"{_host(str(request.url))} gives no token: try again later") from err
        # A token of short life is not renewed at every request.
        self.refresh_before_expiry = min(self.DEFAULT_SECONDS_BEFORE_EXPIRY, lasts / 2)
        return {"access_token": token, "expires_at": time.time() + lasts}


class _Client(SentinelHubDownloadClient):
    """The library's client on our line."""

    keep: Callable[[DownloadRequest, bytes], None] | None = None

    def __init__(self, source: Source, collection: str, patience: Patience) -> None:
        root = _url(source, collection)
        _check_host(root, source.hosts)
        super().__init__(config=_config(root, patience))
        self.line = _Line(source.hosts, patience)

    def get_session(self) -> _Session:
        """Return the one session of this process for these keys."""
        key = (self.config.sh_token_url, self.config.sh_client_id, self.config.sh_client_secret)
        with _LOCK:
            if key not in _SESSIONS:
                _SESSIONS[key] = _Session(self.config, self.line)
            return _SESSIONS[key]

    def _do_download(self, request: DownloadRequest) -> requests.Response:
        headers = self._prepare_headers(request)
        reply = self._post(request, headers)
        if reply.status_code == 401:
            self.get_session().renew(headers["Authorization"])
            reply = self._post(request, self._prepare_headers(request))
        return reply

    def _post(self, request: DownloadRequest, headers: dict[str, str]) -> requests.Response:
        limit = request.extra_params.get("limit", MOST_JSON_BYTES)
        return self.line.post(str(request.url), limit, json=request.post_values, headers=headers)

    def _process_response(self, request: DownloadRequest, reply: DownloadResponse) -> Any:
        if self.keep is None:
            return reply
        self.keep(request, reply.content)
        return reply.derive(content=b"")

    @contextmanager
    def plainly(self) -> Iterator[None]:
        """Turn what the library raises into one line without secrets."""
        try:
            yield
        except (DownloadFailedException, requests.RequestException) as err:
            cause = getattr(err, "request_exception", err)
            reply = getattr(cause, "response", None)
            host = _host(self.config.sh_base_url)
            if reply is not None:
                raise self._refusal(reply) from None
            raise SourceError(
                f"{host} gives no whole reply in {self.line.patience.attempts} tries "
                f"({type(cause).__name__}): try again later"
            ) from None

    def _refusal(self, reply: requests.Response) -> SourceError:
        said = _said(reply)
        for secret in (self.config.sh_client_secret, self.config.sh_client_id, *_tokens()):
            said = said.replace(secret, "***")
        advice = ADVICE.get(reply.status_code, "try again later")
        return SourceError(
            f"{_host(reply.url)} refuses with {reply.status_code}, {_short(said)}: {advice}"
        )


def _config(root: str, patience: Patience) -> SHConfig:
    """Return the library's settings, without its file in the home folder."""
    host = _host(root)
    token_url = f"{root}{TOKEN_PATH}" if host in LOOPBACK else TOKEN_URLS.get(host)
    if token_url is None:
        raise SourceError(
            f"{host} is no Sentinel Hub service that is known: use {' or '.join(TOKEN_URLS)}"
        )
    return SHConfig(
        use_defaults=True,
        sh_client_id=auth.secret("SH_CLIENT_ID"),
        sh_client_secret=auth.secret("SH_CLIENT_SECRET"),
        sh_base_url=root,
        sh_token_url=token_url,
        max_download_attempts=patience.attempts,
        download_sleep_time=patience.wait_s,
    )


def _check_host(url: str, hosts: Sequence[str]) -> None:
    """Refuse an address that is not listed, before anything is sent."""
    parts, host = urlsplit(url), _host(url)
    exact = parts.netloc in hosts
    below = any(one.startswith("*.") and parts.netloc.endswith(one[1:]) for one in hosts)
    if not (parts.scheme == "https" and (exact or below)) and not (exact and host in LOOPBACK):
        raise SourceError(
            f"{parts.scheme}://{host} is not opened: only https and the source's hosts are, "
            f"{', '.join(hosts) or 'none'}; add it in sources.toml if it is right"
        )


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _said(reply: requests.Response) -> str:
    """Return code and message of a refusal; both of the service's forms, and OAuth's."""
    try:
        told = json.loads(reply.content)
        inner = told["error"] if isinstance(told.get("error"), dict) else told
        code = inner.get("code") or inner.get("error") or inner.get("reason") or ""
        return f"{code}: {inner.get('message') or inner.get('error_description') or 'no message'}"
    except (ValueError, AttributeError):
        return f"a page that is no JSON: {reply.content[:80].decode('ascii', 'replace')}"


def _tokens() -> list[str]:
    with _LOCK:
        return [session._token["access_token"] for session in _SESSIONS.values()]


def _short(text: str) -> str:
    """Return a foreign text as one short line of printable characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= 300 else f"{line[:300]}..."

"""Sentinel-2 and Sentinel-5P days, rendered onto a grid by Sentinel Hub."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox
from sentinelhub.api.catalog import SentinelHubCatalog
from sentinelhub.constants import CRS
from sentinelhub.exceptions import MissingDataInRequestException
from sentinelhub.geometry import BBox

from aqgeo import cube, grid
from aqgeo.catalog import Source, pick
from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.sources import sentinelhub_tiles as tiles
from aqgeo.sources.sentinelhub_client import Client
from aqgeo.sources.sentinelhub_line import Patience, host, short
from aqgeo.sources.sentinelhub_plan import (
    COLLECTIONS,
    NO2,
    SCL,
    Day,
    Plan,
    Tile,
    check_grid,
    days,
    lowest_qa,
    root,
    sensor,
)
from aqgeo.sources.sentinelhub_request import request

# Requests in flight; the free accounts allow 300 a minute.
PARALLEL = 4
# The NO2 product's user manual asks for qa_value above 0.75 for cloud-free tropospheric columns.
MIN_QA = 0.75
MOST_PRODUCTS = 100_000


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
        bands: of Sentinel-2, such as `B04`; Sentinel-5P has only its column.
        min_qa: bound that qa_value of Sentinel-5P pixels must exceed, 0 to 1.
        patience: how long the service is waited for.

    Raises:
        SourceError: the service refuses or stays broken, no product is found, or a band is unknown.
        GridError: the grid is turned or has no EPSG code.
    """
    record = pick(COLLECTIONS, collection, "collection")
    if collection != NO2:
        _check_bands(bands, [band.name for band in record.bands], collection)
    check_grid(where)
    lowest_qa(min_qa)
    classes = (SCL,) if collection == "sentinel-2-l2a" else ()
    asked = ("NO2",) if collection == NO2 else (*bands, *classes)
    found = _search(source, collection, where, period, patience)
    if not found:
        raise SourceError(
            f"source {source.name!r} has no product of {collection!r} over the region in {period}: "
            "choose another period or region"
        )
    bound = min_qa if collection == NO2 else None
    return Plan(source, collection, where, asked, bound, tuple(days(found, where, period)))


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
    places = {tiles.place(plan, day, tile, folder): tile for tile in plan.tiles}
    seen = {path: tiles.look(path, tile, plan) for path, tile in places.items() if path.exists()}
    wanted = {path: tile for path, tile in places.items() if seen.get(path) is None}
    if wanted:
        seen |= _fetch(plan, day, wanted, patience)
    if not any(seen.values()):
        return None
    time = np.array([day.start.replace(tzinfo=None)], "datetime64[s]")
    return cube.make(tiles.variables(plan, list(places)), time, plan.where)


def composite(series: xr.Dataset, span: Period) -> xr.Dataset:
    """Return the mean of Sentinel-5P days as a cube of one time step; every day counts the same.

    Args:
        series: cube of days with `no2_column`, mol m-2; read day by day.
        span: the composite's period.

    Returns:
        Cube (1, y, x): `no2_column` and its standard error `no2_column_sigma` from the spread
        between days, NaN where fewer than two were seen, mol m-2; `valid_count`, days with data.
    """
    where = cube.geobox(series)
    count, mean, spread = np.zeros((3, *where.shape))
    # Welford's update, which loses no digits where columns are alike.
    for number in range(series.sizes["time"]):
        column = series["no2_column"][number].to_numpy().astype("float64")
        seen = np.isfinite(column)
        count += seen
        step = np.where(seen, column - mean, 0)
        mean += step / np.maximum(count, 1)
        spread += np.where(seen, step * (column - mean), 0)
    error = np.sqrt(spread / np.maximum(count * (count - 1), 1))
    mean, error = np.where(count > 0, mean, np.nan), np.where(count > 1, error, np.nan)
    layers = {
        "no2_column": (mean, tiles.UNIT, "mean NO2 column"),
        "no2_column_sigma": (error, tiles.UNIT, "standard error of the mean column"),
        "valid_count": (count, "1", "days with valid pixels"),
    }
    made = {n: cube.values(v[None], unit, long_name=t) for n, (v, unit, t) in layers.items()}
    return cube.make(made, span.time, where)


def _check_bands(bands: Sequence[str], known: list[str], collection: str) -> None:
    """Refuse what is no band: names go into a script."""
    if not bands or set(bands) - set(known) or len(set(bands)) < len(bands):
        raise SourceError(
            f"bands {', '.join(bands) or 'none'} are not bands of {collection}: choose from "
            f"{', '.join(known)}, each once"
        )


def _search(
    source: Source, collection: str, where: GeoBox, period: Period, patience: Patience
) -> list[tuple[datetime, str]]:
    """Return time and id of each product over the grid that starts in the period."""
    url = root(source, collection)
    client = Client(url, source.hosts, patience)
    catalog = SentinelHubCatalog(client.config)
    catalog.client = client
    hits = catalog.search(
        sensor(source, collection),
        time=(period.start, period.end),
        bbox=BBox(grid.lonlat_bbox(where), CRS.WGS84),
        filter="s5p:type = 'NO2'" if collection == NO2 else None,
        fields={"include": ["id", "properties.datetime"]},
    )
    try:
        with client.plainly():
            products = list(islice(hits, MOST_PRODUCTS))
    except (ValueError, TypeError, KeyError, AttributeError, MissingDataInRequestException) as err:
        raise SourceError(f"{host(url)} answers a search with no list: try again later") from err
    if len(products) == MOST_PRODUCTS:
        raise SourceError(
            f"{host(url)} lists {MOST_PRODUCTS} products or more in {period}: choose a shorter "
            "period"
        )
    found = [_product(product, host(url)) for product in products]
    return [(instant, name) for instant, name in found if instant in period]


def _product(product: Any, name: str) -> tuple[datetime, str]:
    try:
        instant = datetime.fromisoformat(product["properties"]["datetime"])
        return instant.astimezone(UTC), str(product["id"])
    except (KeyError, TypeError, ValueError) as err:
        raise SourceError(
            f"{name} lists a product without an id or a datetime: "
            f"{short(json.dumps(product))}: try again later"
        ) from err


def _fetch(
    plan: Plan, day: Day, wanted: dict[Path, Tile], patience: Patience
) -> dict[Path, bool | None]:
    """Bring tiles of a day into their places and tell which of them show anything."""
    client = Client(root(plan.source, plan.collection), plan.source.hosts, patience)
    seen: dict[Path, bool | None] = {}

    def keep(path: Path, content: bytes) -> None:
        seen[path] = tiles.keep(content, path, wanted[path], plan)

    client.keep = keep
    asks = [request(plan, day, tile, path) for path, tile in wanted.items()]
    with client.plainly():
        # In groups, so that a refusal does not call for all the others.
        for first in range(0, len(asks), PARALLEL):
            client.download(asks[first : first + PARALLEL], PARALLEL, decode_data=False)
    return seen

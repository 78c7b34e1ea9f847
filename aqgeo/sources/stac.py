"""Items from static STAC catalogs on disk."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pystac
import shapely
from odc.geo.geobox import GeoBox

from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.sources import outlines

UNREADABLE = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError),
    *(pystac.STACError, pystac.STACTypeError, shapely.errors.ShapelyError),
)


def search(
    catalog: Path, collection: str, where: GeoBox, period: Period, *, overlap: bool = False
) -> list[pystac.Item]:
    """Return the items of a collection that meet a grid and a period, by time, then by id.

    Args:
        catalog: path of a static STAC catalog's `catalog.json`, or of the folder that holds it.
        collection: id of a collection in it.
        where: the grid whose outline the items must meet.
        period: the span in which the items' start must lie, so that no item is in two months.
        overlap: items count that have any part in the period, as tables of many days do.

    Raises:
        SourceError: the catalog cannot be read, or no item is found.
    """
    found = _collection(catalog, collection)
    boxes = outlines.boxes(where)
    region = shapely.MultiPolygon([shapely.box(*box) for box in boxes])
    try:
        items = [
            item
            for item in found.get_items(recursive=True)
            if (_overlaps(item, period) if overlap else start(item) in period)
            and outlines.area(item).intersects(region)
        ]
    except SourceError:
        raise
    except UNREADABLE as err:
        raise SourceError(f"{catalog}: collection {collection!r} cannot be read: {err}") from err
    if not items:
        raise SourceError(
            f"{catalog}: no item of {collection!r} meets the region "
            f"{told(boxes)} in {period}; the collection covers "
            f"{_extent(found)}: choose another period, region or archive"
        )
    return sorted(items, key=lambda item: (start(item), item.id))


def start(item: pystac.Item) -> datetime:
    """Return the first instant of an item, or its only one, in UTC.

    Some services give orbits their middle as `datetime`, others their start or nothing.

    Raises:
        SourceError: the item has neither.
    """
    instant = item.common_metadata.start_datetime or item.datetime
    if instant is None:
        raise SourceError(f"item {item.id} has neither datetime nor start_datetime")
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def told(boxes: Sequence[outlines.Box]) -> str:
    """Return boxes as a part of a message."""
    return " and ".join(f"({', '.join(f'{v:.3f}' for v in box)})" for box in boxes)


def credit(items: Sequence[pystac.Item]) -> str:
    """Return the line that names where items come from, as their licence asks."""
    if any(item.properties.get("aqgeo:simulated") for item in items):
        return "Simulated by aqgeo, not observed"
    if (items[0].collection_id or "").startswith("sentinel-"):
        return copernicus([start(item).year for item in items])
    collection = items[0].get_collection()
    owner = collection if collection else items[0].common_metadata
    names = [provider.name for provider in owner.providers or []]
    return f"Station data: {', '.join(names) or 'provider not named in the archive'}"


def copernicus(years: Sequence[int]) -> str:
    """Return the credit for Copernicus Sentinel data of some years.

    Commission Delegated Regulation (EU) No 1159/2013, article 8.
    """
    first, last = min(years), max(years)
    span = f"{first}" if first == last else f"{first}-{last}"
    return f"Contains modified Copernicus Sentinel data {span}"


def asset_path(item: pystac.Item, key: str) -> Path:
    """Return the file of an asset.

    Raises:
        SourceError: the item has no such asset, its href is no local file, or the file is absent.
    """
    if key not in item.assets:
        raise SourceError(
            f"item {item.id} has no asset {key!r}: it has {', '.join(sorted(item.assets))}"
        )
    href = item.assets[key].get_absolute_href() or ""
    if "://" in href or href.startswith("/vsi"):
        raise SourceError(f"item {item.id}, asset {key!r}: {href} is no local file: download it")
    path = Path(href)
    if not path.is_file():
        raise SourceError(
            f"item {item.id}, asset {key!r}: {path} does not exist: "
            "complete the archive or remove the item"
        )
    return path


def _collection(catalog: Path, collection: str) -> pystac.Collection:
    path = catalog / "catalog.json" if catalog.is_dir() else catalog
    if not path.is_file():
        raise SourceError(f"{path} does not exist: give --archive the path of a catalog.json")
    try:
        root = pystac.Catalog.from_file(str(path))
        children = {child.id: child for child in root.get_collections()}
    except UNREADABLE as err:
        raise SourceError(f"{path} is no readable STAC catalog: {err}: mend it") from err
    if collection not in children:
        raise SourceError(
            f"{path} has no collection {collection!r}: it has {', '.join(children) or 'none'}"
        )
    return children[collection]


def _overlaps(item: pystac.Item, period: Period) -> bool:
    end = item.common_metadata.end_datetime or start(item)
    return start(item) < period.end and end >= period.start


def _extent(collection: pystac.Collection) -> str:
    boxes, spans = collection.extent.spatial.bboxes, collection.extent.temporal.intervals
    box = ", ".join(f"{v:.3f}" for v in boxes[0])
    first, last = (f"{t:%Y-%m-%d}" if t else ".." for t in spans[0])
    return f"({box}) from {first} to {last}"

"""Items from any STAC API, each checked before it is believed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import Any
from urllib.parse import parse_qsl

import pystac
import shapely
from odc.geo.geobox import GeoBox
from pystac_client import ItemSearch

from aqgeo.catalog import Source
from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.remote.http import Client
from aqgeo.sources import outlines, stac, stac_assets, stac_pages

# Services filter by an item's middle, ours is its start: an orbit lasts 101 minutes.
_MARGIN = timedelta(hours=2)
_CLOUD = "eo:cloud_cover"
_SORT = [{"field": field, "direction": "asc"} for field in ("properties.datetime", "id")]
_MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class _Part:
    """One of a service's collections, or the part of it that is wanted."""

    name: str
    """Its id there."""
    needs: Mapping[str, str]
    """Properties that its items must have."""
    max_cloud_percent: float | None
    """Highest `eo:cloud_cover`."""

    def takes(self, item: pystac.Item) -> bool:
        """Tell whether an item is wanted; one that does not tell its cloud cover is."""
        if item.collection_id not in (self.name, None):
            return False
        if any(str(item.properties.get(name)) != value for name, value in self.needs.items()):
            return False
        cover, most = item.properties.get(_CLOUD), self.max_cloud_percent
        return most is None or not isinstance(cover, int | float) or cover <= most

    def cql2(self) -> dict[str, Any] | None:
        """Return the same as a CQL2 expression."""
        terms: list[dict[str, Any]] = [
            {"op": "=", "args": [{"property": name}, value]} for name, value in self.needs.items()
        ]
        if self.max_cloud_percent is not None:
            cover = {"property": _CLOUD}
            low = {"op": "<=", "args": [cover, self.max_cloud_percent]}
            terms.append({"op": "or", "args": [low, {"op": "isNull", "args": [cover]}]})
        return {"op": "and", "args": terms} if len(terms) > 1 else next(iter(terms), None)


def search(
    source: Source,
    collection: str,
    where: GeoBox,
    period: Period,
    client: Client,
    *,
    max_cloud_percent: float | None = None,
) -> tuple[list[pystac.Item], list[str]]:
    """Return the items of a collection that meet a grid and a period, by time, then by id.

    `source.collections` holds the service's own name of a collection; `NAME?property=value` for the
    part of it whose items have that property; and several of these with commas between. A grid over
    the date line is asked for as two boxes. What comes is checked again here, by place, half-open
    period and collection, and an item is there once, however often pages repeat it.

    Args:
        source: a source of kind `stac`.
        collection: our name of a collection.
        where: the grid whose outline the items must meet.
        period: the span in which the items' start must lie.
        client: opens the source's hosts and no others.
        max_cloud_percent: leaves out items whose `eo:cloud_cover` is higher.

    Returns:
        The items, with absolute addresses and without links, and notes on what was left out since
        it has no usable id, time or place, or an address that may not be opened.

    Raises:
        SourceError: the service refuses, answers nonsense or without end, or no item is found.
    """
    boxes, notes = outlines.boxes(where), set[str]()
    region = shapely.MultiPolygon([shapely.box(*box) for box in boxes])
    found: dict[tuple[str, str], pystac.Item] = {}
    service = stac_pages.service(client, source.href)
    for part, box in product(_parts(source, collection, max_cloud_percent), boxes):
        for told in _ask(client, service, part, box, period, notes=notes):
            item = _item(told, service.url, notes)
            if not (item and part.takes(item) and stac.start(item) in period):
                continue
            if outlines.area(item).intersects(region):
                twin = found.get((part.name, item.id), item)
                found[part.name, item.id] = max(twin, item, key=_edition)
    if not found:
        raise SourceError(
            f"{source.href}: no item of {collection!r} meets the region {stac.told(boxes)} in "
            f"{period}{''.join(f' ({note})' for note in sorted(notes)[:1])}: choose another "
            "period, region or source"
        )
    return sorted(found.values(), key=lambda i: (stac.start(i), i.id)), sorted(notes)


def _parts(source: Source, collection: str, max_cloud_percent: float | None) -> Iterator[_Part]:
    if collection not in source.collections:
        raise SourceError(
            f"source {source.name!r} has no {collection!r}: it has "
            f"{', '.join(source.collections) or 'none'}"
        )
    for part in source.collections[collection].split(","):
        name, _, needs = part.strip().partition("?")
        yield _Part(name, dict(parse_qsl(needs)), max_cloud_percent)


def _ask(
    client: Client,
    service: stac_pages.Service,
    part: _Part,
    box: outlines.Box,
    period: Period,
    *,
    notes: set[str],
) -> list[Any]:
    """Search with pystac-client's parameters; conditions go along where the service knows CQL2."""
    condition = part.cql2() if service.filters else None
    body, query = (
        ItemSearch(
            service.url,
            method=method,
            collections=[part.name],
            bbox=box,
            datetime=[period.start - _MARGIN, period.end + _MARGIN],
            sortby=_SORT if service.sorts else None,
            # By GET it would have to be text, which fewer services understand.
            filter=condition if method == "POST" else None,
            filter_lang="cql2-json",
        ).get_parameters()
        for method in ("POST", "GET")
    )
    found, count = stac_pages.features(client, service.url, body, query)
    names = {str(told.get("id") if isinstance(told, dict) else told) for told in found}
    if count is not None and len(names) < count:
        notes.add(f"{part.name}: the service counts {count} items and gave {len(names)}")
    return found


def _item(told: Any, url: str, notes: set[str]) -> pystac.Item | None:
    """Return an item that has a time and a place; None, and a note, if it has not."""
    try:
        item, left_out = _parsed(told, url)
        stac.start(item)
        outlines.area(item)
    except (SourceError, *stac.UNREADABLE) as err:
        name = str(told.get("id") if isinstance(told, dict) else None)[:_MAX_NAME]
        why = " ".join(str(err).split())[:200]
        notes.add(f"item {name!r} left out: {type(err).__name__}, {why}")
        return None
    notes |= left_out
    return item


def _parsed(told: Any, url: str) -> tuple[pystac.Item, set[str]]:
    """Return an item with nothing in it that could lead elsewhere by itself."""
    if not isinstance(told, dict):
        raise ValueError(f"it is {type(told).__name__}, no object")
    name = told.get("id")
    if not (isinstance(name, str) and name.isprintable() and 0 < len(name) <= _MAX_NAME):
        raise ValueError(f"its id has to be 1 to {_MAX_NAME} printable characters")
    if not isinstance(told.get("properties"), dict):
        raise ValueError("it has no properties")
    item = pystac.Item.from_dict(told)
    base = item.get_self_href() or url
    item.clear_links()
    return item, stac_assets.resolve(item, base)


def _edition(item: pystac.Item) -> tuple[str, str]:
    """Return what tells the newer of two records of an item, whichever page came first."""
    return str(item.properties.get("updated", "")), repr(item.to_dict(transform_hrefs=False))

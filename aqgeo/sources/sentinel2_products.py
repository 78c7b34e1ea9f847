"""Sentinel-2 products that hold the same pixels, of which the newest is kept."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pystac

from aqgeo.sources import sentinel2_bands, sentinel2_offset, stac

# A twin whose share of empty pixels is lower by more than this shows ground that the newer lacks.
SAME_COVER_PERCENT = 1.0
_TILE = re.compile(r"(?:^|[^0-9A-Z])T?(\d{1,2})([C-HJ-NP-X][A-HJ-NP-Z]{2})(?:[^0-9A-Z]|$)")
_PLATFORM = re.compile(r"(?:^|[^0-9A-Z])(?:S|SENTINEL-)(2[A-D])(?:[^0-9A-Z]|$)")


def resolve(items: Sequence[pystac.Item]) -> tuple[list[pystac.Item], list[str]]:
    """Leave out items whose pixels another item has in a newer processing.

    Twins are of one level, satellite, tile and datastrip, told by the instant at which the
    datastrip's sensing began: reprocessing and a second downlink change its other parts. The newest
    baseline wins, then the latest generation, then pixels without the provider's shift. Different
    datastrips are halves of a tile, and both are kept; so are items that do not tell their
    datastrip, and twins that show more ground than the newer one. Of such, the newest comes first,
    since the first item with data wins where they overlap.

    Args:
        items: items of a search, by time.

    Returns:
        The items that are kept, those of one pass and tile side by side, and a note on each of the
        others and on each pair that could not be told apart.
    """
    kept: dict[tuple[str, ...], list[pystac.Item]] = {}
    notes = []
    for item in sorted(items, key=_rank, reverse=True):
        peers = kept.setdefault(_pass(item), [])
        newer = next((p for p in peers if _strip(p) and _strip(p) == _strip(item)), None)
        if newer and not _shows_more(item, newer):
            notes.append(f"{item.id} left out: {newer.id} is a newer processing of it")
            continue
        blind = next((p for p in peers if newer or not (_strip(p) and _strip(item))), None)
        if blind:
            notes.append(f"{item.id} kept behind {blind.id}: it may show ground that one lacks")
        peers.append(item)
    groups = sorted(kept.values(), key=lambda peers: min((stac.start(p), p.id) for p in peers))
    return [item for peers in groups for item in peers], sorted(notes)


def tile(item: pystac.Item) -> str | None:
    """Return the MGRS tile of an item, such as `04QFJ`; older items lack the zero."""
    told = item.properties
    parts = (told.get(f"mgrs:{n}") for n in ("utm_zone", "latitude_band", "grid_square"))
    for name in (told.get("grid:code"), told.get("s2:mgrs_tile"), _joined(*parts), item.id):
        text = str(name or "").upper().replace("_", " ").removeprefix("MGRS-")
        if match := _TILE.search(text):
            return f"{match[1]:0>2}{match[2]}"
    return None


def _pass(item: pystac.Item) -> tuple[str, ...]:
    """Return what items of one tile and one overpass have in common; an item's id if unknown."""
    place, platform = tile(item), _platform(item)
    if not (place and platform):
        return (item.id,)
    day = f"{stac.start(item):%Y-%m-%d}"
    return ("L1C" if sentinel2_bands.is_l1c(item) else "L2A", platform, place, day)


def _platform(item: pystac.Item) -> str | None:
    for name in (item.properties.get("platform"), item.properties.get("s2:product_uri"), item.id):
        if match := _PLATFORM.search(str(name or "").upper().replace("_", " ")):
            return match[1]
    return None


def _strip(item: pystac.Item) -> str | None:
    """Return when the sensing of an item's datastrip began."""
    match = re.search(r"_S(\d{8}T\d{6})", str(item.properties.get("s2:datastrip_id") or ""))
    return match[1] if match else None


def _rank(item: pystac.Item) -> tuple[Any, ...]:
    """Return what grows from the oldest to the newest processing; test productions are oldest."""
    baseline = sentinel2_offset.baseline(item)
    real = (0, 0) if baseline in (None, sentinel2_offset.TEST) else baseline
    made = _instant(item.properties.get("s2:generation_time"))
    shifted = item.properties.get("earthsearch:boa_offset_applied") is True
    return real, made or _instant(item.properties.get("created")) or "", not shifted, item.id


def _instant(told: object) -> str:
    """Return an instant as UTC text that sorts by time; empty if it is none."""
    try:
        found = datetime.fromisoformat(str(told))
    except ValueError:
        return ""
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


def _shows_more(item: pystac.Item, newer: pystac.Item) -> bool:
    empty = [i.properties.get("s2:nodata_pixel_percentage") for i in (item, newer)]
    mine, its = (v if isinstance(v, int | float) else None for v in empty)
    return mine is not None and its is not None and mine < its - SAME_COVER_PERCENT


def _joined(*parts: object) -> str:
    return "".join(str(part) for part in parts) if all(parts) else ""

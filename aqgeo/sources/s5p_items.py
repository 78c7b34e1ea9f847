"""Sentinel-5P L2 NO2 granules of a folder as STAC items, and one granule kept of each orbit."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pystac

from aqgeo.errors import SourceError
from aqgeo.sources import s5p_names, stac
from aqgeo.sources.s5p_file import official_id

COLLECTION = "sentinel-5p-l2-no2"
_SUFFIXES = {".nc", ".nc4"}
_EXTENSIONS = [
    "https://stac-extensions.github.io/sat/v1.0.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
]
_GLOBE = (-180.0, -90.0, 180.0, 90.0)
# Reprocessed beats offline beats near real time (sources handbook, section 4). The withdrawn
# S5P-PAL files stand beside offline ones: their newer processor decides.
_RANK = {"RPRO": 3, "OFFL": 2, "PAL": 2, "NRTI": 1}
# Versions that make one series (sources handbook, section 4); else those of one major.minor do.
_FAMILIES = {(1, minor): "1.0 to 1.3" for minor in range(4)} | {(2, 4): "2.4, 2.5"}
_FAMILIES |= {(2, 5): _FAMILIES[2, 4]}


@dataclass(frozen=True, slots=True)
class _Told:
    """What is known of an item's granule, None where nothing is."""

    item: pystac.Item
    start: datetime
    end: datetime | None
    mode: str | None
    orbit: int | None
    rank: tuple[Any, ...]
    """Mode, collection, processor, time of production: the greater the better."""

    @property
    def processor(self) -> tuple[int, int, int] | None:
        """Version of the processor."""
        return self.rank[2]  # type: ignore[no-any-return]


def items(folder: Path) -> list[pystac.Item]:
    """Return the L2 NO2 granules below a folder, by time, then by name.

    Official files of other products are passed over; a file whose name tells nothing is known by
    the official name that it carries inside. The outline of all is the globe, since what the files
    say of themselves is an orbit's box even in a small subset: the pixels tell.

    Args:
        folder: searched with all folders below it for `*.nc` and `*.nc4`.

    Raises:
        SourceError: there is no granule, or a file tells no official name.
    """
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())
    names = [(path, _name(path)) for path in paths]
    found = [(name, path) for path, name in names if name.product == s5p_names.NO2]
    if not found:
        others = sorted({name.product for _, name in names})
        raise SourceError(
            f"{folder} holds no Sentinel-5P L2 NO2 granule (*.nc, *.nc4), "
            f"but {', '.join(others) or 'no such file at all'}: choose another folder"
        )
    found.sort(key=lambda pair: (pair[0].start, pair[0].text, pair[1]))
    return [_item(name, path) for name, path in found]


def resolve(
    items: Sequence[pystac.Item], *, mixed_versions: bool = False
) -> tuple[list[pystac.Item], list[str]]:
    """Keep one granule of each orbit, so that no pixel counts twice.

    RPRO goes before OFFL before NRTI, then the higher collection, processor and time of production.
    A NRTI piece is known by orbit and start; an OFFL or RPRO granule replaces all pieces of its
    orbit. What is known comes from official names in ids or assets, else from the properties.

    Args:
        items: granules in any order.
        mixed_versions: keep granules of processor versions that make no single series.

    Returns:
        The items kept, in their order, and a note for each that was not and on what is mixed.

    Raises:
        SourceError: nothing tells which of two granules is better, or versions are mixed.
    """
    told = [_told(item) for item in items]
    dropped: dict[int, str] = {}
    for orbit, group in groupby(sorted(told, key=_by_orbit), key=lambda one: one.orbit):
        kept: list[_Told] = []
        for one in sorted(group, key=_quality, reverse=True):
            better = next((other for other in kept if _clash(one, other)), None)
            if better is None:
                kept.append(one)
                continue
            _refuse_twins(better, one)
            dropped[id(one.item)] = (
                f"{one.item.id} left out: {better.item.id} is a better granule of orbit {orbit}"
            )
    left = [one for one in told if id(one.item) not in dropped]
    _refuse_same_start(left)
    notes = [dropped[id(one.item)] for one in told if id(one.item) in dropped]
    return [one.item for one in left], [*notes, *_mixed(left, allowed=mixed_versions)]


def _name(path: Path) -> s5p_names.Name:
    name = s5p_names.parse(path.name) or s5p_names.parse(official_id(path))
    if name is None:
        raise SourceError(
            f"{path} has no official Sentinel-5P name, outside or inside (attribute id): name it "
            "as ESA did, or move it to another folder"
        )
    return name


def _item(name: s5p_names.Name, path: Path) -> pystac.Item:
    west, south, east, north = _GLOBE
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    item = pystac.Item(
        id=name.text,
        geometry={"type": "Polygon", "coordinates": [ring]},
        bbox=list(_GLOBE),
        datetime=None,
        start_datetime=name.start,
        end_datetime=name.end,
        collection=COLLECTION,
        stac_extensions=list(_EXTENSIONS),
        properties={
            "platform": "sentinel-5p",
            "instruments": ["tropomi"],
            "s5p:product_type": name.product,
            "s5p:processing_mode": name.mode,
            "s5p:collection_identifier": f"{name.collection:02d}",
            "sat:absolute_orbit": name.orbit,
            "processing:version": ".".join(str(part) for part in name.processor),
        },
    )
    asset = pystac.Asset(str(path.resolve()), media_type="application/x-netcdf", roles=["data"])
    item.add_asset("no2", asset)
    return item


def _told(item: pystac.Item) -> _Told:
    hrefs = [asset.href for asset in item.assets.values()]
    texts = [item.id, *(urlsplit(href).path.rpartition("/")[2] for href in hrefs)]
    name = next((name for text in texts if (name := s5p_names.parse(text))), None)
    if name is not None:
        rank: tuple[Any, ...] = (
            _RANK.get(name.mode, 0),
            name.collection,
            name.processor,
            name.produced,
        )
        return _Told(item, name.start, name.end, name.mode, name.orbit, rank)
    told = item.properties
    mode = _mode(told.get("s5p:processing_mode"))
    orbit = _whole(told.get("sat:absolute_orbit", told.get("s5p:orbit")))
    collection = _whole(told.get("s5p:collection_identifier"))
    rank = (
        *(None if mode is None else _RANK.get(mode, 0), collection),
        *(_processor(told), item.common_metadata.created),
    )
    return _Told(item, stac.start(item), _end(item), mode, orbit, rank)


def _end(item: pystac.Item) -> datetime | None:
    """Return an item's last instant, if it is more than its first."""
    end = item.common_metadata.end_datetime
    if end is None:
        return None
    end = end.astimezone(UTC) if end.tzinfo else end.replace(tzinfo=UTC)
    return end if end > stac.start(item) else None


def _mode(text: Any) -> str | None:
    return None if text is None else str(text).upper()[:4].rstrip("_")


def _whole(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _processor(told: dict[str, Any]) -> tuple[int, int, int] | None:
    """Return the processor's version from an item's properties."""
    for key in ("processing:version", "s5p:processor_version"):
        try:
            return s5p_names.version(str(told[key]))
        except (KeyError, ValueError):
            continue
    return None


def _by_orbit(one: _Told) -> int:
    return -1 if one.orbit is None else one.orbit


def _quality(one: _Told) -> tuple[Any, ...]:
    """Return what sorts granules; what is not known is least."""
    return tuple((False,) if part is None else (True, part) for part in one.rank)


def _clash(one: _Told, other: _Told) -> bool:
    """Tell whether two granules of one orbit, or of none that is known, have pixels in common."""
    if one.orbit is None:
        return False
    if one.mode == other.mode == "NRTI":
        return one.start == other.start
    if "NRTI" in (one.mode, other.mode) or one.end is None or other.end is None:
        return True
    return one.start < other.end and other.start < one.end


def _refuse_twins(one: _Told, two: _Told) -> None:
    known = [pair for pair in zip(one.rank, two.rank, strict=True) if None not in pair]
    if [first for first, _ in known] > [second for _, second in known]:
        return
    places = [asset.href for t in (one, two) for asset in t.item.assets.values()]
    raise SourceError(
        f"{one.item.id} and {two.item.id} are of the same orbit, and nothing tells which is "
        f"better: keep one of them ({', '.join(places)})"
    )


def _refuse_same_start(told: list[_Told]) -> None:
    """Two granules of which one tells no orbit are twins if they begin at the same time."""
    first: dict[datetime, _Told] = {}
    for one in told:
        other = first.setdefault(one.start, one)
        if other is not one and None in (one.orbit, other.orbit):
            raise SourceError(
                f"{other.item.id} and {one.item.id} are of the same orbit: keep the newer one in "
                "the archive"
            )


def _mixed(told: list[_Told], *, allowed: bool) -> list[str]:
    versions = Counter(one.processor for one in told if one.processor is not None)
    families = {_FAMILIES.get(v[:2], f"{v[0]}.{v[1]}") for v in versions}
    if len(families) < 2:
        return []
    counts = ", ".join(f"{a}.{b}.{c} ({n})" for (a, b, c), n in sorted(versions.items()))
    if not allowed:
        raise SourceError(
            f"the granules come from processor versions that make no single series: {counts}: "
            "take RPRO granules or a shorter period, or allow it with --mixed-versions"
        )
    return [f"granules of processor versions that make no single series: {counts}"]

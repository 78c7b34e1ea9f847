"""Items of a source: found, and their files brought to disk."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pystac
import shapely.geometry
from odc.geo.geobox import GeoBox

from aqgeo import grid
from aqgeo.catalog import Source
from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.processing import s2cloudless_mask
from aqgeo.remote import auth, http
from aqgeo.remote.cache import quarantine
from aqgeo.sources import (
    eea,
    openaq,
    s5p_items,
    sentinel2,
    sentinel2_offset,
    sentinel2_products,
    stac,
    stac_api,
    stac_assets,
)
from pipelines.cluster import report_bar
from pipelines.workspace import Workspace

log = logging.getLogger(__name__)
SENTINEL_2, SENTINEL_5P, STATIONS = "sentinel-2-l2a", "sentinel-5p-l2-no2", "stations-no2"
SENTINEL_2_L1C = "sentinel-2-l1c"
BANDS = ("B02", "B03", "B04", "B08")
SCENES = {SENTINEL_2: BANDS, SENTINEL_2_L1C: s2cloudless_mask.BANDS}
"""Bands that are read of each Sentinel-2 collection."""
# They tell cloud from snow and bright ground: read where every item has them.
CLOUD_BANDS = ("B11", "B12")
# Services that answer with a table of measurements instead of items.
TABLES: dict[str, ModuleType] = {"openaq": openaq, "eea": eea}


def client(source: Source) -> http.Client:
    """Return the client of a remote source: its hosts, its signature."""
    return http.Client(source.hosts, auth=auth.of(source.auth))


def find(
    source: Source, collection: str, where: GeoBox, span: Period, *, mixed_versions: bool = False
) -> tuple[list[pystac.Item], list[str]]:
    """Return a source's items, each acquisition once, and notes on those left out.

    Args:
        source: who serves the collection, with its place resolved.
        collection: our name of it.
        where: grid that the items must meet.
        span: period in which they must start.
        mixed_versions: take Sentinel-5P granules of processor versions that do not match.

    Raises:
        SourceError: the source does not answer, or has nothing.
    """
    try:
        found, notes = _FINDERS.get(source.kind, _table)(source, collection, where, span)
    except SourceError as err:
        if collection != SENTINEL_2_L1C:
            raise
        raise SourceError(
            f"{err}; --clouds s2cloudless reads {len(SCENES[SENTINEL_2_L1C])} bands of it: add a "
            "source or an archive that has it (aqgeo simulate --level l1c --level l2a makes one), "
            "or choose --clouds unet"
        ) from err
    items, twins = found, list[str]()
    if collection in SCENES:
        items, twins = sentinel2_products.resolve(found)
    elif collection == SENTINEL_5P:
        items, twins = s5p_items.resolve(found, mixed_versions=mixed_versions)
    return items, [*notes, *twins]


def bands(items: Sequence[pystac.Item], collection: str) -> tuple[str, ...]:
    """Return the bands that are read of a collection's items; none of other than Sentinel-2."""
    wanted = SCENES.get(collection, ())
    if collection == SENTINEL_2 and all(_has(item, CLOUD_BANDS) for item in items):
        return (*wanted, *CLOUD_BANDS)
    return wanted


def _has(item: pystac.Item, wanted: Sequence[str]) -> bool:
    try:
        sentinel2.assets(item, wanted)
    except SourceError:
        return False
    return True


def assets(item: pystac.Item, collection: str, wanted: Sequence[str]) -> list[str]:
    """Return the keys of an item's assets that are read: those of the bands wanted, or all."""
    if collection in SCENES:
        return list(sentinel2.assets(item, wanted).values())
    return [stac_assets.netcdf_key(item) if collection == SENTINEL_5P else "hourly"]


def local(source: Source) -> bool:
    """Tell whether a source's files are on disk already."""
    return source.kind in ("static", "folder")


def bring(
    work: Workspace,
    source: Source,
    collection: str,
    items: Sequence[pystac.Item],
    *,
    place: tuple[str, GeoBox, Period],
    wanted: Sequence[str] = (),
) -> tuple[list[pystac.Item], list[str]]:
    """Return the items with their files on disk, and notes on those that stay broken.

    Args:
        work: the output folder, which has the cache.
        source: where the items are from.
        collection: our name of theirs.
        items: what `find` has found.
        place: region, its grid and the period.
        wanted: bands of Sentinel-2, as `bands` tells them.

    Raises:
        SourceError: not one item could be fetched.
    """
    if local(source):
        return list(items), []
    if source.kind in TABLES:
        return [_with_table(work, source, items[0], place)], []
    notes: list[str] = []
    remotes: dict[str, dict[str, http.Remote]] = {}
    for item in items:
        with _leaving_out(item, notes):
            keys = assets(item, collection, wanted)
            remotes[item.id] = _remotes(item, collection, keys, by_s3=source.auth == "s3")
    with report_bar(f"{collection} from {source.name}", of_bytes=True) as report:
        fetched = http.fetch(
            client(source),
            [remote for own in remotes.values() for remote in own.values()],
            work.cache,
            limit_bytes=int(work.cache_gib * 2**30),
            report=report,
        )
    log.info(
        "%s: %d files fetched, %d in the cache, %d failed",
        *(source.name, fetched.done, fetched.cached, len(fetched.failed)),
    )
    whole = []
    for item in items:
        if item.id in remotes:
            with _leaving_out(item, notes):
                keys = assets(item, collection, wanted)
                remote = remotes[item.id]
                whole.append(_whole(item, collection, keys, remote, fetched, work.cache))
    if not whole:
        raise SourceError(
            f"none of {len(items)} items of {collection!r} could be fetched from {source.name}; "
            f"the first: {notes[0]}"
        )
    return whole, notes


@contextmanager
def _leaving_out(item: pystac.Item, notes: list[str]) -> Iterator[None]:
    """Turn what is wrong with an item into a note, so that the others go on."""
    try:
        yield
    except SourceError as err:
        notes.append(f"{item.id} left out: {err}")
        log.warning("%s", notes[-1])


def _remotes(
    item: pystac.Item, collection: str, keys: Sequence[str], *, by_s3: bool
) -> dict[str, http.Remote]:
    """Return what is fetched of an item; its metadata too, which tell the offsets best."""
    if collection in SCENES and (metadata := sentinel2_offset.metadata_key(item)):
        keys = [*keys, metadata]
    return stac_assets.remotes(item, keys, by_s3=by_s3)


def _whole(
    item: pystac.Item,
    collection: str,
    needed: Sequence[str],
    wanted: Mapping[str, http.Remote],
    fetched: http.Fetched,
    cache: Path,
) -> pystac.Item:
    """Return an item with its files on disk.

    Raises:
        SourceError: a file that is read is missing or broken; a broken one is put aside.
    """
    for key in needed:
        if wanted[key].url in fetched.failed:
            raise SourceError(fetched.failed[wanted[key].url])
    paths = {key: fetched.paths[r.url] for key, r in wanted.items() if r.url in fetched.paths}
    local_item = stac_assets.localise(item, paths)
    if collection in SCENES:
        for key in needed:
            try:
                sentinel2.check_file(local_item, key)
            except SourceError as err:
                quarantine(cache, paths[key], str(err))
                # What is published tells no places of this machine.
                raise SourceError(str(err).replace(str(paths[key]), f"its {key!r}")) from err
    return local_item


Found = tuple[list[pystac.Item], list[str]]


def _static(source: Source, collection: str, where: GeoBox, span: Period) -> Found:
    overlap = collection == STATIONS
    return stac.search(Path(source.href), collection, where, span, overlap=overlap), []


def _folder(source: Source, collection: str, where: GeoBox, span: Period) -> Found:
    if collection != SENTINEL_5P:
        raise SourceError(
            f"{source.href} has no catalog.json, and a plain folder can only hold Sentinel-5P "
            f"granules: give {collection!r} a static STAC catalog"
        )
    found = [item for item in s5p_items.items(Path(source.href)) if stac.start(item) in span]
    if not found:
        raise SourceError(f"{source.href} has no Sentinel-5P granule that starts in {span}")
    return found, []


def _api(source: Source, collection: str, where: GeoBox, span: Period) -> Found:
    return stac_api.search(source, collection, where, span, client(source))


def _table(source: Source, collection: str, where: GeoBox, span: Period) -> Found:
    """Return one item that stands for the answer of a service of measurements."""
    box = grid.lonlat_bbox(where)
    item = pystac.Item(
        id=f"{source.name}-{collection}-{span.slug}",
        geometry=shapely.geometry.mapping(shapely.box(*box)),
        bbox=list(box),
        datetime=None,
        start_datetime=span.start,
        end_datetime=span.end,
        properties={"title": source.title, "providers": [{"name": source.title}]},
        collection=collection,
    )
    item.add_asset("hourly", pystac.Asset(source.href, roles=["data"]))
    return [item], []


_FINDERS: Mapping[str, Callable[..., Found]] = {
    "static": _static,
    "folder": _folder,
    "stac": _api,
}


def _with_table(
    work: Workspace, source: Source, item: pystac.Item, place: tuple[str, GeoBox, Period]
) -> pystac.Item:
    region, where, span = place
    folder = work.downloads(source.name, region, span)
    # OpenAQ counts sensors, the EEA the bytes of its files.
    with report_bar(source.title, of_bytes=source.kind == "eea") as report:
        table: Any = TABLES[source.kind].download(source, where, span, folder, report=report)
    return stac_assets.localise(item, {"hourly": table})

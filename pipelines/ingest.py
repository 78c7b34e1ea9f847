"""Stage ingest: items of one collection onto the region's grid."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pystac
from odc.geo.geobox import GeoBox

from aqgeo import cube
from aqgeo.catalog import Source, pick
from aqgeo.errors import AqgeoError, GridError, SourceError
from aqgeo.gridding import binning
from aqgeo.period import Period
from aqgeo.remote.cache import quarantine
from aqgeo.sources import s5p, sentinel2, sentinelhub, stac, stac_assets, stations
from aqgeo.sources.sentinelhub_plan import Plan
from pipelines import acquire, columns, rendered
from pipelines.acquire import (
    SCENES,
    SENTINEL_2,
    SENTINEL_2_L1C,
    SENTINEL_5P,
    STATIONS,
)
from pipelines.cluster import Cluster, track
from pipelines.workspace import Build, Workspace, archive_key, file_key

log = logging.getLogger(__name__)
# Sums and means of so many cells take 1.3 GiB in each worker.
MOST_CELLS = 2**25
# Grid of the region that each collection is brought onto; those that are read fastest come first,
# so that what is missing shows early.
GRIDS = {
    STATIONS: "no2_column",
    SENTINEL_5P: "no2_column",
    SENTINEL_2_L1C: "surface_reflectance",
    SENTINEL_2: "surface_reflectance",
}


def ingest(
    work: Workspace,
    region: str,
    period: str,
    *,
    collection: str,
    sources: Sequence[str] = (),
    archive: Path | None = None,
    min_qa: float = s5p.MIN_QA,
    mixed_versions: bool = False,
    fields: Sequence[str] = (),
    cluster: Cluster,
) -> Path:
    """Read a collection's items into a cube or station set and return its folder.

    Args:
        work: the output folder.
        region: name of a region.
        period: items must start in it.
        collection: a key of GRIDS.
        sources: names of sources, the first that serves the collection is read; the region's own
            if empty.
        archive: static STAC catalog, or folder of Sentinel-5P granules, to read instead.
        min_qa: bound that qa_value of Sentinel-5P pixels must exceed, 0 to 1.
        mixed_versions: take Sentinel-5P granules of processor versions that do not match.
        fields: further variables of Sentinel-5P, such as `averaging_kernel_troposphere`; their
            means, with the weights of the column, are kept in `fields.zarr`.
        cluster: where the work runs.
    """
    span = Period.parse(period)
    where = _grid(work, region, collection)
    source = work.source(region, span, collection, sources=sources, archive=archive)
    target = work.stage(region, span, f"ingest-{collection}")
    if source.kind == "sentinelhub":
        bands = SCENES.get(collection, SCENES[SENTINEL_2])
        plan = sentinelhub.plan(source, collection, where, span, bands=bands, min_qa=min_qa)
        return _rendered(work, plan, target, (region, span), cluster)
    items, notes = acquire.find(source, collection, where, span, mixed_versions=mixed_versions)
    bands = acquire.bands(items, collection)
    key = {
        "stage": "ingest",
        "collection": collection,
        "period": str(span),
        "grid": repr(where),
        "min_qa": min_qa if collection == SENTINEL_5P else None,
        "fields": sorted(set(fields)),
        "items": [_content(item) for item in items],
        "bands": bands,
        "files": [file_key(path) for path in _files(source, items, collection, bands)],
        "credit": stac.credit(items),
    }
    with work.build(target, key) as build:
        if build is not None:
            about = _about(source, items)
            build.provenance |= {**about, "stage": target.name, "notes": notes}
            place = (region, where, span)
            items, left_out = acquire.bring(
                work, source, collection, items, place=place, wanted=bands
            )
            build.provenance["notes"] += left_out
            build.provenance["inputs"] = [item.id for item in items]
            if collection in SCENES:
                _reflectance(build, items, bands, where, cluster)
            elif collection == SENTINEL_5P:
                cache = None if acquire.local(source) else work.cache
                task = partial(
                    _granule,
                    where=where,
                    min_qa=min_qa,
                    fields=sorted(set(fields)),
                    tolerant=cache is not None,
                )
                _columns(build, items, (where, span), task, cluster=cluster, cache=cache)
            else:
                _station_set(build, items, where, span)
    return target


def _grid(work: Workspace, region: str, collection: str) -> GeoBox:
    """Return a collection's grid; one that no worker could sum is refused."""
    where = work.region(region).geobox(pick(GRIDS, collection, "collection"))
    rows, cols = where.shape
    if collection == SENTINEL_5P and rows * cols > MOST_CELLS:
        raise GridError(
            f"the NO2 grid of {region!r} has {rows} x {cols} cells, at most {MOST_CELLS} are "
            "summed at once: choose a coarser resolution or smaller regions"
        )
    return where


def _about(source: Source, items: list[pystac.Item]) -> dict[str, Any]:
    """Return what provenance tells of items, whatever they hold."""
    return {
        "source": source.name,
        "archive": archive_key(Path(source.href)) if source.kind == "static" else None,
        "simulated": any(item.properties.get("aqgeo:simulated") for item in items),
        "attribution": stac.credit(items),
        "parameters": {},
    }


def _rendered(
    work: Workspace,
    plan: Plan,
    target: Path,
    place: tuple[str, Period],
    cluster: Cluster,
) -> Path:
    """Build a result from days that Sentinel Hub renders."""
    region, span = place
    key = {"stage": "ingest", "period": str(span), "grid": repr(plan.where), "plan": plan.told()}
    with work.build(target, key) as build:
        if build is not None:
            log.info("Sentinel Hub: about %.1f processing units", plan.units)
            build.provenance |= {
                "stage": target.name,
                "source": plan.source.name,
                "archive": None,
                "simulated": False,
                "attribution": plan.attribution,
                "notes": [],
            }
            folder = work.downloads(plan.source.name, region, span) / plan.collection
            if plan.collection in SCENES:
                rendered.reflectance(build, plan, folder, cluster)
            else:
                rendered.column(build, plan, folder, span)
    return target


def _content(item: pystac.Item) -> dict[str, Any]:
    """Return what an item says, without its links: those tell where it lies."""
    told = item.to_dict(include_self_link=False, transform_hrefs=False)
    return {name: value for name, value in told.items() if name != "links"}


def _files(
    source: Source, items: list[pystac.Item], collection: str, bands: Sequence[str]
) -> list[Path]:
    """Return the local files of a source, after a look at each one's header where that is cheap.

    What a remote file holds, its item tells.
    """
    if not acquire.local(source):
        return []
    keys = [(item, key) for item in items for key in acquire.assets(item, collection, bands)]
    if collection in SCENES:
        return [sentinel2.check_file(item, key) for item, key in track(keys, "Checking files")]
    return [stac.asset_path(item, key) for item, key in keys]


def _reflectance(
    build: Build,
    items: list[pystac.Item],
    bands: Sequence[str],
    where: GeoBox,
    cluster: Cluster,
) -> None:
    days = sentinel2.days(items)
    build.provenance["parameters"] = {"bands": list(bands), "dates": len(days)}
    for number, day in enumerate(days, 1):
        label = f"Sentinel-2 {stac.start(day[0]):%Y-%m-%d}, date {number} of {len(days)}"
        run: Callable[[Any], Any] = partial(cluster.run, label=label)
        try:
            ds = sentinel2.read(day, bands, where)
            cube.append(ds, build.path / "cube.zarr", compute=run)
        except AqgeoError:
            raise
        except Exception:  # what a worker cannot send comes back as a bare Exception
            sentinel2.find_broken(day, bands)
            raise


def _columns(
    build: Build,
    items: list[pystac.Item],
    place: tuple[GeoBox, Period],
    task: Callable[[Path], tuple[binning.Sums | None, Mapping[str, Any]]],
    *,
    cluster: Cluster,
    cache: Path | None,
) -> None:
    """Grid granule after granule; those of the cache that are broken are put aside.

    A user's own broken file stops the run: the user can mend it.
    """
    (where, span), notes = place, build.provenance["notes"]
    used, sums, about = [], None, list[Mapping[str, Any]]()
    paths = [stac.asset_path(item, stac_assets.netcdf_key(item)) for item in items]
    skipped: Counter[str] = Counter()
    for item, path, (orbit, told) in zip(
        items, paths, cluster.map(task, paths, "Sentinel-5P"), strict=True
    ):
        skipped.update(told.get("skipped", {}))
        if orbit is None:
            if cache is not None and "broken" in told:
                quarantine(cache, path, told["why"])
            notes.append(f"{item.id} left out: {told['why']}")
            log.warning("%s", notes[-1])
            continue
        time = np.datetime64(stac.start(item).replace(tzinfo=None), "s")
        cube.append(columns.orbit_cube(orbit, time, where), build.path / "cube.zarr")
        sums = orbit if sums is None else sums + orbit
        about.append(told)
        used.append(item.id)
    if sums is None:
        raise SourceError(
            f"none of {len(items)} Sentinel-5P granules has a usable pixel in the region; "
            f"the last: {notes[-1]}"
        )
    rebuilt = sum(told["rebuilt"] for told in about)
    if rebuilt:
        notes.append(
            f"pixel corners rebuilt from neighbouring centres in {rebuilt} of {len(used)} "
            "granules, since the files carry none"
        )
    parameters = {
        "pixels": about[-1]["rule"],
        "weights": "exact area of pixel in cell",
        "pixels_left_out": [f"{name}: {number}" for name, number in sorted(skipped.items())],
    }
    build.provenance |= {"inputs": used, "parameters": parameters}
    build.provenance["winds_m_s"] = [told["wind"] for told in about]
    cube.write(columns.mean_cube(sums, span.time, where), build.path / "composite.zarr")
    if sums.fields:
        means = columns.field_cube(sums, about[-1]["units"], span.time, where)
        cube.write(means, build.path / "fields.zarr")


def _granule(
    path: Path, *, where: GeoBox, min_qa: float, fields: Sequence[str], tolerant: bool
) -> tuple[binning.Sums | None, Mapping[str, Any]]:
    """Read and grid one granule; without a usable pixel return why.

    A broken file is an error, or told as one where that is tolerated.
    """
    try:
        granule = s5p.read(path, min_qa=min_qa, where=where, fields=fields)
    except SourceError as err:
        if not tolerant:
            raise
        # What is published tells no places of this machine.
        return None, {"why": str(err).replace(str(path), "its file"), "broken": True}
    told = {"rebuilt": granule.rebuilt, "skipped": granule.skipped, "rule": granule.rule}
    if not granule.pixels:
        return None, {**told, "why": "no pixel with a column lies in the region"}
    if not granule.column.size:
        why = f"none of {granule.pixels} pixels has qa_value above {min_qa}"
        return None, {**told, "why": f"{why} (best {granule.best_qa:.2f})"}
    orbit = binning.average(granule.column, granule.lon, granule.lat, where, fields=granule.fields)
    if not orbit.weight.any():
        return None, {**told, "why": "no usable pixel lies in the region"}
    told |= {"skipped": Counter(granule.skipped) + Counter(orbit.skipped)}
    return orbit, {**told, "units": granule.units, "wind": granule.wind}


def _station_set(build: Build, items: list[pystac.Item], where: GeoBox, span: Period) -> None:
    path = stac.asset_path(items[0], "hourly")
    if len(items) > 1:
        raise SourceError(
            f"{len(items)} station tables meet the period, the first two are {items[0].id} and "
            f"{items[1].id}: join them into one"
        )
    found, notes = stations.read(path, span, where)
    build.provenance["notes"] += notes
    build.provenance["parameters"] = {"stations": int(found["station_id"].nunique())}
    found.to_parquet(build.path / "stations.parquet")

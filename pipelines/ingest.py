"""Stage ingest: items of one collection onto the region's grid."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pystac
from odc.geo.geobox import GeoBox

from aqgeo import cube
from aqgeo.catalog import pick
from aqgeo.errors import AqgeoError, SourceError
from aqgeo.gridding import binning
from aqgeo.period import Period
from aqgeo.sources import s5p, sentinel2, stac, stations
from pipelines.cluster import Cluster, track
from pipelines.workspace import Build, Workspace, archive_key, file_key

BANDS = ("B02", "B03", "B04", "B08")
# Grid of the region that each collection is brought onto; those that are read fastest come first,
# so that what is missing shows early.
GRIDS = {
    "stations-no2": "no2_column",
    "sentinel-5p-l2-no2": "no2_column",
    "sentinel-2-l2a": "surface_reflectance",
}


def ingest(
    work: Workspace,
    region: str,
    period: str,
    *,
    collection: str,
    source: str | None = None,
    archive: Path | None = None,
    min_qa: float = s5p.MIN_QA,
    cluster: Cluster,
) -> Path:
    """Read a collection's items into a cube or station set and return its folder.

    Args:
        work: the output folder.
        region: name of a region.
        period: items must start in it.
        collection: a key of GRIDS.
        source: name of a source; the region's own if None.
        archive: static STAC catalog to read instead of a source.
        min_qa: bound that qa_value of Sentinel-5P pixels must exceed, 0 to 1.
        cluster: where the work runs.
    """
    span = Period.parse(period)
    where = work.region(region).geobox(pick(GRIDS, collection, "collection"))
    catalog = work.archive(region, span, source=source, archive=archive)
    items = stac.search(catalog, collection, where, span, overlap=collection == "stations-no2")
    files = _files(items, collection)
    key = {
        "stage": "ingest",
        "collection": collection,
        "period": str(span),
        "grid": repr(where),
        "min_qa": min_qa if collection == "sentinel-5p-l2-no2" else None,
        "items": [_content(item) for item in items],
        "files": [file_key(path) for path in files],
        "credit": stac.credit(items),
    }
    target = work.stage(region, span, f"ingest-{collection}")
    with work.build(target, key) as build:
        if build is not None:
            build.provenance |= {
                "stage": f"ingest-{collection}",
                "archive": archive_key(catalog),
                "simulated": any(item.properties.get("aqgeo:simulated") for item in items),
                "attribution": stac.credit(items),
                "inputs": [item.id for item in items],
                "parameters": {},
                "notes": [],
            }
            if collection == "sentinel-2-l2a":
                _reflectance(build, items, where, cluster)
            elif collection == "sentinel-5p-l2-no2":
                _columns(build, items, where, span, min_qa=min_qa, cluster=cluster)
            else:
                _station_set(build, items, where, span)
    return target


def _content(item: pystac.Item) -> dict[str, Any]:
    """Return what an item says, without its links: those tell where it lies."""
    told = item.to_dict(include_self_link=False, transform_hrefs=False)
    return {name: value for name, value in told.items() if name != "links"}


def _files(items: list[pystac.Item], collection: str) -> list[Path]:
    """Return the files that will be read, after a look at each one's header where that is cheap."""
    if collection == "sentinel-2-l2a":
        return [
            sentinel2.check_file(item, key)
            for item in track(items, "Checking files")
            for key in sentinel2.assets(item, BANDS).values()
        ]
    asset = {"sentinel-5p-l2-no2": "no2", "stations-no2": "hourly"}[collection]
    return [stac.asset_path(item, asset) for item in items]


def _reflectance(build: Build, items: list[pystac.Item], where: GeoBox, cluster: Cluster) -> None:
    days = sentinel2.days(items)
    build.provenance["parameters"] = {"bands": list(BANDS), "dates": len(days)}
    for number, day in enumerate(days, 1):
        label = f"Sentinel-2 {stac.start(day[0]):%Y-%m-%d}, date {number} of {len(days)}"
        run: Callable[[Any], Any] = partial(cluster.run, label=label)
        try:
            ds = sentinel2.read(day, BANDS, where)
            cube.append(ds, build.path / "cube.zarr", compute=run)
        except AqgeoError:
            raise
        except Exception:  # what a worker cannot send comes back as a bare Exception
            sentinel2.find_broken(day, BANDS)
            raise


def _columns(
    build: Build,
    items: list[pystac.Item],
    where: GeoBox,
    span: Period,
    *,
    min_qa: float,
    cluster: Cluster,
) -> None:
    _refuse_twins(items)
    notes, used, rebuilt, sums = build.provenance["notes"], [], 0, None
    task = partial(_granule, where=where, min_qa=min_qa)
    paths = [stac.asset_path(item, "no2") for item in items]
    for item, (orbit, told) in zip(items, cluster.map(task, paths, "Sentinel-5P"), strict=True):
        if orbit is None:
            notes.append(f"{item.id} left out: {told['why']}")
            continue
        time = np.array([stac.start(item).replace(tzinfo=None)], "datetime64[s]")
        cube.append(_orbit_cube(orbit, time, where), build.path / "cube.zarr")
        sums = orbit if sums is None else sums + orbit
        rebuilt += told["rebuilt"]
        used.append(item.id)
    if sums is None:
        raise SourceError(
            f"none of {len(items)} Sentinel-5P granules has a usable pixel in the region with "
            f"qa_value above {min_qa}; the first: {notes[0]}"
        )
    if rebuilt:
        notes.append(
            f"pixel corners rebuilt from neighbouring centres in {rebuilt} of {len(used)} "
            "granules, since the files carry none"
        )
    parameters = {"min_qa": min_qa, "weights": "exact area of pixel in cell"}
    build.provenance |= {"inputs": used, "parameters": parameters}
    cube.write(_mean_cube(sums, span, where), build.path / "composite.zarr")


def _refuse_twins(items: list[pystac.Item]) -> None:
    """Two granules of one orbit would count the same pixels twice."""
    for one, two in pairwise(items):
        if stac.start(one) == stac.start(two):
            raise SourceError(
                f"{one.id} and {two.id} are of the same orbit: keep the newer one in the archive"
            )


def _granule(
    path: Path, *, where: GeoBox, min_qa: float
) -> tuple[binning.Sums | None, Mapping[str, Any]]:
    """Read and grid one granule; without a usable pixel return why."""
    granule = s5p.read(path, min_qa=min_qa)
    if not granule.column.size:
        why = f"none of {granule.pixels} pixels has qa_value above {min_qa}"
        return None, {"why": f"{why} (best {granule.best_qa:.2f})"}
    orbit = binning.average(granule.column, granule.lon, granule.lat, where)
    if not orbit.weight.any():
        return None, {"why": "no usable pixel lies in the region"}
    return orbit, {"rebuilt": granule.rebuilt}


def _orbit_cube(orbit: binning.Sums, time: np.ndarray, where: GeoBox) -> Any:
    column = cube.values(orbit.mean()[None], s5p.UNIT, long_name="tropospheric NO2 column")
    weight = cube.values(orbit.weight[None], "1", long_name="share of the cell that pixels cover")
    return cube.make({"no2_column": column, "weight": weight}, time, where)


def _mean_cube(sums: binning.Sums, span: Period, where: GeoBox) -> Any:
    variables = {
        "no2_column": cube.values(sums.mean()[None], s5p.UNIT, long_name="mean NO2 column"),
        "no2_column_sigma": cube.values(
            sums.standard_error()[None], s5p.UNIT, long_name="standard error of the mean column"
        ),
        "valid_count": cube.values(sums.count[None], "1", long_name="orbits with valid pixels"),
    }
    return cube.make(variables, span.time, where)


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

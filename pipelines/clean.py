"""Stage clean: cloud classes, gaps filled from other dates, cloud-free composite."""

import shutil
from functools import partial
from pathlib import Path

import dask.array as da
import xarray as xr

from aqgeo import cube
from aqgeo.period import Period
from aqgeo.processing import clouds, gaps
from pipelines import masks
from pipelines.acquire import BANDS
from pipelines.cluster import Cluster
from pipelines.workspace import Workspace, read_provenance

_SERIES = "ingest-sentinel-2-l2a"


def clean(
    work: Workspace,
    region: str,
    period: str,
    *,
    method: str = masks.DEFAULT,
    dilation_m: float = 0.0,
    cluster: Cluster,
) -> Path:
    """Write the cloud-free series and its composite, and return their folder.

    Args:
        work: the output folder.
        region: name of a region.
        period: span of the composite.
        method: how clouds are found, a key of `masks.METHODS`.
        dilation_m: clouds and their shadows grow by so many metres.
        cluster: where the work runs.

    Raises:
        CatalogError: the method is unknown.
        ModelError: the weights of the network cannot be used.
        SourceError: the method reads what is not there.
    """
    span = Period.parse(period)
    source = work.stage(region, span, _SERIES)
    told = read_provenance(source)
    mask = masks.choose(work, region, span, method, dilation_m=dilation_m)
    target = work.stage(region, span, "clean")
    key = {"stage": "clean", "input": told["key"], "clouds": mask.key}
    with work.build(target, key) as build:
        if build is not None:
            ds = cube.open(source / "cube.zarr")
            # Series and composite both need the classes: they are found once.
            aside = build.path / "clouds.zarr"
            cube.write(
                masks.find(mask, ds), aside, compute=partial(cluster.run, label="Finding clouds")
            )
            found = cube.open(aside)
            scenes = masks.scenes(mask, found, cluster)
            series, composite = _clean(ds, found, span)
            cube.write(
                series, build.path / "cube.zarr", compute=partial(cluster.run, label="Filling gaps")
            )
            cube.write(
                composite,
                build.path / "composite.zarr",
                compute=partial(cluster.run, label="Compositing"),
            )
            shutil.rmtree(aside)
            build.provenance |= {**told, "stage": "clean", "scenes": scenes}
            build.provenance["inputs"] = [*told["inputs"], *mask.inputs]
            build.provenance["notes"] = [*told["notes"], *masks.notes(scenes)]
            build.provenance["parameters"] |= {
                **mask.told,
                "gaps": "linear in time between clear dates",
                "composite": "median of clear dates",
            }
    return target


def _clean(ds: xr.Dataset, found: xr.Dataset, span: Period) -> tuple[xr.Dataset, xr.Dataset]:
    """Return the series with gaps filled and the composite, both lazy.

    Args:
        ds: the ingested series.
        found: cube of its `cloud_class` and, where known, `cloud_confidence`.
        span: span of the composite.
    """
    # Filling needs all dates of a pixel in one block.
    whole = {"time": -1, "y": cube.CHUNK, "x": cube.CHUNK}
    blocks, sky = ds.chunk(whole), found.chunk(whole)
    bands = [band for band in BANDS if band in blocks]
    days = blocks["time"].values.astype("datetime64[s]").astype("float64") / 86400
    valid = sky["cloud_class"].data == clouds.CLEAR
    for band in bands:
        valid &= da.isfinite(blocks[band].data)
    filled = {
        band: da.map_blocks(gaps.fill, blocks[band].data, valid, days=days, dtype="float32")
        for band in bands
    }
    invented = ~valid & da.isfinite(filled[bands[0]])
    series = {
        band: cube.values(filled[band], "1", long_name=blocks[band].long_name) for band in bands
    }
    series |= {str(name): variable.variable for name, variable in sky.data_vars.items()}
    series |= {
        "valid": cube.mask(valid, long_name="seen clear"),
        "filled": cube.mask(invented, long_name="filled from other dates"),
    }
    count = valid.sum(axis=0, dtype="float32")
    share = da.where(count > 0, invented.mean(axis=0, dtype="float32"), float("nan"))
    once = {
        band: cube.values(
            _composite(blocks[band].data, valid), "1", long_name=blocks[band].long_name
        )
        for band in bands
    }
    once |= {
        "valid_count": cube.values(count[None], "1", long_name="clear dates"),
        "filled_share": cube.values(share[None], "1", long_name="share of dates filled"),
        **masks.once(sky),
    }
    where = cube.geobox(ds)
    return cube.make(series, ds["time"].values, where), cube.make(once, span.time, where)


def _composite(values: da.Array, valid: da.Array) -> da.Array:
    return da.map_blocks(gaps.composite, values, valid, dtype="float32", drop_axis=0)[None]

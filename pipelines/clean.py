"""Stage clean: cloud classes, gaps filled from other dates, cloud-free composite."""

from functools import partial
from pathlib import Path

import dask.array as da
import xarray as xr

from aqgeo import cube
from aqgeo.period import Period
from aqgeo.processing import clouds, gaps
from pipelines.cluster import Cluster
from pipelines.workspace import Workspace, read_provenance


def clean(work: Workspace, region: str, period: str, *, cluster: Cluster) -> Path:
    """Write the cloud-free series and its composite, and return their folder.

    Args:
        work: the output folder.
        region: name of a region.
        period: span of the composite.
        cluster: where the work runs.
    """
    span = Period.parse(period)
    source = work.stage(region, span, "ingest-sentinel-2-l2a")
    told = read_provenance(source)
    target = work.stage(region, span, "clean")
    with work.build(target, {"stage": "clean", "input": told["key"]}) as build:
        if build is not None:
            series, composite = _clean(cube.open(source / "cube.zarr"), span)
            cube.write(
                series, build.path / "cube.zarr", compute=partial(cluster.run, label="Filling gaps")
            )
            cube.write(
                composite,
                build.path / "composite.zarr",
                compute=partial(cluster.run, label="Compositing"),
            )
            build.provenance |= {**told, "stage": "clean"}
            build.provenance["parameters"] |= {
                "clouds": "Sen2Cor scene classification",
                "gaps": "linear in time between clear dates",
                "composite": "median of clear dates",
            }
    return target


def _clean(ds: xr.Dataset, span: Period) -> tuple[xr.Dataset, xr.Dataset]:
    """Return the series with gaps filled and the composite, both lazy."""
    # Filling needs all dates of a pixel in one block.
    blocks = ds.chunk({"time": -1, "y": cube.CHUNK, "x": cube.CHUNK})
    bands = [str(name) for name in blocks.data_vars if blocks[name].dtype == "float32"]
    days = blocks["time"].values.astype("datetime64[s]").astype("float64") / 86400
    cloud = blocks["SCL"].data.map_blocks(clouds.from_scl, dtype="uint8")
    valid = cloud == clouds.CLEAR
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
    series |= {
        "cloud_class": cube.classes(cloud, clouds.CLASSES, long_name="cloud class, CloudSEN12"),
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
    }
    where = cube.geobox(ds)
    return cube.make(series, ds["time"].values, where), cube.make(once, span.time, where)


def _composite(values: da.Array, valid: da.Array) -> da.Array:
    return da.map_blocks(gaps.composite, values, valid, dtype="float32", drop_axis=0)[None]

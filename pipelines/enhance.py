"""Stage enhance: the NO2 column on a finer grid."""

from functools import partial
from pathlib import Path

import dask.array as da
from dask.array import overlap

from aqgeo import cube, grid
from aqgeo.period import Period
from aqgeo.processing import superres
from aqgeo.sources import s5p
from pipelines.cluster import Cluster
from pipelines.workspace import Workspace, read_provenance

# Fine pixels along one side of a coarse cell; the catalog's products say the same as `refine`.
FACTOR = 4


def enhance(work: Workspace, region: str, period: str, *, cluster: Cluster) -> Path:
    """Write the period's mean NO2 column on the finer grid and return its folder.

    Args:
        work: the output folder.
        region: name of a region.
        period: span of the mean.
        cluster: where the work runs.
    """
    span = Period.parse(period)
    source = work.stage(region, span, "ingest-sentinel-5p-l2-no2")
    told = read_provenance(source)
    target = work.stage(region, span, "enhance")
    with work.build(target, {"stage": "enhance", "input": told["key"], "factor": FACTOR}) as build:
        if build is not None:
            coarse = cube.open(source / "composite.zarr")
            fine = _refine(coarse["no2_column"].data[0])
            variables = {"no2_column": cube.values(fine[None], s5p.UNIT, long_name="NO2 column")}
            ds = cube.make(variables, span.time, grid.refine(cube.geobox(coarse), FACTOR))
            cube.write(
                ds,
                build.path / "composite.zarr",
                compute=partial(cluster.run, label="Refining the column"),
            )
            build.provenance |= {**told, "stage": "enhance"}
            build.provenance["parameters"] |= {
                "refine": FACTOR,
                "interpolation": "linear, mean of every coarse cell kept",
            }
    return target


def _refine(coarse: da.Array) -> da.Array:
    """Refine chunk by chunk, each with a rim wide enough that chunks cannot be told apart."""
    rim = {axis: superres.REACH for axis in range(2)}
    wide = overlap.overlap(coarse, depth=rim, boundary="none")
    chunks = tuple(tuple(size * FACTOR for size in sizes) for sizes in wide.chunks)
    fine = wide.map_blocks(superres.refine, factor=FACTOR, chunks=chunks, dtype="float64")
    fine_rim = {axis: superres.REACH * FACTOR for axis in range(2)}
    return overlap.trim_internal(fine, fine_rim, boundary="none")

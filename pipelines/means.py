"""Stage means: NO2 columns by day, week, month or season."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import numpy as np
import xarray as xr

from aqgeo import cube
from aqgeo.errors import PeriodError
from aqgeo.gridding import temporal
from aqgeo.gridding.binning import Sums
from aqgeo.period import Period
from pipelines import columns
from pipelines.cluster import track
from pipelines.workspace import Workspace, read_provenance

SOURCE = "ingest-sentinel-5p-l2-no2"


def means(work: Workspace, region: str, period: str, *, every: str) -> Path:
    """Write one time step for each day, week, month or season with an orbit; return the folder.

    The cube holds `no2_column`, `no2_column_sigma` and `valid_count`. Every orbit weighs by the
    area that it has seen of a cell. A bin that the period cuts holds the orbits inside the period.

    Args:
        work: the output folder; the ingest of Sentinel-5P must lie in it.
        region: name of a region.
        period: span of the ingest.
        every: day, week (from Monday), month or season (December to February, ...).

    Raises:
        PeriodError: `every` is none of these.
        WorkspaceError: the ingest is missing.
    """
    length = next((known for known in get_args(temporal.Every) if known == every), None)
    if length is None:
        known = ", ".join(get_args(temporal.Every))
        raise PeriodError(f"--every {every!r} is no length of time: choose {known}")
    span = Period.parse(period)
    source = work.stage(region, span, SOURCE)
    told = read_provenance(source)
    target = work.stage(region, span, f"means-{every}")
    with work.build(target, {"stage": "means", "input": told["key"], "every": every}) as build:
        if build is not None:
            series = cube.open(source / "cube.zarr")
            bins = temporal.merge(_orbits(series), length)
            for bin_, sums in bins.items():
                mean = columns.mean_cube(sums, bin_.time, cube.geobox(series))
                cube.append(mean, build.path / "cube.zarr")
            cut = [str(bin_) for bin_ in bins if bin_.start < span.start or bin_.end > span.end]
            notes = [f"{name} is cut by the period {span}" for name in cut]
            build.provenance |= {
                **{name: told[name] for name in ("simulated", "attribution", "inputs", "source")},
                "stage": target.name,
                "notes": [*told["notes"], *notes],
                "parameters": {**told["parameters"], "every": every},
            }
    return target


def _orbits(series: xr.Dataset) -> Iterator[tuple[datetime, Sums]]:
    """Yield the sums of each orbit, one in memory at a time."""
    for number in track(range(series.sizes["time"]), "Orbits", total=series.sizes["time"]):
        one = series.isel(time=number).compute()
        weight = one["weight"].to_numpy().astype("float64")
        column = one["no2_column"].to_numpy().astype("float64")
        seen = weight > 0
        total = np.where(seen, column * weight, 0.0)
        instant = one["time"].to_numpy().astype("datetime64[s]").item().replace(tzinfo=UTC)
        once = seen.astype("uint8")
        yield instant, Sums(weight=weight, total=total, count=once, pixels=once)

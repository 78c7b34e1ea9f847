"""Stage simulate: a region's archive with known truth, in the file formats of the real ones."""

import logging
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError

from aqgeo.errors import WorkspaceError
from aqgeo.period import Period
from aqgeo.simulation import archive
from pipelines.workspace import Workspace

log = logging.getLogger(__name__)


def simulate(
    work: Workspace, region: str, period: str, *, seed: int = 0, days: int | None = None
) -> Path:
    """Write the simulated archive of a region and return its catalog.

    Args:
        work: the output folder.
        region: name of a region.
        period: span of the archive.
        seed: seed of the world; the same seed gives the same bytes.
        days: days of Sentinel-5P and station data; all days of the period if None.
    """
    span = Period.parse(period)
    place = work.region(region)
    target = work.simulated_archive(region, span)
    grids = {name: repr(place.geobox(name)) for name in sorted(place.grids)}
    key = {"stage": "simulate", "period": str(span), "grids": grids, "seed": seed, "days": days}
    with work.build(target, key) as build:
        if build is not None:
            folder = build.path / "archive"
            folder.mkdir()
            try:
                summary = archive.write_archive(
                    place, span, folder, seed=seed, days=days, progress=log.info
                )
            except (RasterioError, rasterio._err.CPLE_BaseError, RuntimeError) as err:
                # GDAL and netCDF tell a full disk in words of their own.
                raise WorkspaceError(
                    f"{target} cannot be written: {err}: check the free space and the rights of "
                    "its folder, or choose another --out"
                ) from err
            build.provenance |= {"stage": "simulate", "simulated": True, **summary}
    return target / "archive" / "catalog.json"

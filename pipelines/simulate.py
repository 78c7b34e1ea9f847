"""Stage simulate: a region's archive with known truth, in the file formats of the real ones."""

import logging
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import rasterio
from rasterio.errors import RasterioError

from aqgeo.errors import WorkspaceError
from aqgeo.period import Period
from aqgeo.simulation import archive
from aqgeo.simulation.plan import Settings
from pipelines.cluster import track
from pipelines.workspace import Workspace, read_provenance

log = logging.getLogger(__name__)


def simulate(work: Workspace, region: str, period: str, *, workers: int = 2, **chosen: Any) -> Path:
    """Write the simulated archive of a region with its truth, and return its catalog.

    Args:
        work: the output folder.
        region: name of a region.
        period: span of the archive.
        workers: threads that draw the scenes; the bytes are the same for any number.
        chosen: fields of `Settings`. One that is None or left out is that of the archive which
            lies there already, so that a map never throws away the world it was asked for.
    """
    span = Period.parse(period)
    place = work.region(region)
    target = work.simulated_archive(region, span)
    settings = _settings(target, chosen)
    grids = {name: repr(place.geobox(name)) for name in sorted(place.grids)}
    key = {"stage": "simulate", "period": str(span), "grids": grids, "settings": asdict(settings)}
    with work.build(target, key) as build:
        if build is not None:
            try:
                summary = archive.write_archive(
                    place, span, build.path, settings, workers=workers, track=track
                )
            except (RasterioError, rasterio._err.CPLE_BaseError, RuntimeError) as err:
                # GDAL and netCDF tell a full disk in words of their own.
                raise WorkspaceError(
                    f"{target} cannot be written: {err}: check the free space and the rights of "
                    "its folder, or choose another --out"
                ) from err
            build.provenance |= {"stage": "simulate", "simulated": True, **summary}
            build.provenance |= {"settings": asdict(settings)}
    return target / "archive" / "catalog.json"


def _settings(target: Path, chosen: dict[str, Any]) -> Settings:
    """Return the settings chosen, the others as in the archive that lies there, or the defaults."""
    try:
        known = read_provenance(target).get("settings", {})
    except WorkspaceError:
        known = {}
    names = {field.name for field in fields(Settings)}
    kept = {name: value for name, value in known.items() if name in names}
    kept |= {name: value for name, value in chosen.items() if value is not None}
    if "levels" in kept:
        kept["levels"] = tuple(kept["levels"])
    return Settings(**kept)

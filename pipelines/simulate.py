"""Stage simulate: a region's archive with known truth, in the file formats of the real ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import rasterio
from rasterio.errors import RasterioError

from aqgeo.errors import PeriodError, WorkspaceError
from aqgeo.period import Period
from aqgeo.simulation import archive
from aqgeo.simulation.plan import Settings
from pipelines.cluster import track
from pipelines.workspace import Workspace, read_provenance


def simulate(work: Workspace, region: str, period: str, *, workers: int = 2, **chosen: Any) -> Path:
    """Write the simulated archive of a region with its truth, and return its catalog.

    Args:
        work: the output folder.
        region: name of a region.
        period: span of the archive.
        workers: processes or threads that draw the scenes; the bytes are the same for any number.
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
            with _told_in_our_words(target):
                summary = archive.write_archive(
                    place, span, build.path, settings, workers=workers, track=track
                )
            build.provenance |= {"stage": "simulate", "simulated": True, **summary}
            build.provenance |= {"settings": asdict(settings)}
    return target / "archive" / "catalog.json"


def simulate_orbits(work: Workspace, day: str, *, seed: int = 0, workers: int = 2) -> Path:
    """Write all Sentinel-5P orbits of a day over a simple globe, and return their catalog.

    Args:
        work: the output folder.
        day: day in UTC, as a period.
        seed: seed of the globe.
        workers: processes, 1.7 GB each; the bytes are the same for any number.

    Raises:
        PeriodError: the period is not one day.
    """
    span = Period.parse(day)
    if span.end - span.start != timedelta(days=1):
        raise PeriodError(f"period {day!r} is not one day: write one as 2024-06-15")
    target = work.orbits(span)
    with work.build(target, {"stage": "simulate-orbits", "day": str(span), "seed": seed}) as build:
        if build is not None:
            with _told_in_our_words(target):
                summary = archive.write_orbits(
                    span.start.date(), build.path, seed=seed, workers=workers, track=track
                )
            build.provenance |= {"stage": "simulate-orbits", "simulated": True, **summary}
    return target / "archive" / "catalog.json"


@contextmanager
def _told_in_our_words(target: Path) -> Iterator[None]:
    """GDAL and netCDF tell a full disk in words of their own."""
    try:
        yield
    except (RasterioError, rasterio._err.CPLE_BaseError, RuntimeError) as err:
        raise WorkspaceError(
            f"{target} cannot be written: {err}: check the free space and the rights of its "
            "folder, or choose another --out"
        ) from err


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

"""A simulated archive: every file that the sources would deliver, over a world with known truth."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyproj
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo import grid as grids
from aqgeo.catalog import Region
from aqgeo.period import Period
from aqgeo.simulation import (
    air, clouds, emission, land, noise, plan, records, sentinel2, settlements, stations, sun,
    swath, terrain, tropomi,
)  # fmt: skip
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.plan import Settings
from aqgeo.simulation.sentinel2 import Scene
from aqgeo.simulation.stations import Station
from aqgeo.simulation.swath import Swath
from aqgeo.simulation.truth import Truth
from aqgeo.simulation.tropomi import Footprints
from aqgeo.simulation.weather import Weather
from aqgeo.simulation.world import World

T = TypeVar("T")
Track = Callable[[Iterable[T], str, int], Iterable[T]]
DATA = {"l1c": "data/sentinel2_l1c", "l2a": "data/sentinel2_l2a"}
GRANULES_DATA, STATIONS_DATA = "data/sentinel5p", "data/stations"
_MISSING = 1 / 12  # share of granules that are lost; illustrative
_SKY_M = 640  # pixels of the sky under a Sentinel-5P footprint
# Albedo of ground and sea in the NO2 window at 440 nm, of snow (simulation-facts, 4; recalled).
_ALBEDO, _SEA_ALBEDO, _SNOW_ALBEDO = 0.05, 0.04, 0.6


def write_archive(
    region: Region,
    period: Period,
    folder: Path,
    settings: Settings,
    *,
    workers: int = 1,
    track: Track[Any] = lambda items, label, count: items,
) -> dict[str, Any]:
    """Write `archive` (a static STAC catalog with its files) and `truth` into an empty folder.

    The same region, period and settings give the same bytes with any number of workers.

    Args:
        region: needs the grids `surface_reflectance` and `no2_column`, the first in metres.
        period: when the archive's data were taken.
        folder: exists and is empty; the caller makes its appearance atomic.
        settings: what to simulate.
        workers: threads that draw the scenes.
        track: passes items on with a label and their number, to show progress.

    Returns:
        Counts of what was written, and `bbox` in degrees.

    Raises:
        GridError: the region is too large, too near a pole, or its grid is not in metres.
        PeriodError: the sun is too low for Sentinel-2.
        CatalogError: the region lacks a grid.
    """
    period = settings.shorten(period)
    world = plan.world(region, settings)
    weather = Weather(settings.seed, *world.lonlat, world.preset)
    scenes = plan.scenes(period, settings, weather)
    archive, known = folder / "archive", folder / "truth"
    for name in (*(DATA[level] for level in settings.levels), GRANULES_DATA, STATIONS_DATA):
        (archive / name).mkdir(parents=True)
    (known / "labels").mkdir(parents=True)
    truth = Truth(known / "truth.zarr", world)
    items: list[records.Record] = []
    for scene in track(scenes, "Sentinel-2", len(scenes)):
        items += _write_scene(world, weather, scene, folder, truth, settings, workers)
    survey = _Survey(world, weather, period, settings, truth, scenes, archive / GRANULES_DATA)
    hours = round((period.end - period.start) / timedelta(hours=1))
    for _ in track(survey.run(), "Air, Sentinel-5P and stations", hours):
        pass
    items += survey.granules
    table = survey.stations()
    name = f"stations_no2_{period.slug}"
    stations.write(table, archive / STATIONS_DATA / f"{name}.csv")
    stations.write(survey.stations_truth(), known / "stations.csv")
    spots = table.drop_duplicates("location_id")[["lon", "lat"]].to_numpy().tolist()
    span = survey.starts[0], survey.starts[-1] + timedelta(hours=1)
    items.append(
        records.stations_item([(x, y) for x, y in spots], span, name, f"{STATIONS_DATA}/{name}.csv")
    )
    records.write(archive, items, settings)
    return {
        "scenes": len(scenes),
        "granules": len(survey.granules),
        "stations": len(spots),
        "measurements": len(table),
        "bbox": list(grids.lonlat_bbox(world.grid)),
    }

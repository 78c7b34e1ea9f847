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


def _write_scene(
    world: World,
    weather: Weather,
    scene: Scene,
    folder: Path,
    *,
    truth: Truth,
    settings: Settings,
    workers: int,
) -> list[records.Record]:
    """Write one date of Sentinel-2, tile by tile, and its truth."""
    rows, cols = (n * world.pixel_m // SCENE_PIXEL_M for n in world.grid.shape)
    ground = np.empty((len(sentinel2.BANDS_L2A), rows, cols), "float32")
    classes = np.empty((rows, cols), "uint8")
    folders = {level: folder / "archive" / DATA[level] for level in settings.levels}
    found = []
    for number, tile in enumerate(plan.tiles(world.grid)):
        part = replace(world, grid=tile)
        stem = f"{scene.platform}_{records.tile(*part.lonlat)}_{scene.day:%Y%m%d}_{number}"
        written = sentinel2.write(
            part,
            scene,
            stem,
            folders,
            labels=folder / "truth" / "labels",
            look=partial(land.draw, part),
            weather=weather,
            smoke=_smoke(part),
            workers=workers,
        )
        here = _window(tile, world.grid)
        ground[:, *here], classes[here] = written.ground, written.classes
        for level in settings.levels:
            name = f"{stem}_{level.upper()}"
            found.append(records.scene_item(part, scene, level, name, DATA[level], written))
    truth.add_scene(scene.when(world), ground, classes)
    return found


def _smoke(world: World) -> list[tuple[float, float, float]]:
    """Return easting, northing and strength of what smokes in or near a domain."""
    bounds = settlements.bounds_of(world.grid.pad(20_000 // world.pixel_m))
    plants = settlements.plants(world.seed, world.preset, bounds)
    fires = settlements.fires(world.seed, world.preset, bounds)
    return [(p.x, p.y, p.nox_kg_s / 0.1) for p in plants if p.fuel == "coal"] + fires


def _window(tile: GeoBox, grid: GeoBox) -> tuple[slice, slice]:
    """Return rows and columns of a tile in a grid, on pixels of 60 m."""
    size = SCENE_PIXEL_M
    row, col = (
        round(v / size)
        for v in (grid.affine.f - tile.affine.f, tile.affine.c - grid.affine.c)
    )  # fmt: skip
    rows, cols = (round(n * tile.affine.a / size) for n in tile.shape)
    return slice(row, row + rows), slice(col, col + cols)


class _Survey:
    """One pass through the hours of a period: granules, station values and truth."""

    def __init__(
        self, world: World, weather: Weather, period: Period, settings: Settings, truth: Truth,
        covers: Mapping[date, float], folder: Path,
    ) -> None:  # fmt: skip
        self._world, self._weather, self._period = world, weather, period
        self._settings, self._truth, self._folder = settings, truth, folder
        self._covers = covers
        self._inventory = emission.inventory(world)
        self._street = self._inventory.traffic * np.float32(stations.STREET_INTEGRAL)
        self._network = stations.place(world, partial(land.draw, world))
        self._at_stations: list[FloatArray] = []
        self.starts: list[datetime] = []
        self.granules: list[records.Record] = []

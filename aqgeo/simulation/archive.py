"""A simulated archive: every file that the sources would deliver, over a world with known truth."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo import grid as grids
from aqgeo.catalog import Region
from aqgeo.period import Period
from aqgeo.simulation import (
    column_chips,
    emission,
    geotiff,
    globe,
    land,
    plan,
    processes,
    records,
    sentinel2,
    stations,
    swath,
)
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.plan import Settings
from aqgeo.simulation.sentinel2 import Look, Scene
from aqgeo.simulation.spectra import BANDS_L2A
from aqgeo.simulation.survey import Survey
from aqgeo.simulation.truth import SCENE_PIXEL_M, Truth, inner
from aqgeo.simulation.weather import Weather
from aqgeo.simulation.world import World

_REMEMBERED = 12_000_000  # pixels of a domain whose land, 21 bytes a pixel, is kept in memory

Track = Callable[[Iterable[Any], str, int], Iterable[Any]]
DATA = {"l1c": "data/sentinel2_l1c", "l2a": "data/sentinel2"}
GRANULES, STATIONS = "data/sentinel5p", "data/stations"
COVARIATES = "covariates"
_NO_DATA = -9999


def _plain(items: Iterable[Any], label: str, count: int) -> Iterable[Any]:
    return items


def write_archive(
    region: Region,
    period: Period,
    folder: Path,
    settings: Settings,
    *,
    workers: int = 1,
    track: Track = _plain,
) -> dict[str, Any]:
    """Write `archive` (a static STAC catalog with its files) and `truth` into an empty folder.

    The same region, period and settings give the same bytes with any number of workers.

    Args:
        region: needs the grids `surface_reflectance` and `no2_column`, the first in metres.
        period: when the archive's data were taken.
        folder: exists and is empty; the caller makes its appearance atomic.
        settings: what to simulate.
        workers: processes that draw the scenes, or threads where a scene is large.
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
    weather = plan.weather(world, period, settings)
    scenes = plan.scenes(period, settings, weather)
    archive, known = folder / "archive", folder / "truth"
    for name in (*(DATA[level] for level in settings.levels), GRANULES, STATIONS, COVARIATES):
        (archive / name).mkdir(parents=True)
    (known / "labels").mkdir(parents=True)
    truth = Truth(known / "truth.zarr", world)
    network = stations.place(world, partial(land.draw, world))
    survey = Survey(world, weather, period, network)
    hours = -(-(period.end - period.start) // timedelta(hours=1))
    passing = survey.run(truth, archive / GRANULES, settings.granules)
    with _drawing(world, workers) as (pool, threads):  # scenes are drawn while the air is run
        written = [
            pool.submit(_write_scene, world, weather, scene, folder, settings.levels, threads)
            for scene in scenes
        ]
        try:
            for _ in track(passing, "Air, Sentinel-5P and stations", hours):
                pass
            items = []
            for drawn in track(written, "Sentinel-2", len(scenes)):
                found, *known_of_it = drawn.result()
                truth.add_scene(*known_of_it)
                items += found
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    truth.close()
    items += [*survey.granules, _write_stations(world, survey, period, folder)]
    _write_covariates(world, archive / COVARIATES)
    about = f"Preset {settings.preset}, seed {settings.seed}"
    records.write(archive, items, about)
    return {
        "scenes": len(scenes),
        "granules": len(survey.granules),
        "stations": len(network),
        "bbox": list(grids.lonlat_bbox(world.grid)),
    }


def write_orbits(
    day: date, folder: Path, *, seed: int = 0, workers: int = 2, track: Track = _plain
) -> dict[str, Any]:
    """Write all Sentinel-5P orbits of a day over a simple globe as an archive.

    Args:
        day: day in UTC.
        folder: exists and is empty.
        seed: seed of the globe.
        workers: processes.
        track: passes items on with a label and their number, to show progress.

    Returns:
        Counts of what was written.
    """
    archive = folder / "archive"
    (archive / GRANULES).mkdir(parents=True)
    orbits = swath.orbits_of(day)
    paths = globe.write_day(day, archive / GRANULES, seed=seed, workers=workers)
    shown = track(zip(orbits, paths, strict=True), "Sentinel-5P orbits", len(orbits))
    items = [records.granule_item(n, f"{GRANULES}/{path.name}") for n, path in shown]
    records.write(archive, items, f"A simple globe, seed {seed}")
    return {"granules": len(items)}


def _write_covariates(world: World, folder: Path) -> None:
    """Write what is known of the ground, on the air's pixels: GeoTIFFs named by what they show."""
    part, where = inner(world)
    known = emission.inventory(world)
    fields = {
        "roads": known.traffic * np.float32(1000),  # m per day and m2 to km per day and km2
        "population": emission.population(world),
        **column_chips.sources(world, world.air_grid),
    }
    for name, values in fields.items():
        if values[part].any():  # what is nowhere needs no file
            geotiff.write(folder / f"{name}.tif", values[part], where, nodata=_NO_DATA)


def _write_stations(world: World, survey: Survey, period: Period, folder: Path) -> records.Record:
    """Write what stations report and what is true there."""
    truth = np.stack(survey.at_stations)
    table = stations.measure(world, survey.weather, survey.network, survey.starts, truth)
    name = f"stations_no2_{period.slug}"
    stations.write(table, folder / "archive" / STATIONS / f"{name}.csv")
    known = stations.truth_table(world, survey.network, truth)
    stations.write(known, folder / "truth" / "stations.csv")
    spots = [(float(lon), float(lat)) for lon, lat in known[["lon", "lat"]].to_numpy()]
    span = survey.starts[0], survey.starts[-1] + timedelta(hours=1)
    return records.stations_item(spots, span, name, f"{STATIONS}/{name}.csv")


@contextmanager
def _drawing(world: World, workers: int) -> Iterator[tuple[Executor, int]]:
    """Yield what draws scenes and the threads of each drawing.

    Dates of a small domain are drawn side by side, each by a process of its own; a large domain has
    room in memory for one date at a time, drawn by threads.
    """
    small = _is_small(world)
    with processes.pool(workers if small else 1) as pool:
        yield pool, 1 if small else workers


def _is_small(world: World) -> bool:
    rows, cols = world.grid.shape
    return rows * cols <= _REMEMBERED


@lru_cache(maxsize=1)
def _look(world: World) -> Look:
    """Return what gives the land of a window; of a small domain it is drawn once for all dates."""
    draw = partial(land.draw, world)
    return cache(draw) if _is_small(world) else draw


def _write_scene(
    world: World,
    weather: Weather,
    scene: Scene,
    folder: Path,
    levels: Sequence[str],
    workers: int,
) -> tuple[list[records.Record], datetime, FloatArray, NDArray[np.uint8]]:
    """Write one date of Sentinel-2, tile by tile; return its items and what is true in it."""
    rows, cols = (n * world.pixel_m // SCENE_PIXEL_M for n in world.grid.shape)
    ground = np.empty((len(BANDS_L2A), rows, cols), "float32")
    classes = np.empty((rows, cols), "uint8")
    found = []
    for number, tile in enumerate(plan.tiles(world.grid)):
        part = replace(world, grid=tile)
        name = f"{scene.platform}_{records.tile(*part.lonlat)}_{scene.day:%Y%m%d}_{number}"
        stems = {
            level: folder / "archive" / DATA[level] / f"{name}_{level.upper()}" for level in levels
        }
        written = sentinel2.write(
            part,
            scene,
            {**stems, "labels": folder / "truth" / "labels" / name},
            look=_look(world),
            weather=weather,
            smoke=sentinel2.smoking(part),
            workers=workers,
        )
        here = _window(tile, world.grid)
        ground[:, *here], classes[here] = written.truth, written.classes
        for level, stem in stems.items():
            found.append(records.scene_item(part, scene, level, stem.name, DATA[level], written))
    return found, scene.when(world), ground, classes


def _window(tile: GeoBox, grid: GeoBox) -> tuple[slice, slice]:
    """Return rows and columns of a tile in a grid, on pixels of 60 m."""
    size = SCENE_PIXEL_M
    row, col = (
        round(v / size)
        for v in (grid.affine.f - tile.affine.f, tile.affine.c - grid.affine.c)
    )  # fmt: skip
    rows, cols = (round(n * tile.affine.a / size) for n in tile.shape)
    return slice(row, row + rows), slice(col, col + cols)

"""A simulated archive: every file that the sources would deliver, over a world with known truth."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo import cube
from aqgeo import grid as grids
from aqgeo.catalog import Region
from aqgeo.errors import GridError
from aqgeo.period import Period
from aqgeo.simulation import air, noise, records, sentinel2, stations, swath, tropomi, world
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.sentinel2 import Scene
from aqgeo.simulation.stations import Station
from aqgeo.simulation.weather import Weather
from aqgeo.simulation.world import PIXEL_M, World

REFINE = 4
"""Pixels of the truth along one side of a pixel of the region's `no2_column` grid."""
MAX_SIDE_M = 150_000
_SNAP_M = 60  # 20 m and 60 m pixels of Sentinel-2 share their edges on multiples of 60 m
# Two clear scenes, two partly cloudy ones, one nearly overcast.
_COVERS = (0.03, 0.35, 0.06, 0.5, 0.9)
_SCENES_DATA, _GRANULES_DATA, _STATIONS_DATA = (
    "data/sentinel2", "data/sentinel5p", "data/stations",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass through the hours of a period yields."""

    columns: dict[date, FloatArray]
    """(y, x) column at the Sentinel-5P overpass of each day, mol m-2, on the air grid."""
    starts: list[datetime]
    """Begins of the hours, UTC."""
    at_stations: FloatArray
    """(hour, station) concentration, ug m-3."""
    concentration: FloatArray
    """(y, x) mean of all hours, the roads' increment included, ug m-3, on the air grid."""


def write_archive(
    region: Region,
    period: Period,
    folder: Path,
    *,
    seed: int = 0,
    days: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Write a static STAC catalog, scenes, granules and a station table below an empty folder.

    The same region, period, days and seed give the same bytes.

    Args:
        region: needs the grids `surface_reflectance` and `no2_column`, the first in metres.
        period: when the archive's data were taken.
        folder: exists and is empty; the caller makes its appearance atomic.
        seed: of the world and of all that happens in it, 0 or more.
        days: only so many days from the begin of the period.
        progress: is told each group of files once it is written.

    Returns:
        Counts of what was written, `bbox` in degrees and the seed.

    Raises:
        GridError: the region is too large, or its grid is not in metres.
        CatalogError: the region lacks a grid.
    """
    tell = progress or (lambda text: None)
    period = _shorten(period, days)
    place = world.build(domain(region), seed)
    weather = Weather(seed, *place.lonlat)
    scenes = plan(period, seed)
    for name in (_SCENES_DATA, _GRANULES_DATA, _STATIONS_DATA):
        (folder / name).mkdir(parents=True)
    with ThreadPoolExecutor(2) as pool:  # GDAL and numpy leave Python's lock; order is kept
        written = pool.map(lambda scene: _write_scene(place, scene, folder), scenes)
        network = stations.place(place)
        survey = _survey(place, weather, period, network)
        granules = _write_granules(place, weather, scenes, survey, folder)
        tell(f"{len(granules)} Sentinel-5P granules")
        table, rows = _write_stations(place, network, survey, period, folder)
        tell(f"{len(network)} stations")
        items = [*written, *granules, table]
    tell(f"{len(scenes)} Sentinel-2 scenes")
    records.write(folder, items, seed)
    return {
        "scenes": len(scenes),
        "granules": len(granules),
        "stations": len(network),
        "measurements": rows,
        "bbox": list(grids.lonlat_bbox(place.grid)),
        "seed": seed,
    }


def truth(region: Region, period: Period, *, seed: int = 0, days: int | None = None) -> xr.Dataset:
    """Return what a perfect map of the period would show; no reader of an archive sees it.

    Returns:
        Cube of one time, on the `no2_column` grid with pixels cut into 4 x 4. `no2_column` in
        mol m-2 is the mean over all days, cloudy or not, at the Sentinel-5P overpass;
        `no2_concentration` in ug m-3 the mean of all hours, the increment beside roads included.
    """
    period = _shorten(period, days)
    place = world.build(domain(region), seed)
    survey = _survey(place, Weather(seed, *place.lonlat), period, [])
    grid = grids.refine(region.geobox("no2_column"), REFINE)
    corners = _pixel_corners(grid, place.grid)
    column = np.mean(list(survey.columns.values()), axis=0, dtype="float64").astype("float32")
    variables = {
        "no2_column": (column, "mol m-2"),
        "no2_concentration": (survey.concentration, "ug m-3"),
    }
    return cube.make(
        {
            name: cube.values(air.area_mean(field, place.air_grid, corners)[None], units)
            for name, (field, units) in variables.items()
        },
        period.time,
        grid,
    )


def domain(region: Region) -> GeoBox:
    """Return the 20 m grid that covers both of the region's grids.

    Raises:
        GridError: it would be larger than 150 km, or the CRS is not in metres.
    """
    scene = region.geobox("surface_reflectance")
    crs = scene.crs
    if crs is None or crs.units[0] != "metre":
        raise GridError(f"{crs} is not in metres: a simulated region needs a UTM zone's EPSG code")
    boxes = [g.extent.to_crs(crs).boundingbox for g in (scene, region.geobox("no2_column"))]
    left, bottom = (min(getattr(b, s) for b in boxes) // _SNAP_M for s in ("left", "bottom"))
    right, top = (-(-max(getattr(b, s) for b in boxes) // _SNAP_M) for s in ("right", "top"))
    left, bottom, right, top = (int(v) * _SNAP_M for v in (left, bottom, right, top))
    if max(right - left, top - bottom) > MAX_SIDE_M:
        raise GridError(
            f"region {region.name!r} spans {right - left} m x {top - bottom} m: at most "
            f"{MAX_SIDE_M} m can be simulated, choose a smaller region"
        )
    shape = (top - bottom) // PIXEL_M, (right - left) // PIXEL_M
    return GeoBox(shape, Affine(PIXEL_M, 0, left, 0, -PIXEL_M, top), crs)


def plan(period: Period, seed: int) -> list[Scene]:
    """Return up to five Sentinel-2 scenes spread over the period, about six days apart."""
    dates = _dates(period)
    count = min(len(_COVERS), len(dates))
    order = noise.stream(seed, "scene covers").permutation(count)
    spread = [dates[(2 * i + 1) * len(dates) // (2 * count)] for i in range(count)]
    return [Scene(day, ("S2A", "S2B")[i % 2], _COVERS[order[i]]) for i, day in enumerate(spread)]


def _survey(place: World, weather: Weather, period: Period, network: Sequence[Station]) -> Survey:
    """Run the air through the period once."""
    street = world.to_air(place, place.street)
    total = np.zeros(street.shape, "float64")
    columns, starts, rows = {}, [], []
    overpasses = [swath.granule(place, day).when for day in _dates(period)]
    passing = {when.replace(minute=0, second=0) for when in overpasses}
    for hour in air.hours(place, weather, period):
        starts.append(hour.start)
        total += hour.concentration + street * np.float32(hour.traffic)
        if network:
            rows.append(stations.concentrations(place, network, hour))
        if hour.start in passing:
            columns[hour.start.date()] = hour.column
    at_stations = np.array(rows, "float32").reshape(len(starts), len(network))
    return Survey(columns, starts, at_stations, (total / len(starts)).astype("float32"))


def _write_scene(place: World, scene: Scene, folder: Path) -> records.Record:
    name = f"{scene.platform}_{records.tile(*place.lonlat)}_{scene.day:%Y%m%d}_0_L2A"
    shares = sentinel2.write(place, scene, folder / _SCENES_DATA, name)
    return records.scene_item(place, scene, name, _SCENES_DATA, shares)


def _write_granules(
    place: World, weather: Weather, scenes: Sequence[Scene], survey: Survey, folder: Path
) -> list[records.Record]:
    """Write one granule a day, one day in twelve missing; clouds agree with the scenes' covers."""
    planned = {scene.day: scene.cover for scene in scenes}
    dates = list(survey.columns)
    rng = noise.stream(place.seed, "lost granules")
    lost = set(rng.choice(len(dates), size=len(dates) // 12, replace=False))
    items = []
    for day in (d for i, d in enumerate(dates) if i not in lost):
        view = swath.granule(place, day)
        cover = planned.get(day, weather.cloud_cover(day))
        seen = tropomi.observe(place, view, survey.columns[day], cover)
        tropomi.write(place, view, seen, folder / _GRANULES_DATA)
        items.append(records.granule_item(place, view, _GRANULES_DATA))
    return items


def _write_stations(
    place: World, network: Sequence[Station], survey: Survey, period: Period, folder: Path
) -> tuple[records.Record, int]:
    table = stations.measure(place, network, survey.starts, survey.at_stations)
    name = f"stations_no2_{period.slug}"
    href = f"{_STATIONS_DATA}/{name}.csv"
    stations.write(table, folder / href)
    spots = table.drop_duplicates("location_id")[["lon", "lat"]].to_numpy().tolist()
    span = survey.starts[0], survey.starts[-1] + timedelta(hours=1)
    return records.stations_item([(x, y) for x, y in spots], span, name, href), len(table)


def _pixel_corners(grid: GeoBox, target: GeoBox) -> NDArray[np.float64]:
    """Return (y, x, 4, 2) corners of a grid's pixels in the CRS of another one."""
    rows, cols = grid.shape
    x, y = grid.affine * np.meshgrid(np.arange(cols + 1.0), np.arange(rows + 1.0))
    if grid.crs != target.crs:
        change = pyproj.Transformer.from_crs(str(grid.crs), str(target.crs), always_xy=True)
        x, y = change.transform(x, y)
    xy = np.stack([x, y], axis=-1)
    return np.stack([xy[1:, :-1], xy[1:, 1:], xy[:-1, 1:], xy[:-1, :-1]], axis=2)


def _dates(period: Period) -> list[date]:
    count = -(-(period.end - period.start) // timedelta(days=1))
    return [(period.start + timedelta(days=i)).date() for i in range(count)]


def _shorten(period: Period, days: int | None) -> Period:
    if days is None:
        return period
    if days < 1:
        raise ValueError(f"days must be 1 or more, not {days}")
    return Period(period.start, min(period.end, period.start + timedelta(days=days)))

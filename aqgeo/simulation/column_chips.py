"""NO2 columns over small worlds all over the globe: what TROPOMI measures, and the finer truth."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo import grid as grids
from aqgeo.period import Period
from aqgeo.simulation import (
    air,
    emission,
    geometry,
    land,
    noise,
    roads,
    settlements,
    surface,
    swath,
    tropomi,
    zoom,
)  # fmt: skip
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.presets import PRESETS
from aqgeo.simulation.survey import footprints
from aqgeo.simulation.swath import Swath
from aqgeo.simulation.weather import Weather
from aqgeo.simulation.world import AIR_PIXEL_M, World

FINE_M = 1000
"""Pixels of truth and covariates."""
SIZE_M = 72_000
"""Side of a chip: whole windows, and whole cells of 2 to 8 km."""
COVARIATES = {
    "roads": "km-1 day-1",
    "population": "km-2",
    "point_sources": "kg s-1 km-2",
    "fire_power": "MW km-2",
    "elevation": "m",
    "water": "1",
    "ndvi": "1",
    "ndbi": "1",
}
"""Units of what is known on the fine grid: vehicle kilometres per day and square kilometre, persons
per square kilometre, NOx that power plants report as a mean of the year, radiative power of fires
as thermal sensors see it, height, share of water, and (B08 - B04) / (B08 + B04) and
(B11 - B08) / (B11 + B08) of reflectance under a clear sky."""
_FIRE_MW = 60.0  # of a fire of mean strength: .5 g NOx per MJ; illustrative
_PIXEL_M, _WINDOW_M = 20, 12_000
_LATITUDE = -45.0, 60.0
_TALLEST_SUN = 65.0
# What a retrieval errs by if it knew every air mass factor: noise and stripes alone.
NOISE = replace(
    tropomi.ERRORS, stratosphere=0.0, profile=0.0, scene=0.0, clean_bias=0.0, polluted_bias=0.0
)


@dataclass(frozen=True, slots=True)
class Pass:
    """One overpass; n pixels, (y, x) on the chip's fine grid."""

    time: datetime
    """Begin, UTC."""
    lon: NDArray[np.float64]
    """(n, 4) corner longitudes in degrees, in order round the pixel."""
    lat: NDArray[np.float64]
    """(n, 4) corner latitudes in degrees."""
    column: FloatArray
    """(n,) retrieved tropospheric column, mol m-2."""
    noisy: FloatArray
    """(n,) the same by a retrieval that knows the air mass factors: noise alone."""
    qa: NDArray[np.uint8]
    """(n,) qa_value in hundredths."""
    truth: FloatArray
    """(y, x) true column, mol m-2."""
    wind: tuple[float, float]
    """Wind at 10 m eastward and northward, m s-1."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A place, what is known of it, and what passes over it."""

    grid: GeoBox
    """Fine grid, pixels of `FINE_M`."""
    preset: str
    """Kind of world."""
    covariates: dict[str, FloatArray]
    """(y, x) by name, in the units of `COVARIATES`."""
    passes: list[Pass]
    """In order of time."""


def draw(seed: int, number: int, *, days: int) -> Chip:
    """Return a chip; place, world and first day follow from seed and number.

    Args:
        seed: of the whole set.
        number: of the chip in the set; another number, another place.
        days: whose overpasses are simulated.
    """
    world, rng = _world(seed, number)
    first = _lit(rng, world)
    return Chip(
        zoom.coarsen(world.grid, FINE_M // _PIXEL_M),
        world.preset.name,
        _covariates(world, first),
        list(_passes(world, first, days)),
    )


def _world(seed: int, number: int) -> tuple[World, np.random.Generator]:
    rng = noise.stream(seed, "column chip", number)
    preset = PRESETS[str(rng.choice(sorted(PRESETS)))]
    # A seed of its own: worlds of one seed share settlements where their eastings meet.
    return World(int(rng.integers(2**31)), _domain(rng), preset), rng


def _domain(rng: np.random.Generator) -> GeoBox:
    lat, lon = float(rng.uniform(*_LATITUDE)), float(rng.uniform(-180, 180))
    crs = f"EPSG:{(32600 if lat >= 0 else 32700) + int((lon + 180) // 6) + 1}"
    unit = 3 * FINE_M  # edges of worlds lie on multiples of 60 m
    x = round(float(rng.uniform(320_000, 600_000)) / unit) * unit
    y = round((lat * 110_600 + (0 if lat >= 0 else 10_000_000)) / unit) * unit
    side = SIZE_M // _PIXEL_M
    return GeoBox((side, side), Affine(_PIXEL_M, 0, x, 0, -_PIXEL_M, y), crs)


def _lit(rng: np.random.Generator, world: World) -> date:
    """Return a day of any year in which the sun stands high enough."""
    while True:
        day = date(2019, 9, 1) + timedelta(days=int(rng.integers(0, 4 * 365)))
        try:
            angles = geometry.geometry(world, day)
        except ValueError:
            continue
        if angles.sun[0] < _TALLEST_SUN:
            return day


def _covariates(world: World, day: date) -> dict[str, FloatArray]:
    rows, cols = (n * _PIXEL_M // FINE_M for n in world.grid.shape)
    found: dict[str, FloatArray] = {}
    season = surface.Season.of(world, day, geometry.geometry(world, day))
    side, factor = _WINDOW_M // _PIXEL_M, FINE_M // _PIXEL_M
    for top in range(0, world.grid.shape[0], side):
        for left in range(0, world.grid.shape[1], side):
            window = world.grid[top : top + side, left : left + side]
            for name, values in _ground(world, window, season).items():
                sheet = found.setdefault(name, np.empty((rows, cols), "float32"))
                rest = sheet[top // factor :, left // factor :]
                rest[: side // factor, : side // factor] = zoom.shrink(values, factor)
    red, near, short = (found.pop(name) for name in ("B04", "B08", "B11"))
    found["ndvi"] = (near - red) / (near + red)
    found["ndbi"] = (short - near) / (short + near)
    fine = zoom.coarsen(world.grid, factor)
    found["roads"] = roads.traffic(world.seed, world.preset, fine) / np.float32(FINE_M / 1e3) ** 2
    found |= sources(world, fine)
    return {name: found[name] for name in COVARIATES}


def sources(world: World, grid: GeoBox) -> dict[str, FloatArray]:
    """Return (y, x) `point_sources` and `fire_power` on a grid."""
    bounds = settlements.bounds_of(grid)
    plants = [(p.x, p.y, p.nox_kg_s) for p in settlements.plants(world.seed, world.preset, bounds)]
    fires = [
        (x, y, s * _FIRE_MW) for x, y, s in settlements.fires(world.seed, world.preset, bounds)
    ]
    area = np.float32(grid.affine.a / 1000) ** 2
    return {
        name: emission.points(grid, known) / area
        for name, known in (("point_sources", plants), ("fire_power", fires))
    }


def _ground(world: World, window: GeoBox, season: surface.Season) -> dict[str, FloatArray]:
    rim = surface.MARGIN_M // _PIXEL_M
    wide = land.draw(world, zoom.widen(window, rim))
    ground, inner = surface.Ground(wide, season), np.s_[rim:-rim, rim:-rim]
    return {
        "population": wide.population[inner],
        "elevation": wide.elevation[inner],
        "water": (wide.cover[inner] == land.WATER).astype("float32"),
        **{band: ground.band(band, 1)[0] for band in ("B04", "B08", "B11")},
    }


def _passes(world: World, first: date, days: int) -> Iterator[Pass]:
    lon, lat = world.lonlat
    weather = Weather(world.seed, lon, lat, world.preset)
    box, views = grids.lonlat_bbox(world.grid), dict[datetime, list[Swath]]()
    for day in (first + timedelta(days=n) for n in range(days)):
        for view in swath.passes(box, day):
            full = view.start.replace(minute=0, second=0, microsecond=0)
            views.setdefault(full, []).append(view)
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    period = Period(start - timedelta(days=1), start + timedelta(days=days + 1))
    for hour in air.hours(emission.inventory(world), weather, period):
        for view in views.get(hour.start, ()):
            yield _observe(world, weather, view, hour)


def _observe(world: World, weather: Weather, view: Swath, hour: air.Hour) -> Pass:
    below = footprints(world, weather, view, hour)
    how: dict[str, Any] = {"mixing_height_m": weather.mixing_height(view.start)}
    seen = tropomi.observe(view, world.seed, below, **how)
    name = "nitrogendioxide_tropospheric_column"
    noisy = tropomi.observe(view, world.seed, below, **how, errors=NOISE)[name]
    return Pass(
        time=view.start,
        lon=view.corners[..., 0].reshape(-1, 4),
        lat=view.corners[..., 1].reshape(-1, 4),
        column=np.asarray(seen[name], "float32").ravel(),
        noisy=np.asarray(noisy, "float32").ravel(),
        qa=seen["qa_value"].ravel(),
        truth=_on(hour.column, world),
        wind=below.wind,
    )


def _on(column: FloatArray, world: World) -> FloatArray:
    """Return means on the fine grid of a field on the air grid."""
    inner = world.grid.extent.boundingbox
    col, row = (~world.air_grid.affine) * (inner.left, inner.top)
    rows, cols = (math.ceil(n * _PIXEL_M / AIR_PIXEL_M) for n in world.grid.shape)
    part = column[round(row) : round(row) + rows, round(col) : round(col) + cols]
    return zoom.shrink(part, FINE_M // AIR_PIXEL_M)

"""Single Sentinel-2 chips of worlds all over the globe, with their true cloud classes."""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo.simulation import geometry, land, noise, sentinel2, zoom
from aqgeo.simulation.presets import PRESETS
from aqgeo.simulation.render import SCL_M, mode, render
from aqgeo.simulation.sentinel2 import BANDS, Scene
from aqgeo.simulation.smoke import thickness
from aqgeo.simulation.spectra import RESOLUTION_M
from aqgeo.simulation.surface import MARGIN_M
from aqgeo.simulation.weather import REGIMES, Weather
from aqgeo.simulation.world import World

PIXELS_M = (10, 20, 60, 120)
"""Pixel sizes that chips can have."""
_UNIT_M = 60  # edges of a world lie on its multiples
_LATITUDE = -45.0, 60.0  # where places are drawn from
_TALLEST_SUN = 72.0  # degrees from the zenith beyond which no scene is drawn
# How clouds of a chip gather: covers between clear and overcast, evenly by regime; a test of a mask
# needs all of them, as often.
_COVER = {"clear": (0.02, 0.15), "overcast": (0.75, 0.97)}
_BROKEN = 0.15, 0.85


@dataclass(frozen=True, slots=True)
class Chip:
    """One simulated chip; arrays are (y, x) on its grid."""

    grid: GeoBox
    """Where."""
    time: datetime
    """When, UTC."""
    preset: str
    """Kind of world."""
    regime: str
    """Kind of sky."""
    numbers: dict[str, dict[str, NDArray[np.uint16]]]
    """Digital numbers by level (`l1c`, `l2a`) and band; 10000 is 1 after an offset of -1000."""
    scl: NDArray[np.uint8]
    """Sen2Cor's scene classification, the nearest pixel of 20 m."""
    labels: NDArray[np.uint8]
    """True cloud class, CloudSEN12's."""


def draw(seed: int, number: int, *, pixel_m: int, size: int) -> Chip:
    """Return a chip of a place, a date and a sky that follow from seed and number.

    Args:
        seed: of the whole set.
        number: of the chip in the set; another number, another place.
        pixel_m: one of `PIXELS_M`; bands of coarser pixels are repeated, finer ones averaged.
        size: rows and columns.
    """
    rng = noise.stream(seed, "cloud chip", number)
    preset = PRESETS[str(rng.choice(sorted(PRESETS)))]
    regime = str(rng.choice(REGIMES))
    cover = float(rng.uniform(*_COVER.get(regime, _BROKEN)))
    world = World(seed, _domain(rng, pixel_m, size), preset)
    lon, lat = world.lonlat
    weather = Weather(seed, lon, lat, preset)
    scene = Scene(_lit(rng, world), ("S2A", "S2B")[number % 2], cover, regime)
    sheets = _sheets(world, scene, weather, pixel_m)
    crop = np.s_[:size, :size]
    numbers = {level: {band: sheets[level, band][crop] for band in BANDS[level]} for level in BANDS}
    factor = pixel_m // world.pixel_m
    where = zoom.coarsen(world.grid, factor)[crop]
    return Chip(
        where,
        scene.when(world).replace(tzinfo=UTC),
        preset.name,
        regime,
        numbers,
        sheets["l2a", "SCL"][crop],
        sheets["labels", "CLOUD"][crop],
    )


def _domain(rng: np.random.Generator, pixel_m: int, size: int) -> GeoBox:
    """Return a square on multiples of 60 m, at least as large as the chip, in its UTM zone."""
    base = min(pixel_m, SCL_M)
    unit = math.lcm(_UNIT_M, pixel_m)
    side = -(-size * pixel_m // unit) * unit
    lat, lon = float(rng.uniform(*_LATITUDE)), float(rng.uniform(-180, 180))
    crs = f"EPSG:{(32600 if lat >= 0 else 32700) + int((lon + 180) // 6) + 1}"
    # The zone's own place decides; eastings within its middle, northings by 111 km a degree.
    x = round(float(rng.uniform(320_000, 680_000)) / unit) * unit
    y = round((lat * 110_600 + (0 if lat >= 0 else 10_000_000)) / unit) * unit
    return GeoBox((side // base, side // base), Affine(base, 0, x, 0, -base, y), crs)


def _lit(rng: np.random.Generator, world: World) -> date:
    """Return a day of any year in which the sun stands high enough."""
    while True:
        day = date(2019, 1, 1) + timedelta(days=int(rng.integers(0, 5 * 365)))
        try:
            angles = geometry.geometry(world, day)
        except ValueError:
            continue
        if angles.sun[0] < _TALLEST_SUN:
            return day


def _sheets(
    world: World, scene: Scene, weather: Weather, pixel_m: int
) -> dict[tuple[str, str], NDArray[Any]]:
    """Return all bands, classes and labels of a world on pixels of one size, block by block."""
    acquisition = sentinel2.prepare(world, scene, weather)
    rows, cols = (n * world.pixel_m // pixel_m for n in world.grid.shape)
    sheets: dict[tuple[str, str], NDArray[Any]] = {}
    for window in world.blocks():
        grid = world.grid[window]
        above = sentinel2.sky(world, scene, weather, grid)
        guess = sentinel2.guessed_shade(
            world, scene, weather, zoom.coarsen(grid, SCL_M // world.pixel_m)
        )
        wind = weather.wind(scene.when(world))
        smoke = thickness(grid, sentinel2.smoking(world), wind, world.seed, acquisition.day)
        ground = land.draw(world, zoom.widen(grid, MARGIN_M // world.pixel_m))
        picture = render(ground, above, guess, smoke, acquisition)
        parts = {
            (level, band): _on(data, max(RESOLUTION_M[band], world.pixel_m), pixel_m)
            for level, bands in picture.numbers.items()
            for band, data in bands.items()
        }
        parts["l2a", "SCL"] = _nearest(picture.scl, SCL_M, pixel_m)
        parts["labels", "CLOUD"] = mode(picture.labels, pixel_m // world.pixel_m)
        row, col = (side.start * world.pixel_m // pixel_m for side in window)
        for key, part in parts.items():
            sheet = sheets.setdefault(key, np.empty((rows, cols), part.dtype))
            sheet[row : row + part.shape[0], col : col + part.shape[1]] = part
    return sheets


def _on(data: NDArray[Any], own_m: int, pixel_m: int) -> NDArray[Any]:
    """Return digital numbers on larger pixels as means, on smaller ones repeated."""
    if own_m >= pixel_m:
        return _nearest(data, own_m, pixel_m)
    mean = zoom.shrink(data.astype("float32"), pixel_m // own_m)
    return np.rint(mean).astype(data.dtype)


def _nearest(data: NDArray[Any], own_m: int, pixel_m: int) -> NDArray[Any]:
    if own_m >= pixel_m:
        return data.repeat(own_m // pixel_m, axis=0).repeat(own_m // pixel_m, axis=1)
    step = pixel_m // own_m
    return data[step // 2 :: step, step // 2 :: step]

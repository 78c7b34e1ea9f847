"""Sentinel-2 scenes of a world, one Cloud-Optimized GeoTIFF a band, with what is true in them."""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo.simulation import (
    atmosphere,
    clouds,
    geometry,
    geotiff,
    noise,
    radiometry,
    settlements,
    sun,
    zoom,
)
from aqgeo.simulation.clouds import Sky
from aqgeo.simulation.geometry import Geometry
from aqgeo.simulation.land import Land
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.render import SCL_M, Acquisition, Picture, render
from aqgeo.simulation.smoke import Source, thickness
from aqgeo.simulation.spectra import BANDS_L1C, BANDS_L2A, RESOLUTION_M
from aqgeo.simulation.surface import MARGIN_M, TRUTH_M, Season
from aqgeo.simulation.world import World

BANDS = {"l1c": BANDS_L1C, "l2a": BANDS_L2A}
"""Bands by level."""
BASELINE = "05.10"
LABELS_NO_DATA = 255
# Smoke as its cross-section of extinction: a stack has some 100-500 m2 s-1, a fire 1,000-10,000
# (illustrative: plumes as thick as they look in pictures).
_STACK_M2_S, _FIRE_M2_S = 4000.0, 3000.0
Look = Callable[[GeoBox], Land]
"""Gives the land of any window."""
Sheet = NDArray[Any]


class Weather(Protocol):
    """What a scene asks of the weather."""

    def wind(self, when: datetime) -> tuple[float, float]:
        """Return eastward and northward wind in m/s."""
        ...

    def aerosol(self, day: date) -> float:
        """Return aerosol optical thickness at 550 nm."""
        ...


@dataclass(frozen=True, slots=True)
class Scene:
    """One planned acquisition."""

    day: date
    """Date of the overpass, UTC."""
    platform: str
    """`S2A`, `S2B` or `S2C`."""
    cover: float
    """Fraction of the sky under cloud, 0 to 1."""
    regime: str = "cumulus"
    """Kind of cloud: a key of `cloud_kinds.REGIMES`."""
    baseline: str = BASELINE
    """Processing baseline; from 04.00 on numbers carry an offset of 1000."""

    def when(self, world: World) -> datetime:
        """Return the instant of the overpass, UTC."""
        return sun.overpass(self.day, *world.lonlat, satellite="sentinel-2")


@dataclass(frozen=True, slots=True)
class Written:
    """What a scene's files hold, and what is true."""

    angles: Geometry
    """Sun and satellite."""
    shares: dict[str, float]
    """Share of each class of the scene classification in percent, by its code as text."""
    truth: FloatArray
    """(band, y, x) reflectance under a clear sky on 60 m: bands of L2A, no noise, no smoke."""
    classes: NDArray[np.uint8]
    """(y, x) most frequent CloudSEN12 class on 60 m."""


def write(
    world: World,
    scene: Scene,
    stems: Mapping[str, Path],
    *,
    look: Look,
    weather: Weather,
    smoke: Sequence[Source] = (),
    workers: int = 2,
) -> Written:
    """Write `<stem>_<band>.tif` for each level, `<stem>_SCL.tif` of L2A, `<stem>_CLOUD.tif`.

    Bytes do not depend on the number of workers, nor pixels on how large the domain is.

    Args:
        world: what is seen.
        scene: when and under which sky.
        stems: folder and begin of the file names (the folders exist) by what is wanted: `l1c`,
            `l2a`, `labels` (the true classes on the finest pixels).
        look: gives the land of a window.
        weather: its wind moves smoke and clouds, its aerosol dims the view.
        smoke: where smoke rises and how much.
        workers: threads.
    """
    acquisition = prepare(world, scene, weather, [level for level in BANDS if level in stems])
    sheets = _sheets(world, stems)

    def fill(window: tuple[slice, slice]) -> None:
        grid = world.grid[window]
        above = sky(world, scene, weather, grid)
        guess = guessed_shade(world, scene, weather, zoom.coarsen(grid, SCL_M // world.pixel_m))
        wind = weather.wind(scene.when(world))
        plumes = thickness(grid, smoke, wind, world.seed, acquisition.day)
        land = look(zoom.widen(grid, MARGIN_M // world.pixel_m))
        _place(sheets, render(land, above, guess, plumes, acquisition), window, world.pixel_m)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(fill, world.blocks()))
        counts = np.bincount(sheets["l2a", "SCL"].ravel(), minlength=12)
        truth, classes = sheets.pop(("truth", "truth")), sheets.pop(("truth", "classes"))
        list(pool.map(lambda key: _write(sheets.pop(key), key, stems, world), list(sheets)))
    shares = {str(code): float(100 * n / counts.sum()) for code, n in enumerate(counts)}
    return Written(acquisition.season.angles, shares, truth, classes)


def prepare(
    world: World, scene: Scene, weather: Weather, levels: Sequence[str] = ("l1c", "l2a")
) -> Acquisition:
    """Return what all windows of a scene share."""
    angles, day = geometry.geometry(world, scene.day), scene.day.toordinal()
    air = atmosphere.atmosphere(angles.sun[0], angles.view[0], weather.aerosol(scene.day))
    return Acquisition(
        world.seed,
        day,
        Season.of(world, scene.day, angles),
        air,
        radiometry.correction(air, world.seed, day),
        scene.baseline,
        levels,
    )


def sky(world: World, scene: Scene, weather: Weather, grid: GeoBox) -> Sky:
    """Return the true sky of a scene over any window of pixels of 10 m times a power of two."""
    angles = geometry.geometry(world, scene.day)
    return clouds.draw(
        grid,
        world.seed,
        geometry.overpass(world, scene.day),
        cover=scene.cover,
        regime=scene.regime,
        sun=angles.sun,
        view=angles.view,
        drift=drift(weather, scene.day),
    )


def drift(weather: Weather, day: date) -> tuple[float, float]:
    """Return how clouds move all day, eastward and northward in m/s: the wind of 12 UTC."""
    return weather.wind(datetime.combine(day, time(12, tzinfo=UTC)))


def guessed_shade(world: World, scene: Scene, weather: Weather, grid: GeoBox) -> FloatArray:
    """Return direct sunlight, (y, x), were the clouds as high as the L2A processor guesses.

    It knows no heights: off by a factor, one a scene (20 %, one sigma; illustrative).
    """
    angles, day = geometry.geometry(world, scene.day), scene.day.toordinal()
    factor = math.exp(float(noise.stream(world.seed, "guessed height", day).normal(0, 0.2)))
    zenith = math.degrees(math.atan(factor * math.tan(math.radians(angles.sun[0]))))
    return clouds.shade(
        grid,
        world.seed,
        geometry.overpass(world, scene.day),
        cover=scene.cover,
        regime=scene.regime,
        sun=(zenith, angles.sun[1]),
        drift=drift(weather, scene.day),
    )


def smoking(world: World) -> list[Source]:
    """Return easting, northing and strength of what smokes in or near a domain."""
    bounds = settlements.bounds_of(world.grid.pad(20_000 // world.pixel_m))
    plants = settlements.plants(world.seed, world.preset, bounds)
    fires = settlements.fires(world.seed, world.preset, bounds)
    stacks = [(p.x, p.y, _STACK_M2_S * p.nox_kg_s) for p in plants if p.fuel == "coal"]
    return [*stacks, *((x, y, _FIRE_M2_S * strength) for x, y, strength in fires)]


def _sheets(world: World, stems: Mapping[str, Path]) -> dict[tuple[str, str], Sheet]:
    """Return the empty arrays of a whole scene by level and band; memory is taken as they fill."""
    side = {b: max(m, world.pixel_m) for b, m in RESOLUTION_M.items()}
    found: dict[tuple[str, str], Sheet] = {
        (level, band): np.empty(_shape(world, side[band]), "uint16")
        for level, bands in BANDS.items()
        if level in stems
        for band in bands
    }
    found["l2a", "SCL"] = np.empty(_shape(world, SCL_M), "uint8")
    if "labels" in stems:
        found["labels", "CLOUD"] = np.empty(world.grid.shape, "uint8")
    found["truth", "truth"] = np.empty((len(BANDS_L2A), *_shape(world, TRUTH_M)), "float32")
    found["truth", "classes"] = np.empty(_shape(world, TRUTH_M), "uint8")
    return found


def _shape(world: World, pixel_m: int) -> tuple[int, int]:
    rows, cols = world.grid.shape
    return rows * world.pixel_m // pixel_m, cols * world.pixel_m // pixel_m


def _place(
    sheets: dict[tuple[str, str], Sheet],
    picture: Picture,
    window: tuple[slice, slice],
    pixel_m: int,
) -> None:
    """Copy a window's results to their place in the scene."""
    parts: dict[tuple[str, str], Sheet] = {
        (level, band): data
        for level, bands in picture.numbers.items()
        for band, data in bands.items()
    }
    parts["l2a", "SCL"], parts["labels", "CLOUD"] = picture.scl, picture.labels
    parts["truth", "truth"], parts["truth", "classes"] = picture.truth, picture.classes
    for key, sheet in sheets.items():
        part = parts[key]
        size = (window[0].stop - window[0].start) * pixel_m // part.shape[-2]
        row, col = (side.start * pixel_m // size for side in window)
        sheet[..., row : row + part.shape[-2], col : col + part.shape[-1]] = part


def _write(sheet: Sheet, key: tuple[str, str], stems: Mapping[str, Path], world: World) -> None:
    level, band = key
    if level not in stems:
        return
    stem, whole = stems[level], world.grid
    grid = zoom.coarsen(whole, whole.shape[0] // sheet.shape[0])
    geotiff.write(
        stem.with_name(f"{stem.name}_{band}.tif"),
        sheet,
        grid,
        nodata=LABELS_NO_DATA if level == "labels" else 0,
        classes=band in ("SCL", "CLOUD"),
    )

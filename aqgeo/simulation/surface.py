"""Reflectance of the ground under a clear sky."""

from dataclasses import dataclass
from datetime import date
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy import ndimage

from aqgeo.simulation import seasons, spectra, zoom
from aqgeo.simulation.geometry import Geometry
from aqgeo.simulation.land import CROPLAND, Land
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.spectra import BANDS_L2A
from aqgeo.simulation.world import World

TRUTH_M = 60
"""Pixels of the truth."""
MARGIN_M = 300
"""The land is needed so far beyond a window: light scattered in from the neighbourhood."""
# Share of the light that comes from neighbouring ground, by band in order of wavelength, and the
# neighbourhood: a cone of 240 m around (5-10 % in the blue; recalled).
_NEAR = dict(
    zip(
        BANDS_L2A,
        (.12, .10, .08, .07, .06, .06, .05, .05, .05, .05, .03, .02),
        strict=True,
    )
)  # fmt: skip
_CONE = np.array([1, 2, 3, 4, 5, 4, 3, 2, 1], "float64") / 25
_DIRECT = 0.85  # share of light that comes straight from the sun and so depends on slope; recalled
_VIEW = 0.004  # change of reflectance a degree of view, brighter away from the sun; recalled size
_STEEPEST = 78.0  # sun zenith angle up to which terrain is shaded


@dataclass(frozen=True, slots=True)
class Season:
    """What the ground looks like at one date, for every window of a world."""

    table: FloatArray
    """(256, 12) reflectance by code."""
    snow: float
    """Share of open land under snow, 0 to 1."""
    angles: Geometry
    """Sun and satellite."""
    seed: int
    """Seed of the world."""

    @classmethod
    def of(cls, world: World, day: date, angles: Geometry) -> "Season":
        """Return the season of a world at a date."""
        preset = world.preset
        number = seasons.northern_day(day, world.lonlat[1], winter=preset.winter)
        snow = preset.snow if preset.winter else 0.0
        return cls(seasons.table(number), snow, angles, world.seed)


@dataclass(frozen=True, slots=True)
class Layers:
    """What all bands share on pixels of one size; arrays are (y, x) on the widened window."""

    bright: FloatArray
    """Factor: texture, relief and view."""
    green: FloatArray
    """Share of green crop that replaces bare soil, may be negative."""
    snow: FloatArray | None
    """Share of snow."""


class Ground:
    """The ground of one window; bands are made when they are asked for."""

    def __init__(self, land: Land, season: Season) -> None:
        """Prepare what the bands share.

        Args:
            land: on the window widened by `MARGIN_M`.
            season: of the scene.
        """
        self.codes = codes(land)
        self.pixel_m = round(land.grid.affine.a)
        self.relief = relief(land, season.angles.sun)
        self._table = season.table
        self._layers = {1: _layers(land, season, self.relief)}

    def band(self, name: str, factor: int) -> tuple[FloatArray, FloatArray]:
        """Return a band's reflectance.

        Args:
            name: of a band of L2A.
            factor: pixel size over that of the land.

        Returns:
            (y, x) on pixels of that size, without margin; and the same on pixels of 60 m.
        """
        number = BANDS_L2A.index(name)
        layers = self._on(factor)
        found = zoom.shrink(self._table[:, number][self.codes], factor)
        found *= layers.bright
        found += spectra.green_mode()[number] * layers.green
        if layers.snow is not None:
            white = spectra.spectrum({"snow": 0.5, "thin snow": 0.5})[number]
            found += layers.snow * (white * np.minimum(layers.bright, 1.2) - found)
        np.maximum(found, np.float32(0.001), out=found)
        return _adjacent(found, TRUTH_M // (self.pixel_m * factor), _NEAR[name])

    def _on(self, factor: int) -> Layers:
        if factor not in self._layers:
            fine = self._layers[1]
            self._layers[factor] = Layers(
                zoom.shrink(fine.bright, factor),
                zoom.shrink(fine.green, factor),
                None if fine.snow is None else zoom.shrink(fine.snow, factor),
            )
        return self._layers[factor]


def codes(land: Land) -> NDArray[np.uint8]:
    """Return (y, x) codes of `seasons.table`: land cover, cropland split by its fields."""
    lots = np.clip(land.lot * np.float32(seasons.LOTS), 0, seasons.LOTS - 1).astype("uint8")
    lots += np.uint8(seasons.FIRST_LOT)
    return np.where(land.cover == CROPLAND, lots, land.cover)


def relief(land: Land, sun: tuple[float, float]) -> FloatArray:
    """Return sunlight on sloping ground relative to level ground, (y, x)."""
    pixel = np.float32(land.grid.affine.a)
    down, right = np.gradient(land.elevation)
    zenith, azimuth = np.radians([min(sun[0], _STEEPEST), sun[1]])
    north, east = np.float32(np.cos(azimuth)), np.float32(np.sin(azimuth))
    down *= north / pixel  # towards the south is down the rows, so this is -d/dnorth x north
    right *= east / pixel
    lit = np.asarray((down - right) * np.float32(np.tan(zenith)))
    lit += np.float32(1)
    np.clip(lit, 0, 3, out=lit)
    lit *= np.float32(_DIRECT)
    lit += np.float32(1 - _DIRECT)
    return np.asarray(lit)


def _layers(land: Land, season: Season, lit: FloatArray) -> Layers:
    spread, mode, _ = _variation()
    sigma = spread[land.cover]
    bright: FloatArray = np.clip(land.texture, -3.5, 3.5)
    bright -= sigma * np.float32(0.5)
    bright *= sigma
    np.exp(bright, out=bright)
    bright *= lit
    bright *= _view(land.grid, season.angles)
    green = zoom.field(land.grid, 2, season.seed, "greenness", slope=2.2, outer_m=3000)
    return Layers(bright, green * mode[land.cover], _snow(land, season))


def _variation() -> FloatArray:
    """Return (3, 256) spread of brightness, of greenness and the share that snow can hide."""
    found = np.zeros((3, 256), "float32")
    for code, cover in spectra.COVERS.items():
        found[:, code] = cover.spread, cover.green, cover.snow
    return found


def _view(grid: GeoBox, angles: Geometry) -> FloatArray:
    """Return (x,) factor by the view: what is lit from behind the satellite looks brighter."""
    slant = angles.view_slant(grid.affine.c + (np.arange(grid.shape[1]) + 0.5) * grid.affine.a)
    toward = np.sin(np.radians(angles.sun[1]))  # 1 where the sun stands in the east
    return np.asarray(1 + _VIEW * slant * toward, dtype="float32")


def _snow(land: Land, season: Season) -> FloatArray | None:
    """Return the share of snow, (y, x): more on high ground, none on water."""
    if not season.snow:
        return None
    field = zoom.field(land.grid, 4, season.seed, "snow", slope=2.8, outer_m=20_000)
    field = np.float32(0.9) * field + land.elevation * np.float32(1 / 600) - np.float32(0.5)
    field -= np.float32(NormalDist().inv_cdf(1 - min(season.snow, 0.999)))
    hides = _variation()[2][land.cover]
    return np.asarray(np.clip(np.float32(0.5) + np.float32(2) * field, 0, 1) * hides)


def _adjacent(found: FloatArray, factor: int, share: float) -> tuple[FloatArray, FloatArray]:
    """Blend in light of the neighbourhood; return the window and its means over 60 m."""
    coarse = found if factor == 1 else zoom.shrink(found, factor)
    wide = ndimage.correlate1d(coarse, _CONE, axis=0, mode="nearest")
    wide = ndimage.correlate1d(wide, _CONE, axis=1, mode="nearest")
    wide *= np.float32(share)
    keep = np.float32(1 - share)
    cells = MARGIN_M // TRUTH_M
    mean = keep * coarse[cells:-cells, cells:-cells] + wide[cells:-cells, cells:-cells]
    if factor == 1:
        return mean, mean
    margin = cells * factor
    inner = found[margin:-margin, margin:-margin] * keep
    inner += zoom.enlarge(wide[cells - 1 : 1 - cells, cells - 1 : 1 - cells], factor)
    return inner, mean

"""The sky over a window: clouds where a satellite sees them, and the shade they cast."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo.simulation import noise, zoom
from aqgeo.simulation.cloud_kinds import REGIMES, Kind, thickness
from aqgeo.simulation.noise import FloatArray

CLEAR, THICK, THIN, SHADOW = 0, 1, 2, 3
"""CloudSEN12's classes."""
# Two-stream back-scatter (1 - g)/2 of droplets (g .85) and ice (simulation-facts, 3; recalled).
BETA_WATER, BETA_ICE = 0.075, 0.12
# Scattering depth (back-scatter x thickness) from which cloud is thin and thick: a reflectance of
# .02, about the least an eye finds, and a two-way transmission of one half.
THIN_DEPTH, THICK_DEPTH = 0.02, 0.3
SHADOW_LIGHT = 0.7
"""Shadow is where less than this share of the direct sunlight arrives."""
# Thickness that is left when the forward peak counts as direct light: 1 - g**2 (delta scaling).
_DIRECT_WATER = 1 - 0.85**2
_DRIFT_M = 640  # clouds drift by multiples of this: all pixel sizes up to it keep their lattice
_STEEPEST = math.tan(math.radians(78))
_ALBEDO = 0.8  # of the cloud in TROPOMI's cloud fraction (effective cloud model; recalled)
_HAZE_SIGMA = 0.25  # spread of ln aerosol within 60 km; illustrative


@dataclass(frozen=True, slots=True)
class Sky:
    """Clouds and haze of one window at one instant; arrays are (y, x)."""

    water: FloatArray
    """Optical thickness of droplets where the satellite sees it, 0 where there are none."""
    ice: FloatArray
    """Optical thickness of ice crystals."""
    top_m: FloatArray
    """Height above ground of the highest droplets in m, 0 where there are none."""
    sunlight: FloatArray
    """Share of the direct sunlight that reaches the ground, 0 to 1."""
    haze: FloatArray
    """Aerosol relative to the day's, mean 1."""
    heights: dict[str, float]
    """Height in m of each kind of cloud that may be there; `cirrus` is the ice's."""

    @property
    def depth(self) -> FloatArray:
        """Scattering depth: back-scatter times optical thickness, (y, x)."""
        found = self.water * np.float32(BETA_WATER)
        found += self.ice * np.float32(BETA_ICE)
        return found

    @property
    def height_m(self) -> FloatArray:
        """Mean height of what scatters light, weighted by scattering depth, m; 0 where clear."""
        ice = self.ice * np.float32(BETA_ICE)
        water = self.water * np.float32(BETA_WATER)
        found = ice * np.float32(self.heights.get("cirrus", 0.0)) + water * self.top_m
        return np.asarray(found / np.maximum(ice + water, np.float32(1e-6)))

    def classes(self) -> NDArray[np.uint8]:
        """Return CloudSEN12's classes, (y, x).

        Thick is a scattering depth above .3 (optical thickness 4 of droplets, 2.5 of ice), thin
        one above .02 (.27, .17); shadow is where less than .7 of the direct sunlight reaches
        ground that no cloud hides.
        """
        depth = self.depth
        found = (self.sunlight < SHADOW_LIGHT).astype("uint8")
        found *= np.uint8(SHADOW)
        found[depth >= THIN_DEPTH] = THIN
        found[depth >= THICK_DEPTH] = THICK
        return found

    def effective_fraction(self, mu: float) -> FloatArray:
        """Return the cloud fraction that TROPOMI finds, (y, x): reflectance over albedo .8.

        Args:
            mu: cosine of the sun's zenith angle.
        """
        return np.asarray(
            np.minimum(reflectance(self.depth, mu) / np.float32(_ALBEDO), np.float32(1))
        )


def draw(
    grid: GeoBox,
    seed: int,
    when: datetime,
    *,
    cover: float,
    regime: str,
    sun: tuple[float, float],
    view: tuple[float, float] = (0.0, 0.0),
    drift: tuple[float, float] = (0.0, 0.0),
) -> Sky:
    """Return the sky over a window.

    A cloud belongs to a place, a date and a time, so a larger domain or another instrument meets
    the same ones. The asked cover is that of all places; one window has its own.

    Args:
        grid: pixels of 10 m times a power of two, edges on multiples of the pixel.
        seed: seed of the world.
        when: instant, UTC; the date draws the clouds, the time has moved them since 00 UTC.
        cover: fraction of the sky under cloud, 0 to 1.
        regime: one of `REGIMES`.
        sun: zenith angle and azimuth of the sun in degrees.
        view: zenith angle and azimuth towards the satellite in degrees.
        drift: eastward and northward speed of the clouds in m/s, one for the whole day.
    """
    day, origin = when.toordinal(), _carried(grid, when, drift)
    water, ice, top = np.zeros((3, *grid.shape), "float32")
    heights: dict[str, float] = {}
    for kind, part, height in _parts(cover, regime, seed, day):
        heights[kind.name] = height
        seen = thickness(kind, _source(origin, height, view), part, seed, day)
        if kind.ice:
            ice += seen
        else:
            water += seen
            np.maximum(top, np.float32(height) * (seen > 0), out=top)
    sunlight = shade(grid, seed, when, cover=cover, regime=regime, sun=sun, drift=drift)
    return Sky(water, ice, top, sunlight, _haze(origin, seed, day), heights)


def shade(
    grid: GeoBox,
    seed: int,
    when: datetime,
    *,
    cover: float,
    regime: str,
    sun: tuple[float, float],
    drift: tuple[float, float] = (0.0, 0.0),
) -> FloatArray:
    """Return the share of direct sunlight that reaches the ground, (y, x); arguments as `draw`."""
    day, origin = when.toordinal(), _carried(grid, when, drift)
    dimming = np.zeros(grid.shape, "float32")
    for kind, part, height in _parts(cover, regime, seed, day):
        above = thickness(kind, _source(origin, height, sun), part, seed, day)
        dimming += _dimming(kind, above, math.cos(math.radians(sun[0])))
    np.negative(dimming, out=dimming)
    return np.exp(dimming, out=dimming)


def reflectance(depth: FloatArray, mu: float) -> FloatArray:
    """Return the share of light sent back, R = s/(mu + s), by a layer of scattering depth s.

    Two-stream solution without absorption (Coakley-Chylek; simulation-facts, 3; recalled).
    """
    return np.asarray(depth / (depth + np.float32(mu)))


def displacement(height_m: float, angles: tuple[float, float]) -> tuple[float, float]:
    """Return how far east and north of a cloud its shadow or image lies, m (facts, section 3).

    Args:
        height_m: height of the cloud above ground.
        angles: zenith angle and azimuth of the sun (for the shadow) or satellite, in degrees.
    """
    zenith, azimuth = (math.radians(angle) for angle in angles)
    length = -height_m * min(math.tan(zenith), _STEEPEST)
    return length * math.sin(azimuth), length * math.cos(azimuth)


def _parts(cover: float, regime: str, seed: int, day: int) -> Iterator[tuple[Kind, float, float]]:
    """Yield kind, fraction covered and height in m of the layers of a date."""
    for kind, share in REGIMES[regime]:
        part = 1 - (1 - min(cover, 0.999)) ** share
        if part > 1e-4:
            rng = noise.stream(seed, f"{kind.name} height", day)
            yield kind, part, float(rng.uniform(*kind.height_m))


def _carried(grid: GeoBox, when: datetime, drift: tuple[float, float]) -> GeoBox:
    """Return where the clouds over a grid were at 00 UTC."""
    seconds = 1800 * round((when.hour + when.minute / 60) * 2)
    east, north = (-_DRIFT_M * round(speed * seconds / _DRIFT_M) for speed in drift)
    return zoom.shift(grid, east, north)


def _source(grid: GeoBox, height_m: float, angles: tuple[float, float]) -> GeoBox:
    """Return the window of cloud whose shadow or image falls on a grid."""
    east, north = displacement(height_m, angles)
    return zoom.shift(grid, -east, -north)


def _dimming(kind: Kind, above: FloatArray, mu: float) -> FloatArray:
    """Return minus the logarithm of the direct sunlight's share that a layer lets through.

    Under a sheet light of the neighbourhood counts too: two-stream transmission. A single cloud
    takes all but the forward peak.
    """
    if kind.broken:
        return above * np.float32(_DIRECT_WATER / mu)
    return np.asarray(np.log1p(above * np.float32((BETA_ICE if kind.ice else BETA_WATER) / mu)))


def _haze(grid: GeoBox, seed: int, day: int) -> FloatArray:
    factor = max(160 // round(grid.affine.a), 1)
    field = zoom.field(grid, factor, seed, "haze", day, slope=3.0, outer_m=60_000)
    return np.asarray(np.exp(np.float32(_HAZE_SIGMA) * field - np.float32(_HAZE_SIGMA**2 / 2)))

"""Clouds over the domain: optical thickness and the shade they cast."""

import math
from dataclasses import dataclass
from datetime import date

import numpy as np

from aqgeo.simulation import noise
from aqgeo.simulation.noise import FloatArray

_PIXEL_M = 40  # clouds are drawn on pixels of 40 m: radiation smooths what is smaller
# Two-stream back-scatter beta = (1 - g)/2 of water cloud (Coakley-Chylek; recalled).
_BETA = 0.075
_HEIGHT_M = (
    1500.0  # fair-weather cumulus, base .6-1.5 km, top 1-3 km (simulation-facts, 3; recalled)
)


@dataclass(frozen=True, slots=True)
class Clouds:
    """The clouds of one scene; arrays are (y, x)."""

    thickness: FloatArray
    """Optical thickness, 0 where clear."""
    sunlight: FloatArray
    """Share of direct sunlight that reaches the ground, 0 to 1."""


def draw(
    seed: int,
    day: date,
    shape: tuple[int, int],
    pixel_m: float,
    *,
    cover: float,
    sun: tuple[float, float],
) -> Clouds:
    """Return clouds of a given cover.

    Args:
        seed: seed of the world.
        day: the scene's date.
        shape: (y, x) of the result.
        pixel_m: pixel size of the result in metres, a multiple of 40 m or 20 m.
        cover: fraction of the domain under cloud, 0 to 1.
        sun: zenith angle and azimuth of the sun in degrees.
    """
    rng = noise.stream(seed, "clouds", day.toordinal())
    zenith, azimuth = (math.radians(angle) for angle in sun)
    # Shadow minus cloud on the ground (simulation-facts, section 3), seen from straight above.
    length = _HEIGHT_M * min(math.tan(zenith), 4) / pixel_m
    down, right = round(length * math.cos(azimuth)), round(-length * math.sin(azimuth))
    pad = max(abs(down), abs(right))
    rows, cols = shape[0] + 2 * pad, shape[1] + 2 * pad
    low = _layer((rows, cols), pixel_m, rng, 0.85 * cover) * np.float32(2.5)
    high = _layer((rows, cols), pixel_m, rng, 0.6 * cover) * np.float32(0.25)
    here = slice(pad, pad + shape[0]), slice(pad, pad + shape[1])
    caster = slice(pad - down, pad - down + shape[0]), slice(pad - right, pad - right + shape[1])
    shade = 1 - reflectance(low, math.cos(zenith))
    return Clouds(thickness=(low + np.minimum(high, 1.2))[here], sunlight=shade[caster])


def reflectance(thickness: FloatArray, mu: float) -> FloatArray:
    """Return the share of sunlight that a cloud sends back: R = beta tau / (mu + beta tau)."""
    scattered = np.float32(_BETA) * thickness
    return scattered / (np.float32(mu) + scattered)


def _layer(
    shape: tuple[int, int], pixel_m: float, rng: np.random.Generator, cover: float
) -> FloatArray:
    """Return exp(2 excess) - 1 of a Gaussian field above the threshold that gives the cover.

    Spectrum k^-8/3, k^-4 below 300 m (recipe of simulation-facts, section 3; derived).
    """
    factor = max(round(_PIXEL_M / pixel_m), 1)
    coarse = (-(-shape[0] // factor), -(-shape[1] // factor))
    size = pixel_m * factor
    field = noise.fractal(coarse, rng, slope=8 / 3, outer=15_000 / size, inner=300 / size)
    threshold = np.quantile(field[::2, ::2], 1 - min(max(cover, 0.0), 1.0))
    excess = np.expm1(np.clip(2 * (field - np.float32(threshold)), 0, 4)).astype("float32")
    return noise.upsample(excess, factor, shape)

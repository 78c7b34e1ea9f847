"""Sen2Cor's scene classification, with the mistakes that its thresholds make."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aqgeo.simulation.noise import FloatArray

(
    NO_DATA, DEFECTIVE, DARK, SHADOW, VEGETATION, BARE, WATER, UNCLASSIFIED,
    CLOUD_MEDIUM, CLOUD_HIGH, CIRRUS, SNOW,
) = range(12)  # fmt: skip
_MEDIUM, _HIGH, _LOW = 0.45, 0.7, 0.2  # cloud probability
_CIRRUS_B10 = 0.012, 0.035  # thin and thick (simulation-facts, section 3; recalled)
_SHADOW_LIGHT = 0.55  # the projected cloud must take this much of the sun to be found
_MISSED, _FALSE = 0.9, 1.2  # doubt above which shadow is missed, or dark water is taken for it


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the processor knows, on pixels of 20 m; arrays are (y, x)."""

    toa: Mapping[str, FloatArray]
    """Top-of-atmosphere reflectance of B02, B03, B04, B8A, B10, B11, B12."""
    boa: Mapping[str, FloatArray]
    """Surface reflectance of B02, B03, B04, B8A, B11."""
    sunlight: FloatArray
    """Share of direct sunlight if the clouds had the height that the processor guesses."""
    relief: FloatArray
    """Sunlight by slope relative to level ground."""
    doubt: FloatArray
    """Smooth random numbers, standard deviation 1, that shift thresholds."""


def classify(e: Evidence) -> NDArray[np.uint8]:
    """Return SCL codes, (y, x).

    Thresholds follow the structure of Sen2Cor's algorithm: brightness, snow index, vegetation and
    ratios of bands against the short-wave infrared (recalled, tuned to the error rates of
    simulation-facts, section 1). Bright roofs and sand pass them as cloud, thin cloud over
    vegetation does not, edges are not dilated, shadow is found where it is dark enough.
    """
    scl = ground(e)
    probability = cloud_probability(e)
    scl[probability > _LOW] = UNCLASSIFIED
    _shadows(scl, e)
    cirrus = e.toa["B10"] * np.exp(np.float32(0.2) * e.doubt)
    scl[cirrus > _CIRRUS_B10[0]] = CIRRUS
    scl[probability > _MEDIUM] = CLOUD_MEDIUM
    scl[(probability > _HIGH) | ((cirrus > _CIRRUS_B10[1]) & (e.toa["B02"] > 0.3))] = CLOUD_HIGH
    scl[snow(e)] = SNOW
    return scl


def ground(e: Evidence) -> NDArray[np.uint8]:
    """Return what a clear pixel is taken for: vegetation, bare, water or dark."""
    red, near, green, short = (e.boa[b] for b in ("B04", "B8A", "B03", "B11"))
    found = np.full(red.shape, BARE, "uint8")
    found[_index(near, red) > 0.4] = VEGETATION
    dark = (near < 0.10) & (short < 0.09)
    found[dark | (e.relief < 0.45)] = DARK
    found[(near < 0.08) & (short < 0.06) & (green > near * 0.9)] = WATER
    return found


def cloud_probability(e: Evidence) -> FloatArray:
    """Return how sure the processor is of cloud, 0 to 1, (y, x)."""
    blue, green, red, near, short = (e.toa[b] for b in ("B02", "B03", "B04", "B8A", "B11"))
    shifted = red * np.exp(np.float32(0.12) * e.doubt)
    found = _ramp(shifted, 0.12, 0.28)
    white = _index(green, short)
    found *= _ramp(white, -0.34, -0.18)
    found *= 1 - _ramp(white, 0.30, 0.42)
    found *= 1 - _ramp(_index(near, red), 0.36, 0.50)
    found *= _ramp(blue / (short + np.float32(1e-3)), 0.45, 0.75)
    found *= _ramp(near / (short + np.float32(1e-3)), 0.70, 0.90)
    return found


def snow(e: Evidence) -> NDArray[np.bool_]:
    """Return where the processor sees snow: white, and dark in the short-wave infrared."""
    blue, green, red, near, short = (e.toa[b] for b in ("B02", "B03", "B04", "B8A", "B11"))
    found = _index(green, short) + np.float32(0.05) * e.doubt > 0.36
    found &= near > 0.15
    found &= blue > 0.2
    found &= blue > np.float32(0.85) * red
    return np.asarray(found)


def _shadows(scl: NDArray[np.uint8], e: Evidence) -> None:
    """Mark shadow where the projected cloud falls on dark ground; water is taken for it too."""
    near = e.boa["B8A"]
    projected = (e.sunlight < _SHADOW_LIGHT) & (e.doubt < _MISSED)
    scl[projected & (near < 0.20) & (e.boa["B11"] < 0.17)] = SHADOW
    scl[(near < 0.012) & (e.doubt > _FALSE)] = SHADOW


def _index(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the normalised difference."""
    return np.asarray((a - b) / np.maximum(a + b, np.float32(1e-3)))


def _ramp(values: FloatArray, low: float, high: float) -> FloatArray:
    found = values - np.float32(low)
    found *= np.float32(1 / (high - low))
    return np.clip(found, 0, 1, out=found)

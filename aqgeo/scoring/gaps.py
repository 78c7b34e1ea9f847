"""Filled gaps against the truth: gaps by size, structural similarity, spectral angle."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

SIZES_KM2 = (0.1, 1.0, 10.0)
"""Bounds of the gap size classes, km2: single clouds, small and large fields of them, a front. Our
own choice."""
SIZE_NAMES = {1: "gaps below 0.1 km2", 2: "gaps 0.1 to 1 km2"}
SIZE_NAMES |= {3: "gaps 1 to 10 km2", 4: "gaps above 10 km2"}
# Wang et al. (2004), IEEE Transactions on Image Processing 13, 600-612: window and constants.
_WINDOW_SIGMA, _WINDOW_RADIUS, _K1, _K2 = 1.5, 5, 0.01, 0.03
REFLECTANCE_RANGE = 0.3
"""Range of reflectance that constants of SSIM relate to: black to full colour of a land picture."""


def size_classes(gaps: np.ndarray, pixel_km2: float) -> np.ndarray:
    """Return (y, x) uint8 codes of SIZE_NAMES; 0 outside gaps.

    A gap is a set of pixels that touch by a side or a corner.

    Args:
        gaps: (y, x) True inside gaps.
        pixel_km2: area of a pixel.
    """
    labels, _ = ndimage.label(gaps, structure=np.ones((3, 3)))
    area = np.bincount(labels.ravel()) * pixel_km2
    codes = np.digitize(area, SIZES_KM2).astype("uint8") + 1
    codes[0] = 0
    found: np.ndarray = codes[labels]
    return found


def similarity(
    truth: np.ndarray, found: Sequence[np.ndarray], inside: np.ndarray
) -> list[np.ndarray]:
    """Return the structural similarity of images to the truth inside gaps, and from there only.

    Each pixel inside is the centre of a Gaussian window; pixels outside weigh nothing in it.

    Args:
        truth: (y, x) reflectance, 1; finite inside.
        found: (y, x) images, the same.
        inside: (y, x) True where pixels count.

    Returns:
        For each image (n,) float32, -1 to 1, for the n pixels inside in the order of the rows.
    """
    weight = _smooth(inside.astype("float32"))[inside]

    def moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = _smooth(values)[inside] / weight
        return mean, _smooth(values * values)[inside] / weight - mean**2

    c1, c2 = ((k * REFLECTANCE_RANGE) ** 2 for k in (_K1, _K2))
    a, results = np.where(inside, truth, 0).astype("float32"), []
    mean_a, var_a = moments(a)
    for image in found:
        b = np.where(inside, image, 0).astype("float32")
        mean_b, var_b = moments(b)
        both = _smooth(a * b)[inside] / weight - mean_a * mean_b
        light = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        results.append(light * (2 * both + c2) / (var_a + var_b + c2))
    return results


def spectral_angle(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return the angle between spectra in degrees; it does not see a common factor.

    Kruse et al. (1993), Remote Sensing of Environment 44, 145-163.

    Args:
        one: (band, ...) reflectance, 1.
        two: (band, ...) reflectance, 1.

    Returns:
        (...) float64, 0 to 180; NaN where a spectrum is zero or NaN.
    """
    a, b = one.astype("float64"), two.astype("float64")
    lengths = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    cosine = np.divide(
        (a * b).sum(axis=0), lengths, out=np.full(lengths.shape, np.nan), where=lengths > 0
    )
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _smooth(values: np.ndarray) -> np.ndarray:
    return np.asarray(
        ndimage.gaussian_filter(values, _WINDOW_SIGMA, radius=_WINDOW_RADIUS, mode="constant")
    )

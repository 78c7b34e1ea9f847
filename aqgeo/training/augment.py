"""Augmentation of reflectance: what sensors, processors and scales do to the same scene."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

# Bands that users have: the four of 10 m, those with short-wave infrared, s2cloudless' ten, all.
FOUR = ("B02", "B03", "B04", "B08")
SIX = (*FOUR, "B11", "B12")
TEN = ("B01", "B02", "B04", "B05", "B08", "B8A", "B09", "B10", "B11", "B12")
_SETS: tuple[tuple[float, Sequence[str] | None], ...] = (
    *((0.4, FOUR), (0.2, SIX), (0.1, TEN)),
    (0.3, None),
)
# Each band beyond the four of 10 m is dropped this often where no set is taken.
_DROPPED = 0.15


@dataclass(frozen=True, slots=True)
class Strength:
    """How far images are changed; all are one sigma or a share of the images."""

    gain: float = 0.04
    """Sigma of the logarithm of a factor on all bands."""
    band_gain: float = 0.02
    """Sigma of the logarithm of a factor on each band."""
    offset: float = 0.004
    """Sigma of a shift of all bands, reflectance."""
    noise: float = 0.002
    """Largest sigma of noise added to pixels, reflectance."""
    blurred: float = 0.15
    """Share of images that are blurred."""
    no_data: float = 0.1
    """Share of images with a part that holds no data."""


def crop(
    values: np.ndarray, label: np.ndarray, size: int, factor: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a random square on pixels `factor` times as large, turned and mirrored at random.

    Args:
        values: (band, y, x) reflectance.
        label: (y, x) classes.
        size: rows and columns of the result.
        factor: 1 or 2; reduced where the image is too small. Reflectance is averaged; the class is
            the one in the upper left of each block, since codes have no mean.
        rng: source of the choice.

    Returns:
        (band, size, size) and (size, size); a smaller image is filled up with no data.
    """
    if min(label.shape) < size * factor:
        factor = 1
    span = size * factor
    top, left = (int(rng.integers(0, max(n - span, 0) + 1)) for n in label.shape)
    patch = values[:, top : top + span, left : left + span]
    codes = label[top : top + span, left : left + span]
    if factor > 1:
        bands, rows, cols = patch.shape
        blocks = patch.reshape(bands, rows // factor, factor, cols // factor, factor)
        patch, codes = blocks.mean(axis=(2, 4)), codes[::factor, ::factor]
    short = [(0, size - n) for n in codes.shape]
    if any(pad for _, pad in short):
        patch = np.pad(patch, ((0, 0), *short), constant_values=np.nan)
        codes = np.pad(codes, short, constant_values=255)
    turns = int(rng.integers(0, 4))
    patch, codes = np.rot90(patch, turns, (1, 2)), np.rot90(codes, turns)
    if rng.random() < 0.5:
        patch, codes = patch[:, ::-1], codes[::-1]
    return np.ascontiguousarray(patch, "float32"), np.ascontiguousarray(codes)


def change(
    values: np.ndarray, bands: Sequence[str], strength: Strength, rng: np.random.Generator
) -> np.ndarray:
    """Return reflectance as another sensor, processor or day would give it.

    Args:
        values: (band, y, x) reflectance, NaN where there is no data.
        bands: names of the bands.
        strength: how far to go.
        rng: source of the choice.
    """
    gains = np.exp(rng.normal(0, strength.gain) + rng.normal(0, strength.band_gain, len(bands)))
    found = values * gains[:, None, None].astype("float32")
    found += np.float32(rng.normal(0, strength.offset))
    if rng.random() < strength.blurred:
        sigma = rng.uniform(0.4, 1.2)
        found = ndimage.gaussian_filter(found, (0, sigma, sigma), mode="nearest")
    found += np.float32(rng.uniform(0, strength.noise)) * rng.standard_normal(
        found.shape, dtype="float32"
    )
    if rng.random() < strength.no_data:
        edge = int(rng.integers(1, found.shape[2] // 2))
        # On any side: turning and mirroring came before.
        side = np.rot90(found, int(rng.integers(4)), (1, 2))
        side[:, :, :edge] = np.nan
    return np.asarray(found, "float32")


def drop_bands(values: np.ndarray, bands: Sequence[str], rng: np.random.Generator) -> None:
    """Set bands to no data in place, so that one network learns to serve any subset."""
    draw, kept = rng.random(), None
    for share, names in _SETS:
        draw -= share
        if draw < 0:
            kept = names
            break
    for number, band in enumerate(bands):
        lost = rng.random() < _DROPPED and band not in FOUR
        if (kept is None and lost) or (kept is not None and band not in kept):
            values[number] = np.nan

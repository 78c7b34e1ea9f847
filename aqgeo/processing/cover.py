"""Cover of an image: counted pixel by pixel, or told by a network as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aqgeo import cover
from aqgeo.errors import ModelError
from aqgeo.models.cover import CoverNet, predict
from aqgeo.patches import shrink, windows
from aqgeo.processing.contenders import Network

VISIBLE = ("B02", "B03", "B04")
"""Bands whose mean is an image's brightness."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of one image."""

    cover: float
    """Percent of its pixels that hold data under thick or thin cloud."""
    klass: int
    """Class, 0 to 3."""
    confidence: float
    """0 to 1. Of a count: mean probability of what each pixel was counted as. Of a network: mean
    probability of the class."""
    probabilities: tuple[float, ...] = ()
    """Probability of each class; empty for a count."""


def by_mask(network: Network, values: np.ndarray) -> Told:
    """Count the pixels that a U-Net sees as thick or thin cloud.

    Args:
        network: for the level of the image.
        values: (band, y, x) float32 reflectance in the order of the network's bands, NaN where
            there is no data.

    Raises:
        ModelError: the image holds no data.
    """
    known = ~np.isnan(values).all(axis=0)
    _refuse_empty(known)
    found = network.find(values, network.bands, None)
    cloudy = np.isin(found.classes, cover.CLOUD)
    percent = 100.0 * float(cloudy[known].mean())
    share = np.asarray(found.cloud)
    sure = np.where(cloudy, share, 1 - share)
    return Told(percent, int(cover.class_of(percent)), float(sure[known].mean()))


def by_network(network: CoverNet, values: np.ndarray, *, cut: int | None = None) -> Told:
    """Let a network tell class and cover; those of a large image are means over its squares.

    Args:
        network: as trained.
        values: (band, y, x) float32 reflectance in the order of the network's bands, NaN where
            there is no data.
        cut: rows and columns of the squares that it was trained on; the image as a whole if None.

    Raises:
        ModelError: the image holds no data.
    """
    known = ~np.isnan(values).all(axis=0)
    _refuse_empty(known)
    shape = known.shape
    side = max(shape) if cut is None else cut
    places = windows((shape[0], shape[1]), side)
    weights = np.array([known[here].sum() for here in places], "float64")
    places = [here for here, weight in zip(places, weights, strict=True) if weight]
    weights = weights[weights > 0] / weights.sum()
    found = [predict(network, shrink(values[:, *here], network.size)[None]) for here in places]
    probabilities = sum(w * p[0] for w, (p, _) in zip(weights, found, strict=True))
    inside = [cover.within(share, p.argmax(1))[0] for p, share in found]
    percent = float(np.dot(weights, inside))
    klass = int(cover.class_of(percent))
    told = tuple(float(v) for v in np.atleast_1d(probabilities))
    return Told(percent, klass, told[klass], told)


def by_brightness(values: np.ndarray, bands: Sequence[str], threshold: float) -> float:
    """Return percent of the known pixels whose mean visible reflectance is above a threshold.

    NaN where there is no data, or no visible band.
    """
    bright = brightness(values, bands)
    known = ~np.isnan(bright)
    return 100.0 * float((bright[known] > threshold).mean()) if known.any() else np.nan


def brightness(values: np.ndarray, bands: Sequence[str]) -> np.ndarray:
    """Return the (..., y, x) mean of the visible bands of (..., band, y, x) reflectance."""
    here = [bands.index(band) for band in VISIBLE if band in bands]
    if not here:
        return np.full((*values.shape[:-3], *values.shape[-2:]), np.nan)
    return np.asarray(values[..., here, :, :].mean(axis=-3, dtype="float32"))


def threshold(values: np.ndarray, truth: np.ndarray, bands: Sequence[str]) -> float | None:
    """Return the brightness above which counted pixels come nearest to the true cover.

    Args:
        values: (n, band, y, x) reflectance of samples for training.
        truth: (n,) percent.
        bands: names of the bands.

    Returns:
        Reflectance with the least mean absolute error, of steps of 0.01; None without visible
        bands.
    """
    if not set(VISIBLE) & set(bands):
        return None
    bright = brightness(values, bands)
    known = np.maximum((~np.isnan(bright)).sum(axis=(1, 2)), 1)
    steps = np.arange(0.05, 0.8, 0.01)
    errors = [
        np.abs(100.0 * (bright > step).sum(axis=(1, 2)) / known - truth).mean() for step in steps
    ]
    return round(float(steps[int(np.argmin(errors))]), 2)


def _refuse_empty(known: np.ndarray) -> None:
    if not known.any():
        raise ModelError("the image holds no data: nothing can be said of its clouds")

"""Cloud detectors that are fitted on labelled pixels: a threshold, and boosted trees."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from aqgeo.errors import EstimateError
from aqgeo.processing.clouds import CLEAR, SHADOW, THICK, THIN
from aqgeo.processing.contenders import Found

_VISIBLE = ("B02", "B03", "B04")
# Bands whose normalised differences are features: vegetation, water, snow and colour.
_INDEXED = ("B02", "B03", "B04", "B08", "B11")
# Pixels drawn from all images of a fit, and from any single one.
PIXELS = 200_000
_LEAST = 100
# Rows at a time: predictions hold a float64 copy of them.
_BLOCK = 2**18
_STEPS = 200
# The best of some settings on real tiles, held out in turn; more leaves learn the place.
_ROUNDS, _LEAVES, _LEAF = 100, 12, 300


@dataclass(frozen=True, slots=True)
class Sample:
    """Labelled pixels of several images."""

    values: np.ndarray
    """(pixel, band) float32 reflectance, NaN where no data."""
    label: np.ndarray
    """(pixel,) CloudSEN12's classes."""
    bands: tuple[str, ...]
    """Names of the bands."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Cloud is what is brighter in the visible than a number."""

    above: float
    """Mean of B02, B03 and B04, reflectance."""
    tells: tuple[tuple[int, ...], ...] = ((CLEAR, SHADOW), (THICK, THIN))
    """Cloud from the rest."""

    def lacks(self, bands: Sequence[str], level: str) -> str:
        """Return why it cannot judge such an image; empty if it can."""
        lost = [band for band in _VISIBLE if band not in bands]
        return f"needs {', '.join(lost)}" if lost else ""

    def find(self, values: np.ndarray, bands: Sequence[str], pixel_m: float | None) -> Found:
        """Return clouds of (band, y, x) reflectance, NaN where no data."""
        light = _brightness(np.moveaxis(values, 0, -1), bands)
        return Found(np.where(light > self.above, THICK, CLEAR).astype("uint8"))


@dataclass(frozen=True, slots=True)
class Trees:
    """Gradient boosted trees on the bands of one pixel and their normalised differences."""

    model: Any
    """Fitted on the features of `_features`."""
    bands: tuple[str, ...]
    """Bands that it was fitted on."""
    tells: tuple[tuple[int, ...], ...] = ((CLEAR, SHADOW), (THICK, THIN))
    """Cloud from the rest: fitted on four classes, of which one is rare, they find less cloud."""

    def lacks(self, bands: Sequence[str], level: str) -> str:
        """Return why it cannot judge such an image; empty if it can."""
        lost = [band for band in self.bands if band not in bands]
        return f"was fitted with {', '.join(lost)} as well" if lost else ""

    def find(self, values: np.ndarray, bands: Sequence[str], pixel_m: float | None) -> Found:
        """Return clouds of (band, y, x) reflectance, NaN where no data."""
        own = values[[list(bands).index(band) for band in self.bands]]
        pixels = own.reshape(len(own), -1).T
        cloud = np.concatenate(
            [
                self.model.predict_proba(_features(pixels[first : first + _BLOCK], self.bands))[
                    :, 1
                ]
                for first in range(0, len(pixels), _BLOCK)
            ]
        ).reshape(values.shape[1:])
        return Found(np.where(cloud > 0.5, THICK, CLEAR).astype("uint8"), cloud.astype("f4"))


def threshold(sample: Sample) -> Threshold:
    """Return the threshold with the best IoU of cloud on a sample.

    Raises:
        EstimateError: the visible bands are missing, or there is no cloud or nothing else.
    """
    if lost := [band for band in _VISIBLE if band not in sample.bands]:
        raise EstimateError(f"a threshold needs {', '.join(lost)}: the images have no such band")
    light = _brightness(sample.values, sample.bands)
    cloud = _is_cloud(sample)
    steps = np.quantile(light[np.isfinite(light)], np.linspace(0, 1, _STEPS))
    best, above = -1.0, 0.0
    for step in np.unique(steps):
        found = light > step
        iou = (found & cloud).sum() / max(1, (found | cloud).sum())
        if iou > best:
            best, above = float(iou), float(step)
    return Threshold(above)


def trees(sample: Sample, *, seed: int = 0) -> Trees:
    """Return trees fitted on a sample; the same sample and seed give the same trees.

    Raises:
        EstimateError: there is no cloud or nothing else.
    """
    model = HistGradientBoostingClassifier(
        max_iter=_ROUNDS,
        max_leaf_nodes=_LEAVES,
        min_samples_leaf=_LEAF,
        early_stopping=False,
        random_state=seed,
    )
    model.fit(_features(sample.values, sample.bands), _is_cloud(sample))
    return Trees(model, sample.bands)


def draw(
    values: np.ndarray, label: np.ndarray, *, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (pixel, band) values and (pixel,) classes of random labelled pixels of an image.

    Args:
        values: (band, y, x) reflectance, NaN where no data.
        label: (y, x) CloudSEN12's classes; others are no label.
        count: how many; all where there are fewer.
        seed: another seed, other pixels.
    """
    known = np.flatnonzero((label <= SHADOW) & np.isfinite(values).any(axis=0))
    if known.size > count:
        known = np.sort(np.random.default_rng(seed).choice(known, count, replace=False))
    return values.reshape(len(values), -1)[:, known].T, label.ravel()[known]


def _is_cloud(sample: Sample) -> np.ndarray:
    """Return (pixel,) whether it is cloud, where both cloud and others are there."""
    cloud = np.isin(sample.label, (THICK, THIN))
    if min(cloud.sum(), (~cloud).sum()) < _LEAST:
        raise EstimateError(
            f"{int(cloud.sum())} of {cloud.size} pixels are cloud: at least {_LEAST} of cloud and "
            "of others are needed to fit, give more training images"
        )
    return np.asarray(cloud)


def _brightness(values: np.ndarray, bands: Sequence[str]) -> np.ndarray:
    """Return the mean of the visible bands of (..., band) reflectance."""
    return np.asarray(values[..., [list(bands).index(band) for band in _VISIBLE]].mean(axis=-1))


def _features(pixels: np.ndarray, bands: Sequence[str]) -> np.ndarray:
    """Return (pixel, feature): the bands, and normalised differences of some of them."""
    columns = [pixels]
    chosen = [list(bands).index(band) for band in _INDEXED if band in bands]
    for one, two in combinations(chosen, 2):
        above, below = pixels[:, one] - pixels[:, two], pixels[:, one] + pixels[:, two]
        index = np.full_like(above, np.nan)
        np.divide(above, below, out=index, where=np.abs(below) > 1e-6)
        columns.append(np.clip(index, -1, 1)[:, None])
    return np.concatenate(columns, axis=1)

"""Class maps against the truth: confusion counts and what follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class ClassScores:
    """How well one class is found; NaN where a ratio has nothing below its line."""

    n: int
    """True pixels of the class."""
    iou: float
    """Intersection over union."""
    f1: float
    """Harmonic mean of producer's and user's accuracy."""
    f2: float
    """The same mean with producer's accuracy counted double: a missed pixel costs more."""
    producer: float
    """Share of the true pixels that are found, 'producer's accuracy' or recall."""
    user: float
    """Share of the pixels found that are true, 'user's accuracy' or precision."""


def confusion(truth: np.ndarray, found: np.ndarray, codes: Sequence[int]) -> np.ndarray:
    """Return (true class, found class) int64 counts; pixels of other codes are left out.

    Args:
        truth: class codes of any shape.
        found: class codes of the same shape.
        codes: the classes, in the order of the counts.
    """
    place = np.full(256, -1)
    place[list(codes)] = np.arange(len(codes))
    t, f = place[truth.ravel()], place[found.ravel()]
    known = (t >= 0) & (f >= 0)
    counts = np.bincount(t[known] * len(codes) + f[known], minlength=len(codes) ** 2)
    return counts.reshape(len(codes), len(codes))


def merge(counts: np.ndarray, groups: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the counts of fewer classes, each a group of rows of the old ones."""
    return np.array([[counts[np.ix_(one, two)].sum() for two in groups] for one in groups])


def per_class(counts: np.ndarray) -> list[ClassScores]:
    """Return the scores of each class from (true, found) counts."""
    hit = np.diag(counts)
    true, found = counts.sum(axis=1), counts.sum(axis=0)
    return [
        ClassScores(
            n=int(t),
            iou=_ratio(h, t + f - h),
            f1=_ratio(2 * h, t + f),
            f2=_ratio(5 * h, 4 * t + f),
            producer=_ratio(h, t),
            user=_ratio(h, f),
        )
        for h, t, f in zip(hit, true, found, strict=True)
    ]


def balanced_accuracy(counts: np.ndarray) -> float:
    """Return the balanced overall accuracy: the mean of the classes' producer's accuracies.

    For two classes it is that of the CloudSEN12 paper (Aybar et al. 2022, Scientific Data 9, 782).
    NaN if a class has no true pixel, since its accuracy cannot be known.
    """
    return float(np.mean([scores.producer for scores in per_class(counts)]))


def share_within(truth: np.ndarray, found: np.ndarray, steps: int, no_data: int = 0) -> float:
    """Return the share of pixels whose ordered class is at most so many steps off.

    Args:
        truth: class codes of any shape, in order.
        found: class codes of the same shape.
        steps: allowed distance of the codes, 0 for the same class.
        no_data: code of pixels to leave out.
    """
    known = (truth != no_data) & (found != no_data)
    off = np.abs(truth[known].astype(int) - found[known].astype(int))
    return float((off <= steps).mean()) if off.size else np.nan


def _ratio(above: float, below: float) -> float:
    return float(above) / float(below) if below else np.nan

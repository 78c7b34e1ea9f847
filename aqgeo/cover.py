"""Cover: percent of an image's known pixels under thick or thin cloud, in four classes."""

import numpy as np

BOUNDS = (0.0, 25.0, 50.0, 75.0)
"""Lower bounds of the classes, percent; the last one holds 100."""
NAMES = ("[0,25)", "[25,50)", "[50,75)", "[75,100]")
"""Names of the classes."""
CLOUD = (1, 2)
"""CloudSEN12's classes that count: thick and thin cloud, not shadow."""


def class_of(cover: np.ndarray | float) -> np.ndarray:
    """Return the class, 0 to 3, of cover in percent."""
    return np.asarray(np.digitize(cover, BOUNDS[1:]))


def within(cover: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return cover, percent, moved to the nearest value that lies in the class told beside it."""
    low = np.asarray(BOUNDS)[classes]
    high = np.asarray([*(np.nextafter(b, 0) for b in BOUNDS[1:]), 100.0])[classes]
    return np.asarray(np.clip(cover, low, high))


def share(label: np.ndarray, no_label: int = 255) -> tuple[float, float]:
    """Return the cover of a label, percent, and the share of its pixels that are labelled, 0 to 1.

    Args:
        label: (y, x) CloudSEN12's classes.
        no_label: code of pixels without a label.

    Returns:
        NaN and 0 where no pixel is labelled.
    """
    known = int(np.count_nonzero(label != no_label))
    if not known:
        return np.nan, 0.0
    return 100.0 * int(np.isin(label, CLOUD).sum()) / known, known / label.size

"""Cloud classes of Sentinel-2 scenes, in CloudSEN12's codes."""

import math

import numpy as np
from scipy import ndimage

CLEAR, THICK, THIN, SHADOW, NO_DATA = 0, 1, 2, 3, 255
CLASSES = {CLEAR: "clear", THICK: "thick cloud", THIN: "thin cloud", SHADOW: "cloud shadow"}

# Sen2Cor's scene classes. 7 is 'unclassified', in practice thin cloud and cloud edges as often as
# ground; dark areas (2) and snow (11) are ground; 1 is saturated or defective.
_FROM_SCL = {2: CLEAR, 3: SHADOW, 4: CLEAR, 5: CLEAR, 6: CLEAR, 7: THIN, 8: THICK, 9: THICK}
_FROM_SCL |= {10: THIN, 11: CLEAR}


def from_scl(scl: np.ndarray) -> np.ndarray:
    """Return cloud classes from Sen2Cor's scene classes.

    Args:
        scl: scene classes of any shape; codes that Sen2Cor does not have become no data.

    Returns:
        uint8 codes of CLASSES, NO_DATA elsewhere.
    """
    table = np.full(256, NO_DATA, "uint8")
    table[list(_FROM_SCL)] = list(_FROM_SCL.values())
    known = (scl >= 0) & (scl < table.size)
    return np.where(known, table[np.where(known, scl, 0)], NO_DATA).astype("uint8")


def dilate(
    cloud_class: np.ndarray, metres: float, pixel_m: tuple[float, float] | float
) -> np.ndarray:
    """Return cloud classes in which clouds and shadow have grown over clear ground.

    Clear pixels whose centre lies within a distance of a cloud's or shadow's become it: thick
    cloud before thin cloud before shadow. No data stay no data.

    Args:
        cloud_class: (..., y, x) uint8, codes of CLASSES.
        metres: how far they grow; 0 changes nothing.
        pixel_m: metres between rows and between columns, or one number for both.
    """
    grown = cloud_class.copy()
    steps = np.broadcast_to(np.asarray(pixel_m, "float64"), 2)
    if metres < steps.min():
        return grown
    for image, result in zip(_images(cloud_class), _images(grown), strict=True):
        clear = image == CLEAR
        for code in (SHADOW, THIN, THICK):  # the last one wins
            if (image == code).any():
                away = ndimage.distance_transform_edt(image != code, sampling=steps)
                result[clear & (away <= metres)] = code
    return grown


def reach(metres: float, pixel_m: tuple[float, float] | float) -> int:
    """Return by how many pixels a part must be wider for `dilate` to be as in the whole image."""
    return math.ceil(metres / float(np.min(pixel_m)))


def count(cloud_class: np.ndarray) -> np.ndarray:
    """Return the number of pixels by code (256,); counts of an image's parts add up."""
    return np.bincount(cloud_class.ravel(), minlength=256)


def shares(counts: np.ndarray) -> dict[str, float]:
    """Return the percent of valid pixels by class, and of all pixels without data.

    Args:
        counts: (256,) pixels by code.
    """
    valid, total = counts[list(CLASSES)].sum(), counts.sum()
    found = {name: round(float(100 * counts[c] / max(valid, 1)), 3) for c, name in CLASSES.items()}
    return {**found, "no data": round(float(100 * counts[NO_DATA] / max(total, 1)), 3)}


def _images(array: np.ndarray) -> np.ndarray:
    """Return a view (image, y, x)."""
    return array.reshape(-1, *array.shape[-2:])

"""Weak cloud labels from Sen2Cor's scene classification, unknown where it cannot be trusted."""

import numpy as np
from scipy import ndimage

from aqgeo.datasets.cloudsen12_record import NO_LABEL

_CLEAR, _THICK, _THIN, _SHADOW = 0, 1, 2, 3
UNCLASSIFIED = 7
# 2 dark, 4 vegetation, 5 bare, 6 water, 11 snow; 3 shadow; 8, 9 cloud; 10 cirrus. 1 is defective, 7
# is unclassified, 12 does not exist.
_CLASS = {2: _CLEAR, 4: _CLEAR, 5: _CLEAR, 6: _CLEAR, 11: _CLEAR}
_CLASS |= {3: _SHADOW, 8: _THICK, 9: _THICK, 10: _THIN}
# Where a classification was interpolated, codes between vegetation (4) and cloud (8, 9) appear at
# cloud edges that were never given.
_DOUBTFUL = (5, 6, 7, 10, 11)
_NEAR = 2


def weak(scl: np.ndarray, *, interpolated: bool) -> np.ndarray:
    """Return CloudSEN12's classes, NO_LABEL where the scene classification says nothing.

    Args:
        scl: (y, x) codes.
        interpolated: whether codes were averaged when the pixels were made: those of doubt within
            two pixels of cloud (8, 9) are unknown then.

    Returns:
        (y, x) uint8.
    """
    table = np.full(256, NO_LABEL, "uint8")
    table[list(_CLASS)] = list(_CLASS.values())
    found = table[scl.astype("uint8")]
    if interpolated:
        near = ndimage.binary_dilation(np.isin(scl, (8, 9)), iterations=_NEAR)
        found[near & np.isin(scl, _DOUBTFUL)] = NO_LABEL
    return np.asarray(found)

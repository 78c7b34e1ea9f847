"""Cloud classes of Sentinel-2 scenes, in CloudSEN12's codes."""

import numpy as np

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

"""Kinds of ground on which cloud masks fail, told by simple rules on clear pixels."""

from collections.abc import Sequence

import numpy as np

KINDS = ("bright urban", "sand", "snow", "water")
RULES = {
    "snow": "NDSI (B03, B11) > 0.4 and B03 > 0.15",
    "water": "NDWI (B03, B08) > 0 and B08 < 0.15",
    "sand": "bright, NDVI < 0.2 and B04 > 1.25 B02",
    "bright urban": "bright, NDVI < 0.3 and B04 <= 1.25 B02",
}
"""The rules for people."""
BRIGHT = "Bright: mean of B02, B03 and B04 > 0.15, and neither snow nor water"
# Hall et al. 1995 (NDSI 0.4), McFeeters 1996 (NDWI 0). B03 of snow as thin as can be on fields, the
# brightness and colours of sand, roofs and bare ground: spectra of real chips, as in
# simulation/spectra.py (sand: B04 1.34 x B02; roof: 1.25 x, mean 0.17; dense urban: mean 0.11).
_NDSI, _SNOW, _NDWI, _DARK = 0.4, 0.15, 0.0, 0.15
_BRIGHT, _RED, _BARE, _BUILT = 0.15, 1.25, 0.2, 0.3


def kinds(values: np.ndarray, bands: Sequence[str]) -> dict[str, np.ndarray]:
    """Return (y, x) bool by kind of ground; kinds whose bands are missing are left out.

    They hold for pixels that are clear: cloud is bright and grey as well.

    Args:
        values: (band, y, x) reflectance, NaN where no data.
        bands: their names.
    """
    if not {"B02", "B03", "B04", "B08"} <= set(bands):
        return {}
    blue, green, red, near = (values[list(bands).index(b)] for b in ("B02", "B03", "B04", "B08"))
    found: dict[str, np.ndarray] = {}
    snow = np.zeros(blue.shape, bool)
    if "B11" in bands and np.isfinite(short := values[list(bands).index("B11")]).any():
        snow = (_index(green, short) > _NDSI) & (green > _SNOW)
        found["snow"] = snow
    water = (_index(green, near) > _NDWI) & (near < _DARK) & ~snow
    bright = ((blue + green + red) / 3 > _BRIGHT) & ~snow & ~water
    ndvi = _index(near, red)
    reddish = red > _RED * blue
    found |= {"water": water, "sand": bright & reddish & (ndvi < _BARE)}
    found["bright urban"] = bright & ~reddish & (ndvi < _BUILT)
    return {kind: found[kind] for kind in KINDS if kind in found}


def _index(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return a normalised difference; 0 where nothing is reflected."""
    above, below = one - two, one + two
    found = np.zeros_like(above)
    np.divide(above, below, out=found, where=np.abs(below) > 1e-6)
    return np.asarray(found)

"""Reflectance of ground and cloud in Sentinel-2's bands, by class."""

from dataclasses import dataclass

import numpy as np

from aqgeo.simulation.land import (
    BARE,
    CONIFER,
    CROPLAND,
    DENSE_URBAN,
    FOREST,
    GRASS,
    INDUSTRY,
    LOOSE_URBAN,
    ROAD,
    SAND,
    WATER,
)  # fmt: skip
from aqgeo.simulation.noise import FloatArray

BANDS_L2A = (
    "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12",
)  # fmt: skip
"""Bands of L2A, by wavelength."""
BANDS_L1C = (*BANDS_L2A[:10], "B10", *BANDS_L2A[10:])
"""Bands of L1C; B10 sees the ground hardly at all."""
RESOLUTION_M = dict.fromkeys(BANDS_L1C, 20) | {
    **dict.fromkeys(("B02", "B03", "B04", "B08"), 10),
    **dict.fromkeys(("B01", "B09", "B10"), 60),
}
"""Native pixel size."""
# Rows of simulation-facts, section 2; [M] measured on real chips, [R] recalled, as said there.
CLASSES: dict[str, tuple[float, ...]] = {
    # coastal and green water [M 282D]
    "water": (0.044, 0.045, 0.054, 0.025, 0.020, 0.008, 0.009, 0.008, 0.007, 0.011, 0.006, 0.005),
    # deciduous forest, leaf on: between [R] and the darker ones of L2A chips [M 282D, 433D]
    "leafy": (0.017, 0.020, 0.042, 0.025, 0.070, 0.23, 0.29, 0.31, 0.32, 0.32, 0.12, 0.05),
    # deciduous forest without leaves: bark, litter; not in the facts, illustrative
    "leafless": (0.025, 0.035, 0.050, 0.055, 0.075, 0.12, 0.14, 0.16, 0.18, 0.18, 0.17, 0.10),
    "conifer": (0.018, 0.022, 0.035, 0.023, 0.052, 0.14, 0.175, 0.20, 0.20, 0.20, 0.095, 0.042),
    # green crop, dense [M, two fields; B01 and B09 R]
    "green": (0.025, 0.030, 0.059, 0.033, 0.101, 0.337, 0.427, 0.451, 0.449, 0.45, 0.176, 0.090),
    # green crop in autumn, northern Europe [M 637U], its over-corrected B01 and B02 raised
    "sprout": (0.018, 0.022, 0.050, 0.030, 0.094, 0.266, 0.313, 0.344, 0.343, 0.343, 0.183, 0.097),
    # grass and rangeland [R]
    "grass": (0.03, 0.04, 0.070, 0.055, 0.11, 0.25, 0.31, 0.33, 0.35, 0.35, 0.22, 0.13),
    # dry crop and stubble [M]
    "stubble": (0.08, 0.107, 0.137, 0.161, 0.208, 0.274, 0.308, 0.315, 0.338, 0.34, 0.332, 0.259),
    # bare soil [M]
    "bare": (0.07, 0.096, 0.128, 0.163, 0.187, 0.211, 0.229, 0.231, 0.246, 0.25, 0.293, 0.261),
    # dense urban, NDVI < .25 [M 433D]
    "urban": (0.047, 0.090, 0.105, 0.130, 0.126, 0.157, 0.172, 0.188, 0.189, 0.193, 0.220, 0.184),
    # dark urban, asphalt and shade [M 433D]
    "asphalt": (0.045, 0.065, 0.075, 0.090, 0.102, 0.125, 0.134, 0.119, 0.142, 0.159, 0.147, 0.122),
    # bright roof, top 3 % of a town [M]
    "roof": (0.05, 0.153, 0.169, 0.192, 0.15, 0.19, 0.21, 0.270, 0.23, 0.22, 0.257, 0.215),
    # sand of a beach [M 282D]
    "sand": (0.197, 0.264, 0.318, 0.353, 0.379, 0.378, 0.386, 0.403, 0.402, 0.340, 0.490, 0.466),
    # snow: fresh [R] and thin on fields [M; B01 and B09 filled in]
    "snow": (0.93, 0.94, 0.94, 0.93, 0.92, 0.91, 0.90, 0.88, 0.86, 0.75, 0.10, 0.09),
    "thin snow": (0.61, 0.601, 0.586, 0.570, 0.569, 0.563, 0.564, 0.577, 0.550, 0.45, 0.110, 0.104),
    # thick cloud in L2A, B02 > .7 [M; B01 and B09 R]
    "cloud": (0.95, 0.949, 0.885, 0.852, 0.892, 0.880, 0.868, 0.896, 0.849, 0.6, 0.552, 0.465),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cover:
    """How one land cover looks: a mixture of classes, and its variation."""

    summer: dict[str, float]
    """Share of each class when plants are green."""
    winter: dict[str, float]
    """Share of each class when they are not."""
    spread: float
    """Standard deviation of ln brightness between pixels (facts, section 2)."""
    green: float
    """Standard deviation between pixels of the share of green crop that replaces bare soil."""
    snow: float = 1.0
    """Share of the ground that snow can hide; the rest stands above it (illustrative)."""


# Mixtures and the two modes of variation are this simulation's own, within the facts' spreads.
COVERS = {
    WATER: Cover({"water": 1}, {"water": 1}, 0.15, 0.0, 0.0),
    FOREST: Cover({"leafy": 1}, {"leafless": 1}, 0.12, 0.04, 0.2),
    CONIFER: Cover({"conifer": 1}, {"conifer": 1}, 0.17, 0.03, 0.12),
    CROPLAND: Cover({"green": 1}, {"bare": 1}, 0.10, 0.07),
    GRASS: Cover({"grass": 1}, {"grass": 0.6, "stubble": 0.4}, 0.14, 0.12),
    BARE: Cover({"bare": 1}, {"bare": 1}, 0.18, 0.08),
    SAND: Cover({"sand": 1}, {"sand": 1}, 0.13, 0.0),
    LOOSE_URBAN: Cover(
        {"urban": 0.5, "grass": 0.3, "leafy": 0.2}, {"urban": 0.5, "grass": 0.3, "leafless": 0.2},
        0.2, 0.14, 0.6,
    ),
    DENSE_URBAN: Cover({"urban": 1}, {"urban": 1}, 0.28, 0.07, 0.4),
    INDUSTRY: Cover({"roof": 0.7, "asphalt": 0.3}, {"roof": 0.7, "asphalt": 0.3}, 0.38, 0.0, 0.5),
    ROAD: Cover({"asphalt": 1}, {"asphalt": 1}, 0.16, 0.05, 0.3),
}  # fmt: skip


def spectrum(shares: dict[str, float]) -> FloatArray:
    """Return (12,) reflectance of a mixture of classes in the bands of L2A."""
    return np.asarray(
        sum(np.float32(s) * np.array(CLASSES[c], "float32") for c, s in shares.items())
    )


def green_mode() -> FloatArray:
    """Return (12,) change of reflectance when green crop replaces bare soil."""
    return spectrum({"green": 1, "bare": -1})

"""Kinds of cloud: their size, height and optical thickness."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from odc.geo.geobox import GeoBox

from aqgeo.simulation import zoom
from aqgeo.simulation.noise import FloatArray

_FINEST_M, _PATCH_M = 20, 160  # pixels that cells and patches are drawn on
_FIELD_M = 60_000.0  # wavelength above which no field has power
_MOST = 2.5, 80.0  # bounds of the field's excess and of optical thickness


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of cloud. Sizes, heights, thickness: simulation-facts, section 3 (recalled)."""

    name: str
    """Name of its random fields."""
    height_m: tuple[float, float]
    """Height above ground; drawn evenly between these, one a date."""
    cell_m: float
    """Wavelength above which its cells have no power; they gather in fields of 60 km."""
    gathered: float
    """Share of the variance in these fields."""
    scale: float
    """Optical thickness where `steep` times the excess of the Gaussian field is .7."""
    steep: float
    """Growth of the logarithm of thickness by standard deviation of the field."""
    slope: float = 8 / 3
    """Two-dimensional power falls as wavenumber ** -slope (facts' recipe; derived)."""
    inner_m: float = 300.0
    """Wavelength below which the spectrum falls as k ** -4 (facts' recipe)."""
    ice: bool = False
    """Made of ice, above most of the water vapour."""
    broken: bool = False
    """Stands alone: light scattered by its neighbours does not fill its shadow."""


# Cumulus: the slope measured in chips of 10 m (section 3: -3.3), which rounds its edges.
CUMULUS = Kind("cumulus", (900, 1900), 6_000, 0.3, 8.0, 1.6, slope=3.2, broken=True)
STRATUS = Kind("stratus", (700, 1600), 60_000, 0.0, 5.0, 0.9)
MIDDLE = Kind("altocumulus", (3000, 5000), 12_000, 0.6, 4.0, 0.9)
CIRRUS = Kind("cirrus", (8000, 12_000), 60_000, 0.0, 0.7, 0.7, ice=True)
# Shares of the covered sky: a layer covers 1 - (1 - cover) ** share, so layers that are drawn
# independently cover the asked fraction together. The shares are this simulation's own choice.
REGIMES: dict[str, tuple[tuple[Kind, float], ...]] = {
    "clear": ((CUMULUS, 0.5), (CIRRUS, 0.5)),
    "cumulus": ((CUMULUS, 0.8), (MIDDLE, 0.1), (CIRRUS, 0.1)),
    "stratus": ((STRATUS, 0.85), (MIDDLE, 0.1), (CIRRUS, 0.05)),
    "cirrus": ((CUMULUS, 0.15), (CIRRUS, 0.85)),
    "overcast": ((STRATUS, 0.6), (MIDDLE, 0.3), (CIRRUS, 0.1)),
}


def thickness(kind: Kind, grid: GeoBox, part: float, seed: int, day: int) -> FloatArray:
    """Return optical thickness, (y, x), 0 where there is none.

    A Gaussian field above the threshold that leaves `part` of all places covered, its excess
    exponentiated, so thickness is near log-normal (Lewis 2004, in the facts).

    Args:
        kind: of cloud.
        grid: pixels of 10 m times a power of two.
        part: fraction covered on average over all places, above 0, below 1.
        seed: of the world.
        day: ordinal of the date.
    """
    excess = _field(grid, _FINEST_M, (seed, kind.name, day), kind, kind.cell_m)
    if kind.gathered:
        excess *= np.float32(math.sqrt(1 - kind.gathered))
        fields = _field(grid, _PATCH_M, (seed, f"{kind.name} fields", day), kind, _FIELD_M)
        excess += np.float32(math.sqrt(kind.gathered)) * fields
    excess -= np.float32(NormalDist().inv_cdf(1 - part))
    np.clip(excess, 0, _MOST[0], out=excess)
    excess *= np.float32(kind.steep)
    np.expm1(excess, out=excess)
    excess *= np.float32(kind.scale)
    return np.minimum(excess, np.float32(_MOST[1]), out=excess)


def _field(
    grid: GeoBox, finest_m: int, name: tuple[int, str, int], kind: Kind, outer_m: float
) -> FloatArray:
    factor = max(finest_m // round(grid.affine.a), 1)
    found = zoom.field(grid, factor, *name, slope=kind.slope, outer_m=outer_m, inner_m=kind.inner_m)
    return np.ascontiguousarray(found)

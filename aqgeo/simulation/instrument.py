"""Sentinel-2's instrument: noise, digital numbers."""

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo.simulation import noise, zoom
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.spectra import BANDS_L1C

# Reflectance at the reference radiance, sun in the zenith, and one sigma of noise there by the
# signal-to-noise ratio in orbit (simulation-facts, section 1; derived and recalled).
_REFERENCE = dict(
    zip(
        BANDS_L1C,
        (.215, .205, .221, .224, .164, .166, .181, .311, .173, .035, .051, .051, .055),
        strict=True,
    )
)  # fmt: skip
_SIGMA = dict(
    zip(
        BANDS_L1C,
        (.0002, .0010, .0009, .0010, .0007, .0008, .0008, .0014, .0011, .0002, .0001, .0003, .0003),
        strict=True,
    )
)  # fmt: skip
_FLOOR = 0.25  # share of the reference's variance that does not fall with the light; recalled
QUANTUM = 1e-4
_SINCE = "04.00"  # processing baseline from which numbers carry an offset of 1000


def add_noise(toa: FloatArray, band: str, grid: GeoBox, mu: float, key: tuple[int, int]) -> None:
    """Add the detector's noise to reflectance in place.

    sigma**2 = sigma_ref**2 (.25 + .75 L/Lref): shot noise over a floor (section 1; recalled).

    Args:
        toa: (y, x) top-of-atmosphere reflectance.
        band: name.
        grid: where; pixels of 60 m or of 10 m times a power of two.
        mu: cosine of the sun's zenith angle.
        key: seed of the world and ordinal of the date.
    """
    sigma = toa * np.float32((1 - _FLOOR) * mu / _REFERENCE[band])
    np.maximum(sigma, 0, out=sigma)
    sigma += np.float32(_FLOOR)
    np.sqrt(sigma, out=sigma)
    sigma *= np.float32(_SIGMA[band] / mu)
    sigma *= _white(grid, band, key)
    toa += sigma


def _white(grid: GeoBox, band: str, key: tuple[int, int]) -> FloatArray:
    """Return standard normal numbers; on 60 m, where no lattice lies, from nine of 20 m."""
    if grid.affine.a != 60:
        return noise.white(grid, key[0], f"detector {band}", key[1])
    corner = Affine(20, 0, grid.affine.c, 0, -20, grid.affine.f)
    fine = GeoBox((grid.shape[0] * 3, grid.shape[1] * 3), corner, grid.crs)
    return zoom.shrink(noise.white(fine, key[0], f"detector {band}", key[1]), 3) * np.float32(3)


def offset(baseline: str) -> int:
    """Return the number that stands for reflectance 0: 1000 from baseline 04.00 on, else 0."""
    return 1000 if baseline >= _SINCE else 0


def encode(reflectance: FloatArray, baseline: str) -> NDArray[np.uint16]:
    """Return digital numbers; 0 (no data) and 65535 (saturated) are not used.

    Args:
        reflectance: any shape.
        baseline: processing baseline such as `05.10`; before 04.00 what is dark is cut at 1.
    """
    found = reflectance * np.float32(1 / QUANTUM)
    found += np.float32(offset(baseline))
    np.rint(found, out=found)
    return np.clip(found, 1, 65534, out=found).astype("uint16")


def decode(numbers: NDArray[np.uint16], baseline: str) -> FloatArray:
    """Return reflectance of digital numbers."""
    found = numbers.astype("float32")
    found -= np.float32(offset(baseline))
    found *= np.float32(QUANTUM)
    return found

"""The clear atmosphere between ground and satellite, by band."""

import math
from dataclasses import dataclass

from aqgeo.simulation.spectra import BANDS_L1C

# Band centre in nm (simulation-facts, section 1).
WAVELENGTH_NM = dict(
    zip(
        BANDS_L1C,
        (443, 492, 560, 665, 704, 740, 783, 833, 865, 945, 1375, 1612, 2194),
        strict=True,
    )
)
# Two-way transmission by gases at a sun 45 degrees high: ozone in B03 and B04, vapour and oxygen
# elsewhere; B09 x.25-.35 is measured (section 2), the others are recalled.
_GASES = dict(
    zip(
        BANDS_L1C,
        (0.99, 0.985, 0.94, 0.95, 0.965, 0.96, 0.98, 0.905, 0.99, 0.30, 0.0, 0.985, 0.96),
        strict=True,
    )
)
_ANGSTROM = 1.3  # exponent of continental aerosol; recalled
_RAYLEIGH_550 = 0.097  # optical thickness of air at 550 nm; falls as wavelength ** -4.05; recalled
# Share of scattered light that goes up, times phase function: set so that L1C - L2A stays within
# the measured steps of section 2 (B01 .07-.15, B02 .045-.10, B03 .015-.05, B04 0-.03, B05 +-.01).
_AIR_UP, _AEROSOL_UP = 0.95, 0.22
_AIR_LOSS, _AEROSOL_LOSS = 0.45, 0.12  # of the light on its way down or up, by optical thickness


@dataclass(frozen=True, slots=True)
class Atmosphere:
    """Path radiance and transmission of one scene, as reflectance by band."""

    path: dict[str, float]
    """Reflectance of the air and its aerosol."""
    aerosol: dict[str, float]
    """The aerosol's share in `path`; it grows with the aerosol."""
    through: dict[str, float]
    """Two-way transmission."""


def atmosphere(sun_zenith: float, view_zenith: float, aerosol: float) -> Atmosphere:
    """Return the clear atmosphere, scattering once: TOA = path + through x ground.

    Args:
        sun_zenith: degrees, below 90.
        view_zenith: degrees.
        aerosol: optical thickness at 550 nm.
    """
    sun, view = (math.cos(math.radians(min(a, 80.0))) for a in (sun_zenith, view_zenith))
    angle = math.cos(math.radians(180 - sun_zenith))
    phase = 0.75 * (1 + angle**2)
    slant = 1 / sun + 1 / view
    path, hazy, through = {}, {}, {}
    for band, nm in WAVELENGTH_NM.items():
        air, haze = rayleigh(nm), aerosol * spectral(nm)
        gases = _GASES[band] ** (slant / (1 / math.cos(math.pi / 4) + 1)) if _GASES[band] else 0.0
        hazy[band] = _AEROSOL_UP * haze / (4 * sun * view)
        path[band] = _AIR_UP * phase * air / (4 * sun * view * (1 + 0.4 * air / sun)) + hazy[band]
        loss = slant * (_AIR_LOSS * air + _AEROSOL_LOSS * haze) / 2
        path[band], hazy[band] = path[band] * gases**0.5, hazy[band] * gases**0.5
        through[band] = gases * math.exp(-loss)
    return Atmosphere(path, hazy, through)


def rayleigh(nm: float) -> float:
    """Return the optical thickness of air without aerosol."""
    return float(_RAYLEIGH_550 * (nm / 550) ** -4.05)


def spectral(nm: float) -> float:
    """Return aerosol optical thickness relative to that at 550 nm."""
    return float((nm / 550) ** -_ANGSTROM)

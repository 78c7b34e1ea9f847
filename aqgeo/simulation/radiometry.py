"""From the ground's reflectance to that seen through cloud, smoke and air, and back."""

import math
from dataclasses import dataclass

import numpy as np

from aqgeo.simulation import atmosphere, clouds, noise, spectra, zoom
from aqgeo.simulation.atmosphere import Atmosphere
from aqgeo.simulation.clouds import Sky
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.spectra import BANDS_L1C, BANDS_L2A

# Light in a full shadow: diffuse share f_dif at a sun 45 degrees high and aerosol .15, to which
# .15 comes in over the edge (simulation-facts, section 3; recalled; other bands between).
_DIFFUSE = dict(
    zip(
        BANDS_L2A,
        (.35, .30, .22, .16, .14, .13, .12, .10, .10, .09, .04, .02),
        strict=True,
    )
)  # fmt: skip
_OVER_EDGE = 0.15
# Cloud's colour: thick cloud measured in L2A over its mean in VNIR (section 2); thin cloud is not
# darker in the short-wave infrared, where droplets absorb only after many scatterings.
_THICK_UP = 0.65  # reflectance at which the thick cloud's colour holds
_ICE_DARKER = {"B11": 0.2, "B12": 0.25}  # ice below droplets (section 3: .3-.45, .25-.35)
# Smoke: share scattered or absorbed on both ways, by thickness; its own reflectance. Illustrative.
_SMOKE_LOSS, _SMOKE_BRIGHT = 0.6, 0.30
# B10: ground 1.5e-3 in humid lowland, .006 on dry upland (section 2, measured); vapour above a
# cloud lets .75 of cirrus through (section 3: .6-.9) and nearly nothing of low cloud.
_B10_GROUND, _B10_BY_METRE, _B10_ICE, _B10_SCALE_M = 0.0014, 2.5e-6, 0.75, 9000.0
_B09_ICE = 0.35  # vapour hides cirrus less than it hides the ground; set by hand
_GAIN_SIGMA, _AEROSOL_SIGMA = 0.015, 0.2  # of the correction (L2A within .005-.01 + 5 %; recalled)


@dataclass(frozen=True, slots=True)
class Light:
    """What all bands share on pixels of one size; arrays are (y, x)."""

    sunlight: FloatArray
    """Share of direct sunlight at the ground."""
    up: FloatArray
    """Light that cloud sends back, 0 to 1."""
    ice: FloatArray
    """The part of it that ice sends back."""
    back: FloatArray
    """Share of light that cloud holds back on its way from the ground."""
    haze: FloatArray
    """Aerosol relative to the day's."""
    high: FloatArray
    """The part of `up` that the vapour lets through in B10."""
    smoke: FloatArray | None
    """Optical thickness of smoke at 550 nm."""

    def shrink(self, factor: int) -> "Light":
        """Return means over blocks of factor x factor pixels."""
        if factor == 1:
            return self
        return Light(
            zoom.shrink(self.sunlight, factor),
            zoom.shrink(self.up, factor),
            zoom.shrink(self.ice, factor),
            zoom.shrink(self.back, factor),
            zoom.shrink(self.haze, factor),
            zoom.shrink(self.high, factor),
            None if self.smoke is None else zoom.shrink(self.smoke, factor),
        )


def light(sky: Sky, mu: float, smoke: FloatArray | None) -> Light:
    """Return the light under a sky.

    Args:
        sky: of the window.
        mu: cosine of the sun's zenith angle.
        smoke: (y, x) optical thickness at 550 nm, or None.
    """
    depth = sky.depth
    up = clouds.reflectance(depth, mu)
    ice = clouds.reflectance(sky.ice * np.float32(clouds.BETA_ICE), mu)  # the uppermost layer
    clear = sky.top_m * np.float32(1 / _B10_SCALE_M)  # of vapour above, by height
    high = np.float32(_B10_ICE) * (ice + (up - ice) * (clear * clear) ** 2)
    return Light(sky.sunlight, up, ice, clouds.reflectance(depth, 1.0), sky.haze, high, smoke)


def seen(clear: FloatArray, band: str, light: Light) -> FloatArray:
    """Return ground reflectance with cloud, shadow and smoke, (y, x), as if there were no air.

    R(sun) + L T(view) ground/(1 - R ground), with R at mu 1 in the denominator, so that over white
    ground no light is lost (two-stream; simulation-facts, section 3); L is the light in the shade.

    Args:
        clear: (y, x) reflectance under a clear sky.
        band: of L2A.
        light: on the same pixels.
    """
    dim = np.float32(_DIFFUSE[band] + _OVER_EDGE)
    lit = light.sunlight * (1 - dim)
    lit += dim
    lit *= clear
    lit *= 1 - light.back
    lit /= 1 - light.back * clear
    lit += cloud_light(light.up, light.ice, band)
    if light.smoke is not None:
        scale = _SMOKE_LOSS * atmosphere.spectral(atmosphere.WAVELENGTH_NM[band])
        hidden = -np.expm1(light.smoke * np.float32(-scale))
        lit += hidden * (np.float32(_SMOKE_BRIGHT) - lit)
    return lit


def cloud_light(up: FloatArray, ice: FloatArray, band: str) -> FloatArray:
    """Return what a cloud itself adds to a band: its white light, coloured."""
    number = BANDS_L2A.index(band)
    vnir = np.mean(spectra.CLASSES["cloud"][:9])
    colour = spectra.CLASSES["cloud"][number] / float(vnir)
    if band in _ICE_DARKER:
        found = up * np.float32((1 - colour) / _THICK_UP)
        found -= 1
        np.minimum(found, np.float32(-colour), out=found)
        found *= -up
        found -= np.float32(_ICE_DARKER[band]) * ice
        return found
    return up * np.float32(colour)


def top(ground: FloatArray, band: str, light: Light, air: Atmosphere) -> FloatArray:
    """Return top-of-atmosphere reflectance, (y, x), of `seen` ground; none below 0."""
    found = ground * np.float32(air.through[band])
    haze = light.haze - np.float32(1)
    haze *= np.float32(air.aerosol[band])
    haze *= 1 - light.back
    found += haze
    found += np.float32(air.path[band])
    if band == "B09":
        found += np.float32(_B09_ICE) * light.ice
    return np.asarray(np.maximum(found, 0, out=found))


def cirrus_band(elevation: FloatArray, light: Light) -> FloatArray:
    """Return reflectance in B10, (y, x): ice, hardly anything else.

    Args:
        elevation: (y, x) in m; dry air above high ground lets more light through.
        light: on the same pixels.
    """
    found = np.float32(_B10_BY_METRE) * elevation
    found += np.float32(_B10_GROUND)
    found *= 1 - light.up
    found += light.high
    return found


@dataclass(frozen=True, slots=True)
class Correction:
    """What the L2A processor takes the air for."""

    path: dict[str, float]
    """Reflectance of the air."""
    through: dict[str, float]
    """Two-way transmission."""

    def ground(self, toa: FloatArray, band: str) -> FloatArray:
        """Return the reflectance of the ground, (y, x), from that at the top of atmosphere."""
        found = toa - np.float32(self.path[band])
        found *= np.float32(1 / self.through[band])
        return found


def correction(air: Atmosphere, seed: int, day: int) -> Correction:
    """Return the processor's guess at the air: aerosol off by 20 %, gain by 1.5 % (one sigma)."""
    rng = noise.stream(seed, "correction", day)
    wrong = float(np.clip(rng.normal(0, _AEROSOL_SIGMA), -0.4, 0.4))
    gains = dict(zip(BANDS_L1C, rng.normal(0, _GAIN_SIGMA, len(BANDS_L1C)), strict=True))
    return Correction(
        {b: air.path[b] + wrong * air.aerosol[b] for b in BANDS_L2A},
        {b: air.through[b] * math.exp(gains[b]) for b in BANDS_L2A},
    )

"""How well each layer of the air is seen: box air mass factors of TROPOMI NO2.

Simplified: no radiative transfer. Clear sky follows the measured kernels over Delhi
(simulation-facts, section 4), an opaque cloud hides what is below its top, and the sight of a pixel
is the radiance-weighted mean of both. Heights are those of an isothermal air.
"""

import numpy as np
from numpy.typing import NDArray

from aqgeo.simulation.noise import FloatArray

# Hybrid coefficients at 35 interfaces, surface first: every other one of ECMWF's 60 levels near the
# ground and above 100 hPa (that choice is recalled, the numbers are the published ones).
A_PA = np.array(
    "0 7.367743 467.333588 1385.912598 2887.696533 4941.77832 6144.314941 7438.803223 8802.356445 "
    "10209.500977 11632.758789 13043.21875 14411.124023 15706.447266 16899.46875 17961.357422 "
    "18864.75 19584.330078 20097.402344 20384.480469 20429.863281 20222.205078 19755.109375 "
    "19027.695313 18045.183594 16819.474609 15379.805664 13775.325195 12077.446289 8765.053711 "
    "6018.019531 3960.291504 1680.640259 713.218079 0".split(),
    "float32",
)
B = np.array(
    "1 .994019 .967645 .93194 .879657 .811253 .771597 .728786 .683269 .635547 .586168 .53571 "
    ".484772 .433963 .383892 .335155 .288323 .243933 .202476 .164384 .130023 .099675 .073534 "
    ".05169 .034121 .020678 .011143 .005081 .001815 .000076 0 0 0 0 0".split(),
    "float32",
)
LAYERS = 34
FREE_MOL_M2 = 5e-6  # free troposphere .3-.8e-5 (section 5, recalled)
SCALE_HEIGHT_M = 7500.0  # isothermal air of 256 K
# Clear sky, section 4 (fit to the table of the kernels, qa >= .76): sight of the lowest layer over
# ground of albedo a is 1 - .72 exp(-a / .3) of the geometric one, and nears it with (p/ps)^2.5,
# 3 km upward.
_GROUND_LOSS, _ALBEDO_SCALE = 0.72, 0.3
# Cross section and sphericity from the tropopause up (means of the 13 real files, layers 20 to 33).
_TOP_LAYERS, _TOP_FACTORS = (20, 24, 28, 30, 33), (1.0, 0.96, 0.88, 0.82, 0.90)
# Kernel of the lowest layer at qa .33, times the AMF, over the geometric one (section 4, measured).
_THROUGH = 0.01
# Reflectance at 440 nm of clear sky over ground of albedo a, and of cloud: effective cloud fraction
# .2 makes half of the light over dark ground (section 4).
_CLEAR_REFLECTANCE, _GROUND_REFLECTANCE, _CLOUD_REFLECTANCE = 0.14, 0.8, 0.70


def interfaces(surface_pa: FloatArray) -> FloatArray:
    """Return pressures (..., 35) in Pa between the layers, surface first."""
    return np.asarray(A_PA + B * np.asarray(surface_pa, "float32")[..., None])


def pressure(surface_pa: FloatArray | float, height_m: FloatArray | float) -> FloatArray:
    """Return the pressure in Pa at a height above ground."""
    height = np.asarray(height_m, "float32")
    return np.asarray(surface_pa * np.exp(-height / np.float32(SCALE_HEIGHT_M)), "float32")


def tropopause_layer(levels: FloatArray, lat: NDArray[np.floating]) -> NDArray[np.int32]:
    """Return the index of the highest tropospheric layer.

    The tropopause falls from 100 hPa over the equator to 250 hPa at the poles (textbook values).

    Args:
        levels: (..., 35) pressures in Pa.
        lat: (...) latitude in degrees.
    """
    top = np.asarray(1.0e4 + 1.5e4 * np.sin(np.radians(lat)) ** 2, "float32")
    return np.asarray((levels[..., 1:] >= top[..., None]).sum(axis=-1, dtype="int32") - 1)


def profile(
    column: FloatArray, mixing_pa: FloatArray, levels: FloatArray, top: NDArray[np.int32]
) -> FloatArray:
    """Return partial columns (..., 34) in mol m-2 whose sum is the tropospheric column.

    Well mixed up to the mixing height, but for the background of the free troposphere.

    Args:
        column: (...) tropospheric column, mol m-2.
        mixing_pa: (...) pressure at the mixing height.
        levels: (..., 35) pressures in Pa.
        top: (...) index of the highest tropospheric layer.
    """
    # At least one tropospheric layer stays free.
    mixing = np.maximum(mixing_pa[..., None], np.take_along_axis(levels, top[..., None], -1))
    low = np.maximum(levels[..., :-1] - np.maximum(levels[..., 1:], mixing), 0)
    high = levels[..., :-1] - levels[..., 1:] - low
    high *= np.arange(LAYERS, dtype="int32") <= top[..., None]
    free = np.minimum(column, np.float32(FREE_MOL_M2))
    low *= ((column - free) / low.sum(axis=-1))[..., None]
    high *= (free / high.sum(axis=-1))[..., None]
    return np.asarray(low + high)


def geometric(sun_zenith: NDArray[np.floating], view_zenith: NDArray[np.floating]) -> FloatArray:
    """Return the geometric air mass factor of angles in degrees (Kasten and Young 1989)."""
    return np.asarray(_slant(sun_zenith) + _slant(view_zenith), "float32")


def radiance_fraction(cloud_fraction: FloatArray, albedo: FloatArray) -> FloatArray:
    """Return the share of the light that comes from cloud."""
    clear = _CLEAR_REFLECTANCE + _GROUND_REFLECTANCE * albedo
    cloud = cloud_fraction * np.float32(_CLOUD_REFLECTANCE)
    return np.asarray(cloud / (cloud + (1 - cloud_fraction) * clear), "float32")


def reflectance(cloud_fraction: FloatArray, albedo: FloatArray) -> FloatArray:
    """Return the reflectance of a pixel at 440 nm."""
    clear = _CLEAR_REFLECTANCE + _GROUND_REFLECTANCE * albedo
    return np.asarray(cloud_fraction * _CLOUD_REFLECTANCE + (1 - cloud_fraction) * clear, "float32")


def clear(levels: FloatArray, albedo: FloatArray) -> FloatArray:
    """Return box air mass factors (..., 34) of clear sky, relative to the geometric one."""
    loss = np.float32(_GROUND_LOSS) * np.exp(-np.asarray(albedo, "float32") / _ALBEDO_SCALE)
    share = (levels[..., :-1] + levels[..., 1:]) / (2 * levels[..., :1])
    share = share * share * np.sqrt(share)
    return np.asarray((1 - loss.astype("float32")[..., None] * share) * _top())


def cloudy(levels: FloatArray, cloud_pa: FloatArray) -> FloatArray:
    """Return box air mass factors (..., 34) of full cloud, relative to the geometric one."""
    thickness = levels[..., :-1] - levels[..., 1:]
    seen = (cloud_pa[..., None] - levels[..., 1:]) / thickness
    return np.asarray(np.clip(seen, _THROUGH, 1, out=seen) * _top())


def _slant(zenith: NDArray[np.floating]) -> NDArray[np.float64]:
    angle = np.minimum(np.asarray(zenith, "float64"), 96)
    low = 0.50572 * (96.07995 - angle) ** -1.6364
    return np.asarray(1 / (np.maximum(np.cos(np.radians(angle)), 0) + low), "float64")


def _top() -> FloatArray:
    return np.interp(np.arange(LAYERS), _TOP_LAYERS, _TOP_FACTORS).astype("float32")

"""The column that known sources would make: emission carried by the wind until it decays."""

from collections.abc import Mapping

import numpy as np
import scipy.fft

SOURCES = {
    "roads": 0.4e-3 / 86_400e6,
    "population": 2.0 / 3.156e7 / 1e6,
    "point_sources": 1e-6,
    "fire_power": 0.5e-3 / 1e6,
}
"""NOx as NO2 that a unit of each covariate gives off, kg m-2 s-1: .4 g per vehicle kilometre (fleet
mean of 2019, .35 to .45), 2 kg per head and year for heating and trade, what plants report, .5 g
per MJ of fires. Recalled sizes, the same as the simulation's; they shape the field, its level comes
from what was measured."""
_KG_PER_MOL = 0.046
# Near the middle of what columns show: 2 to 6 h in daylight (recalled).
_LIFETIME_S = 3 * 3600.0
# K = 25 m x wind speed, as in the simulation, and what eddies do in calm air; without wind,
# directions of many days: they spread as far as a lifetime's way.
_MIXING_M, _CALM = 25.0, 50.0
_UNKNOWN_WIND = 3.0
_NOX_PER_NO2 = 1.3
# Blur, pixels: a point rings in a spectrum that ends.
_SOFT = 0.7
# Decay leaves nothing after so many lifetimes, which bounds how far fields are padded.
_RIM_M = 150_000.0


def column(
    sources: Mapping[str, np.ndarray], wind: tuple[float, float] | None, pixel_m: float
) -> np.ndarray:
    """Return the NO2 column that sources make in a steady wind, mol m-2.

    Transport, mixing and decay in the air's spectrum: c = E / (1 / lifetime + i k u + K k²). What
    lies beyond the field gives nothing.

    Args:
        sources: (y, x) by name, of SOURCES, in the units of `simulation.column_chips`; NaN is none.
        wind: eastward and northward, m s-1; None if it is not known, or of many days.
        pixel_m: side of a pixel, north up.

    Returns:
        (y, x) float32; zeros without any source. Beside a point it may be a little below 0.
    """
    known = [np.nan_to_num(sources[name]) * SOURCES[name] for name in SOURCES if name in sources]
    field = np.asarray(sum(known), "float32") / (_KG_PER_MOL * _NOX_PER_NO2)
    if not field.any():
        return np.zeros(next(iter(sources.values())).shape, "float32")
    rim = min(round(_RIM_M / pixel_m), max(field.shape))
    shape = tuple(scipy.fft.next_fast_len(n + rim, real=True) for n in field.shape)
    east = 2 * np.pi * scipy.fft.rfftfreq(shape[1], pixel_m)[None]
    north = -2 * np.pi * scipy.fft.fftfreq(shape[0], pixel_m)[:, None]  # rows run southward
    if wind is None:
        u, v, mixing = 0.0, 0.0, _UNKNOWN_WIND**2 * _LIFETIME_S
    else:
        (u, v), mixing = wind, _CALM + _MIXING_M * float(np.hypot(*wind))
    square = east**2 + north**2
    loss = 1 / _LIFETIME_S + 1j * (east * u + north * v) + mixing * square
    soft = np.exp(-square * (_SOFT * pixel_m) ** 2 / 2)
    found = scipy.fft.irfft2(scipy.fft.rfft2(field, shape) * soft / loss, shape)
    return np.asarray(found[: field.shape[0], : field.shape[1]], "float32")

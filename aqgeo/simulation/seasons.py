"""What grows on the ground through the year: leaves of forests, crops of fields."""

import math
from datetime import date

import numpy as np

from aqgeo.simulation import spectra
from aqgeo.simulation.land import CROPLAND, GRASS
from aqgeo.simulation.noise import FloatArray

LOTS = 200
"""Kinds of field: crops that differ in kind, timing and soil."""
FIRST_LOT = 16
"""Code of the first kind of field in `table`; land covers lie below."""
_MIDWINTER = 15
_SPREAD_DAYS = 24.0  # between the earliest and the latest field of a crop; illustrative
# Crop: upper end of its lots, then days of a northern mid-latitude year from which its fields look
# so. Calendars of central Europe, recalled and simplified: winter cereal, maize and beet, rape.
_CROPS: tuple[tuple[float, tuple[tuple[int, dict[str, float]], ...]], ...] = (
    (0.40, (
        (1, {"sprout": 0.45, "bare": 0.55}), (100, {"green": 1}),
        (172, {"green": 0.3, "stubble": 0.7}), (192, {"stubble": 1}), (235, {"bare": 1}),
        (300, {"sprout": 0.45, "bare": 0.55}),
    )),
    (0.70, (
        (1, {"bare": 1}), (150, {"green": 0.5, "bare": 0.5}), (170, {"green": 1}),
        (258, {"green": 0.35, "stubble": 0.65}), (285, {"stubble": 1}), (305, {"bare": 1}),
    )),
    (0.80, (
        (1, {"sprout": 0.7, "bare": 0.3}), (85, {"green": 1}),
        (170, {"green": 0.4, "stubble": 0.6}), (195, {"stubble": 1}), (230, {"bare": 1}),
        (265, {"sprout": 0.7, "bare": 0.3}),
    )),
)  # fmt: skip
_CHANGE_DAYS = 12.0  # a field takes this long to turn from one look to the next; illustrative


def northern_day(day: date, lat: float, *, winter: bool) -> float:
    """Return the day of the year, 1 to 366, at which the north's plants stand as here.

    Args:
        day: date.
        lat: latitude in degrees; the south is half a year apart, the tropics are as the north.
        winter: it is mid-winter whatever the date.
    """
    if winter:
        return float(_MIDWINTER)
    number = day.timetuple().tm_yday
    return float(number if lat >= 0 else (number + 182) % 365 + 1)


def leaves(day: float) -> float:
    """Return how green deciduous trees and meadows are, 0 to 1 (recalled: May to October)."""
    return _ramp(day, 95, 135) * (1 - _ramp(day, 280, 318))


def table(day: float) -> FloatArray:
    """Return (256, 12) reflectance by code: land covers, then kinds of field from `FIRST_LOT`.

    Args:
        day: of the northern year.
    """
    found, green = np.zeros((256, 12), "float32"), np.float32(leaves(day))
    for code, cover in spectra.COVERS.items():
        summer, winter = spectra.spectrum(cover.summer), spectra.spectrum(cover.winter)
        found[code] = green * summer + (1 - green) * winter
    for lot in range(LOTS):
        found[FIRST_LOT + lot] = _field(lot, day, found[GRASS])
    found[CROPLAND] = found[FIRST_LOT : FIRST_LOT + LOTS].mean(axis=0)
    return found


def _field(lot: int, day: float, meadow: FloatArray) -> FloatArray:
    """Return (12,) reflectance of one kind of field."""
    place = (lot + 0.5) / LOTS
    # Multiples of the golden ratio spread evenly: neither soil nor timing follows the crop.
    soil, early = (math.modf(lot * ratio)[0] - 0.5 for ratio in (0.618034, 0.754878))
    bright = np.float32(1 + 0.3 * soil)
    for end, stages in _CROPS:
        if place < end:
            return bright * spectra.spectrum(_mixture(stages, day + _SPREAD_DAYS * early))
    return bright * meadow  # what is left is sown with grass


def _mixture(stages: tuple[tuple[int, dict[str, float]], ...], day: float) -> dict[str, float]:
    """Return the shares of classes at a day; one stage turns into the next within days."""
    mixture = stages[0][1]
    for begin, shares in stages[1:]:
        done = _ramp(day, begin, begin + _CHANGE_DAYS)
        mixture = {
            c: (1 - done) * mixture.get(c, 0) + done * shares.get(c, 0) for c in mixture | shares
        }
    return mixture


def _ramp(value: float, low: float, high: float) -> float:
    """Return 0 below `low`, 1 above `high`, linear between."""
    return min(max((value - low) / (high - low), 0.0), 1.0)

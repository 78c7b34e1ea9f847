"""Simple rules that every estimate must beat."""

from collections.abc import Sequence

import numpy as np

# Cells times stations held at once: 2**22 float64 are 32 MiB.
_PAIRS_AT_ONCE = 2**22


def nearest_date(
    values: Sequence[np.ndarray], valid: np.ndarray, days: np.ndarray, date: int
) -> np.ndarray:
    """Return each pixel's value on the clear date that is nearest to a date, itself excluded.

    Args:
        values: (y, x) of each date, any unit; read only as far as pixels still lack a value.
        valid: (time, y, x) True where a value is usable.
        days: (time,) times of the dates, days.
        date: index of the date.

    Returns:
        (y, x) float32; NaN where no other date is clear. Of two equally near dates the earlier one.
    """
    found = np.full(valid.shape[1:], np.nan, "float32")
    order = np.argsort(np.abs(days - days[date]), kind="stable")
    for other in order[order != date]:
        wanted = np.isnan(found) & valid[other]
        if wanted.any():
            found[wanted] = np.asarray(values[other])[wanted]
    return found


def inverse_distance(values: np.ndarray, at: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the mean of station values weighted by their inverse squared distance.

    Args:
        values: (n,) at the stations, any unit.
        at: (n, 2) their places in a metric CRS; a station counts as 1 m away or farther.
        cells: (m, 2) places that are asked for, in the same CRS.

    Returns:
        (m,) float64.
    """
    found = np.empty(len(cells))
    step = max(1, _PAIRS_AT_ONCE // max(1, len(at)))
    for first in range(0, len(cells), step):
        part = slice(first, first + step)
        weight = np.maximum(_distances(cells[part], at), 1.0) ** -2
        found[part] = weight @ values / weight.sum(axis=1)
    return found


def leave_one_out(values: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what the mean and inverse distance of the other stations say of each station.

    Args:
        values: (n,) at the stations, any unit; two or more.
        at: (n, 2) their places in a metric CRS.
    """
    mean, near = np.empty((2, len(values)))
    for i in range(len(values)):
        others = np.arange(len(values)) != i
        mean[i] = values[others].mean()
        near[i] = inverse_distance(values[others], at[others], at[i : i + 1])[0]
    return mean, near


def distance_to_nearest(cells: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return (m,) the distance from each place to the nearest of (n, 2) others, in their unit."""
    found = np.full(len(cells), np.inf)
    for place in at:
        found = np.minimum(found, np.hypot(*(cells - place).T))
    return found


def _distances(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return np.asarray(np.hypot(*(one[:, None] - two[None]).transpose(2, 0, 1)))

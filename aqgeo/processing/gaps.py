"""Gaps in time series of images filled from other dates."""

import numpy as np


def fill(values: np.ndarray, valid: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Return the series with gaps filled by linear interpolation between valid dates.

    Before the first and after the last valid date its value is kept. A pixel without any valid
    date stays NaN.

    Args:
        values: (time, y, x) any unit.
        valid: (time, y, x) True where a value is usable.
        days: (time,) ascending times, days.
    """
    known = np.where(valid, values, np.nan).astype("float32")
    before, before_day = _carry(known, valid, days)
    after, after_day = (a[::-1] for a in _carry(known[::-1], valid[::-1], days[::-1]))
    span = after_day - before_day
    # Equal days mean that the date itself is valid; NaN days that one side has no valid date.
    share = np.divide(
        days[:, None, None] - before_day, span, out=np.zeros_like(span), where=span > 0
    )
    between = before + (after - before) * share.astype("float32")
    filled = np.where(np.isnan(before), after, np.where(np.isnan(after), before, between))
    return np.where(valid, values, filled).astype("float32")


def composite(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the median over valid dates; NaN where there is none.

    Args:
        values: (time, y, x) any unit.
        valid: (time, y, x) True where a value is usable.

    Returns:
        (y, x) float32.
    """
    valid = valid & np.isfinite(values)
    # Sorting puts NaN last; numpy's nanmedian does the same hundred times slower along axis 0.
    ordered = np.sort(np.where(valid, values, np.nan).astype("float32"), axis=0)
    count = valid.sum(axis=0)[None]
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0), axis=0)[0]
    high = np.take_along_axis(ordered, np.minimum(count // 2, len(values) - 1), axis=0)[0]
    return np.where(count[0] > 0, (low + high) / 2, np.nan).astype("float32")


def _carry(known: np.ndarray, valid: np.ndarray, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, for every date, the last valid value up to it and that value's day."""
    value = known.copy()
    day = np.where(valid, days[:, None, None], np.nan)
    for step in range(1, len(known)):
        value[step] = np.where(valid[step], value[step], value[step - 1])
        day[step] = np.where(valid[step], day[step], day[step - 1])
    return value, day

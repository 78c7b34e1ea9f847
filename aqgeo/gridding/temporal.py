"""Orbits gathered into days, weeks, months and seasons of UTC."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from aqgeo.errors import PeriodError
from aqgeo.gridding.binning import Sums
from aqgeo.period import Period

Every = Literal["day", "week", "month", "season"]


def bin_of(instant: datetime, every: Every) -> Period:
    """Return the day, week, month or season of UTC that an instant lies in.

    Weeks begin on Monday (ISO 8601). Seasons are December to February, March to May, June to August
    and September to November; that of winter has the December of the year before.

    Args:
        instant: with a time zone.
        every: length of the bins.

    Raises:
        PeriodError: the instant has no time zone.
    """
    if instant.utcoffset() is None:
        raise PeriodError(f"{instant} has no time zone: give it in UTC, as 2024-06-15T12:00Z")
    day = instant.astimezone(UTC).date()
    if every == "day":
        return _period(day, day + timedelta(days=1))
    if every == "week":
        monday = day - timedelta(days=day.weekday())
        return _period(monday, monday + timedelta(days=7))
    if every == "month":
        return _period(_month(day, 0), _month(day, 1))
    into = day.month % 3
    return _period(_month(day, -into), _month(day, 3 - into))


def merge(orbits: Iterable[tuple[datetime, Sums]], every: Every) -> dict[Period, Sums]:
    """Add up orbits by bins of time; an orbit belongs to the bin of its start.

    Each orbit is added as it comes and may come in any order, so that memory holds one Sums a bin.
    In the mean of a bin every orbit weighs by the area it has seen of a cell.

    Args:
        orbits: start, with its time zone, and sums of each, all on one grid.
        every: length of the bins.

    Returns:
        sums of every bin with an orbit, the earliest first.

    Raises:
        PeriodError: a start has no time zone.
        GridError: orbits are of different grids or hold different fields.
    """
    bins: dict[Period, Sums] = {}
    for start, sums in orbits:
        period = bin_of(start, every)
        bins[period] = bins[period] + sums if period in bins else sums
    return dict(sorted(bins.items()))


def _period(first: date, end: date) -> Period:
    return Period(*(datetime.combine(day, time(), UTC) for day in (first, end)))


def _month(day: date, later: int) -> date:
    """Return the first day of a month counted from a day's own."""
    months = 12 * day.year + day.month - 1 + later
    return date(months // 12, months % 12 + 1, 1)

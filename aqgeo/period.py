"""Period: a half-open span of time in UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np

from aqgeo.errors import PeriodError

_INSTANT = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})Z)?)?)?")


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """The UTC minutes from `start` up to, but not including, `end`."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        """Refuse instants that do not begin a UTC minute, and empty spans."""
        for instant in (self.start, self.end):
            if instant.utcoffset() != timedelta(0) or instant.second or instant.microsecond:
                raise ValueError(
                    f"Period needs the begin of a UTC minute, with its time zone, not {instant}"
                )
        if self.start >= self.end:
            raise PeriodError(
                f"period {_day(self.start)}/{_day(self.end)} is empty: the end is not included, "
                "so it must lie after the start; one month is written 2024-06"
            )

    @classmethod
    def parse(cls, text: str) -> "Period":
        """Read `2024`, `2024-06`, `2024-06-15` or `START/END`, where END is not included.

        START and END may also be minutes, as `2024-06-15T06:00Z`.

        Raises:
            PeriodError: the text is no such period, or the period is empty.
        """
        first, slash, last = text.strip().partition("/")
        start, end = _span(first, text)
        if slash:
            end = _span(last, text)[0]
        return cls(start, end)

    def __contains__(self, instant: datetime) -> bool:
        """Tell whether an instant with a time zone lies in the period."""
        return self.start <= instant < self.end

    def __str__(self) -> str:
        """Write the shortest text that `parse` reads back as the same period."""
        start, end = _day(self.start), _day(self.end)
        if start.endswith("-01") and end.endswith("-01"):
            start, end = start[:-3], end[:-3]
            if start.endswith("-01") and end.endswith("-01"):
                start, end = start[:-3], end[:-3]
        return start if _span(start, start)[1] == self.end else f"{start}/{end}"

    @property
    def time(self) -> np.ndarray:
        """The start as a cube's only time step, (1,) datetime64."""
        return np.array([self.start.replace(tzinfo=None)], "datetime64[s]")

    @property
    def slug(self) -> str:
        """The period as a part of a file name."""
        return str(self).replace("/", "_").replace(":", "")


def _day(instant: datetime) -> str:
    day = instant.date().isoformat()
    return day if instant.time() == time() else f"{day}T{instant:%H:%M}Z"


def _span(text: str, whole: str) -> tuple[datetime, datetime]:
    """Return the first instant of a year, month or day, and the first one after it."""
    match = _INSTANT.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError("not a date")
        year, month, day, hour, minute = (int(part) if part else None for part in match.groups())
        first = date(*(1 if part is None else part for part in (year, month, day)))
        start = datetime.combine(first, time(hour or 0, minute or 0), UTC)
        if hour is not None:
            return start, start
        if day:
            return start, start + timedelta(days=1)
        if month:
            return start, (start + timedelta(days=31)).replace(day=1)
        return start, start.replace(year=start.year + 1)
    except (ValueError, OverflowError) as err:
        raise PeriodError(
            f"{whole!r} is no period: write 2024, 2024-06, 2024-06-15 or 2024-06-01/2024-07-01 "
            "(the end is not included)"
        ) from err

"""Period: a half-open span of time in UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from aqgeo.errors import PeriodError

_INSTANT = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """The instants from `start` up to, but not including, `end`; both are UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        """Refuse naive instants and empty spans."""
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("Period needs instants with a time zone")
        if self.start >= self.end:
            raise PeriodError(
                f"period {_day(self.start)}/{_day(self.end)} is empty: the end is not included, "
                "so it must lie after the start; one month is written 2024-06"
            )

    @classmethod
    def parse(cls, text: str) -> "Period":
        """Read `2024`, `2024-06`, `2024-06-15` or `START/END`, where END is not included.

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
        return str(self).replace("/", "_")


def _day(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d")


def _span(text: str, whole: str) -> tuple[datetime, datetime]:
    """Return the first instant of a year, month or day, and the first one after it."""
    match = _INSTANT.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError("not a date")
        year, month, day = match.groups()
        start = datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
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

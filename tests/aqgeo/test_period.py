"""Periods: texts of people and spans of time say the same."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqgeo.errors import PeriodError
from aqgeo.period import Period

DAYS = st.dates(date(1000, 1, 1), date(9998, 12, 31))


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@given(DAYS, DAYS)
def test_the_text_of_a_period_of_whole_days_reads_back_as_the_same_period(
    one: date, two: date
) -> None:
    start, end = sorted((one, two))
    period = Period(midnight(start), midnight(end) + timedelta(days=1))
    assert Period.parse(str(period)) == period


@given(DAYS, st.sampled_from(["%Y", "%Y-%m", "%Y-%m-%d"]))
def test_the_text_of_a_year_a_month_or_a_day_is_what_was_parsed(day: date, form: str) -> None:
    text = day.strftime(form)
    assert str(Period.parse(text)) == text
    assert midnight(day) in Period.parse(text)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2024", "2024-01-01", "2025-01-01"),
        ("2024-02", "2024-02-01", "2024-03-01"),
        ("2024-12", "2024-12-01", "2025-01-01"),
        ("2024-02-29", "2024-02-29", "2024-03-01"),
        (" 2024-06/2024-08 ", "2024-06-01", "2024-08-01"),
        ("2024/2024-01-02", "2024-01-01", "2024-01-02"),
        ("2023-12-31/2024", "2023-12-31", "2024-01-01"),
    ],
)
def test_a_text_means_a_span_whose_end_is_not_included(text: str, start: str, end: str) -> None:
    period = Period.parse(text)
    first, last = (datetime.fromisoformat(t).replace(tzinfo=UTC) for t in (start, end))
    assert (period.start, period.end) == (first, last)


def test_a_period_holds_its_start_and_not_its_end() -> None:
    june = Period.parse("2024-06")
    instant = timedelta(microseconds=1)
    assert june.start in june and june.end - instant in june
    assert june.end not in june and june.start - instant not in june


@given(DAYS)
def test_an_instant_lies_in_one_of_two_adjoining_months_only(day: date) -> None:
    this = Period.parse(f"{day:%Y-%m}")
    following = Period(this.end, this.end + timedelta(days=1))
    for instant in (midnight(day), this.end, this.end - timedelta(seconds=1)):
        assert (instant in this) + (instant in following) <= 1
    assert this.end in following


@pytest.mark.parametrize(
    "text",
    [
        "",
        "June 2024",
        "2024-13",
        "2024-00",
        "2023-02-29",
        "2024-6",
        "24-06",
        "2024-06-01T00:00",
        "2024-06-01/",
        "/2024-06-01",
        "2024-06/2024-07/2024-08",
        "2024..2025",
        "0000",
        "2024-06-01\n2024-06-02",
    ],
)
def test_a_text_that_is_no_period_is_named_in_one_line_with_what_to_write(text: str) -> None:
    with pytest.raises(PeriodError) as caught:
        Period.parse(text)
    line = str(caught.value)
    assert repr(text) in line and "2024-06-01/2024-07-01" in line
    assert "\n" not in line


@pytest.mark.parametrize("text", ["2024-06/2024-06", "2024-07/2024-06", "2024-06-02/2024-06-01"])
def test_an_empty_period_is_refused_with_both_ends_and_the_remedy(text: str) -> None:
    with pytest.raises(PeriodError) as caught:
        Period.parse(text)
    for end in text.split("/"):
        assert end in str(caught.value)
    assert "2024-06" in str(caught.value) and "end is not included" in str(caught.value)


def test_naive_instants_are_a_programmers_slip() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Period(datetime(2024, 6, 1), datetime(2024, 7, 1))


@given(DAYS)
def test_the_slug_is_a_plain_file_name(day: date) -> None:
    start = midnight(day)
    for length in (1, 2, 40):
        slug = Period(start, start + timedelta(days=length)).slug
        assert set(slug) <= set("0123456789-_")


def test_the_time_of_a_period_is_one_step_at_its_start() -> None:
    assert Period.parse("2024-06").time.tolist() == [datetime(2024, 6, 1)]
    assert Period.parse("2024-06").time.dtype == np.dtype("datetime64[s]")


def test_hours_and_early_years_are_written_so_that_they_can_be_read() -> None:
    for text in ("2024-06-01T06:00Z/2024-06-01T18:00Z", "0999", "2024-06-01/2024-06-01T12:00Z"):
        period = Period.parse(text)
        assert str(period) == text and Period.parse(str(period)) == period
        assert "/" not in period.slug and ":" not in period.slug

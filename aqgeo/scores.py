"""Scores: tables of measured numbers, and maps of truth, estimate and error to be drawn.

A number that cannot be measured is None, with the reason beside it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

ESTIMATE = "aqgeo"
"""Method of the rows that tell of a product; all other methods are simple rules to beat."""


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison with the truth."""

    what: str
    """What is compared: a class, a kind of gap, a grid, a kind of place, a stage."""
    method: str
    """Who made the estimate: ESTIMATE, or the name of a simple rule."""
    n: int | None
    """Pixels, cells or stations compared; None where nothing is counted."""
    values: Mapping[str, float | None]
    """Number by column; None where it cannot be measured."""
    why: str = ""
    """Why a number is None."""
    headline: bool = False
    """Whether the short form shows the row."""


@dataclass(frozen=True, slots=True)
class Table:
    """Comparisons of one kind."""

    name: str
    """Key of the table, unique in a scorecard."""
    title: str
    """Name for people."""
    units: Mapping[str, str]
    """Unit by column, in the order of the columns; `1` has none."""
    rows: tuple[Row, ...] = ()
    """Comparisons, those of products before those of simple rules."""
    note: str = ""
    """What a reader must know to read the numbers."""
    why: str = ""
    """Why there are no rows."""


@dataclass(frozen=True, slots=True)
class View:
    """Truth, estimate and error of one product on one grid, to be drawn side by side."""

    name: str
    """Key of the view, unique in a scorecard."""
    title: str
    """What is shown, with its date where it has one."""
    unit: str
    """Unit of the values; `1` has none."""
    truth: np.ndarray
    """(y, x) values, or codes of `classes`; NaN or a code without a name is no data."""
    found: np.ndarray
    """(y, x) the estimate, as `truth`."""
    error: np.ndarray
    """(y, x) estimate minus truth, or codes of `errors`; NaN or a code without a name is blank."""
    pixel_m: float
    """Side of a pixel, m."""
    classes: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    """Name and colour by class code; empty for values."""
    errors: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    """Name and colour by code of the error; empty for values."""
    caption: str = ""
    """What a reader must know to read the picture."""


def row(
    what: str,
    method: str,
    n: int | None,
    values: Mapping[str, float],
    *,
    why: str = "",
    headline: bool = False,
) -> Row:
    """Return a row in which numbers that are not finite have become None with a reason."""
    kept = {name: float(v) if np.isfinite(v) else None for name, v in values.items()}
    lost = [name for name, value in kept.items() if value is None]
    if lost and not why:
        why = (
            "there is nothing to compare"
            if not n
            else f"{', '.join(lost)} not defined: too few values, or no spread among them"
        )
    return Row(what, method, n, kept, why if lost else "", headline)


def filled(table: Table, rows: Iterable[Row], *, why: str = "") -> Table:
    """Return the table with rows, or with the reason if there is none."""
    kept = tuple(rows)
    return Table(table.name, table.title, table.units, kept, table.note, "" if kept else why)


def missing(table: Table, why: str) -> Table:
    """Return the table without rows and with the reason."""
    return filled(table, (), why=why)

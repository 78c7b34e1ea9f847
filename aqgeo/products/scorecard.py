"""The scorecard for people: plain text for terminals, and one self-contained HTML page."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape

from aqgeo.scores import ESTIMATE, Row, Table

SIMULATED = "SIMULATED DATA: a made-up world, compared with its own truth"


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with its words."""

    title: str
    """Heading."""
    png: bytes
    """The picture as a PNG file."""
    caption: str
    """A line below, which may be empty."""


@dataclass(frozen=True, slots=True)
class Scorecard:
    """All that a scorecard says."""

    region: str
    """Name of the region, for people."""
    period: str
    """Days that the products are made of."""
    world: Mapping[str, str]
    """What the simulated world grew from, for example its seed."""
    tables: tuple[Table, ...]
    """What was measured."""
    figures: tuple[Figure, ...] = ()
    """Maps of truth, estimate and error."""


def text(card: Scorecard) -> str:
    """Return all tables for a terminal."""
    told = [_heading(card), SIMULATED]
    for table in card.tables:
        told += ["", *lines(table)]
    return "\n".join(told) + "\n"


def short(card: Scorecard) -> str:
    """Return the headline of each table for a terminal, a line for each comparison.

    A line gives the product's numbers, then the first number of each simple rule in brackets.
    """
    told = [f"{_heading(card)}; SIMULATED DATA"]
    for table in card.tables:
        told += [f"  {table.title}: not measured, {table.why}"] if table.why else []
        told += list(_headlines(table))
    return "\n".join(told) + "\n"


def html(card: Scorecard) -> str:
    """Return the scorecard as one HTML page that loads nothing else, and runs nothing."""
    return page(
        f"Scorecard, {card.region}",
        f"Scorecard: {card.region}, {card.period}",
        facts=[f"{name}: {value}" for name, value in card.world.items()],
        tables=card.tables,
        figures=card.figures,
        banner=SIMULATED,
    )


def page(
    title: str,
    heading: str,
    *,
    facts: Iterable[str],
    tables: Iterable[Table],
    figures: Iterable[Figure],
    banner: str = "",
) -> str:
    """Return tables and pictures as one HTML page that loads nothing else, and runs nothing.

    Args:
        title: of the window.
        heading: of the page.
        facts: what a reader must know first, a line each.
        tables: what was measured.
        figures: shown after the tables.
        banner: warning above all.
    """
    return _PAGE.format(
        style=_STYLE,
        banner=f'<p class="banner" role="alert">{escape(banner)}</p>' if banner else "",
        title=escape(title),
        heading=escape(heading),
        facts="".join(f"<li>{escape(fact)}</li>" for fact in facts),
        body="".join(map(_section, tables)) + "".join(map(_figure, figures)),
    )


def lines(table: Table) -> Iterator[str]:
    """Yield a table's heading, rows and reasons, in columns as wide as they need to be."""
    counted = any(row.n is not None for row in table.rows)
    names = [_unit(name, unit) for name, unit in table.units.items()]
    grid = [[table.title, "", *(["n"] if counted else []), *names]]
    grid += [[f"  {cell}" if not i else cell for i, cell in enumerate(_cells(row, table, counted))]
             for row in table.rows]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    for line in grid:
        words = [f"{cell:{w}}" for cell, w in zip(line[:2], widths[:2], strict=True)]
        words += [f"{cell:>{w}}" for cell, w in zip(line[2:], widths[2:], strict=True)]
        yield "  ".join(words).rstrip()
    if table.why:
        yield f"  not measured: {table.why}"
    for why in _reasons(table.rows):
        yield f"  -: {why}"


def number(value: float | None) -> str:
    """Return a number as text: three digits that count, a dash for None."""
    if value is None:
        return "-"
    return (
        f"{value:.0f}"
        if abs(value) >= 1000 or float(value).is_integer()
        else f"{value:#.3g}".rstrip(".")
    )


def _heading(card: Scorecard) -> str:
    world = ", ".join(f"{name} {value}" for name, value in card.world.items())
    return f"Scorecard of {card.region}, {card.period} ({world})"


def _unit(name: str, unit: str) -> str:
    return name if unit == "1" else f"{name} [{unit}]"


def _cells(row: Row, table: Table, counted: bool) -> list[str]:
    """Return a row as text; empty where the row has no such number, a dash where it is missing."""
    count = [] if not counted else ["" if row.n is None else str(row.n)]
    numbers = [number(row.values[name]) if name in row.values else "" for name in table.units]
    return [row.what, row.method, *count, *numbers]


def _reasons(rows: Iterable[Row]) -> list[str]:
    """Return why numbers are missing, once each, with the rows that lack them."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.why and row.what not in (places := found.setdefault(row.why, [])):
            places.append(row.what)
    return [f"{why} ({', '.join(places)})" for why, places in found.items()]


def _headlines(table: Table) -> Iterator[str]:
    shown = [row for row in table.rows if row.headline]
    for row in (row for row in shown if row.method == ESTIMATE):
        key = _key(row)
        others = [
            f"{other.method} {number(other.values[key])}"
            for other in shown
            if other.what == row.what and other.method != ESTIMATE and key in other.values
        ]
        beside = f" ({key}: {', '.join(others)})" if others else ""
        yield f"  {f'{table.title}, {row.what}':48} {_told(row, table)}{beside}"


def _told(row: Row, table: Table) -> str:
    """Return a row's numbers by name; a unit stands with the first number that has it."""
    words, before = [], {"1"}
    for name, value in row.values.items():
        unit = table.units[name]
        words.append(f"{name} {number(value)}" + ("" if unit in before else f" {unit}"))
        before.add(unit)
    return ", ".join(words)


def _key(row: Row) -> str:
    """Return the column on which simple rules are compared."""
    return "RMSE" if "RMSE" in row.values else next(iter(row.values))


def _section(table: Table) -> str:
    note = f"<p>{escape(table.note)}</p>" if table.note else ""
    if table.why:
        lost = f'<p class="lost">Not measured: {escape(table.why)}</p>'
        return f"<section><h2>{escape(table.title)}</h2>{lost}{note}</section>"
    counted = any(row.n is not None for row in table.rows)
    names = [_unit(*pair) for pair in table.units.items()]
    head = "".join(f"<th>{escape(name)}</th>" for name in [*(["n"] if counted else []), *names])
    lines = "".join(_line(row, table, counted) for row in table.rows)
    reasons = "".join(f"<li>-: {escape(why)}</li>" for why in _reasons(table.rows))
    return (
        f'<section><h2>{escape(table.title)}</h2><div class="wide"><table><thead><tr>'
        f'<th class="t">What</th><th class="t">By</th>{head}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>{note}<ul>{reasons}</ul></section>"
    )


def _line(row: Row, table: Table, counted: bool) -> str:
    look = ' class="own"' if row.method == ESTIMATE else ""
    what, method, *numbers = _cells(row, table, counted)
    words = "".join(f'<td class="t">{escape(word)}</td>' for word in (what, method))
    return f"<tr{look}>{words}{''.join(f'<td>{cell}</td>' for cell in numbers)}</tr>"


def _figure(figure: Figure) -> str:
    data = base64.b64encode(figure.png).decode("ascii")
    alt = f"{figure.title}: maps of truth, estimate and error"
    return (
        f"<section><h2>{escape(figure.title)}</h2>"
        f'<img src="data:image/png;base64,{data}" alt="{escape(alt)}">'
        f"<p>{escape(figure.caption)}</p></section>"
    )


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{banner}
<h1>{heading}</h1>
<ul>{facts}</ul>
{body}
</body>
</html>
"""
_STYLE = """
body{max-width:1300px;margin:0 auto;padding:1rem;color:#1a1a1a;
font:15px/1.45 system-ui,"DejaVu Sans",sans-serif}
.banner{background:#ffd400;border:3px solid #000;text-align:center;font-weight:700;padding:.6rem}
section{border-top:2px solid #2c115f;margin-top:1.6rem}h2{margin:.5rem 0}
section p{color:#555;font-size:.9rem;max-width:70rem}.lost{color:#a33}
img{display:block;max-width:100%;height:auto}.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem}
th,td{padding:.2rem .7rem;border-bottom:1px solid #e2e2e2;text-align:right;
font-variant-numeric:tabular-nums;white-space:nowrap}.t{text-align:left}
.own{font-weight:600;background:#f6f2fa}ul{font-size:.9rem;color:#555}
"""

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
    lines = [_heading(card), SIMULATED]
    for table in card.tables:
        lines += ["", _columns(table), *_body(table)]
    return "\n".join(lines) + "\n"


def short(card: Scorecard) -> str:
    """Return the headline of each table for a terminal, a line for each comparison.

    A line gives the product's numbers, then the first number of each simple rule in brackets.
    """
    lines = [f"{_heading(card)}; SIMULATED DATA"]
    for table in card.tables:
        lines += [f"  {table.title}: not measured, {table.why}"] if table.why else []
        lines += list(_headlines(table))
    return "\n".join(lines) + "\n"


def html(card: Scorecard) -> str:
    """Return the scorecard as one HTML page that loads nothing else, and runs nothing."""
    facts = "".join(f"<li>{escape(k)}: {escape(v)}</li>" for k, v in card.world.items())
    figures = "".join(map(_figure, card.figures))
    tables = "".join(map(_section, card.tables))
    return _PAGE.format(
        style=_STYLE,
        banner=escape(SIMULATED),
        region=escape(card.region),
        period=escape(card.period),
        facts=facts,
        body=tables + figures,
    )


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


def _columns(table: Table) -> str:
    names = "".join(f"{_unit(name, unit):>17}" for name, unit in table.units.items())
    return f"{table.title:40}{'':24}{'n':>9}{names}"


def _body(table: Table) -> Iterator[str]:
    if table.why:
        yield f"  not measured: {table.why}"
    for row in table.rows:
        numbers = "".join(f"{number(row.values.get(name)):>17}" for name in table.units)
        count = "" if row.n is None else str(row.n)
        yield f"  {row.what:38}{row.method:24}{count:>9}{numbers}"
    for why in _reasons(table.rows):
        yield f"  -: {why}"


def _reasons(rows: Iterable[Row]) -> list[str]:
    """Return why numbers are missing, once each, with the rows that lack them."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.why and row.what not in (places := found.setdefault(row.why, [])):
            places.append(row.what)
    return [f"{why} ({', '.join(places)})" for why, places in found.items()]


def _headlines(table: Table) -> Iterator[str]:
    shown = [row for row in table.rows if row.headline]
    for row in shown:
        if row.method != ESTIMATE:
            continue
        told = [f"{name} {number(value)}" for name, value in row.values.items()]
        key = _key(row)
        others = [
            f"{other.method} {number(other.values[key])}"
            for other in shown
            if other.what == row.what and other.method != ESTIMATE and key in other.values
        ]
        beside = f" ({key}: {', '.join(others)})" if others else ""
        what = row.what if row.what.startswith("surface NO2") else f"{table.title}, {row.what}"
        yield f"  {what:52} {', '.join(told)}{beside}"


def _key(row: Row) -> str:
    """Return the column on which simple rules are compared."""
    return "RMSE" if "RMSE" in row.values else next(iter(row.values))


def _section(table: Table) -> str:
    note = f"<p>{escape(table.note)}</p>" if table.note else ""
    if table.why:
        lost = f'<p class="lost">Not measured: {escape(table.why)}</p>'
        return f"<section><h2>{escape(table.title)}</h2>{lost}{note}</section>"
    names = "".join(f"<th>{escape(_unit(*pair))}</th>" for pair in table.units.items())
    lines = "".join(_line(row, table) for row in table.rows)
    reasons = "".join(f"<li>–: {escape(why)}</li>" for why in _reasons(table.rows))
    return (
        f'<section><h2>{escape(table.title)}</h2><div class="wide"><table><thead><tr>'
        f'<th class="t">What</th><th class="t">By</th><th>n</th>{names}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>{note}<ul>{reasons}</ul></section>"
    )


def _line(row: Row, table: Table) -> str:
    look = ' class="own"' if row.method == ESTIMATE else ""
    count = "" if row.n is None else str(row.n)
    numbers = "".join(
        f"<td>{number(row.values.get(name)).replace('-', '–')}</td>" for name in table.units
    )
    return (
        f'<tr{look}><td class="t">{escape(row.what)}</td><td class="t">{escape(row.method)}</td>'
        f"<td>{count}</td>{numbers}</tr>"
    )


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
<title>Scorecard, {region}</title>
<style>{style}</style>
</head>
<body>
<p class="banner" role="alert">{banner}</p>
<h1>Scorecard: {region}, {period}</h1>
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

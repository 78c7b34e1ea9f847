"""The report of a map as one self-contained HTML page."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from html import escape
from urllib.parse import quote

import numpy as np

from aqgeo.period import Period

BEWARE = (
    "A column is what the satellite sees between the ground and the tropopause. A concentration "
    "is what people breathe. One does not follow from the other without the weather.",
    "The satellite passes once a day, soon after noon. Morning and evening traffic peaks are not "
    "in the column.",
    "A finer grid is interpolated: detail inside a pixel of the coarser grid was not observed.",
    "Filled pixels are made up from other dates or by a model. They are flagged; leave them out "
    "where it matters.",
    "A pixel is a mean over its area. A station at a kerb can measure several times as much.",
    "Not for regulatory use: these maps do not replace reference measurements.",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with its words."""

    title: str
    """Heading."""
    png: bytes
    """The picture as a PNG file."""
    alt: str
    """What the picture shows, for those who do not see it."""
    caption: str = ""
    """A line below."""


@dataclass(frozen=True, slots=True)
class Row:
    """One published file; None where a number makes no sense, as the mean of class codes."""

    title: str
    """What the file holds."""
    path: str
    """Where it lies, relative to the report."""
    unit: str
    """Unit of the numbers."""
    sha256: str
    """Checksum of the file, as hexadecimal digits."""
    valid_percent: float | None = None
    """Share of the pixels that hold data, %."""
    minimum: float | None = None
    """Smallest value, in the unit."""
    mean: float | None = None
    """Mean value, in the unit."""
    maximum: float | None = None
    """Largest value, in the unit."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the cloud mask says of one date."""

    date: str
    """Day, UTC."""
    percent: Mapping[str, float]
    """Share of the region's pixels by class, %, in the order of the columns."""
    reason: str = ""
    """What is unusual: why the date gave little or nothing."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the provenance."""

    title: str
    """Heading, for example `Inputs`."""
    entries: tuple[tuple[str, str], ...] = ()
    """(name, value) pairs: parameters, or ids and what they are."""
    notes: tuple[str, ...] = ()
    """Sentences, for example on granules that were left out and why."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report says."""

    title: str
    """Product."""
    summary: str
    """The headline result in a sentence or two."""
    simulated: bool
    """True where any input is made up."""
    region: str
    """Name of the region, for people."""
    period: Period
    """The days that the map is made of."""
    figures: tuple[Figure, ...]
    """Maps, the main one first."""
    products: tuple[Row, ...]
    """One row a file."""
    coverage: tuple[tuple[str, str], ...] = ()
    """(what, how much) pairs, for example the days with data per pixel."""
    provenance: tuple[Section, ...] = ()
    """Inputs, parameters, notes."""
    scenes: tuple[Scene, ...] = ()
    """Sentinel-2 dates with their clouds."""
    validation: Figure | None = None
    """Comparison with stations, where there is one."""
    attribution: tuple[str, ...] = ()
    """Credits and licences, one sentence each."""
    warnings: tuple[str, ...] = ()
    """What is unusual in this very map; comes right below the headline."""
    beware: tuple[str, ...] = BEWARE
    """What every reader must know."""


def html(run: Report) -> str:
    """Return the report as one HTML page that loads nothing else, and runs nothing."""
    parts = [
        _banner(run),
        f'<p class="headline">{escape(run.summary)}</p>',
        _listed("Warnings", run.warnings, "warn"),
        *(_figure(figure) for figure in run.figures[:1]),
        _gallery(run.figures[1:]),
        _table(run.products),
        _figure(run.validation, "small") if run.validation else "",
        _pairs("Coverage", run.coverage),
        _clouds(run.scenes),
        *(_pairs(part.title, part.entries, part.notes) for part in run.provenance),
        _listed("Beware", run.beware, "beware"),
        _listed("Sources and licences", run.attribution, "credits"),
    ]
    last = run.period.end - timedelta(days=1)
    days = f"{run.period.start:%Y-%m-%d} to {last:%Y-%m-%d}, both included, UTC"
    return _PAGE.format(
        title=escape(run.title),
        style=_STYLE,
        region=escape(run.region),
        days=days,
        body="\n".join(part for part in parts if part),
    )


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}, {region}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1><p>{region}<br>{days}</p></header>
<main>
{body}
</main>
</body>
</html>
"""
_STYLE = """
*{box-sizing:border-box}
body{margin:0;background:#f4f4f1;color:#1a1a1a;font:16px/1.5 system-ui,"DejaVu Sans",sans-serif}
header{background:#2c115f;color:#fff;padding:1.4rem max(1rem,calc(50vw - 520px))}
h1{margin:0;font-size:1.7rem;line-height:1.2}header p{margin:.4rem 0 0;opacity:.9}
main{max-width:1072px;margin:0 auto;padding:1rem}
section,figure,.headline{background:#fff;border:1px solid #ddd;border-radius:6px;
margin:0 0 1rem;padding:1rem 1.2rem}
.headline{font-size:1.2rem;border-left:6px solid #b73779}
h2{font-size:1.15rem;margin:0 0 .6rem}figure h2{margin-bottom:.3rem}
figure img{display:block;width:100%;max-width:1024px;height:auto;margin:0 auto}
.gallery{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:0 1rem}
figure.small img{max-width:620px}
figcaption{color:#555;font-size:.9rem}
.banner{background:#ffd400;color:#000;border:3px solid #000;border-radius:6px;text-align:center;
font-weight:700;margin:0 0 1rem;padding:.8rem}.banner b{display:block;font-size:1.5rem}
.warn{border-left:6px solid #d55e00}.beware{border-left:6px solid #e69f00}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #e4e4e4;vertical-align:top}
th{white-space:nowrap;background:#fafafa}.n{text-align:right;white-space:nowrap;
font-variant-numeric:tabular-nums}code{font-size:.85em;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:minmax(8rem,2fr) 3fr;gap:.2rem 1rem;margin:0}
dt{color:#555;overflow-wrap:anywhere}dd{margin:0;overflow-wrap:anywhere}
ul{margin:.4rem 0 0;padding-left:1.2rem}
.credits{color:#444;font-size:.9rem}
@media(max-width:600px){dl{grid-template-columns:1fr}dd{margin-bottom:.4rem}
section,figure,.headline{padding:.8rem}}
@media print{body{background:#fff}section,figure{break-inside:avoid}}
"""


def _banner(run: Report) -> str:
    if not run.simulated:
        return ""
    return (
        '<p class="banner" role="alert"><b>SIMULATED DATA</b> This map shows a made-up world. '
        "It says nothing about the air anywhere.</p>"
    )


def _listed(title: str, entries: Iterable[str], look: str) -> str:
    lines = "".join(f"<li>{escape(entry)}</li>" for entry in entries)
    if not lines:
        return ""
    return f'<section class="{look}"><h2>{escape(title)}</h2><ul>{lines}</ul></section>'


def _pairs(title: str, pairs: Iterable[tuple[str, str]], notes: Iterable[str] = ()) -> str:
    listed = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in pairs)
    lines = "".join(f"<li>{escape(note)}</li>" for note in notes)
    body = (f"<dl>{listed}</dl>" if listed else "") + (f"<ul>{lines}</ul>" if lines else "")
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def _figure(figure: Figure, look: str = "") -> str:
    data = base64.b64encode(figure.png).decode("ascii")
    caption = f"<figcaption>{escape(figure.caption)}</figcaption>" if figure.caption else ""
    return (
        f'<figure class="{look}"><h2>{escape(figure.title)}</h2>'
        f'<img src="data:image/png;base64,{data}" alt="{escape(figure.alt)}">{caption}</figure>'
    )


def _gallery(figures: Sequence[Figure]) -> str:
    shown = "".join(_figure(figure) for figure in figures)
    return f'<div class="gallery">{shown}</div>' if shown else ""


def _table(rows: Iterable[Row]) -> str:
    lines = "".join(_line(row) for row in rows)
    words, numbers = ("Layer", "File", "Unit"), ("Valid, %", "Min", "Mean", "Max")
    head = "".join(f"<th>{name}</th>" for name in words)
    head += "".join(f'<th class="n">{name}</th>' for name in numbers) + "<th>SHA-256</th>"
    return (
        f'<section><h2>Files</h2><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div></section>"
    )


def _clouds(scenes: Sequence[Scene]) -> str:
    """Return the dates with their shares, one a row."""
    if not scenes:
        return ""
    head = "".join(f'<th class="n">{escape(name)}, %</th>' for name in scenes[0].percent)
    lines = ""
    for scene in scenes:
        shares = "".join(f'<td class="n">{share:.1f}</td>' for share in scene.percent.values())
        lines += f"<tr><td>{escape(scene.date)}</td>{shares}<td>{escape(scene.reason)}</td></tr>"
    return (
        '<section><h2>Sentinel-2 dates</h2><div class="wide"><table><thead><tr><th>Date</th>'
        f"{head}<th></th></tr></thead><tbody>{lines}</tbody></table></div></section>"
    )


def _line(row: Row) -> str:
    numbers = "".join(
        f'<td class="n">{_number(value)}</td>'
        for value in (row.valid_percent, row.minimum, row.mean, row.maximum)
    )
    # The leading ./ and the quoting keep a file name from being read as an address.
    return (
        f'<tr><td>{escape(row.title)}</td><td><a href="./{quote(row.path)}">'
        f"{escape(row.path)}</a></td><td>{escape(row.unit)}</td>{numbers}"
        f'<td><code title="{escape(row.sha256)}">{escape(row.sha256[:12])}</code></td></tr>'
    )


def _number(value: float | None) -> str:
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"

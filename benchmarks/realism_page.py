"""The comparison as a table of text and as one HTML page that loads nothing else."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from benchmarks.realism_distances import Comparison

CREDITS = (
    "Contains modified Copernicus Sentinel data 2015-2023.",
    "multimodal_5sites: TerraMesh validation chips as shipped with TerraMind, Apache-2.0.",
    "eopatch_68dates: eo-learn, MIT. sentinel2_33T: mapchete-eo, MIT.",
    "sentinel2_timeseries: WorldCereal, MIT.",
    "s5p_pixels_3cities: s5p-client, MIT. s5p_l2_delhi: Copernicus Sentinel-5P through NASA GES "
    "DISC, no conditions apply. s5p_daily_sea: MIT.",
    "mmaq_stations: MMAQ, Apache-2.0. stations_de_nl: MIT.",
)
RULES = (
    "Thresholds (close, fair) stand in each row; beyond the second the verdict is poor.",
    "W1 / mean: Wasserstein distance of the two distributions over the real mean, in the dark over "
    "a reflectance of .03; 0.25 and 0.5 for reflectance and columns.",
    "Between real: the same distance between real sites. A simulated world cannot be expected to "
    "lie closer to the real ones than they lie to each other.",
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure of the page."""

    name: str
    """Stem of its file."""
    title: str
    """Heading."""
    png: bytes
    """The picture as a PNG file."""
    caption: str
    """A sentence below; the credits follow it."""


def table(comparisons: Iterable[Comparison]) -> str:
    """Return the comparisons as lines of text, a summary for each part at the end."""
    found = list(comparisons)
    lines = [
        f"{'':44}{'real':>10}{'simulated':>11}{'distance':>10}{'between':>9}"
        f"{'close':>7}{'fair':>6}  verdict"
    ]
    for c in found:
        between = c.more.get("between_real_sites", np.nan)
        lines.append(
            f"{c.name[:43]:44}{c.real:10.3g}{c.simulated:11.3g}{c.distance:10.2f}{between:9.2f}"
            f"{c.close:7.2f}{c.fair:6.2f}  {c.verdict}"
        )
    return "\n".join([*lines, "", *(f"{part}: {text}" for part, text in summary(found).items())])


def summary(comparisons: Sequence[Comparison]) -> dict[str, str]:
    """Return how many verdicts of each kind a part has, and where it is poorest."""
    found = {}
    for part in dict.fromkeys(c.part for c in comparisons):
        own = [c for c in comparisons if c.part == part]
        counts = {v: sum(c.verdict == v for c in own) for v in ("close", "fair", "poor")}
        poor = sorted((c for c in own if c.verdict == "poor"), key=lambda c: -c.distance / c.fair)
        text = ", ".join(f"{n} {v}" for v, n in counts.items())
        spread = sum(c.distance <= c.more.get("between_real_sites", -1) for c in poor)
        text += f" ({spread} of these no farther than real sites lie apart)" if spread else ""
        found[part] = text + (f"; poorest: {'; '.join(c.name for c in poor[:4])}" if poor else "")
    return found


def html(comparisons: Sequence[Comparison], pictures: Sequence[Picture], about: str) -> str:
    """Return the page.

    Args:
        comparisons: all of them.
        pictures: in order.
        about: a sentence on the worlds that were simulated.
    """
    listed = "".join(
        f"<li><b>{escape(part)}</b>: {escape(text)}</li>"
        for part, text in summary(comparisons).items()
    )
    rules = "".join(f"<li>{escape(text)}</li>" for text in RULES)
    body = (
        f"<section><h2>Verdicts</h2><ul>{listed}</ul><ul>{rules}</ul><p>{escape(about)}</p>"
        f"</section>{''.join(map(_figure, pictures))}{_rows(comparisons)}"
        f"<section><h2>Sources and licences</h2><p>{escape(' '.join(CREDITS))}</p></section>"
    )
    return _PAGE.format(style=_STYLE, body=body)


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode("ascii")
    return (
        f"<figure><h2>{escape(picture.title)}</h2>"
        f'<img src="data:image/png;base64,{data}" alt="{escape(picture.title)}">'
        f"<figcaption>{escape(f'{picture.caption} {CREDITS[0]}')}</figcaption></figure>"
    )


def _rows(comparisons: Iterable[Comparison]) -> str:
    names = (
        "What", "Real", "SIMULATED", "Shift of medians", "KS", "Distance", "Measure",
        "Between real", "Close, fair", "Verdict",
    )  # fmt: skip
    head = "".join(f"<th>{name}</th>" for name in names)
    lines = "".join(
        f'<tr class="{c.verdict.split()[0]}">'
        + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(c))
        + "</tr>"
        for c in comparisons
    )
    return (
        f"<section><h2>All comparisons</h2><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{lines}</tbody></table></section>"
    )


def _cells(c: Comparison) -> list[str]:
    def number(value: float) -> str:
        return f"{value:.3g}" if np.isfinite(value) else "–"

    more = [number(c.more.get(name, np.nan)) for name in ("shift", "ks", "between_real_sites")]
    return [
        f"{c.part}: {c.name}", number(c.real), number(c.simulated), more[0], more[1],
        number(c.distance), c.measure, more[2], f"{c.close:g}, {c.fair:g}", c.verdict,
    ]  # fmt: skip


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Real against simulated</title>
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>{style}</style></head><body><h1>Real against simulated</h1>{body}</body></html>
"""
_STYLE = """
body{margin:0 auto;max-width:1200px;padding:1rem;background:#f4f4f1;color:#1a1a1a;
font:15px/1.5 system-ui,"DejaVu Sans",sans-serif}
section,figure{background:#fff;border:1px solid #ddd;border-radius:6px;margin:0 0 1rem;padding:1rem}
section{overflow-x:auto}h2{font-size:1.1rem;margin:0 0 .5rem}img{max-width:100%}
figcaption{color:#555;font-size:.9rem}table{border-collapse:collapse;font-size:.85rem}
th,td{text-align:left;padding:.2rem .5rem;border-bottom:1px solid #e4e4e4}
.close td:last-child{background:#bfe8d9}.fair td:last-child{background:#fbf6b3}
.poor td:last-child{background:#f2c1a0}
"""

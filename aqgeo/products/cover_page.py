"""Evaluation of cover classes for people, as one self-contained HTML page."""

import base64
from collections.abc import Mapping
from html import escape
from typing import Any

_NOTES = {
    "simulated": "Rows called simulated are of SIMULATED DATA, compared with their own truth.",
    "SCL": "Contains modified Copernicus Sentinel data.",
}
_CAPTIONS = {
    "roc.png": "Each class against all others, and the mean of the curves at equal false alarms.",
    "confusion.png": "Numbers of images; the colour is the share of the true class.",
}


def html(told: Mapping[str, Any], columns: Mapping[str, str], pictures: Mapping[str, bytes]) -> str:
    """Return an evaluation as a page that loads nothing else, and runs nothing.

    Args:
        told: sets by name, each with its methods and their numbers; what was trained and how.
        columns: name for people by key of a number.
        pictures: PNG files by name.
    """
    facts = {
        "Network": f"{told['network']['network']}, bands {' '.join(told['network']['bands'])}",
        "Trained on": "; ".join(told["trained on"]),
        "Split": told["split"],
        "Judged": f"{told['images']} images, {told['pieces without enough labels']} pieces without "
        "enough labels left out",
        "Counted by": told["counted by"],
    }
    notes = [note for name, note in _NOTES.items() if any(name in own for own in told["sets"])]
    return _PAGE.format(
        style=_STYLE,
        notes="".join(f'<p class="banner">{escape(note)}</p>' for note in notes),
        facts="".join(f"<li>{escape(k)}: {escape(str(v))}</li>" for k, v in facts.items()),
        tables="".join(_table(name, rows, columns) for name, rows in told["sets"].items()),
        lost="".join(
            f'<p class="lost">Not compared: {escape(name)}: {escape(why)}</p>'
            for name, why in told["not compared"].items()
        ),
        classes="".join(_classes(name, rows) for name, rows in told["sets"].items()),
        figures="".join(_figure(name, png) for name, png in pictures.items()),
    )


def _title(name: str) -> str:
    return name[:1].upper() + name[1:]


def _table(name: str, methods: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    n = next(iter(methods.values()))["n"]
    head = "".join(f"<th>{escape(title)}</th>" for title in columns.values())
    lines = []
    for number, (method, found) in enumerate(methods.items()):
        cells = "".join(f"<td>{_number(found, key)}</td>" for key in columns)
        look = ' class="own"' if not number else ""
        lines.append(f'<tr{look}><td class="t">{escape(method)}</td>{cells}</tr>')
    return (
        f'<section><h2>{escape(_title(name))}: {n} pieces</h2><div class="wide"><table>'
        f'<thead><tr><th class="t">By</th>{head}</tr></thead><tbody>{"".join(lines)}</tbody>'
        f"</table></div>{_undefined(methods)}</section>"
    )


def _undefined(methods: Mapping[str, Any]) -> str:
    why = next(iter(methods.values()))["auc not defined"]
    return "".join(f"<p>No ROC of {escape(n)}: {escape(reason)}.</p>" for n, reason in why.items())


def _classes(name: str, methods: Mapping[str, Any]) -> str:
    """Return a table of each class by each method."""
    keys = {"precision": "precision", "recall": "recall", "f1": "F1"}
    head = "".join(f"<th>{title}</th>" for title in keys.values())
    lines = []
    for method, found in methods.items():
        for title, row in found["classes"].items():
            cells = "".join(f"<td>{_plain(row[key])}</td>" for key in keys)
            area = _plain(found["auc"][title])
            lines.append(
                f'<tr><td class="t">{escape(method)}</td><td class="t">{title} %</td>'
                f"<td>{row['n']}</td>{cells}<td>{area}</td></tr>"
            )
    return (
        f'<section><h2>{escape(_title(name))}, by class</h2><div class="wide"><table><thead>'
        f'<tr><th class="t">By</th><th class="t">Class</th><th>n</th>{head}<th>AUC</th></tr>'
        f"</thead><tbody>{''.join(lines)}</tbody></table></div></section>"
    )


def _number(found: Mapping[str, Any], key: str) -> str:
    if key in ("mae", "bias"):
        return f"{found[key]:.1f}"
    return _plain(found["auc"]["mean"] if key == "auc" else found[key])


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _figure(name: str, png: bytes) -> str:
    data = base64.b64encode(png).decode("ascii")
    caption = _CAPTIONS.get(name, "")
    return (
        f'<section><img src="data:image/png;base64,{data}" alt="{escape(caption)}">'
        f"<p>{escape(caption)}</p></section>"
    )


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Cover classes</title>
<style>{style}</style>
</head>
<body>
{notes}
<h1>Cover classes: percent of an image under cloud</h1>
<ul>{facts}</ul>
{tables}
<p>Error: mean absolute error of cover; bias: told minus true; 2+ off: share of the images told two
or three classes off. Precision, recall and F1 are means over the classes that are there.</p>
{lost}
{figures}
{classes}
</body>
</html>
"""
_STYLE = """
body{max-width:1300px;margin:0 auto;padding:1rem;color:#1a1a1a;
font:15px/1.45 system-ui,"DejaVu Sans",sans-serif}
.banner{border:2px solid #000;background:#fff3b0;padding:.3rem .6rem;color:#1a1a1a}
section{border-top:2px solid #2c115f;margin-top:1.6rem}h2{margin:.5rem 0}
p{color:#555;font-size:.9rem;max-width:70rem}.lost{color:#a33}
img{display:block;max-width:100%;height:auto}.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem}
th,td{padding:.2rem .7rem;border-bottom:1px solid #e2e2e2;text-align:right;
font-variant-numeric:tabular-nums;white-space:nowrap}.t{text-align:left}
.own{font-weight:600;background:#f6f2fa}ul{font-size:.9rem;color:#555}
"""

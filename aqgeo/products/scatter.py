"""Map values against those of stations: scores, and their picture."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers tell apart; the shapes say it once more.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
_MARKERS = ("o", "^", "s", "D", "v", "P")


@dataclass(frozen=True, slots=True)
class Scores:
    """How well predictions agree with observations."""

    n: int
    """Number of pairs."""
    r: float
    """Correlation coefficient of Pearson, 1; NaN for less than 3 pairs or without any spread."""
    bias: float
    """Mean of predicted minus observed, in their unit."""
    rmse: float
    """Root of the mean squared difference, in their unit."""


def scores(observed: np.ndarray, predicted: np.ndarray) -> Scores:
    """Compare two (n,) arrays in one unit; pairs with NaN are left out."""
    kept = np.isfinite(observed) & np.isfinite(predicted)
    o, p = observed[kept].astype("float64"), predicted[kept].astype("float64")
    if not o.size:
        return Scores(0, np.nan, np.nan, np.nan)
    difference = p - o
    spread = o.std() * p.std()
    r = np.nan
    if o.size > 2 and spread > 0:
        r = float(((o - o.mean()) * (p - p.mean())).mean() / spread)
    rmse = float(np.sqrt((difference**2).mean()))
    return Scores(o.size, r, float(difference.mean()), rmse)


def picture(observed: np.ndarray, predicted: np.ndarray, groups: Sequence[str], unit: str) -> bytes:
    """Draw predictions against observations as a PNG; same input, same bytes.

    Args:
        observed: (n,) station values in `unit`.
        predicted: (n,) map values in `unit`.
        groups: n names, one colour and shape each.
        unit: unit of both axes.
    """
    kept = np.isfinite(observed) & np.isfinite(predicted)
    observed, predicted = observed[kept], predicted[kept]
    names = np.asarray(groups, dtype=str)[kept]
    figure = Figure(figsize=(6.4, 6.4), dpi=110, facecolor="white", layout="constrained")
    axes = figure.add_subplot(aspect="equal")
    top = 1.05 * max(*observed, *predicted, 1e-12, 0.0)
    for slope, style, label in ((1.0, "-", "1:1"), (2.0, "--", "factor 2"), (0.5, "--", None)):
        axes.plot([0, top], [0, top * slope], style, color="#888888", linewidth=1, label=label)
    for i, name in enumerate(sorted(set(names.tolist()))):
        here = names == name
        axes.scatter(
            observed[here],
            predicted[here],
            s=28,
            color=_COLOURS[i % len(_COLOURS)],
            marker=_MARKERS[i % len(_MARKERS)],
            label=f"{name} ({int(here.sum())})",
        )
    low = min(*observed, *predicted, 0.0, 0.0)
    axes.set(xlim=(low, top), ylim=(low, top))
    axes.set_xlabel(f"Stations ({unit})", parse_math=False)
    axes.set_ylabel(f"Map ({unit})", parse_math=False)
    axes.text(
        0.03,
        0.97,
        "\n".join(score_lines(scores(observed, predicted), unit)),
        transform=axes.transAxes,
        va="top",
        parse_math=False,
    )
    legend = axes.legend(loc="lower right", frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    axes.spines[["top", "right"]].set_visible(False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def score_lines(s: Scores, unit: str) -> list[str]:
    """Return scores as lines of text."""
    r = "not defined" if np.isnan(s.r) else f"{s.r:.2f}"
    return [f"n = {s.n}", f"R = {r}", f"bias = {s.bias:+.3g} {unit}", f"RMSE = {s.rmse:.3g} {unit}"]

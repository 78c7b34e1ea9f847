"""Pictures of how well cover classes are told: ROC curves and confusion matrices."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aqgeo.cover import NAMES

# Okabe and Ito's colours, which colour-blind readers tell apart; the dashes say it once more.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
_DASHES = ("-", "--", "-.", ":")
_FAINT = "#888888"


def roc(curves: Mapping[str, Mapping[str, Any]], title: str) -> bytes:
    """Draw ROC curves, one against the rest and their mean, as a PNG; same input, same bytes.

    Args:
        curves: as `scoring.cover.roc` gives; those without an area are named in the legend.
        title: heading.
    """
    figure = Figure(figsize=(6.4, 6.0), dpi=110, facecolor="white", layout="constrained")
    axes = figure.add_subplot(aspect="equal")
    axes.plot([0, 1], [0, 1], color="#cccccc", linewidth=1, zorder=1)
    for name, colour, dash in zip(NAMES, _COLOURS, _DASHES, strict=True):
        _curve(axes, curves[name], f"{name} %", color=colour, linestyle=dash, linewidth=1.6)
    _curve(axes, curves["mean"], "mean of classes", color="#1a1a1a", linewidth=2.6)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_xlabel("False alarms: share of the other images")
    axes.set_ylabel("Hits: share of the class's images")
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(loc="lower right", frameon=True, framealpha=0.9, edgecolor="none", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def confusion(tables: Mapping[str, np.ndarray]) -> bytes:
    """Draw confusion matrices beside each other as a PNG; same input, same bytes.

    Args:
        tables: (class, class) numbers of images by true class and class told, by name of what told.
    """
    count = len(tables)
    figure = Figure(
        figsize=(3.5 * count + 1.2, 4.0), dpi=110, facecolor="white", layout="constrained"
    )
    image = None
    every = figure.subplots(1, count, squeeze=False)[0]
    for axes, (name, table) in zip(every, tables.items(), strict=True):
        image = _matrix(axes, table)
        axes.set_title(name, fontsize=11)
        axes.set_xlabel("Told, %")
    every[0].set_ylabel("True, %")
    if image is not None:
        bar = figure.colorbar(image, ax=list(every), shrink=0.85, pad=0.02)
        bar.set_label("Share of the true class")
        bar.outline.set_visible(False)
    return _png(figure)


def _curve(axes: Axes, curve: Mapping[str, Any], name: str, **look: Any) -> None:
    if curve["auc"] is None:
        axes.plot([], [], color="#dddddd", label=f"{name}: {curve['why']}")
        return
    axes.plot(curve["false"], curve["hits"], label=f"{name}: AUC {curve['auc']:.3f}", **look)


def _matrix(axes: Axes, table: np.ndarray) -> Any:
    there = table.sum(1, keepdims=True)
    share = table / np.maximum(there, 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*table.shape):
        dark = share[row, column] > 0.55
        axes.text(
            column,
            row,
            f"{table[row, column]}" if there[row, 0] else "-",
            ha="center",
            va="center",
            fontsize=10,
            color="white" if dark else "#1a1a1a",
        )
    ticks = range(len(NAMES))
    axes.set_xticks(ticks, NAMES, fontsize=8)
    axes.set_yticks(ticks, NAMES, fontsize=8, rotation=90, va="center")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()

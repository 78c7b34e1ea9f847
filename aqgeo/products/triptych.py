"""Pictures of truth, estimate and error side by side."""

import io
import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from aqgeo.scores import View

_WIDTH_IN, _DPI = 12.6, 100
_MAX_PIXELS = 450  # a panel is about 400 pixels wide
_BLANK = "#d9d9d9"
# Shares of the values that lie below and above the ends of the colours, percent.
_ENDS, _ERROR_END = (1, 99), 98


def picture(view: View) -> bytes:
    """Draw a view as a PNG; same input, same bytes.

    Values beyond the ends of a colour bar have the colour of its end. Large maps are thinned to
    every n-th pixel. A line under the panels tells their size.
    """
    rows, cols = view.truth.shape
    height = min(9.0, max(3.0, 3.9 * rows / cols)) + (1.5 if view.classes else 1.1)
    figure = Figure(figsize=(_WIDTH_IN, height), dpi=_DPI, facecolor="white", layout="constrained")
    panels = figure.subplots(1, 3)
    step = max(1, math.ceil(max(rows, cols) / _MAX_PIXELS))
    layers = ("Truth", view.truth), ("Estimate", view.found), ("Error", view.error)
    for axes, (name, layer) in zip(panels, layers, strict=True):
        axes.set_title(name, fontsize=12, loc="left")
        axes.set(xticks=[], yticks=[], facecolor=_BLANK)
        thin = layer[::step, ::step]
        if view.classes:
            _classes(figure, axes, thin, view.errors if name == "Error" else view.classes)
        else:
            _values(figure, axes, thin, view, is_error=name == "Error")
    panels[0].set_xlabel(
        f"{cols * view.pixel_m / 1000:.4g} km x {rows * view.pixel_m / 1000:.4g} km, "
        f"pixels of {view.pixel_m:.4g} m; grey: no data",
        fontsize=9,
        loc="left",
    )
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _values(figure: Figure, axes: Axes, layer: np.ndarray, view: View, *, is_error: bool) -> None:
    known = layer[np.isfinite(layer)]
    unit = "" if view.unit == "1" else f" ({view.unit})"
    if is_error:
        end = float(np.percentile(np.abs(known), _ERROR_END)) if known.size else 1.0
        colours, low, high = "RdBu_r", -(end or 1.0), end or 1.0
        label = f"estimate minus truth{unit}"
    else:
        # One scale for both panels, so that colours can be compared.
        both = np.concatenate([v[np.isfinite(v)] for v in (view.truth, view.found)])
        low, high = map(float, np.percentile(both, _ENDS)) if both.size else (0.0, 1.0)
        colours, high = "magma_r", max(high, low + 1e-9)
        label = f"{view.title}{unit}"
    image = axes.imshow(layer, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    bar = figure.colorbar(
        image, ax=axes, orientation="horizontal", extend="both", pad=0.02, aspect=30, shrink=0.9
    )
    bar.set_label(label, parse_math=False, fontsize=9)
    bar.ax.tick_params(labelsize=9)


def _classes(
    figure: Figure, axes: Axes, layer: np.ndarray, classes: dict[int, tuple[str, str]] | Any
) -> None:
    codes = np.full(256, len(classes))
    codes[list(classes)] = np.arange(len(classes))
    colours = [colour for _, colour in classes.values()]
    axes.imshow(
        codes[layer.astype("uint8")],
        cmap=ListedColormap([*colours, _BLANK]),
        vmin=-0.5,
        vmax=len(classes) + 0.5,
        interpolation="nearest",
    )
    shares = [float((layer == code).mean()) for code in classes]
    handles = [
        Patch(facecolor=colour, edgecolor="#888888", label=f"{name}, {share:.1%}")
        for (name, colour), share in zip(classes.values(), shares, strict=True)
    ]
    legend = axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.08),
        ncols=2,
        fontsize=9,
        frameon=False,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)

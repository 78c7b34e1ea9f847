"""Pictures of truth, estimate and error side by side."""

import io
import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from aqgeo.scores import View

# Sizes in pixels of the picture.
_PANEL, _HIGHEST, _GAP, _TITLE, _UNDER, _BAR, _LINE = 400, 560, 20, 34, 30, 62, 24
_DPI = 100
_BLANK = "#bdbdbd"
# Percentiles of the values, and of the size of the errors, that the ends of the colours stand for.
_ENDS, _ERROR_END = (1, 99), 98


def picture(view: View) -> bytes:
    """Draw a view as a PNG; same input, same bytes.

    Values beyond the ends of a colour bar have the colour of its end. Large maps are thinned to
    every n-th pixel. A line under the panels tells their size.
    """
    rows, cols = view.truth.shape
    high = min(_HIGHEST, round(_PANEL * rows / cols))
    legends = _legend(view, (view.truth, view.found), view.classes)
    mistakes = _legend(view, (view.error,), view.errors)
    lines = -(-max(len(legends), len(mistakes)) // 2)
    foot = _UNDER + (lines * _LINE + 10 if view.classes else _BAR)
    size = 3 * _PANEL + 4 * _GAP, _TITLE + high + foot
    figure = Figure(figsize=(size[0] / _DPI, size[1] / _DPI), dpi=_DPI, facecolor="white")
    step = max(1, math.ceil(max(rows, cols) / _PANEL))
    layers = ("Truth", view.truth), ("Estimate", view.found), ("Error", view.error)
    for number, (name, layer) in enumerate(layers):
        left = _GAP + number * (_PANEL + _GAP)
        axes = _axes(figure, size, (left, foot, _PANEL, high))
        axes.set_title(name, fontsize=12, loc="left")
        axes.set(xticks=[], yticks=[], facecolor=_BLANK)
        thin = layer[::step, ::step]
        if view.classes:
            shown = mistakes if name == "Error" else legends
            _classes(axes, thin, layer, shown)
        else:
            bar = _axes(figure, size, (left + 30, foot - _UNDER - 16, _PANEL - 60, 12))
            _values(figure, axes, bar, thin, view, is_error=name == "Error")
        if not number:
            axes.set_xlabel(_scale(view), fontsize=9, loc="left", labelpad=3)
    figure.text(1 - _GAP / size[0], 1 - 14 / size[1], "simulated data", ha="right", fontsize=9)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _axes(figure: Figure, size: tuple[int, int], box: tuple[int, int, int, int]) -> Axes:
    """Return axes at (left, bottom, width, height) in pixels of a picture of (width, height)."""
    left, bottom, width, height = box
    return figure.add_axes((left / size[0], bottom / size[1], width / size[0], height / size[1]))


def _scale(view: View) -> str:
    rows, cols = (n * view.pixel_m / 1000 for n in view.truth.shape)
    pixel = f"pixels of {view.pixel_m:.4g} m"
    return f"{cols:.4g} km x {rows:.4g} km, {pixel}; grey: no data"


def _values(
    figure: Figure, axes: Axes, bar_axes: Axes, layer: np.ndarray, view: View, *, is_error: bool
) -> None:
    unit = "" if view.unit == "1" else f" ({view.unit})"
    if is_error:
        known = np.abs(layer[np.isfinite(layer)])
        end = float(np.percentile(known, _ERROR_END)) if known.size else 0.0
        colours, low, high = "RdBu_r", -(end or 1.0), end or 1.0
        label = f"estimate minus truth{unit}"
    else:
        # One scale for both panels, so that colours can be compared.
        both = np.concatenate([v[np.isfinite(v)] for v in (view.truth, view.found)])
        low, high = map(float, np.percentile(both, _ENDS)) if both.size else (0.0, 1.0)
        colours, high = "gray" if view.unit == "1" else "magma_r", max(high, low + 1e-9)
        label = f"{view.title}{unit}"
    image = axes.imshow(layer, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    bar = figure.colorbar(image, cax=bar_axes, orientation="horizontal", extend="both")
    bar.locator = MaxNLocator(5)
    bar.set_label(label, parse_math=False, fontsize=9)
    bar_axes.tick_params(labelsize=9)


def _legend(
    view: View, layers: tuple[np.ndarray, ...], classes: Mapping[int, tuple[str, str]]
) -> dict[int, tuple[str, str]]:
    """Return the classes that occur in a layer."""
    if not view.classes:
        return {}
    codes = set(np.unique(np.concatenate([layer.ravel() for layer in layers])).tolist())
    return {code: entry for code, entry in classes.items() if code in codes}


def _classes(
    axes: Axes, thin: np.ndarray, whole: np.ndarray, classes: Mapping[int, tuple[str, str]]
) -> None:
    place = np.full(256, len(classes))
    place[list(classes)] = np.arange(len(classes))
    axes.imshow(
        place[thin.astype("uint8")],
        cmap=ListedColormap([*(colour for _, colour in classes.values()), _BLANK]),
        vmin=-0.5,
        vmax=len(classes) + 0.5,
        interpolation="nearest",
    )
    handles = [
        Patch(
            facecolor=colour,
            edgecolor="#888888",
            label=f"{name}, {float((whole == code).mean()):.1%}",
        )
        for code, (name, colour) in classes.items()
    ]
    legend = axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, -_UNDER / _PANEL * thin.shape[1] / thin.shape[0]),
        ncols=2,
        fontsize=9,
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        columnspacing=1,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)

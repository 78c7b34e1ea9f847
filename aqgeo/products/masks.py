"""Pictures of one image's mask: true colour, truth, what was found, and the error."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

# Sizes in pixels of the picture.
PANEL, _GAP, _TITLE, _FOOT, _LINE = 320, 14, 50, 12, 20
_DPI = 100
_BLANK = "#bdbdbd"
# Reflectance that is white, and the root that lifts dark ground.
_WHITE, _GAMMA = 0.6, 1.6
Legend = Mapping[int, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Panels:
    """One image, thinned to at most PANEL pixels a side, to be drawn."""

    title: str
    """Line above the panels."""
    colour: np.ndarray
    """(y, x, 3) uint8 true colour."""
    truth: np.ndarray
    """(y, x) codes of `classes`; others are no data."""
    found: np.ndarray
    """(y, x) codes of `classes`."""
    error: np.ndarray
    """(y, x) codes of `errors`; others are blank."""
    classes: Legend
    """Name and colour by class."""
    errors: Legend
    """Name and colour by kind of error."""


def true_colour(values: np.ndarray, bands: Sequence[str]) -> np.ndarray:
    """Return (y, x, 3) uint8 of (band, y, x) reflectance; grey where there is no data.

    Without all of B04, B03 and B02 the first band is shown in grey.
    """
    names = list(bands)
    rgb = ("B04", "B03", "B02")
    chosen = [names.index(band) for band in rgb] if set(rgb) <= set(names) else [0, 0, 0]
    light = np.clip(values[chosen] / _WHITE, 0, 1) ** (1 / _GAMMA)
    lost = np.isnan(light).any(axis=0)
    picture = np.moveaxis(np.rint(np.nan_to_num(light) * 255).astype("uint8"), 0, -1)
    picture[lost] = np.rint(np.array(to_rgb(_BLANK)) * 255)
    return picture


def thin(layer: np.ndarray) -> np.ndarray:
    """Return every n-th row and column of (y, x, ...), so that it fits a panel."""
    step = max(1, math.ceil(max(layer.shape[:2]) / PANEL))
    return layer[::step, ::step]


def picture(panels: Panels) -> bytes:
    """Draw panels as a PNG; same input, same bytes."""
    rows, cols = panels.truth.shape
    high = min(2 * PANEL, max(40, round(PANEL * rows / cols)))
    shown = _present(panels.classes, true=panels.truth, found=panels.found)
    wrong = _present(panels.errors, pixels=panels.error)
    foot = _FOOT + _LINE * max(len(shown), len(wrong))
    size = 4 * PANEL + 5 * _GAP, _TITLE + high + foot
    figure = Figure(figsize=(size[0] / _DPI, size[1] / _DPI), dpi=_DPI, facecolor="white")
    figure.text(_GAP / size[0], 1 - 18 / size[1], panels.title, fontsize=11, parse_math=False)
    layers = {
        "True colour": panels.colour,
        "Truth": _coloured(panels.truth, panels.classes),
        "Found": _coloured(panels.found, panels.classes),
        "Error": _coloured(panels.error, panels.errors),
    }
    for number, (name, layer) in enumerate(layers.items()):
        left = _GAP + number * (PANEL + _GAP)
        box = left / size[0], foot / size[1], PANEL / size[0], high / size[1]
        axes = figure.add_axes(box)
        axes.imshow(layer, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, fontsize=10, loc="left", pad=3)
        legend = {"Truth": shown, "Error": wrong}.get(name)
        if legend:
            handles = [Patch(fc=colour, ec="#888888", label=label) for label, colour in legend]
            at = left / size[0], (foot - 4) / size[1]
            figure.legend(
                handles=handles, loc="upper left", bbox_to_anchor=at, fontsize=8, frameon=False,
                borderpad=0, borderaxespad=0, labelspacing=0.4,
            )  # fmt: skip
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _present(legend: Legend, **layers: np.ndarray) -> list[tuple[str, str]]:
    """Return names, with their share of each layer, and colours of the codes that occur."""
    known = {what: layer[np.isin(layer, list(legend))] for what, layer in layers.items()}
    found = []
    for code, (name, colour) in legend.items():
        shares = {what: float((one == code).mean()) for what, one in known.items() if one.size}
        if any(shares.values()):
            words = ", ".join(f"{share:.1%} of {what}" for what, share in shares.items())
            found.append((f"{name}: {words}", colour))
    return found


def _coloured(layer: np.ndarray, legend: Legend) -> np.ndarray:
    table = np.tile(np.array(to_rgb(_BLANK)), (256, 1))
    for code, (_, colour) in legend.items():
        table[code] = to_rgb(colour)
    return np.asarray(table[layer.astype("uint8")])

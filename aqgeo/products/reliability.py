"""Pictures of calibration: how often there is cloud where a detector says so."""

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers tell apart; the shapes say it once more.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
_MARKERS = ("o", "^", "s", "D", "v", "P")
# Fewer pixels tell nothing.
_LEAST = 100


def picture(curves: Mapping[str, np.ndarray], title: str) -> bytes:
    """Draw reliability curves as a PNG; same input, same bytes.

    Args:
        curves: (bin, 3) pixels, sum of the probability of cloud, and true cloud, by name.
        title: line above.
    """
    figure = Figure(figsize=(7.6, 4.6), dpi=100, facecolor="white", layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=1, label="calibrated")
    for number, (name, bins) in enumerate(curves.items()):
        look = {"color": _COLOURS[number % 6], "marker": _MARKERS[number % 6]}
        pixels, chance, true = bins[bins[:, 0] >= _LEAST].T
        axes.plot(chance / pixels, true / pixels, label=name, linewidth=1.4, markersize=5, **look)
        share = pixels / bins[:, 0].sum()
        below.plot(chance / pixels, share, linewidth=1.2, markersize=4, **look)
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that is cloud")
    axes.set_title(title, fontsize=11, loc="left", parse_math=False)
    below.set(yscale="log", ylabel="share of pixels", xlabel="probability of cloud")
    legend = axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)
    for one in (axes, below):
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(labelsize=9)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()

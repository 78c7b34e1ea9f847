"""Pictures of a study of settings: history, importance, slices, contour."""

import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_INK, _POINT, _BEST, _FAINT = "#1a1a1a", "#0072b2", "#d55e00", "#888888"
_COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Point:
    """A trial as it is drawn."""

    number: int
    """Its number."""
    values: Mapping[str, Any]
    """Its settings: numbers, or words."""
    score: float | None
    """What it reached, more is better; None where it failed."""


def history(points: Sequence[Point], label: str) -> bytes:
    """Draw the score of each trial and the best so far as a PNG; same input, same bytes.

    Args:
        points: trials by number.
        label: name of the score.
    """
    figure, axes = _figure(7.0, 4.0)
    good = _good(points)
    failed = [p.number for p in points if p.score is None]
    if good:
        numbers, scores = [p.number for p in good], [_score(p) for p in good]
        axes.plot(numbers, scores, "o", color=_POINT, markersize=6, label="trial")
        best = np.maximum.accumulate(scores)
        axes.step(numbers, best, where="post", color=_BEST, linewidth=1.6, label="best so far")
    if failed:
        low = axes.get_ylim()[0]
        axes.plot(failed, [low] * len(failed), "x", color=_FAINT, label="failed", clip_on=False)
    axes.set_xlabel("Trial")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("Study: history", loc="left", fontsize=11)
    if points:
        axes.legend(frameon=False, fontsize=9)
    return _png(figure)


def importance(shares: Mapping[str, float], why: str) -> bytes:
    """Draw how much of the score's variance each setting explains as a PNG.

    Args:
        shares: share by setting, 0 to 1.
        why: what to say where there are none.
    """
    figure, axes = _figure(7.0, max(2.4, 0.45 * len(shares) + 1.2))
    names = sorted(shares, key=lambda name: shares[name])
    bars = axes.barh(names, [shares[name] for name in names], color=_POINT, height=0.6)
    axes.bar_label(bars, fmt="%.2f", padding=4, fontsize=9)
    axes.set_xlim(0, 1.12 * max([*shares.values(), 1e-3]))
    axes.set_xlabel("Share of the score's variance between trials")
    axes.set_title("Study: importance of settings", loc="left", fontsize=11)
    if not shares:
        _say(axes, f"Not known: {why}")
    return _png(figure)


def slices(points: Sequence[Point], label: str, logs: Collection[str] = ()) -> bytes:
    """Draw the score against each setting as a PNG; the best trial is ringed.

    Args:
        points: trials; a setting that all share is not drawn.
        label: name of the score.
        logs: settings that span orders of magnitude.
    """
    good = _good(points)
    names = [n for n in (good[0].values if good else ()) if len({p.values[n] for p in good}) > 1]
    if not names:
        figure, axes = _figure(7.0, 2.4)
        _say(axes, f"{len(good)} trials succeeded: too few")
        return _png(figure)
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(
        figsize=(2.7 * columns + 0.6, 2.6 * rows + 0.4),
        dpi=110,
        facecolor="white",
        layout="constrained",
    )
    layout = figure.get_layout_engine()
    assert layout is not None
    layout.set(w_pad=0.14)  # type: ignore[call-arg]
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    scores = [_score(p) for p in good]
    first = int(np.argmax(scores))
    for axes, name in zip(grid.flat, names, strict=False):
        places = _places(axes, [p.values[name] for p in good], "x", log=name in logs)
        axes.scatter(places, scores, s=26, color=_POINT, alpha=0.8, linewidths=0)
        axes.scatter(
            places[first], scores[first], s=90, facecolors="none", edgecolors=_BEST, linewidths=1.8
        )
        axes.set_xlabel(name)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in list(grid.flat)[len(names) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel(label)
    figure.suptitle("Study: score by setting", x=0.01, ha="left", fontsize=11)
    return _png(figure)


def contour(
    points: Sequence[Point], pair: tuple[str, str], label: str, logs: Collection[str] = ()
) -> bytes:
    """Draw the score over two settings as a PNG: trials, and between them a surface.

    Args:
        points: trials.
        pair: names of the settings for x and y, both numbers.
        label: name of the score.
        logs: settings that span orders of magnitude.
    """
    figure, axes = _figure(6.6, 5.2)
    good = _good(points)
    if len(good) < 2:
        _say(axes, f"{len(good)} trials succeeded: too few")
        return _png(figure)
    x, y = (
        _places(axes, [p.values[n] for p in good], a, log=n in logs)
        for n, a in zip(pair, "xy", strict=True)
    )
    scores = np.array([_score(p) for p in good])
    norm = {"vmin": scores.min(), "vmax": max(scores.max(), scores.min() + 1e-9)}
    surface = _surface(axes, x, y, scores)
    if surface is not None:
        axes.contourf(*surface, levels=np.linspace(norm["vmin"], norm["vmax"], 13), cmap="Blues")
    shown = axes.scatter(x, y, c=scores, cmap="Blues", s=60, edgecolors=_INK, zorder=3, **norm)
    first = int(np.argmax(scores))
    axes.scatter(
        x[first], y[first], s=190, facecolors="none", edgecolors=_BEST, linewidths=2, zorder=4
    )
    axes.set_xlabel(pair[0])
    axes.set_ylabel(pair[1])
    axes.set_title("Study: score over two settings", loc="left", fontsize=11)
    bar = figure.colorbar(shown, ax=axes, pad=0.02)
    bar.set_label(label)
    return _png(figure)


def _surface(
    axes: Axes, x: np.ndarray, y: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return a surface between points, weighted by distance; None where they lie on a line."""
    u, v = (
        np.log(a) if s == "log" else a for a, s in ((x, axes.get_xscale()), (y, axes.get_yscale()))
    )
    if np.ptp(u) == 0 or np.ptp(v) == 0:
        return None
    gu, gv = np.meshgrid(*(np.linspace(*_wider(a), 90) for a in (u, v)))
    far = ((gu[..., None] - u) / np.ptp(u)) ** 2 + ((gv[..., None] - v) / np.ptp(v)) ** 2
    weight = 1 / (far + 1e-3)
    height = (weight * scores).sum(-1) / weight.sum(-1)
    gx = np.exp(gu) if axes.get_xscale() == "log" else gu
    gy = np.exp(gv) if axes.get_yscale() == "log" else gv
    return gx, gy, height


def _wider(values: np.ndarray) -> tuple[float, float]:
    """Return the ends of some values, with room for their marks."""
    room = 0.06 * float(np.ptp(values))
    return float(values.min()) - room, float(values.max()) + room


def _places(axes: Axes, values: Sequence[Any], axis: str, *, log: bool) -> np.ndarray:
    """Return where values stand along an axis, which is made to fit them."""
    if any(isinstance(value, str) for value in values):
        words = sorted(set(map(str, values)))
        axes.set(**{f"{axis}ticks": range(len(words)), f"{axis}ticklabels": words})
        axes.set(**{f"{axis}lim": (-0.5, len(words) - 0.5)})
        return np.array([words.index(str(value)) for value in values], "float64")
    found = np.array(values, "float64")
    if log and found.min() > 0:
        axes.set(**{f"{axis}scale": "log"})
    return found


def _good(points: Sequence[Point]) -> list[Point]:
    return [point for point in points if point.score is not None]


def _score(point: Point) -> float:
    assert point.score is not None
    return point.score


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=110, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _say(axes: Axes, words: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, ha="center", va="center", color=_FAINT, transform=axes.transAxes)


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()

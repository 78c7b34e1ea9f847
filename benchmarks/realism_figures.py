"""Pictures of real and simulated samples side by side."""

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import realism_clouds as clouds
from benchmarks import realism_columns as columns
from benchmarks import realism_stations as stations
from benchmarks.realism_chips import L1C, Pixels
from benchmarks.realism_clouds import Masks
from benchmarks.realism_compare import groups, joined, values
from benchmarks.realism_distances import Comparison, Values

REAL, SIMULATED = "#0072b2", "#d55e00"
"""Okabe and Ito's colours; the real side comes first and has round marks, ours has crosses."""
_VERDICTS = {"close": "#009e73", "fair": "#f0e442", "poor": "#cc5500", "not compared": "#dddddd"}
_CREDIT = "blue: real, contains modified Copernicus Sentinel data 2015-2023; orange: SIMULATED"
_SIDES = (("real", REAL, "o"), ("SIMULATED", SIMULATED, "x"))


def spectra(real: Sequence[Pixels], simulated: Sequence[Pixels], level: str) -> bytes:
    """Draw median and 10th to 90th percentile of each band, a panel for each class of a level."""
    kinds = [kind for at, kind in groups(real) if at == level]
    rows = -(-len(kinds) // 3)
    figure, panels = _panels(rows, min(3, len(kinds)), (10.5, 2.5 * rows + 0.5))
    for axes in panels[len(kinds) :]:
        axes.set_axis_off()
    for axes, kind in zip(panels, kinds, strict=False):
        for (name, colour, mark), side, shift in zip(
            _SIDES, (real, simulated), (-0.15, 0.15), strict=True
        ):
            found = {b: joined(values(side, level, kind, b)) for b in L1C}
            kept = [i for i, b in enumerate(L1C) if found[b].size]
            if kept:
                low, mid, high = np.array(
                    [np.percentile(found[L1C[i]], (10, 50, 90)) for i in kept]
                ).T
                x = np.array(kept) + shift
                axes.vlines(x, low, high, color=colour, lw=2.5, alpha=0.45)
                axes.plot(x, mid, mark, color=colour, ms=4, label=name)
        axes.set_title(kind, fontsize=10)
        axes.set_xticks(range(len(L1C)), [b[1:] for b in L1C], fontsize=7)
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    panels[0].set_ylabel(f"{level} reflectance")
    handles = panels[0].get_legend_handles_labels()[0]
    figure.legend(handles=handles, frameon=False, fontsize=9, loc="outside lower right", ncols=2)
    return _png(figure)


def matrix(comparisons: Sequence[Comparison]) -> bytes:
    """Draw the distance of each class and band as a coloured number."""
    found = {tuple(c.name.split(" ", 1)): c for c in comparisons if c.part == "reflectance"}
    parts = [(kind, *rest.split(", ")) for kind, rest in found]
    rows = sorted({(level, kind) for kind, _, level in parts})
    figure, (axes,) = _panels(1, 1, (9.5, 0.3 * len(rows) + 1))
    for r, (level, kind) in enumerate(rows):
        for b, band in enumerate(L1C):
            c = found.get((kind, f"{band}, {level}"))
            if c is not None:
                axes.fill_between([b, b + 1], r, r + 1, color=_VERDICTS[c.verdict], lw=0)
                text = f"{c.distance:.2f}" if np.isfinite(c.distance) else "–"
                axes.text(b + 0.5, r + 0.5, text, ha="center", va="center", fontsize=7)
    axes.set(xlim=(0, len(L1C)), ylim=(len(rows), 0))
    axes.set_xticks(np.arange(len(L1C)) + 0.5, L1C, fontsize=8)
    axes.set_yticks(
        np.arange(len(rows)) + 0.5, [f"{kind}, {level}" for level, kind in rows], fontsize=8
    )
    axes.set_title("Wasserstein distance over the real mean: green close, yellow fair, red poor")
    return _png(figure)


def sky(real: tuple[Masks, Masks], simulated: tuple[Masks, Masks]) -> bytes:
    """Draw cloud fractions and sizes; each side is (windows of tiles, frames of 1 km)."""
    figure, panels = _panels(1, 4, (12, 3.2))
    for (name, colour, mark), (tiles, frames) in zip(_SIDES, (real, simulated), strict=True):
        for axes, masks in zip(panels, (tiles, frames), strict=False):
            _steps(axes, clouds.fractions(masks.cloud), colour, name)
        for axes, regions in zip(panels[2:], (tiles.cloud, tiles.gap), strict=True):
            areas = clouds.shapes(regions).areas
            edges = np.geomspace(1, 30_000, 18)
            count = np.histogram(areas, edges)[0] / np.diff(edges) / max(areas.size, 1)
            kept = count > 0
            axes.loglog(np.sqrt(edges[1:] * edges[:-1])[kept], count[kept], mark, color=colour)
    for axes, label in zip(
        panels,
        ("cloud fraction, 30.7 km windows", "cloud fraction, 1 km frames",
         "cloud size [pixels of 120 m]", "gap size [pixels of 120 m]"), strict=True,
    ):  # fmt: skip
        axes.set_xlabel(label, fontsize=9)
    panels[0].set_ylabel("share of windows")
    panels[2].set_ylabel("density of regions")
    panels[0].legend(frameon=False, fontsize=8, loc="lower right")
    return _png(figure)


def air(
    cities: pd.DataFrame, delhi: pd.DataFrame, november: pd.DataFrame, overpasses: pd.DataFrame
) -> bytes:
    """Draw columns, their precision, quality and variogram."""
    figure, panels = _panels(1, 4, (12, 3.2))
    ours = november[november["qa"] > 0.75]
    for site, group in cities.groupby("site"):
        _steps(panels[0], 1e5 * group["column"].to_numpy(), REAL, str(site), alpha=0.6)
    _steps(panels[0], 1e5 * ours["column"].to_numpy(), SIMULATED, "SIMULATED")
    panels[0].set(xlabel="column [1e-5 mol m-2], cities", ylabel="share of pixels", xlim=(-3, 40))
    for n, ((name, colour, mark), table, pixels) in enumerate(
        zip(_SIDES, (delhi, overpasses), (cities, ours), strict=True)
    ):
        good = table[table["qa"] > 0.5].iloc[::3]
        panels[1].loglog(good["column"], good["precision"], mark, color=colour, ms=2, alpha=0.4)
        shares = columns.qa_shares(table)
        panels[2].bar(np.arange(3) + 0.4 * n - 0.2, list(shares.values()), 0.38, color=colour)
        found = columns.variogram(pixels)
        panels[3].loglog(found.km, found.share, f"-{mark}", color=colour, label=name)
    panels[1].set(xlabel="column [mol m-2], Delhi", ylabel="reported precision [mol m-2]")
    panels[2].set_xticks(range(3), list(shares), fontsize=9)
    panels[2].set(xlabel="qa_value, Delhi")
    panels[3].set(xlabel="distance [km], cities", ylabel="semivariance / variance")
    for axis, ticks in ((panels[3].xaxis, (5, 10, 20, 40, 80)), (panels[3].yaxis, (0.2, 0.5, 1))):
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_ticks([], minor=True)
    for axes in (panels[0], panels[3]):
        axes.legend(frameon=False, fontsize=7)
    return _png(figure)


def network(real: pd.DataFrame, simulated: pd.DataFrame) -> bytes:
    """Draw means of stations by type: box from 25th to 75th percentile, line from 10th to 90th."""
    figure, (axes,) = _panels(1, 1, (9, 3.4))
    for i, (area, kind) in enumerate(stations.KINDS):
        for (name, colour, mark), side, shift in zip(
            _SIDES, (real, simulated), (-0.17, 0.17), strict=True
        ):
            found = stations.kind_values(side, area, kind)
            if found.size:
                q = np.percentile(found, (10, 25, 50, 75, 90))
                axes.vlines(i + shift, q[0], q[4], color=colour, lw=1.2)
                axes.vlines(i + shift, q[1], q[3], color=colour, lw=7, alpha=0.45)
                axes.plot(i + shift, q[2], mark, color=colour, label=None if i else name)
    axes.set_xticks(range(len(stations.KINDS)), ["\n".join(k) for k in stations.KINDS], fontsize=8)
    axes.set_ylabel("mean NO2 [ug m-3]")
    axes.legend(frameon=False, loc="upper left")
    return _png(figure)


def _steps(axes: Axes, sample: Values, colour: str, label: str, alpha: float = 1.0) -> None:
    found = np.sort(sample[np.isfinite(sample)])
    if found.size:
        axes.step(found, np.arange(1, found.size + 1) / found.size, color=colour, label=label,
                  alpha=alpha, where="post")  # fmt: skip


def _panels(rows: int, cols: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=size, dpi=100, facecolor="white", layout="constrained")
    grid = figure.subplots(rows, cols, squeeze=False)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    return figure, list(grid.flat)


def _png(figure: Figure) -> bytes:
    figure.supxlabel(_CREDIT, fontsize=7, color="#555555")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()

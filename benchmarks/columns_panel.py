"""A picture of columns made finer: cells, interpolation, network, truth, and where it gains.

    python -m benchmarks.columns_panel docs/superres_columns.png --data scenes/

Scenes are test places of `aqgeo datasets columns simulate`; the first row is a single overpass, the
second the mean of a place's days, both with noise alone.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from aqgeo.datasets import column_scenes
from aqgeo.datasets.column_scenes import Scene
from aqgeo.models import checkpoint
from aqgeo.processing import superres
from aqgeo.training import columns
from pipelines import column_contest as contest
from pipelines.enhance import MODEL
from pipelines.workspace import Workspace

_SIDE_KM = 72


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--place", type=int, default=1, help="which of the test places")
    told = parser.parse_args()
    weights, _ = Workspace(Path()).weights(MODEL)
    found = [column_scenes.read(path) for path in column_scenes.find(told.data)]
    scenes = [one for one in found if one.split == "test" and one.factor == 4][told.place]
    single = columns.judged(scenes, known=True, single=True)
    fullest = max(single, key=lambda one: np.isfinite(one.column).mean())
    figure = Figure(figsize=(15, 6.4), layout="constrained")
    axes = figure.subplots(2, 5)
    for row, scene, name in zip(
        axes, (fullest, columns.judged(scenes, known=True)[0]),
        ("one overpass", "mean of 8 days"), strict=True,
    ):  # fmt: skip
        _row(figure, row, scene, name, weights)
    figure.suptitle("NO2 column, µmol m-2; simulated data", x=0.01, ha="left")
    figure.savefig(told.out, dpi=80)


def _row(figure: Figure, axes: np.ndarray, scene: Scene, name: str, weights: Path) -> None:
    network = contest.estimate(scene, _known(scene, weights), weights)[0]
    smooth = superres.refine(scene.column, 4)
    truth = 1e6 * scene.truth
    fields = {
        "cells": 1e6 * scene.column.repeat(4, 0).repeat(4, 1),
        "conservative interpolation": 1e6 * smooth,
        "network": 1e6 * network,
        "truth": truth,
    }
    low, high = np.nanpercentile(truth, (1, 99.5))
    where = {"extent": (0, _SIDE_KM, 0, _SIDE_KM)}
    for ax, (title, field) in zip(axes, fields.items(), strict=False):
        shown = ax.imshow(field, vmin=low, vmax=high, cmap="magma_r", **where)
        off = np.sqrt(np.nanmean((field - truth) ** 2))
        ax.set_title(title if title == "truth" else f"{title}: RMSE {off:.1f}", fontsize=10)
    figure.colorbar(shown, ax=axes[3], shrink=0.8)
    gain = np.abs(fields["conservative interpolation"] - truth) - np.abs(fields["network"] - truth)
    end = np.nanpercentile(np.abs(gain), 99)
    shown = axes[4].imshow(gain, vmin=-end, vmax=end, cmap="RdBu", **where)
    axes[4].set_title("nearer to the truth (blue) by", fontsize=10)
    figure.colorbar(shown, ax=axes[4], shrink=0.8)
    axes[0].set_ylabel(f"{name}\nkm")


def _known(scene: Scene, weights: Path) -> dict[str, np.ndarray]:
    bands = checkpoint.read(weights)[0].bands
    return {name: values for name, values in scene.covariates.items() if name in bands}


if __name__ == "__main__":
    main()

"""Ways to make NO2 columns finer, judged on scenes of which the fine truth is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np

from aqgeo.datasets.column_scenes import Scene, Scenes
from aqgeo.models import checkpoint
from aqgeo.processing import superres
from aqgeo.scoring import fields
from aqgeo.training import columns
from pipelines.cluster import track

NETWORK, BICUBIC, CONSERVATIVE = "network", "bicubic", "conservative"
_MICRO = 1e6


@dataclass(slots=True)
class Tally:
    """What one method has shown so far, over all pixels of all scenes."""

    n: int = 0
    """Pixels."""
    square: float = 0.0
    """Sum of squared errors, (umol m-2)²."""
    within: int = 0
    """Pixels whose error is within one sigma; 0 where there is no sigma."""
    structure: list[float] = field(default_factory=list)
    """Correlation with the truth over the pixels of each scene."""
    detail: list[float] = field(default_factory=list)
    """The same of departures from the means of cells."""
    misfit: float = 0.0
    """Largest difference between the mean of a cell and its value, relative to the value."""

    def add(self, scene: Scene, found: np.ndarray, sigma: np.ndarray | None = None) -> None:
        """Count a scene; columns in mol m-2."""
        kept = np.isfinite(found) & np.isfinite(scene.truth)
        truth, made = scene.truth[kept] * _MICRO, found[kept] * _MICRO
        self.n += truth.size
        self.square += float(((made - truth) ** 2).sum())
        if sigma is not None:
            self.within += int((np.abs(made - truth) <= sigma[kept] * _MICRO).sum())
        self.structure.append(fields.compare(truth, made).r)
        cells = scene.column.shape
        mean = _block_mean(found, cells)
        parts = [v - _spread(_block_mean(v, cells), v.shape) for v in (scene.truth, found)]
        self.detail.append(fields.compare(*(part * _MICRO for part in parts)).r)
        off = np.abs(mean - scene.column) / np.maximum(np.abs(scene.column), 1e-9)
        self.misfit = max(self.misfit, float(np.nanmax(off, initial=0)))

    @property
    def rmse(self) -> float:
        """Root mean squared error, umol m-2."""
        return float(np.sqrt(self.square / self.n)) if self.n else float("nan")

    def told(self) -> dict[str, float]:
        """Return the numbers by name."""
        return {
            "RMSE": self.rmse,
            "structure R": _mean(self.structure),
            "detail R": _mean(self.detail),
            "within 1 sigma": self.within / self.n if self.within else float("nan"),
            "conservation": self.misfit,
        }


def run(
    weights: Mapping[str, Path],
    scenes: Sequence[Scenes],
    given: Mapping[str, Sequence[str] | None],
    *,
    known: bool = False,
    single: bool = False,
) -> dict[str, Tally]:
    """Return the tally of each method over scenes that it never saw.

    Args:
        weights: checkpoints for `columns` by name; all are judged with each of `given`.
        scenes: to judge on.
        given: covariates by a name of the set; None for all that the network knows.
        known: judge on columns measured with noise alone, every air mass factor known.
        single: judge on every overpass of a place instead of their mean.
    """
    networks = {
        name: checkpoint.read(path, task=superres.TASK)[0] for name, path in weights.items()
    }
    bands = {name: set(network.bands) for name, network in networks.items()}
    found: dict[str, Tally] = {}
    every = [s for one in scenes for s in columns.judged(one, known=known, single=single)]
    for scene in track(every, "Making columns finer"):
        factor = scene.truth.shape[0] // scene.column.shape[0]
        made: dict[str, tuple[Any, ...]] = {}
        for name, path in weights.items():
            if networks[name].factor != factor:
                continue
            for told, names in given.items():
                chosen = scene.covariates if names is None else names
                values = {n: v for n, v in scene.covariates.items() if n in chosen}
                values = {n: v for n, v in values.items() if n in bands[name]}
                made[", ".join(filter(None, (name, told)))] = estimate(scene, values, path)
        made[CONSERVATIVE] = (superres.refine(scene.column, factor),)
        made[BICUBIC] = (superres.bicubic(scene.column, factor),)
        made["cells repeated"] = (_spread(scene.column, scene.truth.shape),)
        for method, layers in made.items():
            found.setdefault(method, Tally()).add(scene, *layers)
    return found


def estimate(
    scene: Scene, covariates: Mapping[str, np.ndarray], weights: Path
) -> tuple[np.ndarray, ...]:
    """Return column and sigma (Y, X) of a scene, mol m-2, as maps are made.

    Args:
        scene: a scene.
        covariates: (Y, X) by name, those that the network is given.
        weights: a checkpoint for `columns`.
    """
    lazy = {name: da.from_array(values) for name, values in covariates.items()}
    sigma = da.from_array(scene.sigma)
    both = superres.estimate(da.from_array(scene.column), sigma, lazy, weights)
    return tuple(da.compute(*both, scheduler="synchronous"))


def _mean(values: Sequence[float]) -> float:
    """Return the mean of what is defined: a field without detail has no correlation."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def _block_mean(fine: np.ndarray, cells: tuple[int, ...]) -> np.ndarray:
    rows, cols = cells
    blocks = fine.astype("float64").reshape(rows, fine.shape[0] // rows, cols, -1)
    return np.asarray(blocks.mean((1, 3)))


def _spread(coarse: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return coarse.repeat(shape[0] // coarse.shape[0], 0).repeat(shape[1] // coarse.shape[1], 1)

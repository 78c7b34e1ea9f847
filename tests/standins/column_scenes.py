"""Scenes of columns that one covariate explains, and a network without training."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from aqgeo.datasets import column_scenes
from aqgeo.datasets.column_scenes import Scenes
from aqgeo.models import checkpoint
from aqgeo.models.column_srcnn import ColumnSRCNN, ColumnSRCNNArguments, Covariate

ROADS = Covariate("roads", "km-1 day-1", mean=4.0, std=3.0, log=True)


def made(
    number: int, split: str, *, factor: int = 4, cells: int = 8, times: int = 3, gaps: float = 0.1
) -> Scenes:
    """Return a place whose column is a smooth field and a plume over each road."""
    rng = np.random.default_rng([7, number])
    side = cells * factor
    roads = np.zeros((side, side), "float32")
    roads[rng.integers(side, size=6), rng.integers(side, size=6)] = 2e4
    plumes = ndimage.gaussian_filter(roads, 1.0) / 2e4 * 600e-6
    smooth = (
        30e-6 + 8e-6 * ndimage.gaussian_filter(rng.normal(size=(times, side, side)), (0, 6, 6)) * 6
    )
    truth = (smooth + plumes).astype("float32")
    blocks = truth.reshape(times, cells, factor, cells, factor).mean((2, 4))
    column = (blocks + rng.normal(size=blocks.shape) * 2e-6).astype("float32")
    column[rng.random(column.shape) < gaps] = np.nan
    weight = np.isfinite(column).astype("float32")
    wind = rng.normal(size=(2, times)).astype("float32")
    known = {"roads": roads, "wind_u": wind[0], "wind_v": wind[1]}
    told: Any = split
    return Scenes(f"place {number}", told, True, column, weight, column, truth, known)


def write(folder: Path, *, count: int = 10, **how: Any) -> Path:
    """Write places: of ten, eight to train on, one to validate, one to test."""
    splits = (*("train",) * 8, "validation", "test")
    for number in range(count):
        column_scenes.write(folder / f"{number:02}.nc", made(number, splits[number % 10], **how))
    return folder


def network(path: Path, *, rmse: float = 5.0, factor: int = 4, scale: float = 0.05) -> Path:
    """Write a checkpoint with random weights that claims an error; its rivals have 6 and 7."""
    torch.manual_seed(2)
    told = ColumnSRCNNArguments(factor=factor, covariates=(ROADS,), kernels=(5, 3), channels=(8,))
    net = ColumnSRCNN(told).eval()
    with torch.no_grad():
        torch.nn.init.normal_(net.layers[-1].weight, std=scale)  # type: ignore[arg-type]
    claim = {"network": rmse, "bicubic": 6.0, "conservative": 7.0}
    scores = {"held_out": [{"covariates": [], "rmse": claim}]}
    card = checkpoint.Card(
        "column-srcnn", asdict(told), "columns", "any", units="mol m-2", scores=scores
    )
    checkpoint.write(path, net, card)
    return path

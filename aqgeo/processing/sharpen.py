"""Pictures made finer by a network that sharpens luminance."""

from dataclasses import dataclass
from pathlib import Path

import dask.array as da
import numpy as np
from torch import Tensor

from aqgeo.models import checkpoint
from aqgeo.processing import predict

TASK = "superres"
# Pixels along a side of a block, whose 64 channels stay in a core's caches.
PATCH = 256
SETTINGS = predict.Settings(patch=PATCH)


@dataclass(frozen=True, slots=True)
class Steps:
    """How a network makes pictures finer."""

    factor: int
    """How many times more rows and columns the result has than the picture."""
    scale: int
    """How many of them the network itself makes: 1, for one that sharpens what was enlarged by
    bicubic interpolation, or the factor."""


def steps_of(weights: Path) -> Steps:
    """Return how a network makes pictures finer.

    Raises:
        ModelError: the weights are for something else, or cannot be used.
    """
    network, _ = checkpoint.read(weights, task=TASK)
    return Steps(int(network.factor), int(network.scale))


def sharpen(
    luminance: np.ndarray, weights: Path, *, settings: predict.Settings = SETTINGS
) -> np.ndarray:
    """Return luminance sharper, block by block.

    Args:
        luminance: (y, x) float32, 0 to 1, already enlarged by bicubic interpolation if the
            network's scale is 1.
        weights: a checkpoint for `superres`.
        settings: where and how the network runs.

    Returns:
        (y, x) float32, times the network's scale.

    Raises:
        ModelError: the weights are for something else, or cannot be used.
    """
    steps_of(weights)
    job = predict.Job(weights, ("Y",), as_is, 1, "float32", float("nan"), settings)
    lazy = predict.predict(da.from_array(luminance[None, None]), job)
    return np.asarray(lazy.compute(scheduler="threads")[0, 0])


def as_is(found: Tensor) -> Tensor:
    """Return a network's output as it is."""
    return found

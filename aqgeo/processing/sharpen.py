"""Pictures made finer by a network that sharpens luminance."""

from pathlib import Path

import dask.array as da
import numpy as np
from torch import Tensor

from aqgeo.models import checkpoint
from aqgeo.processing import predict

TASK = "superres"


def factor_of(weights: Path) -> int:
    """Return how many times finer a network makes pictures.

    Raises:
        ModelError: the weights are for something else, or cannot be used.
    """
    network, _ = checkpoint.read(weights, task=TASK)
    return int(network.factor)


def sharpen(
    luminance: np.ndarray, weights: Path, *, settings: predict.Settings | None = None
) -> np.ndarray:
    """Return luminance sharper, block by block.

    Args:
        luminance: (y, x) float32, 0 to 1, already enlarged by bicubic interpolation.
        weights: a checkpoint for `superres`.
        settings: where and how the network runs.

    Returns:
        (y, x) float32.

    Raises:
        ModelError: the weights are for something else, or cannot be used.
    """
    factor_of(weights)
    how = settings or predict.Settings()
    job = predict.Job(weights, ("Y",), as_is, 1, "float32", float("nan"), how)
    lazy = predict.predict(da.from_array(luminance[None, None]), job)
    return np.asarray(lazy.compute(scheduler="threads")[0, 0])


def as_is(found: Tensor) -> Tensor:
    """Return a network's output as it is."""
    return found

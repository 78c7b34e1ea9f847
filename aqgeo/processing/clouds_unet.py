"""Cloud classes of Sentinel-2 images by a trained network."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import torch
from torch import Tensor

from aqgeo.errors import ModelError
from aqgeo.models import checkpoint
from aqgeo.processing import clouds, predict

# Every set of bands that training drops to holds these.
NEEDED = ("B02", "B04", "B08")


def detect(
    values: da.Array,
    bands: Sequence[str],
    weights: Path,
    *,
    level: str,
    settings: predict.Settings | None = None,
) -> tuple[da.Array, da.Array]:
    """Return lazy cloud classes and their confidence.

    Args:
        values: (time, band, y, x) surface or top-of-atmosphere reflectance, float32; NaN is no
            data.
        bands: names of the bands in order, such as B02; at least NEEDED.
        weights: a checkpoint for clouds.
        level: L1C or L2A, of the values.
        settings: where and how the network runs.

    Returns:
        Two of (time, y, x) uint8: codes of `clouds.CLASSES`, and the probability of the class in
        percent, which is calibrated; NO_DATA of `clouds` where no band holds data.

    Raises:
        ModelError: the weights are for another task or level, or do not know a band.
    """
    job = job_of(bands, weights, level=level, settings=settings)
    found = predict.predict(values, job)
    return found[:, 0], found[:, 1]


def job_of(
    bands: Sequence[str],
    weights: Path,
    *,
    level: str,
    sha256: str | None = None,
    settings: predict.Settings | None = None,
) -> predict.Job:
    """Return what the engine is to compute; the arguments are those of `detect`.

    Args:
        bands: names of the bands in order.
        weights: a checkpoint for clouds.
        level: L1C or L2A.
        sha256: checksum that the weights must have; any if None.
        settings: where and how the network runs.

    Raises:
        ModelError: as `detect`.
    """
    card = checkpoint.read_card(weights, sha256=sha256)
    if card.task != "clouds":
        raise ModelError(f"{weights} is for {card.task!r}: weights for 'clouds' are needed")
    if card.level not in (level, "any"):
        raise ModelError(
            f"{weights} takes {card.level} images, these are {level}: choose weights for {level}"
        )
    twice = sorted({band for band in bands if list(bands).count(band) > 1})
    if twice:
        raise ModelError(f"band {', '.join(twice)} is named twice: name each band once")
    missing = [band for band in NEEDED if band not in bands]
    if missing:
        raise ModelError(
            f"band {', '.join(missing)} is missing among {', '.join(bands)}: clouds are detected "
            f"with at least {', '.join(NEEDED)}"
        )
    how = settings or predict.Settings()
    job = predict.Job(weights, tuple(bands), classes, 2, "uint8", clouds.NO_DATA, how)
    predict.network_of(job, "cpu")
    return job


def chances(values: np.ndarray, bands: Sequence[str], weights: Path, *, level: str) -> np.ndarray:
    """Return the probability of each class in one image that lies in memory.

    Args:
        values: (band, y, x) float32 reflectance; NaN is no data.
        bands: names of the bands in order; at least NEEDED.
        weights: a checkpoint for clouds.
        level: L1C or L2A, of the values.

    Returns:
        (class, y, x) float32; NaN where no band holds data.

    Raises:
        ModelError: as `detect`.
    """
    told = job_of(bands, weights, level=level)
    job = replace(told, finish=shares, channels=4, dtype="float32", fill=float("nan"))
    lazy = predict.predict(da.from_array(values[None]), job)
    return np.asarray(lazy.compute(scheduler="threads")[0])


def card_of(job: predict.Job) -> checkpoint.Card:
    """Return what the weights of a job say of themselves."""
    return checkpoint.read_card(job.weights)


def shares(logits: Tensor) -> Tensor:
    """Return the probability of each class (n, class, h, w) of logits."""
    return logits.softmax(1)


def classes(logits: Tensor) -> Tensor:
    """Return the class and its probability in percent.

    Args:
        logits: (n, class, h, w).

    Returns:
        (n, 2, h, w) uint8.
    """
    probability = shares(logits)
    found = winner(probability)
    percent = (probability.gather(1, found) * 100).round_()
    return torch.cat([found.to(torch.uint8), percent.to(torch.uint8)], 1)


def winner(probability: Tensor) -> Tensor:
    """Return the class of each pixel: cloud against the rest first, then thick or thin.

    Where thick and thin are likely by halves, the ground is likely to be hidden all the same.

    Args:
        probability: (n, class, h, w).

    Returns:
        (n, 1, h, w) int64.
    """
    clear, thick, thin, shadow = probability.unbind(1)
    cloudy = thick + thin > torch.maximum(clear, shadow)
    cloud = torch.where(thin > thick, clouds.THIN, clouds.THICK)
    ground = torch.where(shadow > clear, clouds.SHADOW, clouds.CLEAR)
    return torch.where(cloudy, cloud, ground)[:, None]

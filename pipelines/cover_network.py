"""Cover networks: built from samples, trained, and written with their cards."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from aqgeo import cover
from aqgeo.datasets.cover import Samples
from aqgeo.datasets.labelled import Image
from aqgeo.errors import ModelError, SourceError
from pipelines.cover_images import Parts

# Samples that statistics are taken from.
_MANY = 1000
Starts = Mapping[str, Path | None]
"""Weights of ImageNet to begin with, by network; None for nothing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a study is about, besides its data."""

    networks: tuple[str, ...] = ("mobilenet",)
    """Names of networks; several are compared."""
    bands: tuple[str, ...] = ("B02", "B03", "B04", "B08")
    """Names of the bands that they see."""
    level: str = "L2A"
    """Processing level of the images."""
    size: int = 128
    """Rows and columns of a sample."""
    cut: int = 128
    """Rows and columns of the squares that products are cut into."""
    trials: int = 30
    """Trials in all."""
    trial_epochs: int = 8
    """Epochs of a trial at most."""
    epochs: int = 30
    """Epochs of the last training at most."""
    batch: int = 32
    """Samples of a step."""
    seed: int = 0
    """Another seed, other trials and weights."""


def build(name: str, settings: Any, asked: Asked, learn: Samples, starts: Starts) -> Any:
    """Return a network with weights drawn from the seed, or begun with those of ImageNet."""
    import torch

    from aqgeo.models import cover as models

    told = _arguments(name, settings, asked, learn)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = models.CoverNet(told)
    if (start := starts[name]) is not None:
        models.adopt(network, told, start)
    return network


def _arguments(name: str, settings: Any, asked: Asked, learn: Samples) -> Any:
    from aqgeo.models import cover as models

    flat = _some(learn).transpose(1, 0, 2, 3).reshape(len(asked.bands), -1)
    if lost := [b for b, row in zip(asked.bands, flat, strict=True) if np.isnan(row).all()]:
        raise SourceError(f"no image has the band {', '.join(lost)}: add images that have it")
    told = {
        "network": name,
        "bands": asked.bands,
        "mean": np.nanmean(flat, axis=1, dtype="float64").round(4).tolist(),
        "std": np.maximum(np.nanstd(flat, axis=1, dtype="float64"), 1e-3).round(4).tolist(),
        "size": asked.size,
        "head": settings.head,
        "dropout": settings.dropout,
    }
    try:
        return TypeAdapter(models.CoverArguments).validate_python(told)
    except ValidationError as err:
        slip = err.errors(include_url=False)[0]
        raise ModelError(f"{name} at {asked.size} pixels: {slip['msg']}") from err


def train(
    name: str,
    settings: Any,
    asked: Asked,
    samples: tuple[Samples, Samples],
    starts: Starts,
    keep: Path | None = None,
) -> tuple[Any, list[dict[str, float]]]:
    """Return a trained network and what was measured after each epoch.

    Args:
        name: of the network.
        settings: how it is trained.
        asked: what the study is about.
        samples: to learn from, and to validate with.
        starts: weights to begin with.
        keep: file of the run's state, by which a run that was killed goes on.
    """
    from aqgeo.training.classification import fit

    network = build(name, settings, asked, samples[0], starts)
    return network, fit(network, *samples, settings, keep=keep)


def write(
    path: Path,
    network: Any,
    chosen: tuple[str, Any],
    asked: Asked,
    parts: Parts,
    learn: Samples,
    scores: dict[str, float],
) -> None:
    """Write a checkpoint that says what it is, and what simple rules learn from its samples.

    Args:
        path: the file.
        network: as trained.
        chosen: its name and settings.
        asked: what the study is about.
        parts: the images.
        learn: samples that it has learnt from.
        scores: on validation.
    """
    from aqgeo.models import checkpoint
    from aqgeo.processing.cover import threshold

    arguments = _arguments(chosen[0], chosen[1], asked, learn)
    classes = np.bincount(learn.classes, minlength=len(cover.NAMES))
    step = threshold(_some(learn), learn.cover[:: _step(learn)], asked.bands)
    places = sorted({image.place for image in parts.train if image.kind != "simulated"})
    card = checkpoint.Card(
        architecture="cover-net",
        arguments=TypeAdapter(type(arguments)).dump_python(arguments, mode="json"),
        task="cover",
        level=asked.level,  # type: ignore[arg-type]
        simulated=any(image.kind == "simulated" for image in parts.train),
        data=tuple(sorted({_told(image) for image in parts.train})),
        split=(
            f"{len(parts.train)} images to train on, {len(parts.validation)} of other places or "
            f"days to validate with, {len(parts.test)} kept for testing"
        ),
        scores={"validation": scores},
        training={
            "settings": asdict(chosen[1]),
            "cut": asked.cut,
            "places": places[:100],
            # What simple rules learn from the same samples: they are compared with the network.
            "rules": {
                "majority": int(classes.argmax()),
                "median": float(np.median(learn.cover)),
                "threshold": step,
            },
        },
    )
    checkpoint.write(path, network, card)


def _some(learn: Samples) -> np.ndarray:
    """Return (n, band, y, x) float32 values of samples, evenly over all."""
    return learn.values[:: _step(learn)].astype("float32")


def _step(learn: Samples) -> int:
    return max(1, len(learn.ids) // _MANY)


def _told(image: Image) -> str:
    return {
        "simulated": "simulated by this project (CC0-1.0)",
        "weak": "contains modified Copernicus Sentinel data; weak labels: Sen2Cor's scene classes",
        "human": "CloudSEN12's layout, human labels: licence as its publisher states",
    }[image.kind]

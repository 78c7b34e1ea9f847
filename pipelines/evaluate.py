"""Cloud detectors compared on the same held-out images: the report `aqgeo evaluate clouds`."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aqgeo.datasets import labelled
from aqgeo.datasets.labelled import Image
from aqgeo.errors import SourceError
from aqgeo.processing.contenders import Network
from aqgeo.scoring import cloud_masks, ground
from aqgeo.scoring.cloud_masks import Groups, Tally
from pipelines import evaluate_methods, labelled_sets
from pipelines.cluster import track
from pipelines.evaluate_methods import METHODS, Method
from pipelines.labelled_sets import Set

log = logging.getLogger(__name__)
GROW = (0, 1, 2)
"""Pixels by which found clouds and shadows are dilated, each scored for itself."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one detector found in one image."""

    set: str
    """Name of the set, with the kind of its pixels where it has several."""
    fold: str
    """What was held out."""
    image: str
    """Identifier."""
    place: str
    """Place of the image."""
    day: str
    """Date of the image; empty if unknown."""
    pixel_m: float | None
    """Side of its pixels."""
    method: str
    """Of METHODS."""
    tells: Groups
    """Classes that label and detector both tell apart."""
    seen: bool
    """Whether the detector learnt from the image."""
    why: str
    """Why there is no count; empty if there is."""
    tally: Tally | None
    """Counts."""


def judge(
    sets: Sequence[Set],
    *,
    weights: Mapping[str, Network],
    methods: Sequence[str] = METHODS,
    seed: int = 0,
) -> Iterator[Record]:
    """Yield what each detector found in each held-out image of each set."""
    for one in sets:
        for fold in one.folds:
            able = evaluate_methods.of_fold(
                one, fold, sets, weights=dict(weights), names=methods, seed=seed
            )
            for image in track(fold.judged, f"{one.name}, {fold.name}"):
                yield from _image(one, fold.name, image, able)


def _image(one: Set, fold: str, image: Image, methods: Sequence[Method]) -> Iterator[Record]:
    values, truths = labelled_sets.labels(image, image.bands)
    kinds = ground.kinds(values, image.bands)
    size = labelled.pixel_m(image)
    for method in methods:
        found, tells, why = method.find(image, values, image.bands, size)
        for which, truth in truths.items():
            name = f"{one.name}, {which}" if which else one.name
            tally = None
            if found is not None:
                tally = cloud_masks.tally(
                    truth, found.classes, cloud=found.cloud, ground=kinds, grow=GROW
                )
            groups = cloud_masks.common(labelled.tells(image), tells)
            about = (name, fold, image.id, image.place, image.day, size, method.name, groups)
            yield Record(*about, method.seen(image), why, tally)

"""Labelled images for cover classes: which train, which choose the epoch, which judge."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aqgeo.datasets import splits
from aqgeo.datasets.labelled import Image
from aqgeo.errors import SourceError
from pipelines import labelled_sets

LEVELS = ("L1C", "L2A")


@dataclass(frozen=True, slots=True)
class Parts:
    """Images by what they are for."""

    train: tuple[Image, ...]
    """A network learns from these."""
    validation: tuple[Image, ...]
    """These choose its settings and epoch."""
    test: tuple[Image, ...]
    """It is judged by these alone."""


def parts(
    data: Sequence[Path], level: str, *, hold_out: Sequence[str], validation: Sequence[str]
) -> Parts:
    """Return the images of some folders by what they are for.

    A place is in one part only. Images of sets without a split are for training unless they are
    named; where nothing is for validation, places are drawn for it by their names.

    Args:
        data: folders in CloudSEN12's layout, or static STAC catalogs of Sentinel-2 L2A.
        level: L1C or L2A.
        hold_out: `tile:33TWM` or `date:2023-08-10`, kept for testing whatever a set says.
        validation: the same for validation.

    Raises:
        SourceError: a folder holds nothing of the level, or a rule is none.
    """
    if level not in LEVELS:
        raise SourceError(f"level {level!r}: choose L1C or L2A")
    found = _by_place(labelled_sets.images(data, level))
    if not found:
        raise SourceError(f"{', '.join(map(str, data))} hold no labelled images of {level}")
    left, test = labelled_sets.split_off(found, hold_out)
    left, chosen = labelled_sets.split_off(left, validation)
    named = {"train": (), "validation": chosen, "test": test}
    learn, judge, held = (
        tuple(
            replace(image, split=name)
            for image in (*more, *(i for i in left if (i.split or "train") == name))
        )
        for name, more in named.items()
    )
    if not judge:
        drawn = {place for place in {i.place for i in learn} if splits.assign(place) != "train"}
        judge = tuple(image for image in learn if image.place in drawn)
        learn = tuple(image for image in learn if image.place not in drawn)
    return Parts(learn, judge, held)


def digest(images: Sequence[Image]) -> str:
    """Return a short checksum of which images these are, and in which part."""
    told = "\n".join(f"{i.id} {i.split} {i.level}" for i in images)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _by_place(images: Sequence[Image]) -> list[Image]:
    """Return images of which every place is in one split; those without a split stay so."""
    known: dict[str, set[str]] = {}
    for image in images:
        if image.split:
            known.setdefault(image.place, set()).add(image.split)
    strict = {place: splits.strictest(found) for place, found in known.items()}
    return [replace(i, split=strict[i.place]) if i.split else i for i in images]

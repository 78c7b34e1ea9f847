"""Cloud detectors of a comparison: which there are, and what each needs before it can judge."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aqgeo.datasets import labelled
from aqgeo.datasets.labelled import Image
from aqgeo.errors import CatalogError, EstimateError, ModelError
from aqgeo.processing import contenders, contenders_fitted
from aqgeo.processing.contenders import Detector, Found, Network
from aqgeo.scores import ESTIMATE
from aqgeo.scoring.cloud_masks import FOUR, Groups
from pipelines import labelled_sets
from pipelines.cluster import track
from pipelines.labelled_sets import Fold, Set
from pipelines.workspace import Workspace

log = logging.getLogger(__name__)
SCL, S2CLOUDLESS, UKIS, THRESHOLD, TREES = "SCL", "s2cloudless", "ukis-csmask", "threshold", "trees"
METHODS = (ESTIMATE, SCL, S2CLOUDLESS, UKIS, TREES, THRESHOLD)
"""Detectors in the order of the report."""
# Images that trees and threshold are fitted on; each gives its share of the pixels.
_MOST_IMAGES = 240


@dataclass(frozen=True, slots=True)
class Method:
    """One detector in one fold, or why it cannot judge there."""

    name: str
    """Of METHODS."""
    detector: Detector | None = None
    """None for the scene classification, which lies beside the image."""
    why: str = ""
    """Why it judges nothing; empty if it does."""
    about: str = ""
    """What it was fitted on, or which weights it has."""
    seen: Callable[[Image], bool] = field(default=lambda image: False)
    """Whether it learnt from an image."""

    def find(
        self, image: Image, values: np.ndarray, bands: Sequence[str], pixel_m: float | None
    ) -> tuple[Found | None, Groups, str]:
        """Return clouds, the classes that the detector tells apart, and why there are none."""
        if self.why:
            return None, FOUR, self.why
        if self.detector is None:
            stored = None if image.kind == "weak" else labelled.scene_classes(image)
            why = "is the label itself" if image.kind == "weak" else "does not lie beside the image"
            return (
                (None, FOUR, why)
                if stored is None
                else (contenders.of_scene_classes(stored), FOUR, "")
            )
        if why := self.detector.lacks(bands, image.level):
            return None, FOUR, why
        return self.detector.find(values, bands, pixel_m), self.detector.tells, ""


def of_fold(
    one: Set,
    fold: Fold,
    others: Sequence[Set],
    *,
    weights: Mapping[str, Network],
    names: Sequence[str],
    seed: int,
) -> list[Method]:
    """Return the detectors of a fold; trees and threshold are fitted here.

    Args:
        one: the set.
        fold: part of it that is judged.
        others: sets whose training images are taken where the set has none of its own.
        weights: our network by fold's name, or by level for all other folds.
        names: of METHODS.
        seed: of the pixels that are drawn.
    """
    bare: dict[str, Detector | None] = {
        SCL: None,
        S2CLOUDLESS: contenders.S2Cloudless(),
        UKIS: contenders.CSMask(one.level),
    }
    found = {name: Method(name, bare[name]) for name in names if name in bare}
    if ESTIMATE in names:
        found[ESTIMATE] = _network(one, fold, weights)
    if {TREES, THRESHOLD} & set(names):
        found |= _fitted(one, fold, others, names, seed)
    return [found[name] for name in METHODS if name in found]


def shipped(level: str) -> Network | None:
    """Return our network with the weights that come with the package; None without any."""
    try:
        path, sha256 = Workspace(Path()).model("clouds", level)
    except CatalogError:
        return None
    return contenders.network(path, sha256=sha256)


def seen(network: Network, image: Image) -> bool:
    """Return whether a network's weights have learnt from an image, as their card tells.

    Of real images the card names places and days, of simulated ones the seeds of their training
    split.
    """
    told = network.card.training
    if image.kind == "simulated":
        seed = image.place.split("_")[1] if "_" in image.place else ""
        return image.split != "test" and seed in {str(one) for one in told.get("seeds", ())}
    places, days = ({str(one) for one in told.get(key, ())} for key in ("places", "days"))
    return image.place in places and (not days or image.day in days)


def _network(one: Set, fold: Fold, weights: Mapping[str, Network]) -> Method:
    network = weights.get(fold.name) or weights.get(one.level) or weights.get("any")
    if network is None:
        return Method(ESTIMATE, why=f"no weights for {one.level}: give --weights")
    known = sum(seen(network, image) for image in fold.judged)
    if known:
        log.warning(
            "%s, %s: the weights have learnt from %d of %d images that are judged",
            *(one.name, fold.name, known, len(fold.judged)),
        )
    about = network.card.split or "its card does not say what was held out"
    return Method(ESTIMATE, network, about=about, seen=lambda image: seen(network, image))


def _fitted(
    one: Set, fold: Fold, others: Sequence[Set], names: Sequence[str], seed: int
) -> dict[str, Method]:
    """Return trees and threshold, fitted on the fold's own rest or else on the other sets."""
    own = list(fold.fitted) or [
        image
        for other in others
        if other.name != one.name and other.level == one.level
        for image in other.images
        if image.split == "train" or (image.kind == "weak" and not image.split)
    ]
    wanted = [name for name in (TREES, THRESHOLD) if name in names]
    if not own:
        why = f"no image of {one.level} to fit on: name a further set by --data"
        return {name: Method(name, why=why) for name in wanted}
    sample = _sample(fold, labelled_sets.spread(own, _MOST_IMAGES), seed)
    about = f"fitted on {len(sample.label)} pixels of {min(len(own), _MOST_IMAGES)} images: "
    about += "the rest of the set" if fold.fitted else "training images of the other sets"
    makers: dict[str, Callable[[], Detector]] = {
        TREES: lambda: contenders_fitted.trees(sample, seed=seed),
        THRESHOLD: lambda: contenders_fitted.threshold(sample),
    }
    found = {}
    for name in wanted:
        try:
            found[name] = Method(name, makers[name](), about=about)
        except EstimateError as err:
            found[name] = Method(name, why=str(err))
    return found


def _sample(fold: Fold, images: Sequence[Image], seed: int) -> contenders_fitted.Sample:
    """Return labelled pixels of images, in the bands that all of them and the judged ones have."""
    bands = set(images[0].bands).intersection(*(i.bands for i in (*images, *fold.judged)))
    names = tuple(sorted(bands))
    if not names:
        raise ModelError(f"{fold.name}: no band is in all images: trees cannot be fitted")
    share = max(1, contenders_fitted.PIXELS // len(images))
    parts = []
    for number, image in enumerate(track(images, f"{fold.name}: training pixels")):
        values, label = labelled.read(image, names)
        parts.append(contenders_fitted.draw(values, label, count=share, seed=seed + number))
    values, label = (np.concatenate(list(part)) for part in zip(*parts, strict=True))
    return contenders_fitted.Sample(values, label, names)

"""Sets of labelled images, and the folds in which cloud masks are judged on them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pystac

from aqgeo.datasets import labelled, scl_labels
from aqgeo.datasets.cloudsen12_record import NO_LABEL, Level, image_name
from aqgeo.datasets.labelled import Image
from aqgeo.errors import SourceError
from aqgeo.sources import stac

_COLLECTION = "sentinel-2-l2a"
ALL, TRUSTED = "all pixels", "trusted pixels"
"""Which pixels of weakly labelled images are judged."""
# Places or days that a message names at most.
_NAMED = 10


@dataclass(frozen=True, slots=True)
class Fold:
    """Images that are judged together, and those that contenders may be fitted on."""

    name: str
    """What is held out: `tile:33TWM`, `date:2023-08-10`, or `test`."""
    judged: tuple[Image, ...]
    """Held-out images."""
    fitted: tuple[Image, ...] = ()
    """Others of the same set."""


@dataclass(frozen=True, slots=True)
class Set:
    """Labelled images of one origin and level."""

    name: str
    """Unique among the sets of a report."""
    level: Level
    """Processing level."""
    folds: tuple[Fold, ...]
    """Parts that are judged."""
    about: str
    """Where images and labels come from, in a line."""
    images: tuple[Image, ...] = field(default=(), repr=False)
    """All images; other sets' contenders may be fitted on those that are not for tests."""


def of(path: Path, hold_out: Sequence[str] = (), level: str | None = None) -> list[Set]:
    """Return the sets of a folder or a catalog.

    Args:
        path: folder in CloudSEN12's layout, or STAC catalog of L2A products (`catalog.json`, or
            its folder).
        hold_out: `tile:NAME` or `date:DAY` for each fold of a catalog; each tile in turn if empty.
        level: L1C or L2A; all that are there if None.

    Raises:
        SourceError: there is nothing that could be judged.
    """
    catalog = path / "catalog.json" if path.is_dir() else path
    if catalog.name == "catalog.json" and catalog.is_file():
        return [_catalog(catalog, level, hold_out)]
    if not path.is_dir():
        raise SourceError(f"{path} is neither a folder of patches nor a STAC catalog: name one")
    levels: tuple[Level, ...] = ("L1C", "L2A")
    there = [one for one in levels if any(path.rglob(image_name(one))) or _tacos(path, one)]
    chosen = [one for one in there if level in (None, one)]
    if not chosen:
        raise SourceError(
            f"{path} holds no patches{f' of {level}' if level else ''} and no catalog.json: name "
            "another folder, or images and labels by --images and --labels"
        )
    return [_patches(path, one) for one in chosen]


def of_pairs(name: str, images: Sequence[Image]) -> Set:
    """Return a set of images that people have labelled, all for judging."""
    about = f"{len(images)} images labelled by people"
    return Set(name, images[0].level, (Fold("test", tuple(images)),), about, tuple(images))


def fewer(one: Set, count: int) -> Set:
    """Return a set of which at most so many images of each fold are judged."""
    folds = (replace(fold, judged=tuple(spread(fold.judged, count))) for fold in one.folds)
    return replace(one, folds=tuple(folds))


def labels(image: Image, bands: Sequence[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return reflectance (band, y, x) and the label (y, x) by which pixels are judged.

    Weak labels come twice: ALL are the scene classes as they are stored, cloud against every
    other; TRUSTED leaves out those that `scl_labels.weak` does not trust. Other labels have the
    key "".
    """
    values, label = labelled.read(image, bands)
    if image.kind != "weak":
        return values, {"": label}
    stored = labelled.scene_classes(image)
    assert stored is not None
    whole = scl_labels.weak(stored, interpolated=False)
    # Unclassified, and the codes that do not exist, are at least no cloud.
    whole[stored == scl_labels.UNCLASSIFIED] = 0
    whole[np.isnan(values).all(axis=0)] = label.dtype.type(NO_LABEL)
    return values, {ALL: whole, TRUSTED: label}


def images(data: Sequence[Path], level: str) -> list[Image]:
    """Return the labelled images of folders: CloudSEN12's layout, or a static STAC catalog.

    Raises:
        SourceError: a folder holds neither, or nothing of the level.
    """
    found: list[Image] = []
    for path in data:
        catalog = path / "catalog.json" if path.is_dir() else path
        if catalog.is_file():
            found += _products(catalog, level)
        else:
            found += labelled.of_patches(path, "L1C" if level == "L1C" else "L2A")
    return found


def split_off(
    images: Sequence[Image], rules: Sequence[str]
) -> tuple[tuple[Image, ...], tuple[Image, ...]]:
    """Return the images that rules such as `tile:33TWM` or `date:2023-08-10` leave, and the others.

    Raises:
        SourceError: a rule is none, or meets no image: what was to be held out would be learnt.
    """
    met: set[str] = set()
    for rule in rules:
        kind, _, name = rule.partition(":")
        if kind not in ("tile", "date") or not name:
            raise SourceError(f"hold-out {rule!r}: write tile:33TWM or date:2023-08-10")
        own = {image.id: image.place if kind == "tile" else image.day for image in images}
        if name not in own.values():
            known = ", ".join(sorted(set(own.values()))[:_NAMED])
            raise SourceError(f"hold-out {rule!r} meets no image: the set has {known}")
        met |= {key for key, value in own.items() if value == name}
    left, held = (
        tuple(image for image in images if (image.id in met) is wanted) for wanted in (False, True)
    )
    return left, held


def _products(catalog: Path, level: str | None) -> list[Image]:
    if level == "L1C":
        raise SourceError(f"{catalog}: products are labelled by their scene classes, L2A only")
    try:
        children = {
            child.id: child for child in pystac.Catalog.from_file(str(catalog)).get_children()
        }
        items = list(children[_COLLECTION].get_items(recursive=True))
    except stac.UNREADABLE as err:
        raise SourceError(
            f"{catalog} is no readable STAC catalog with a collection {_COLLECTION}: {err!r}"
        ) from err
    if not items:
        raise SourceError(f"{catalog}: {_COLLECTION} has no item: name another catalog")
    return sorted(labelled.of_products(items), key=lambda image: image.id)


def _catalog(path: Path, level: str | None, hold_out: Sequence[str]) -> Set:
    images = _products(path, level)
    places = sorted({image.place for image in images})
    rules = hold_out or ([f"tile:{place}" for place in places] if len(places) > 1 else [])
    folds = [Fold(rule, *reversed(split_off(images, [rule]))) for rule in rules]
    folds = folds or [Fold("all", tuple(images))]
    about = f"{len(images)} Sentinel-2 products of {len(places)} tiles, labelled by Sen2Cor"
    return Set(path.parent.name, "L2A", tuple(folds), about, tuple(images))


def _patches(path: Path, level: Level) -> Set:
    images = labelled.of_patches(path, level)
    judged = tuple(image for image in images if image.split == "test")
    if not judged:
        raise SourceError(f"{path} has no patch of {level} in the split test: nothing is judged")
    rest = tuple(image for image in images if image.split == "train")
    made = "simulated" if all(image.kind == "simulated" for image in judged) else "human"
    about = f"{len(judged)} patches of the split test, {made} labels"
    fold = Fold("test", judged, rest)
    return Set(f"{path.resolve().name} {level}", level, (fold,), about, tuple(images))


def _tacos(path: Path, level: str) -> bool:
    return any(path.glob(f"*{level.lower()}*.taco"))


def spread(images: Iterable[Image], most: int) -> list[Image]:
    """Return at most so many images, evenly over those given."""
    kept = list(images)
    if len(kept) <= most:
        return kept
    if most == 1:
        return kept[:1]
    return [kept[round(n)] for n in np.linspace(0, len(kept) - 1, most)]

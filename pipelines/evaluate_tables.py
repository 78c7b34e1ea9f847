"""Tables of a comparison of cloud detectors, made from what was counted image by image."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aqgeo import scores
from aqgeo.scores import ESTIMATE, Row, Table
from aqgeo.scoring import classes, cloud_masks, ground
from aqgeo.scoring.cloud_masks import FOUR, Groups, Tally

_RATIOS = dict.fromkeys(("IoU", "F1", "F2", "BOA", "producer", "user"), "1")
# More groups than this are no table but a list, which the JSON has.
_MOST_GROUPS = 12
# Ground with fewer pixels tells nothing; with this share of an image it marks the image.
_LEAST_GROUND, _MUCH = 500, 0.1
_WORDS = (
    "producer: share of the true pixels that are found (producer's accuracy, recall); user: share "
    "of the found ones that are true (user's accuracy, precision); F2: their mean with producer "
    "counted double; BOA: balanced overall accuracy, the mean of the producer's accuracies of the "
    "class and of the rest."
)
CLOUD = Table(
    "cloud",
    "Cloud, yes or no",
    _RATIOS,
    note=f"Thick or thin cloud against the rest, pixels of all held-out images. {_WORDS}",
)
CLASSES = Table(
    "classes",
    "Each class against the rest",
    _RATIOS,
    note="Where both the label and the detector tell the class from all others.",
)
FOUR_CLASSES = Table(
    "four",
    "All four classes",
    {"mIoU": "1", "BOA": "1"},
    note="mIoU: mean IoU of clear, thick cloud, thin cloud and cloud shadow; BOA: mean of their "
    "producer's accuracies.",
)
PER_IMAGE = Table(
    "per_image",
    "Image by image",
    {"median IoU": "1", "quarter below": "1", "median BOA": "1", "median F2": "1", "worst": "1"},
    note="Cloud, yes or no, scored in each image for itself; n: images whose IoU is defined. "
    "quarter below: IoU that a quarter of the images does not reach; worst: lowest IoU.",
)
GROWN = Table(
    "dilation",
    "With dilation",
    {"IoU": "1", "F2": "1", "producer": "1", "user": "1"},
    note="Cloud, yes or no, after clear pixels so near to cloud or shadow have become it.",
)
GROUPS = Table(
    "groups",
    "By tile, date and pixel size",
    {"IoU": "1", "F2": "1", "producer": "1", "user": "1"},
    note="Cloud, yes or no.",
)
GROUND = Table(
    "ground",
    "Ground that looks like cloud",
    {"taken for cloud": "1", "taken for shadow": "1", "images": "1", "their cloud IoU": "1"},
    note="Share of the pixels that the label calls clear, by kind of ground: "
    + "; ".join(f"{kind}: {rule}" for kind, rule in ground.RULES.items())
    + f". {ground.BRIGHT}. images: those in which it is {100 * _MUCH:.0f} % of the labelled pixels "
    "or more, with the IoU of cloud, yes or no, over them.",
)
CALIBRATION = Table(
    "calibration",
    "Calibration",
    {"ECE": "1"},
    note=f"Expected calibration error of the probability of cloud, in {cloud_masks.BINS} bins: the "
    "mean over pixels of the difference between probability and share of cloud.",
)


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
    """Name of the detector."""
    tells: Groups
    """Classes that label and detector both tell apart."""
    seen: bool
    """Whether the detector learnt from the image."""
    why: str
    """Why there is no count; empty if there is."""
    tally: Tally | None
    """Counts."""


@dataclass(frozen=True, slots=True)
class _Pooled:
    """One detector on one set."""

    set: str
    method: str
    tells: Groups
    why: str
    records: tuple[Record, ...]
    tally: Tally


def tables(records: Sequence[Record]) -> list[Table]:
    """Return all tables, sets in the order of the records."""
    pooled = list(_pooled(records))
    none = "no detector could judge an image"
    few = "no set and detector tell such classes apart"
    made: list[tuple[Table, Callable[[_Pooled], Iterator[Row]], str]] = [
        (CLOUD, _cloud, none),
        (FOUR_CLASSES, _four, few),
        (CLASSES, _classes, few),
        (PER_IMAGE, _per_image, none),
        (GROUPS, _groups, "all images are of one place, date and pixel size"),
        (GROUND, _ground, "no image has bands and pixels enough to tell kinds of ground"),
        (GROWN, _grown, none),
        (CALIBRATION, _calibration, "no detector gives a probability"),
    ]
    return [
        scores.filled(table, _sorted([row for one in pooled for row in rows(one)]), why=why)
        for table, rows, why in made
    ]


def _sorted(rows: Sequence[Row]) -> list[Row]:
    """Return rows with those of equal `what` together, in the order in which they first appear."""
    order = {row.what: number for number, row in reversed(list(enumerate(rows)))}
    return sorted(rows, key=lambda row: order[row.what])


def _pooled(records: Sequence[Record]) -> Iterator[_Pooled]:
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.set, record.method), []).append(record)
    for (name, method), own in groups.items():
        counted = [record for record in own if record.tally is not None]
        tells = cloud_masks.common(*(r.tells for r in counted)) if counted else FOUR
        shown = f"{method}, seen in training" if any(r.seen for r in counted) else method
        why = next((record.why for record in own if record.why), "")
        sums = cloud_masks.total(r.tally for r in counted if r.tally is not None)
        yield _Pooled(name, shown, tells, why, tuple(counted), sums)


def _cloud(one: _Pooled) -> Iterator[Row]:
    if not one.records:
        lost = dict.fromkeys(_RATIOS, np.nan)
        yield scores.row(one.set, one.method, 0, lost, why=f"{one.method}: {one.why}")
        return
    counts = one.tally.counts[0]
    values = cloud_masks.scores(counts, "cloud")
    yield scores.row(one.set, one.method, int(counts.sum()), values, headline=True)


def _classes(one: _Pooled) -> Iterator[Row]:
    for kind in cloud_masks.NAMES.values():
        if one.records and cloud_masks.scored(kind, one.tells):
            counts = one.tally.counts[0]
            true = int(cloud_masks.two(counts, kind)[1].sum())
            values = cloud_masks.scores(counts, kind)
            yield scores.row(f"{one.set}: {kind}", one.method, true, values)


def _four(one: _Pooled) -> Iterator[Row]:
    if one.records and one.tells == FOUR:
        counts = one.tally.counts[0]
        values = {"mIoU": cloud_masks.mean_iou(counts), "BOA": classes.balanced_accuracy(counts)}
        yield scores.row(one.set, one.method, int(counts.sum()), values, headline=True)


def _per_image(one: _Pooled) -> Iterator[Row]:
    if not one.records:
        return
    found = [cloud_masks.scores(r.tally.counts[0], "cloud") for r in one.records if r.tally]
    iou, boa, f2 = (
        np.array([v for v in (scored[key] for scored in found) if np.isfinite(v)])
        for key in ("IoU", "BOA", "F2")
    )
    low, quarter, middle = np.quantile(iou, (0, 0.25, 0.5)) if iou.size else [np.nan] * 3
    numbers = middle, quarter, _median(boa), _median(f2), low
    values = dict(zip(PER_IMAGE.units, numbers, strict=True))
    yield scores.row(one.set, one.method, iou.size, values)


def _groups(one: _Pooled) -> Iterator[Row]:
    keys: dict[str, Callable[[Record], str]] = {
        "held out": lambda r: r.fold,
        "place": lambda r: r.place,
        "date": lambda r: r.day,
        "pixels": lambda r: f"{r.pixel_m:g} m" if r.pixel_m else "",
    }
    for kind, key in keys.items():
        names = sorted({key(r) for r in one.records} - {""}, key=lambda n: (len(n), n))
        if not 1 < len(names) <= _MOST_GROUPS or (kind == "held out" and "tile:" in names[0]):
            continue
        for name in names:
            own = [r.tally for r in one.records if key(r) == name and r.tally is not None]
            counts = cloud_masks.total(own).counts[0]
            yield _short(f"{one.set}: {kind} {name}", one.method, counts)


def _grown(one: _Pooled) -> Iterator[Row]:
    for pixels, counts in sorted(one.tally.counts.items()):
        words = f"{pixels} pixel{'' if pixels == 1 else 's'}"
        yield _short(f"{one.set}: {words}", one.method, counts)


def _ground(one: _Pooled) -> Iterator[Row]:
    for kind in ground.KINDS:
        found = one.tally.ground.get(kind)
        if found is None or found.sum() < _LEAST_GROUND:
            continue
        cloud, shadow = found[list(cloud_masks.KINDS["cloud"])].sum(), found[cloud_masks.SHADOW]
        values = {"taken for cloud": cloud / found.sum()}
        if cloud_masks.scored("cloud shadow", one.tells):
            values["taken for shadow"] = shadow / found.sum()
        marked = [r.tally for r in one.records if r.tally is not None and _marks(r.tally, kind)]
        values["images"] = len(marked)
        if marked:
            counts = cloud_masks.total(marked).counts[0]
            values["their cloud IoU"] = cloud_masks.scores(counts, "cloud")["IoU"]
        yield scores.row(f"{one.set}: {kind}", one.method, int(found.sum()), values)


def _marks(tally: Tally, kind: str) -> bool:
    """Return whether a kind of ground is a good part of an image."""
    found, pixels = tally.ground.get(kind), tally.counts[0].sum()
    return found is not None and bool(pixels and found.sum() >= _MUCH * pixels)


def _calibration(one: _Pooled) -> Iterator[Row]:
    if one.tally.bins is not None:
        error = cloud_masks.calibration_error(one.tally.bins)
        yield scores.row(one.set, one.method, int(one.tally.bins[:, 0].sum()), {"ECE": error})


def curves(records: Sequence[Record]) -> dict[str, dict[str, np.ndarray]]:
    """Return (bin, 3) calibration counts by detector, by set, where there are any."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for one in _pooled(records):
        if one.tally.bins is not None:
            found.setdefault(one.set, {})[one.method] = one.tally.bins
    return found


def _short(what: str, method: str, counts: np.ndarray) -> Row:
    values = cloud_masks.scores(counts, "cloud")
    kept = {key: values[key] for key in GROUPS.units}
    return scores.row(what, method, int(counts.sum()), kept, headline=method == ESTIMATE)


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if values.size else np.nan


def as_json(record: Record) -> dict[str, Any]:
    """Return a record as JSON: counts, and the scores of cloud."""
    told: dict[str, Any] = {
        "set": record.set,
        "held_out": record.fold,
        "image": record.image,
        "place": record.place,
        "day": record.day,
        "pixel_m": record.pixel_m,
        "method": record.method,
        "seen_in_training": record.seen,
    }
    if record.tally is None:
        return {**told, "why": record.why}
    counts = record.tally.counts
    values = cloud_masks.scores(counts[0], "cloud")
    told["cloud"] = {key: round(v, 6) if np.isfinite(v) else None for key, v in values.items()}
    told["classes_told_apart"] = [list(group) for group in record.tells]
    told["counts_by_dilation"] = {str(n): found.tolist() for n, found in counts.items()}
    told["found_on_clear"] = {kind: f.tolist() for kind, f in record.tally.ground.items()}
    return told


def from_json(entry: Mapping[str, Any]) -> Table:
    """Return a table from its JSON."""
    return Table(**{**entry, "rows": tuple(Row(**row) for row in entry["rows"])})

"""Cloud masks against labels: counts of one image, and the scores that follow from their sums."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from aqgeo.scoring import classes

CLEAR, THICK, THIN, SHADOW = 0, 1, 2, 3
NAMES = {CLEAR: "clear", THICK: "thick cloud", THIN: "thin cloud", SHADOW: "cloud shadow"}
"""CloudSEN12's classes."""
LEGEND = {
    CLEAR: (NAMES[CLEAR], "#c9b99a"),
    THICK: (NAMES[THICK], "#ffffff"),
    THIN: (NAMES[THIN], "#9ecae1"),
    SHADOW: (NAMES[SHADOW], "#30363d"),
}
"""Name and colour of each class."""
MISTAKES = {
    0: ("right", "#f4f4f4"),
    1: ("missed, taken for clear", "#d55e00"),
    2: ("false, is clear", "#0072b2"),
    3: ("another class", "#e69f00"),
}
"""Name and colour of each code of `mistakes`."""
NO_DATA = 255
Groups = tuple[tuple[int, ...], ...]
"""Classes that a label or a method tells apart; those of one group are one to it."""
FOUR: Groups = ((CLEAR,), (THICK,), (THIN,), (SHADOW,))
KINDS = {"cloud": (THICK, THIN)} | {name: (code,) for code, name in NAMES.items()}
"""What is scored, each against all the rest."""
BINS = 10


@dataclass(frozen=True, slots=True)
class Tally:
    """What a method found in one image, counted; tallies add up."""

    counts: Mapping[int, np.ndarray]
    """(true, found) pixels of the four classes, by pixels of dilation."""
    ground: Mapping[str, np.ndarray] = field(default_factory=dict)
    """(4,) classes found where the label is clear, by kind of ground."""
    bins: np.ndarray | None = None
    """(BINS, 3) by probability of cloud: pixels, sum of the probability, true cloud."""


def tally(
    truth: np.ndarray,
    found: np.ndarray,
    *,
    cloud: np.ndarray | None = None,
    ground: Mapping[str, np.ndarray] | None = None,
    grow: Sequence[int] = (0,),
) -> Tally:
    """Return the counts of one image.

    Args:
        truth: (y, x) CloudSEN12's classes; other codes are left out.
        found: (y, x) classes found.
        cloud: (y, x) probability of cloud, 0 to 1, if the method has one.
        ground: (y, x) bool by kind of ground.
        grow: pixels of dilation, each counted for itself.
    """
    counts = {n: classes.confusion(truth, grown(found, n), list(NAMES)) for n in grow}
    clear = {
        kind: np.bincount(found[here & (truth == CLEAR)], minlength=len(NAMES))[: len(NAMES)]
        for kind, here in (ground or {}).items()
    }
    return Tally(counts, clear, None if cloud is None else reliability(truth, cloud))


def total(tallies: Iterable[Tally]) -> Tally:
    """Return the sum of tallies; what one of them lacks is left out of the bins only."""
    counts: dict[int, np.ndarray] = {}
    ground: dict[str, np.ndarray] = {}
    bins: np.ndarray | None = None
    for one in tallies:
        for pixels, more in one.counts.items():
            counts[pixels] = counts.get(pixels, 0) + more
        for kind, found in one.ground.items():
            ground[kind] = ground.get(kind, 0) + found
        if one.bins is not None:
            bins = one.bins if bins is None else bins + one.bins
    return Tally(counts, ground, bins)


def grown(found: np.ndarray, pixels: int) -> np.ndarray:
    """Return classes where clear pixels within so many pixels of cloud or shadow have become it.

    Args:
        found: (y, x) classes.
        pixels: radius of the disk.
    """
    if not pixels:
        return found
    away, near = ndimage.distance_transform_edt(
        ~np.isin(found, (THICK, THIN, SHADOW)), return_indices=True
    )
    # Without any cloud all distances are those to nothing.
    reached = (found == CLEAR) & (away <= pixels) & np.isin(found[tuple(near)], (1, 2, 3))
    return np.asarray(np.where(reached, found[tuple(near)], found))


def scored(kind: str, *groups: Groups) -> bool:
    """Return whether labels and methods of these groups all tell a kind from the rest."""
    wanted = set(KINDS[kind])
    return all(
        wanted == {code for one in told if wanted & set(one) for code in one} for told in groups
    )


def two(counts: np.ndarray, kind: str) -> np.ndarray:
    """Return the (true, found) counts of the rest and a kind."""
    inside = KINDS[kind]
    return classes.merge(counts, [[code for code in NAMES if code not in inside], list(inside)])


def scores(counts: np.ndarray, kind: str) -> dict[str, float]:
    """Return the scores of one kind against the rest; NaN where there is nothing to divide by."""
    pair = two(counts, kind)
    one = classes.per_class(pair)[1]
    return {
        "IoU": one.iou,
        "F1": one.f1,
        "F2": one.f2,
        "BOA": classes.balanced_accuracy(pair),
        "producer": one.producer,
        "user": one.user,
    }


def mean_iou(counts: np.ndarray) -> float:
    """Return the mean IoU of the classes that the label or the mask has; NaN without any."""
    found = [one.iou for one in classes.per_class(counts) if np.isfinite(one.iou)]
    return float(np.mean(found)) if found else np.nan


def mistakes(true: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return codes of MISTAKES, NO_DATA where either is no class."""
    kind = np.where(true == found, 0, 3)
    kind[(true != CLEAR) & (found == CLEAR)] = 1
    kind[(true == CLEAR) & (found != CLEAR)] = 2
    known = np.isin(true, list(NAMES)) & np.isin(found, list(NAMES))
    return np.where(known, kind, NO_DATA).astype("uint8")


def simplified(codes: np.ndarray, groups: Groups) -> np.ndarray:
    """Return classes where all of a group have become its first; other codes stay."""
    table = np.arange(256, dtype="uint8")
    for group in groups:
        table[list(group)] = group[0]
    return np.asarray(table[codes])


def reliability(truth: np.ndarray, cloud: np.ndarray) -> np.ndarray:
    """Return (BINS, 3) pixels, sum of the probability of cloud, and true cloud, by probability."""
    known = np.isin(truth, list(NAMES)) & np.isfinite(cloud)
    chance = cloud[known].astype("float64")
    true = np.isin(truth[known], KINDS["cloud"]).astype("float64")
    place = np.clip((chance * BINS).astype(int), 0, BINS - 1)
    sums = (np.bincount(place, w, BINS) for w in (np.ones_like(chance), chance, true))
    return np.stack(list(sums), axis=1)


def calibration_error(bins: np.ndarray) -> float:
    """Return the expected calibration error: the mean over pixels of |probability - cloud|."""
    pixels, chance, true = bins.T
    return float(np.abs(chance - true).sum() / pixels.sum()) if pixels.sum() else np.nan


def common(*groups: Groups) -> Groups:
    """Return the finest classes that all of these tell apart."""
    left = [set(group) for told in groups for group in told]
    merged: list[set[int]] = []
    for group in left:
        touching = [one for one in merged if one & group]
        merged = [one for one in merged if not one & group] + [group.union(*touching)]
    return tuple(sorted(tuple(sorted(one)) for one in merged))

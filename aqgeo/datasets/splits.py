"""Splits by place: images of one place are not independent, so they are in one split together."""

import hashlib
from collections.abc import Collection

from aqgeo.datasets.cloudsen12_record import Split

# Of ten places, one for testing, one for validation.
_TEST, _VALIDATION = 0.1, 0.2
# A place that a set has in several splits is in the first of these: nothing of it may be learnt.
_ORDER: tuple[Split, ...] = ("test", "validation", "train")


def assign(place: str, *, seed: int = 0) -> Split:
    """Return the split of a place: it depends on name and seed alone, so a set may grow."""
    digest = hashlib.sha256(f"{seed}:{place}".encode()).digest()
    drawn = int.from_bytes(digest[:4], "big") / 2**32
    return "test" if drawn < _TEST else "validation" if drawn < _VALIDATION else "train"


def strictest(splits: Collection[str]) -> Split:
    """Return the one split of a place that a set has in several: test, validation, train."""
    return next(split for split in _ORDER if split in splits)

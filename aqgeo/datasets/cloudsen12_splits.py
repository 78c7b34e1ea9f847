"""The file that names the split of each place of a set, `splits.csv` in its folder."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from aqgeo.datasets import disk
from aqgeo.datasets.cloudsen12_record import Patch, Split
from aqgeo.datasets.splits import strictest
from aqgeo.errors import SourceError

FILE = "splits.csv"
_COLUMNS = ["place", "split", "patches", "by"]
SET, SEVERAL, ASSIGNED = "set", "set, in several", "assigned"


@dataclass(frozen=True, slots=True)
class Place:
    """A place and its split."""

    place: str
    """Its name."""
    split: Split
    """Where all of its patches are."""
    patches: int
    """How many there are."""
    by: str
    """SET where the set tells it, SEVERAL where it tells several of which the strictest is taken,
    ASSIGNED where it tells none."""


def read(folder: Path) -> dict[str, Split]:
    """Return split by place as a folder's file tells; empty without such a file.

    Raises:
        SourceError: the file is broken.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
        found = {row["place"]: row["split"] for row in rows}
    except (OSError, ValueError, KeyError, csv.Error) as err:
        raise SourceError(f"{path} cannot be read as a table of places: {err!r}") from err
    if wrong := set(found.values()) - set(get_args(Split)):
        raise SourceError(
            f"{path} has the split {sorted(map(str, wrong))[0]!r}: train, validation and test are "
            "the splits"
        )
    return found  # type: ignore[return-value]


def places(found: Sequence[Patch], assigned: Mapping[str, Split]) -> list[Place]:
    """Return the places of some patches with their one split, by name.

    Args:
        found: patches as `cloudsen12.patches` gives.
        assigned: splits of places of which the set tells none.
    """
    told: dict[str, list[str]] = {}
    for patch in found:
        told.setdefault(patch.roi_id, []).append(patch.split)
    rows = []
    for name, splits in sorted(told.items()):
        by = ASSIGNED if name in assigned else SEVERAL if len(set(splits)) > 1 else SET
        rows.append(Place(name, strictest(splits), len(splits), by))
    return rows


def save(folder: Path, rows: Sequence[Place]) -> Path:
    """Write a folder's file, whole or not at all."""
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(_COLUMNS)
    lines.writerows([row.place, row.split, row.patches, row.by] for row in rows)
    disk.save(folder / FILE, text.getvalue().encode())
    return folder / FILE

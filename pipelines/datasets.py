"""Data sets with labels: fetched into a folder, and described."""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from pydantic import TypeAdapter, ValidationError

from aqgeo import cover
from aqgeo.datasets import cloudsen12, cloudsen12_fetch, cloudsen12_splits, splits
from aqgeo.datasets.cloudsen12_pixels import read_label
from aqgeo.datasets.cloudsen12_record import CLASSES, MANIFEST, NO_LABEL, Level, Patch
from aqgeo.errors import SourceError
from aqgeo.remote.http import Client
from pipelines.cluster import report_bar
from pipelines.workspace import lock

log = logging.getLogger(__name__)
# Data set card of CloudSEN12+; its files redirect to the hub's own file servers.
SOURCE = "https://huggingface.co/datasets/tacofoundation/cloudsen12/resolve/main"
HOSTS = ("huggingface.co", "*.huggingface.co", "*.hf.co")
# Part files by level.
PARTS = {"L1C": 5, "L2A": 6}


def cloudsen12_download(
    folder: Path,
    *,
    count: int,
    split: str | None = None,
    label_type: str = "high",
    level: str = "L1C",
    size: int = 509,
    seed: int = 0,
    urls: Sequence[str] = (),
    client: Client | None = None,
) -> Path:
    """Fetch patches of CloudSEN12+ into a folder; run again, it fetches what is missing.

    Args:
        folder: where to, a folder for each place and acquisition.
        count: number of patches.
        split: train, validation or test; from all three if None.
        label_type: high, scribble or nolabel.
        level: L1C or L2A.
        size: 509 or 2000 pixels a side.
        seed: another seed, another choice.
        urls: part files of a mirror; those of the data set's own page if empty.
        client: what fetches; one that opens the hosts of the part files alone if None.

    Returns:
        The manifest.

    Raises:
        SourceError: a patch could not be fetched, or nothing fits.
    """
    told = {"count": count, "split": split, "label_type": label_type, "level": level}
    choice = _valid(cloudsen12_fetch.Choice, {**told, "size": size, "seed": seed})
    name = f"cloudsen12-{choice.level.lower()}"
    own = [f"{SOURCE}/{name}.{n:04d}.part.taco" for n in range(PARTS[choice.level])]
    hosts = [urlsplit(url).netloc.rpartition("@")[2] for url in urls] or HOSTS
    with lock(folder.absolute()), report_bar(name) as report:
        result = cloudsen12_fetch.download(
            client or Client(hosts), urls or own, folder, choice, report=report
        )
    log.info("%s: %d patches fetched, %d were there", folder, result.done, result.kept)
    if result.failed:
        first = next(iter(result.failed.items()))
        raise SourceError(
            f"{len(result.failed)} of {count} patches are missing in {folder}, as its {MANIFEST} "
            f"tells; {first[0]}: {first[1]}; run again to fetch only these"
        )
    return folder / MANIFEST


def cloudsen12_describe(folder: Path, *, level: str = "L1C") -> dict[str, Any]:
    """Return what a folder of CloudSEN12 patches holds; every label is read.

    Returns:
        `level`, `patches`, `places`; `groups`, one for each split and label type, with `pixels`,
        percent of the labelled pixels by class, and for labels of every pixel `cover`, the patches
        by percent under thick or thin cloud; `leaks`, places that lie in several splits.

    Raises:
        SourceError: nothing is found, or a label is broken.
    """
    found = cloudsen12.patches(folder, _valid(Level, level))
    groups: dict[tuple[str, str], list[Patch]] = defaultdict(list)
    for patch in found:
        groups[patch.split, patch.label_type].append(patch)
    return {
        "level": level,
        "patches": len(found),
        "places": len({patch.roi_id for patch in found}),
        "groups": [_group(*key, groups[key]) for key in sorted(groups)],
        "leaks": cloudsen12.leaks(found),
    }


def cloudsen12_split(folder: Path, *, level: str = "L1C", seed: int = 0) -> dict[str, Any]:
    """Write which split each place of a folder is in, and return it.

    The set's own column is kept; a place that it has in several splits is in the strictest of them:
    test, validation, train. Places of which nothing tells the split are assigned one, by name and
    seed alone, and keep it when the set grows; from then on the folder can be read.

    Args:
        folder: TACO part files or patches.
        level: L1C or L2A.
        seed: another seed, another choice.

    Returns:
        `file`, `places` (rows of name, split, patches, and who told it), `splits` (places and
        patches of each).

    Raises:
        SourceError: nothing is found.
    """
    checked = _valid(Level, level)
    with lock(folder.absolute()):
        before = cloudsen12_splits.read(folder)
        lost = cloudsen12.without_split(folder, checked) if folder.is_dir() else []
        assigned = {p: before.get(p) or splits.assign(p, seed=seed) for p in lost}
        if assigned:
            rows = [cloudsen12_splits.Place(p, s, 0, "assigned") for p, s in assigned.items()]
            cloudsen12_splits.save(folder, rows)
        rows = cloudsen12_splits.places(cloudsen12.patches(folder, checked), assigned)
        path = cloudsen12_splits.save(folder, rows)
    counts: dict[str, Any] = {}
    for row in rows:
        count = counts.setdefault(row.split, {"places": 0, "patches": 0})
        count["places"] += 1
        count["patches"] += row.patches
    told = {"file": str(path), "places": [asdict(row) for row in rows]}
    return {**told, "splits": dict(sorted(counts.items()))}


def split_table(told: dict[str, Any]) -> str:
    """Return what `cloudsen12_split` found as a text table."""
    lines = ["split       places  patches"]
    lines += [
        f"{name:10}  {count['places']:6}  {count['patches']:7}"
        for name, count in told["splits"].items()
    ]
    by = Counter(row["by"] for row in told["places"])
    lines.append("places told by: " + ", ".join(f"{name} {n}" for name, n in sorted(by.items())))
    return "\n".join(lines) + "\n"


def table(told: dict[str, Any]) -> str:
    """Return what `cloudsen12_describe` found as a text table."""
    names = [f"{name} %" for name in CLASSES.values()]
    head = ["split", "label", "patches", "places", *names, *(f"cover {n}" for n in cover.NAMES)]
    rows = [head]
    for group in told["groups"]:
        shares = [f"{v:.1f}" for v in group.get("pixels", {}).values()] or ["-"] * len(CLASSES)
        counted = [str(v) for v in group.get("cover", {}).values()] or ["-"] * len(cover.NAMES)
        numbers = [str(group[key]) for key in ("split", "label_type", "patches", "places")]
        rows.append([*numbers, *shares, *counted])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(t.ljust(w) for t, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    lines += [f"{name} is in {' and '.join(splits)}" for name, splits in told["leaks"].items()]
    return "\n".join(lines) + "\n"


def _group(split: str, label_type: str, found: Sequence[Patch]) -> dict[str, Any]:
    told = {"split": split, "label_type": label_type, "patches": len(found)}
    told["places"] = len({patch.roi_id for patch in found})
    counts = np.array([_counts(patch) for patch in found])
    if not counts.sum():
        return told
    told["pixels"] = _by(CLASSES.values(), (100 * counts.sum(0) / counts.sum()).tolist())
    if label_type == "high":
        known = counts[counts.sum(1) > 0]
        classes = cover.class_of(100 * known[:, 1:3].sum(1) / known.sum(1))
        counted = np.bincount(classes, minlength=len(cover.NAMES)).tolist()
        told["cover"] = _by(cover.NAMES, counted)
    return told


def _counts(patch: Patch) -> np.ndarray:
    """Return (class,) numbers of labelled pixels."""
    label = read_label(patch)
    if label is None:
        return np.zeros(len(CLASSES), "int64")
    return np.bincount(label[label != NO_LABEL], minlength=len(CLASSES))


def _by(names: Any, values: Sequence[float]) -> dict[str, float]:
    return dict(zip(names, values, strict=True))


def _valid(kind: Any, value: Any) -> Any:
    """Return a value checked against its type, or say in one line what is wrong."""
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as err:
        slip = err.errors(include_url=False)[0]
        name = " ".join(str(step) for step in slip["loc"])
        raise SourceError(f"{name} {slip['input']!r}: {slip['msg']}".strip()) from err

"""CloudSEN12 patches read from TACO part files or from folders."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from affine import Affine

from aqgeo.datasets import cloudsen12_record as rec
from aqgeo.datasets import cloudsen12_splits, taco
from aqgeo.datasets.cloudsen12_pixels import header
from aqgeo.datasets.cloudsen12_record import Level, Patch
from aqgeo.errors import SourceError

_METADATA = ("cloudsen12_metadata.csv", "metadata.csv")
_SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
_Table = dict[tuple[str, str], dict[str, Any]] | None


def patches(folder: Path, level: Level = "L1C") -> list[Patch]:
    """Return the patches of one level in a folder, by id; no pixel is read.

    Either TACO part files lie there (`cloudsen12-l1c.0000.part.taco`), or folders
    `.../<place>/<acquisition>/` with `S2L1C.tif` or `S2L2A.tif` and `labels/manual_hq.tif` or
    `labels/manual_sc.tif`. A patch in a folder is told by the record beside its image; without
    one, by the set's `cloudsen12_metadata.csv`; without that, a folder above names its split, or
    the folder's own `splits.csv` does.

    Raises:
        SourceError: nothing is found, or a record breaks its rules.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder} is no folder: name the one that holds the patches")
    parts = sorted(folder.glob(f"*{level.lower()}*.taco"))
    found = [patch for part in parts for patch in of_table(taco.table(part), part, level)]
    if not parts:
        homes = _homes(folder, level)
        known = _metadata(folder) if homes else None
        assigned = cloudsen12_splits.read(folder)
        found = [_of_folder(home, folder, level, known, assigned) for home in homes]
    if not found:
        raise SourceError(
            f"{folder} holds no CloudSEN12 patches of {level}: no *{level.lower()}*.taco and no "
            f"{rec.image_name(level)} in the folders below"
        )
    return in_order(found)


def without_split(folder: Path, level: Level = "L1C") -> list[str]:
    """Return the places of which nothing tells a split, but perhaps the folder's `splits.csv`."""
    if any(folder.glob(f"*{level.lower()}*.taco")) or _metadata(folder) is not None:
        return []
    homes = [home for home in _homes(folder, level) if not (home / rec.card_name(level)).is_file()]
    return sorted({home.parent.name for home in homes if _named(home, folder) is None})


def of_table(rows: pd.DataFrame, path: Path, level: Level) -> list[Patch]:
    """Return the patches of a TACO file's table.

    Raises:
        SourceError: a column is missing or a row breaks the rules of patches.
    """
    needed = {"tortilla:id", "tortilla:data_split", "roi_id", "label_type", "real_proj_shape"}
    if missing := (needed | {"stac:crs", "stac:geotransform"}) - set(rows.columns):
        raise SourceError(
            f"{path} has no {', '.join(sorted(missing))} in its table: it holds no CloudSEN12 "
            "patches"
        )
    return [_of_row(row, path, level) for row in rows.to_dict("records")]


def in_order(found: Sequence[Patch]) -> list[Patch]:
    """Return patches by id.

    Raises:
        SourceError: two have the same id, or the same place and acquisition.
    """
    names = Counter(name for p in found for name in (p.id, f"{p.roi_id}/{p.s2_id}"))
    for name, times in names.most_common(1):
        if times > 1:
            raise SourceError(f"{times} patches are called {name}: keep one of them")
    return sorted(found, key=lambda patch: patch.id)


def leaks(found: Sequence[Patch]) -> dict[str, list[str]]:
    """Return the places that lie in more than one split, with these splits.

    Keys are `roi_id NAME` and `old_roi_id NAME`. Patches of one place are not independent: a score
    on one is too good where a network has learnt from another.
    """
    splits: dict[str, set[str]] = {}
    for patch in found:
        for kind, name in (("roi_id", patch.roi_id), ("old_roi_id", patch.old_roi_id)):
            if name is not None:
                splits.setdefault(f"{kind} {name}", set()).add(patch.split)
    return {name: sorted(several) for name, several in splits.items() if len(several) > 1}


def _of_row(row: Mapping[Any, Any], path: Path, level: Level) -> Patch:
    name, size = str(row["tortilla:id"]), row["real_proj_shape"]
    s2_id = str(row.get("s2_id") or name.partition("__")[2])
    shape = row.get("stac:raster_shape")
    try:
        # Columns of padding on the left.
        pad = int((shape if shape is not None else [size])[0]) - int(size)
        transform = Affine.from_gdal(*(float(v) for v in row["stac:geotransform"]))
        told = {
            "crs": row["stac:crs"],
            "transform": tuple(transform @ Affine.translation(pad, 0))[:6],
            "size": int(size),
            "time": rec.began(s2_id, row.get("stac:time_start")),
            "split": _SPLITS.get(row["tortilla:data_split"], row["tortilla:data_split"]),
            "old_roi_id": row.get("old_roi_id") or None,
            **rec.percentages(row),
        }
    except (TypeError, ValueError, OverflowError) as err:
        raise SourceError(f"{path}, patch {name!r}: {err}: fetch it again") from err
    told |= {"id": name, "roi_id": row["roi_id"], "s2_id": s2_id, "label_type": row["label_type"]}
    told |= {"level": level, "bands": rec.BANDS[level], "path": path}
    told |= {"offset": int(row[taco.OFFSET]), "length": int(row[taco.LENGTH])}
    return rec.record(told, f"{path}, patch {name!r}")


def _homes(folder: Path, level: Level) -> list[Path]:
    """Return the folders of patches below a folder."""
    homes = sorted(image.parent for image in folder.rglob(rec.image_name(level)))
    if (folder / rec.MANIFEST).is_file():
        # A download that was stopped: what has no record is not there yet.
        homes = [home for home in homes if (home / rec.card_name(level)).is_file()]
    return homes


def _of_folder(
    here: Path, root: Path, level: Level, known: _Table, assigned: Mapping[str, str]
) -> Patch:
    own = here / rec.card_name(level)
    if own.is_file():
        return _of_card(own)
    roi_id, s2_id = here.parent.name, here.name
    row = _guess(here, root, assigned) if known is None else known.get((roi_id, s2_id))
    if row is None:
        raise SourceError(
            f"{here} is not in {root / _METADATA[0]}: complete the table or remove the folder"
        )
    try:
        about = {"time": rec.began(s2_id), **rec.percentages(row)}
    except ValueError as err:
        raise SourceError(f"{here}: {err}: rename the folder") from err
    told: dict[str, Any] = {"id": f"{roi_id}__{s2_id}", "roi_id": roi_id, "s2_id": s2_id}
    told |= {key: row.get(key) for key in ("split", "label_type", "old_roi_id")}
    told |= {"level": level, "path": here, **header(here / rec.image_name(level), level)}
    return rec.record({**told, **about}, str(here))


def _of_card(path: Path) -> Patch:
    """Return a patch from the record beside its image; which files are its is no part of that."""
    try:
        told = json.loads(path.read_text("utf-8"))["patch"]
        if known := told.keys() & {"path", "offset", "length"}:
            raise ValueError(f"it names a {sorted(known)[0]}")
        told = {**told, "path": path.parent}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise SourceError(f"{path} is no record of a patch ({err}): fetch the patch again") from err
    patch = rec.record(told, str(path))
    if [patch.roi_id, patch.s2_id] != list(path.parent.parts[-2:]):
        raise SourceError(
            f"{path} is the record of {patch.roi_id}/{patch.s2_id}: move it there, or fetch again"
        )
    return patch


def _metadata(folder: Path) -> _Table:
    """Return the older set's table by place and acquisition; None if the folder has none."""
    path = next((folder / name for name in _METADATA if (folder / name).is_file()), None)
    if path is None:
        return None
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as err:
        raise SourceError(f"{path} cannot be read as CSV: {err}") from err
    acquisition = "s2_id_gee" if "s2_id_gee" in rows else "s2_id"
    if missing := {"roi_id", acquisition, "label_type", "test"} - set(rows):
        raise SourceError(f"{path} has no column {', '.join(sorted(missing))}: complete it")
    # Version 1 has two splits, 1 is test; version 1.1 has three, 1 is validation and 2 test.
    three = (rows["test"] == "2").any()
    codes = {"0": "train", "1": "validation" if three else "test", "2": "test"}
    if odd := set(rows["test"]) - set(codes):
        raise SourceError(f"{path} has values of `test` other than 0, 1 and 2: {sorted(odd)[0]!r}")
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows.to_dict("records"):
        key = (row["roi_id"], row[acquisition])
        if key in found:
            raise SourceError(f"{path} names {'/'.join(key)} twice: remove one of them")
        found[key] = {str(name): value or None for name, value in row.items()}
        found[key]["split"] = codes[row["test"]]
    return found


def _guess(here: Path, root: Path, assigned: Mapping[str, str]) -> dict[str, Any]:
    """Return what the folders' names and files tell, in a layout without a table."""
    split = _named(here, root) or assigned.get(here.parent.name)
    if split is None:
        raise SourceError(
            f"nothing tells the split of {here}: put the set's {_METADATA[0]} into {root}, or run "
            f"`aqgeo datasets cloudsen12 split {root}`"
        )
    kinds = [kind for kind, name in rec.LABELS.items() if (here / name).is_file()]
    return {"split": split, "label_type": kinds[0] if kinds else "nolabel"}


def _named(here: Path, root: Path) -> str | None:
    """Return the split that a folder above names."""
    above = (re.split(r"[_-]", part)[-1].lower() for part in here.relative_to(root).parts)
    return next((_SPLITS[word] for word in above if word in _SPLITS), None)

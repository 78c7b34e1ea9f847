"""CloudSEN12 patches as files, one folder for each place and acquisition."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from aqgeo.datasets import cloudsen12_record as rec
from aqgeo.datasets import disk
from aqgeo.datasets.cloudsen12_pixels import check
from aqgeo.datasets.cloudsen12_record import Patch
from aqgeo.errors import SourceError


def write(
    folder: Path, patch: Patch, image: bytes, label: bytes | None, **origin: str | int
) -> Patch:
    """Write a patch into its folder, `<roi_id>/<s2_id>/` in `folder`, whole or not at all.

    The record `S2L1C.json` comes last: what has none is not there yet.

    Args:
        folder: of all patches.
        patch: its fields.
        image: GeoTIFF as it is to lie on disk.
        label: GeoTIFF; None for patches without labels.
        origin: where the bytes come from, for the record.

    Raises:
        SourceError: the bytes are no GeoTIFF of that patch; nothing is left of them.
    """
    here = folder / patch.roi_id / patch.s2_id
    files = {rec.image_name(patch.level): image}
    if (name := rec.label_name(patch.label_type)) and label is not None:
        files[name] = label
    own = replace(patch, path=here, offset=0, length=0)
    (here / rec.card_name(patch.level)).unlink(missing_ok=True)
    for name, content in files.items():
        disk.save(here / name, content)
    try:
        check(own)
    except SourceError:
        for name in files:
            (here / name).unlink()
        raise
    told = {name: {"bytes": len(c), "sha256": disk.sha256(c)} for name, c in files.items()}
    card = {"patch": rec.card(own), "files": told, "origin": origin}
    disk.save(here / rec.card_name(patch.level), disk.as_json(card))
    return own


def is_whole(folder: Path, patch: Patch, origin: Mapping[str, Any]) -> bool:
    """Tell whether a patch lies in its folder with the bytes that its record tells."""
    here = folder / patch.roi_id / patch.s2_id
    names = [rec.image_name(patch.level), rec.label_name(patch.label_type)]
    try:
        told = json.loads((here / rec.card_name(patch.level)).read_text("utf-8"))
        sums = {name: told["files"][name]["sha256"] for name in names if name}
        return (
            told["patch"] == json.loads(json.dumps(rec.card(patch)))
            and told["origin"] == origin
            and all(
                disk.sha256((here / name).read_bytes()) == value for name, value in sums.items()
            )
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False

"""Simulated cloud chips, written as patches in CloudSEN12's layout."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.io import MemoryFile

from aqgeo.datasets import cloudsen12_folders, disk
from aqgeo.datasets.cloudsen12_record import BANDS, NO_LABEL, Level, Patch, Size, Split
from aqgeo.errors import SourceError
from aqgeo.simulation import chips, processes
from pipelines.cluster import track
from pipelines.workspace import lock

log = logging.getLogger(__name__)
SCL = "SCL.tif"
"""Name of Sen2Cor's scene classification, simulated, beside a patch's images."""
_SIZE: Size = 509
_SPLITS: tuple[Split, ...] = (*("train",) * 8, "validation", "test")


def simulate(
    folder: Path, *, count: int, pixels_m: Sequence[int] = (10,), seed: int = 0, workers: int = 2
) -> Path:
    """Write simulated patches, `S2L1C.tif`, `S2L2A.tif`, `SCL.tif` and the true label of each.

    Patches that lie there whole are kept. Every place has one patch; of ten, eight are for
    training, one for validation, one for test.

    Args:
        folder: where to, a folder for each place and acquisition.
        count: number of patches.
        pixels_m: sizes of pixels, taken in turn.
        seed: another seed, another set.
        workers: processes.

    Returns:
        The folder.

    Raises:
        SourceError: a pixel size is none that can be simulated.
    """
    if wrong := set(pixels_m) - set(chips.PIXELS_M):
        raise SourceError(
            f"pixels of {', '.join(map(str, sorted(wrong)))} m cannot be simulated: choose of "
            f"{', '.join(map(str, chips.PIXELS_M))}"
        )
    plan = [(number, pixels_m[number % len(pixels_m)]) for number in range(count)]
    with lock(folder.absolute()), processes.pool(workers) as pool:
        missing = [(n, p) for n, p in plan if not _is_there(folder, _roi(seed, n, p))]
        work = [pool.submit(partial(_write, folder, seed), *one) for one in missing]
        for done in track(work, "Simulated chips"):
            done.result()
    log.info("%s: %d patches simulated, %d were there", folder, len(missing), count - len(missing))
    return folder


def _roi(seed: int, number: int, pixel_m: int) -> str:
    return f"SIMULATED_{seed}_{number:05d}_{pixel_m}m"


def _is_there(folder: Path, roi: str) -> bool:
    return any((folder / roi).glob(f"*/{SCL}"))


def _write(folder: Path, seed: int, number: int, pixel_m: int) -> None:
    chip = chips.draw(seed, number, pixel_m=pixel_m, size=_SIZE)
    label = _tiff(chip.labels[None], chip.grid, NO_LABEL)
    roi, name = _roi(seed, number, pixel_m), f"S2A_{chip.time:%Y%m%dT%H%M%S}"
    levels: tuple[Level, ...] = ("L1C", "L2A")
    for level in levels:
        bands = tuple(chip.numbers[level.lower()])
        assert bands == BANDS[level][: len(bands)]
        # CloudSEN12 holds reflectance x 10000 without the offset of later baselines.
        raw = np.stack([chip.numbers[level.lower()][band] for band in bands]).astype("int32")
        shifted = np.where(raw == 0, 0, np.clip(raw - 1000, 1, 65534)).astype("uint16")
        patch = Patch(
            id=f"{roi}__{name}",
            roi_id=roi,
            s2_id=name,
            split=_SPLITS[number % len(_SPLITS)],
            label_type="high",
            level=level,
            bands=bands,
            crs=str(chip.grid.crs),
            transform=tuple(chip.grid.affine)[:6],
            size=_SIZE,
            time=chip.time,
            path=folder,
        )
        origin = {"simulated": f"preset {chip.preset}, sky {chip.regime}, seed {seed}"}
        cloudsen12_folders.write(folder, patch, _tiff(shifted, chip.grid, 0), label, **origin)
    # Last: what has none is not there yet.
    disk.save(folder / roi / name / SCL, _tiff(chip.scl[None], chip.grid, 0))


def _tiff(data: np.ndarray, grid: Any, nodata: int) -> bytes:
    profile = {
        "driver": "GTiff",
        "count": data.shape[0],
        "height": data.shape[1],
        "width": data.shape[2],
        "dtype": data.dtype,
        "crs": str(grid.crs),
        "transform": grid.affine,
        "nodata": nodata,
        "compress": "ZSTD",
        "zstd_level": 3,
        "predictor": 2,
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "interleave": "band",
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as target:
            target.write(data)
        return bytes(memory.getbuffer())

"""Super-resolution judged on pictures: degraded, restored, compared with themselves."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from aqgeo.datasets import disk, pictures
from aqgeo.errors import SourceError
from aqgeo.models import checkpoint
from aqgeo.processing import sharpen
from aqgeo.products import scorecard
from aqgeo.scores import Row, Table, row
from aqgeo.scoring import pictures as scoring
from pipelines import finer
from pipelines.cluster import track

PAGE, CONTENT = "superres.html", "superres.json"
_UNITS = {"PSNR": "dB", "MSE": "1", "SSIM": "1", "GMSD": "1", "detail": "1"}
_NOTE = (
    "Luminance (BT.601), degraded by bicubic interpolation with a widened kernel, rounded to "
    "8 bit, as many pixels shaved at each edge as the factor: Dong et al. 2016. GMSD (Xue et al. "
    "2014) is 0 where gradients are the true ones; detail is the energy of fine structure as a "
    "part of the truth's: 1 is as much, not as true."
)
BICUBIC = "bicubic"
_MEAN = "mean"


def evaluate_superres(out: Path, *, sets: Sequence[Path], weights: Sequence[Path]) -> list[Table]:
    """Judge networks and bicubic interpolation, write page and numbers, and return the tables.

    Args:
        out: folder to write into; it is made if need be.
        sets: folders of pictures.
        weights: checkpoints for `superres`, of any factors.

    Raises:
        SourceError: a folder holds no picture, or one cannot be read.
        ModelError: weights are for something else, or cannot be used.
    """
    factors: dict[int, list[Path]] = {}
    for path in weights:
        factors.setdefault(sharpen.steps_of(path).factor, []).append(path)
    tables = [_table(folder, factor, factors[factor]) for folder in sets for factor in factors]
    page = scorecard.page(
        "Super-resolution",
        "Super-resolution of pictures",
        facts=[f"{path.stem}: {_told(path)}" for path in weights],
        tables=tables,
        figures=(),
    )
    disk.save(out / CONTENT, disk.as_json({"tables": {t.name: asdict(t) for t in tables}}))
    disk.save(out / PAGE, page.encode())
    return tables


def _told(path: Path) -> str:
    card = checkpoint.read_card(path)
    return f"trained on {'; '.join(card.data)}"


def _table(folder: Path, factor: int, weights: Sequence[Path]) -> Table:
    name = folder.resolve().name
    rows: list[Row] = []
    for path in track(pictures.find(folder), f"{name}, x{factor}"):
        truth = pictures.modcrop(pictures.luminance(pictures.read(path)), factor)
        if min(truth.shape) < factor:
            raise SourceError(f"{path} has fewer pixels than one made {factor} times coarser")
        small = pictures.shrink(truth, factor) / 255
        found = {BICUBIC: pictures.degrade(truth, factor)}
        for one in weights:
            found[one.stem] = 255 * sharpen.sharpen(finer.given(small, sharpen.steps_of(one)), one)
        for method, values in found.items():
            try:
                scores = scoring.scores(truth, values, shave=factor)
            except ValueError as err:
                raise SourceError(f"{path}: {err}") from err
            told = {key if key == "detail" else key.upper(): v for key, v in scores.items()}
            rows.append(row(path.stem, method, truth.size, told))
    return Table(f"{name} x{factor}", f"{name}, {factor} times finer", _UNITS,
                 (*_means(rows), *rows), _NOTE)  # fmt: skip


def _means(rows: Sequence[Row]) -> list[Row]:
    """Return the mean of each method over the pictures."""
    found = []
    for method in dict.fromkeys(one.method for one in rows):
        own = [one for one in rows if one.method == method]
        values = {key: float(np.mean([one.values[key] for one in own])) for key in _UNITS}
        found.append(row(_MEAN, method, len(own), values, headline=True))
    return found

"""Cloud detectors side by side, each called the same way on one image."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch

from aqgeo.models import checkpoint
from aqgeo.models.checkpoint import Card
from aqgeo.processing import clouds_unet, s2cloudless_mask
from aqgeo.processing.clouds import CLEAR, SHADOW, THICK, THIN

# Defaults of s2cloudless: probability above which a pixel is cloud, radius of averaging, pixels.
_CHANCE, _AVERAGE = 0.4, 1
# Bands of ukis-csmask by our names; it was made for pixels of about 30 m, its tiles have 256.
_UKIS = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir"}
_UKIS_SIX = {**_UKIS, "B11": "swir16", "B12": "swir22"}
_UKIS_M, _UKIS_TILE = 30.0, 256


class Found(NamedTuple):
    """What a detector says of one image."""

    classes: np.ndarray
    """(y, x) uint8 CloudSEN12's classes; cloud of unknown thickness is thick."""
    cloud: np.ndarray | None = None
    """(y, x) float32 probability of thick or thin cloud, where the detector has one."""


class Detector(Protocol):
    """Anything that finds clouds in one image."""

    @property
    def tells(self) -> tuple[tuple[int, ...], ...]:
        """Return the groups of classes that it tells apart."""

    def lacks(self, bands: Sequence[str], level: str) -> str:
        """Return why it cannot judge such an image; empty if it can."""

    def find(self, values: np.ndarray, bands: Sequence[str], pixel_m: float | None) -> Found:
        """Return clouds of (band, y, x) reflectance, NaN where no data."""


@dataclass(frozen=True, slots=True)
class Network:
    """Our network."""

    weights: Path
    """Its checkpoint."""
    card: Card
    """What that says of itself."""
    tells: tuple[tuple[int, ...], ...] = ((CLEAR,), (THICK,), (THIN,), (SHADOW,))
    """All four classes."""

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands that it knows."""
        return tuple(self.card.arguments["bands"])

    def lacks(self, bands: Sequence[str], level: str) -> str:
        """Return why it cannot judge such an image; empty if it can."""
        if self.card.level not in ("any", level):
            return f"weights for {level} are needed, these are for {self.card.level}"
        lost = [band for band in clouds_unet.NEEDED if band not in bands]
        return f"needs {', '.join(lost)} as well" if lost else ""

    def find(self, values: np.ndarray, bands: Sequence[str], pixel_m: float | None) -> Found:
        """Return clouds of (band, y, x) reflectance, NaN where no data."""
        known = [band for band in bands if band in self.bands]
        chosen = values[[list(bands).index(band) for band in known]]
        shares = clouds_unet.chances(chosen, known, self.weights, level=self.card.level)
        shares = np.nan_to_num(shares)
        found = clouds_unet.winner(torch.from_numpy(shares)[None])[0, 0]
        return Found(found.numpy().astype("uint8"), shares[[THICK, THIN]].sum(0))


@dataclass(frozen=True, slots=True)
class S2Cloudless:
    """The pixel classifier s2cloudless with its own defaults, without its dilation."""

    tells: tuple[tuple[int, ...], ...] = ((CLEAR, SHADOW), (THICK, THIN))
    """Cloud from the rest."""

    def lacks(self, bands: Sequence[str], level: str) -> str:
        """Return why it cannot judge such an image; empty if it can."""
        if level != "L1C":
            return "takes L1C only"
        lost = [band for band in s2cloudless_mask.BANDS if band not in bands]
        return f"needs {', '.join(lost)} as well" if lost else ""

    def find(self, values: np.ndarray, bands: Sequence[str], pixel_m: float | None) -> Found:
        """Return clouds of (band, y, x) reflectance, NaN where no data."""
        from s2cloudless.cloud_detector import S2PixelCloudDetector

        model = S2PixelCloudDetector(_CHANCE, average_over=_AVERAGE, dilation_size=0)
        order = [list(bands).index(band) for band in s2cloudless_mask.BANDS]
        ten = np.moveaxis(values[order], 0, -1)
        chance = model.get_cloud_probability_maps(np.nan_to_num(ten)[None])
        mask = model.get_mask_from_prob(chance)[0]
        return Found(np.where(mask > 0, THICK, CLEAR).astype("uint8"), chance[0])


@dataclass(frozen=True, slots=True)
class CSMask:
    """The network of ukis-csmask, on pixels of about 30 m where the image has finer ones."""

    level: str = ""
    """Level of the images that it is for; its weights differ."""
    tells: tuple[tuple[int, ...], ...] = ((CLEAR,), (THICK, THIN), (SHADOW,))
    """Cloud, shadow and the rest."""

    def lacks(self, bands: Sequence[str], level: str) -> str:
        """Return why it cannot judge such an image; empty if it can."""
        if importlib.util.find_spec("ukis_csmask") is None:
            return "is not installed"
        lost = [band for band in _UKIS if band not in bands]
        return f"needs {', '.join(lost)} as well" if lost else ""

    def find(self, values: np.ndarray, bands: Sequence[str], pixel_m: float | None) -> Found:
        """Return clouds of (band, y, x) reflectance, NaN where no data."""
        from ukis_csmask.mask import CSmask

        names = _UKIS_SIX if set(_UKIS_SIX) <= set(bands) else _UKIS
        chosen = values[[list(bands).index(band) for band in names]]
        factor = max(1, round(_UKIS_M / pixel_m)) if pixel_m else 1
        coarse = np.nan_to_num(_coarsened(chosen, factor))
        rows, cols = coarse.shape[1:]
        # Smaller images than a tile are mirrored at their edges.
        pad = [(0, 0), (0, max(0, _UKIS_TILE - rows)), (0, max(0, _UKIS_TILE - cols))]
        image = np.ascontiguousarray(np.moveaxis(np.pad(coarse, pad, mode="symmetric"), 0, -1))
        mask = CSmask(image, list(names.values()), self.level.lower()).csm[:rows, :cols, 0]
        fine = mask.repeat(factor, axis=0).repeat(factor, axis=1)
        table = np.array([CLEAR, THICK, SHADOW], "uint8")
        return Found(table[fine[: values.shape[1], : values.shape[2]]])


def network(path: Path, *, sha256: str | None = None) -> Network:
    """Return our network with the weights of a file.

    Raises:
        ModelError: as `checkpoint.read`.
    """
    _, card = checkpoint.read(path, task="clouds", sha256=sha256)
    return Network(path, card)


def of_scene_classes(scl: np.ndarray) -> Found:
    """Return what Sen2Cor's scene classes (y, x) say: whatever is no cloud or shadow is clear."""
    table = np.zeros(256, "uint8")
    table[3], table[[8, 9]], table[10] = SHADOW, THICK, THIN
    return Found(table[scl.astype("uint8")])


def _coarsened(values: np.ndarray, factor: int) -> np.ndarray:
    """Return means of factor x factor pixels; the last row and column are repeated to fill up."""
    if factor == 1:
        return values
    bands, rows, cols = values.shape
    filled = np.pad(values, ((0, 0), (0, -rows % factor), (0, -cols % factor)), mode="edge")
    shape = bands, filled.shape[1] // factor, factor, filled.shape[2] // factor, factor
    return np.asarray(filled.reshape(shape).mean(axis=(2, 4)), "float32")

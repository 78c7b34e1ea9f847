"""Images and labels as pairs of GeoTIFFs, in one folder or two."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class Pair:
    """An image with its label, and how both are to be read."""

    image: Path
    """GeoTIFF of reflectance, a band for each name."""
    label: Path
    """GeoTIFF of classes on the same pixels."""
    bands: tuple[str, ...]
    """Names of the image's bands in order."""
    classes: dict[int, int]
    """CloudSEN12's class by code in the label; any other code is unknown."""
    scale: float = 1e-4
    """Reflectance of one digital number."""
    offset: float = 0.0
    """Reflectance of digital number 0 where that is no no-data value."""


def read_pair(pair: Pair, bands: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return (band, y, x) float32 reflectance, NaN where no data, and (y, x) uint8 classes."""
    raise NotImplementedError

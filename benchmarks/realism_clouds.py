"""Cloud masks: real ones, and the numbers that describe the shapes of any."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import scipy.ndimage
import scipy.optimize
from numpy.typing import NDArray

from benchmarks.realism_distances import Values

Mask = NDArray[np.bool_]
TILE_PIXEL_M, TILE_WINDOW = 120, 256
"""Pixels of the 33T set, and the side of the windows that its tiles and ours are cut into."""
FRAME_PIXEL_M, FRAME_WINDOW = 20, 50
"""The 68 frames of 101 x 100 pixels of 10 m, halved: windows of 1 km."""
_SHADOW_M = 3000
"""Cloud tops at 3 km throw shadows this far with the sun at 45 degrees."""
LEAST, MOST = 8, 4096
"""Sizes in pixels between which the exponent is taken: whole objects, smaller than a window."""


@dataclass(frozen=True, slots=True)
class Masks:
    """Windows of one size."""

    pixel_m: int
    """Pixel size in m."""
    cloud: list[Mask]
    """(y, x) each: cloud."""
    gap: list[Mask]
    """(y, x) each: cloud or shadow, what a map has to fill."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """What the connected regions of masks look like."""

    areas: Values
    """(n,) pixels of each region that does not touch its window's edge."""
    exponent: float
    """s in dN/dA ~ A ** -s between LEAST and MOST pixels."""
    dimension: float
    """D in perimeter ~ A ** (D / 2): 1 is smooth, 4/3 to 1.4 real clouds."""


def tiles(data: Path) -> Masks:
    """Return windows of the eight products of the 33T set.

    Class 10 beside cloud is an artefact of storage there (see the MANIFEST) and is left out.
    """
    cloud: list[Mask] = []
    gap: list[Mask] = []
    for path in sorted((data / "sentinel2_33T").glob("*_SCL.tif")):
        with rasterio.open(path) as src:
            scl = src.read(1)
        for found, mask in zip((cloud, gap), cloud_and_gap(scl, TILE_PIXEL_M), strict=True):
            found += windows(mask, TILE_WINDOW, scl != 0)
    return Masks(TILE_PIXEL_M, cloud, gap)


def cloud_and_gap(scl: NDArray[np.uint8], pixel_m: int) -> tuple[Mask, Mask]:
    """Return cloud (classes 8 and 9), and cloud with class 3 no farther from it than shadows fall.

    Farther away class 3 is terrain in shade, and in the 33T set a mix of classes 2 and 4.
    """
    cloud = np.isin(scl, (8, 9))
    if not cloud.any():
        return cloud, cloud
    near = scipy.ndimage.distance_transform_edt(~cloud) * pixel_m < _SHADOW_M
    return cloud, cloud | ((scl == 3) & near)


def frames(data: Path) -> Masks:
    """Return the 68 cloud masks of one square kilometre in Slovenia (a model's, no shadows)."""
    masks = np.load(data / "eopatch_68dates" / "TestEOPatch_masks.npz")["CLM"].astype(bool)
    found = [coarser(mask[:100, :100], 2) for mask in masks]
    return Masks(FRAME_PIXEL_M, found, found)


def coarser(mask: Mask, factor: int) -> Mask:
    """Return blocks of which at least half is set; a ragged rim is cut off."""
    rows, cols = (n // factor for n in mask.shape)
    cut = mask[: rows * factor, : cols * factor]
    return np.asarray(cut.reshape(rows, factor, cols, factor).mean((1, 3)) >= 0.5)


def windows(mask: Mask, side: int, seen: Mask | None = None) -> list[Mask]:
    """Return the squares of a mask that data fill."""
    rows, cols = mask.shape
    places = [
        (slice(r, r + side), slice(c, c + side))
        for r in range(0, rows - side + 1, side)
        for c in range(0, cols - side + 1, side)
    ]
    return [mask[place] for place in places if seen is None or seen[place].mean() > 0.99]


def fractions(masks: list[Mask]) -> Values:
    """Return the set share of each window, 0 to 1."""
    return np.array([mask.mean() for mask in masks])


def shapes(masks: list[Mask]) -> Shapes:
    """Return sizes and roughness of the regions of windows; regions share edges, not corners."""
    areas, perimeters = [], []
    for mask in masks:
        labels, count = scipy.ndimage.label(mask)
        rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        whole = np.setdiff1d(np.arange(1, count + 1), rim)
        areas.append(np.bincount(labels.ravel(), minlength=count + 1)[whole])
        perimeters.append(_perimeters(labels, count)[whole])
    sizes = np.concatenate(areas) if areas else np.empty(0)
    edges = np.concatenate(perimeters) if perimeters else np.empty(0)
    return Shapes(sizes, exponent(sizes), _dimension(sizes, edges))


def exponent(areas: Values, least: float = LEAST, most: float = MOST) -> float:
    """Return the exponent of a power law cut off at both ends, by maximum likelihood.

    NaN for fewer than 30 regions within the bounds.
    """
    kept = np.log(areas[(areas >= least) & (areas <= most)])
    if kept.size < 30:
        return np.nan
    low, high = np.log(least - 0.5), np.log(most + 0.5)

    def unlikely(s: float) -> float:
        k = 1 - s
        norm = high - low if abs(k) < 1e-6 else (np.exp(k * high) - np.exp(k * low)) / k
        return float(np.log(norm) + s * kept.mean())

    return float(scipy.optimize.minimize_scalar(unlikely, bounds=(0, 5), method="bounded").x)


def _perimeters(labels: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """Return the sides of pixels on the edge of each label, label 0 first."""
    padded = np.pad(labels, 1)
    total = np.zeros(count + 1, "int64")
    for a, b in ((padded[1:], padded[:-1]), (padded[:, 1:], padded[:, :-1])):
        step = a != b
        total += np.bincount(a[step], minlength=count + 1)
        total += np.bincount(b[step], minlength=count + 1)
    return total


def _dimension(areas: Values, perimeters: Values) -> float:
    kept = (areas >= LEAST) & (areas <= MOST)
    if kept.sum() < 30:
        return np.nan
    return float(2 * np.polyfit(np.log(areas[kept]), np.log(perimeters[kept]), 1)[0])

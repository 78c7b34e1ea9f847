"""Images with cloud labels of any origin."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pystac
import rasterio
from odc.geo.geobox import GeoBox

from aqgeo.datasets import cloudsen12, cloudsen12_pixels, labelled_pairs, scl_labels
from aqgeo.datasets.cloudsen12_record import BANDS, CLASSES, NO_LABEL, Level, Patch
from aqgeo.datasets.labelled_pairs import Pair, read_pair
from aqgeo.errors import SourceError
from aqgeo.sources import sentinel2, sentinel2_bands

Kind = Literal["human", "weak", "simulated"]
# Pixels beyond which a stored scene classification, made at 20 m, has been interpolated.
_SCL_M = 20.0


@dataclass(frozen=True, slots=True)
class Image:
    """One image with its label, not yet read."""

    id: str
    """Identifier, unique in its set."""
    place: str
    """Place, such as a tile; splits are by place or day."""
    day: str
    """Date, `2023-08-10`; empty if unknown."""
    level: Level
    """Processing level."""
    kind: Kind
    """Who labelled it: people, the scene classification, or the simulation."""
    split: str
    """`train`, `validation`, `test`, or empty where the set has no split."""
    bands: tuple[str, ...]
    """Bands that it has."""
    origin: Patch | pystac.Item | Pair
    """Where it is read from."""


def of_patches(folder: Path, level: Level) -> list[Image]:
    """Return the labelled patches of a folder in CloudSEN12's layout."""
    return [
        Image(
            patch.id,
            patch.roi_id,
            f"{patch.time:%Y-%m-%d}",
            level,
            "simulated" if patch.roi_id.startswith("SIMULATED") else "human",
            patch.split,
            tuple(band for band in patch.bands if band not in ("AOT", "WVP")),
            patch,
        )
        for patch in cloudsen12.patches(folder, level)
        if patch.label_type != "nolabel"
    ]


def of_products(items: Sequence[pystac.Item]) -> list[Image]:
    """Return Sentinel-2 L2A products, labelled by their own scene classification."""
    return [
        Image(
            item.id,
            str(item.properties.get("grid:code") or item.id.split("_")[1]).removeprefix("MGRS-"),
            f"{item.datetime:%Y-%m-%d}",
            "L2A",
            "weak",
            "",
            tuple(b for b in BANDS["L2A"][:12] if b in _bands(item)),
            item,
        )
        for item in items
    ]


def of_pairs(
    images: Path,
    labels: Path,
    *,
    bands: Sequence[str],
    level: Level,
    classes: Mapping[int, str],
    scale: float | None = None,
    offset: float = 0.0,
) -> list[Image]:
    """Return images labelled by people, each a GeoTIFF with its label in another.

    Args:
        images: folder of images.
        labels: folder of labels; it may be the same.
        bands: names of every image's bands in order.
        level: processing level of all.
        classes: `clear`, `cloud`, `thick`, `thin`, `shadow` or `none` by code in the labels.
        scale: reflectance of one digital number; 1e-4 for whole numbers and 1 for floats if None.
        offset: reflectance that is added.

    Raises:
        SourceError: as `labelled_pairs.find`.
    """
    how = {"bands": bands, "classes": classes, "scale": scale, "offset": offset}
    found = labelled_pairs.find(images, labels, **how)  # type: ignore[arg-type]
    return [
        Image(name, name, _day(name), level, "human", "", tuple(bands), pair)
        for name, pair in found.items()
    ]


def read(image: Image, bands: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return an image's reflectance and label.

    Args:
        image: of a set.
        bands: names in the order wanted; one that the image lacks is no data.

    Returns:
        (band, y, x) float32 reflectance, NaN where there is no data; (y, x) uint8 CloudSEN12
        classes, NO_LABEL where there is none or no data.

    Raises:
        SourceError: it cannot be read, or has none of the bands.
    """
    own = [band for band in bands if band in image.bands]
    if not own:
        raise SourceError(
            f"{image.id} has none of the bands {', '.join(bands)}: it has {', '.join(image.bands)}"
        )
    if isinstance(image.origin, Patch):
        ds = cloudsen12_pixels.read(image.origin, own)
        found, label = np.stack([ds[b].values[0] for b in own]), ds["label"].values[0].copy()
    elif isinstance(image.origin, Pair):
        found, label = read_pair(image.origin, own)
    else:
        found, label = _product(image.origin, own)
    values = np.full((len(bands), *found.shape[1:]), np.nan, "float32")
    values[[bands.index(band) for band in own]] = found
    label[np.isnan(found).all(axis=0)] = NO_LABEL
    return values, label


def tells(image: Image) -> tuple[tuple[int, ...], ...]:
    """Return the groups of CloudSEN12's classes that an image's label tells apart."""
    if isinstance(image.origin, Pair):
        return labelled_pairs.tells(image.origin)
    return tuple((code,) for code in CLASSES)


def pixel_m(image: Image) -> float | None:
    """Return the side of an image's pixels in metres; None where it has no projection."""
    if isinstance(image.origin, Pair):
        return labelled_pairs.pixel_m(image.origin)
    grid = image.origin.grid if isinstance(image.origin, Patch) else _grid(image.origin)
    return float(abs(grid.affine.a))


def scene_classes(image: Image) -> np.ndarray | None:
    """Return (y, x) Sen2Cor's scene classes of an image; None where it has none."""
    if isinstance(image.origin, Patch):
        path = image.origin.path / "SCL.tif"
        if not path.is_file():
            return None
        with rasterio.open(path, driver="GTiff") as src:
            return np.asarray(src.read(1))
    if isinstance(image.origin, pystac.Item):
        where = _grid(image.origin)
        ds = sentinel2.read([image.origin], ["B04"], where)
        return np.asarray(ds["SCL"].values[0])
    return None


def _product(item: pystac.Item, bands: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    where = _grid(item)
    ds = sentinel2.read([item], bands, where).compute(scheduler="synchronous")
    values = np.stack([ds[band].values[0] for band in bands])
    interpolated = abs(where.affine.a) > _SCL_M
    return values, scl_labels.weak(ds["SCL"].values[0], interpolated=interpolated)


def _grid(item: pystac.Item) -> GeoBox:
    """Return the pixels of an item's finest band."""
    bands = sorted(_bands(item), key=lambda band: sentinel2_bands.NATIVE_M[band])
    path = sentinel2.check_file(item, sentinel2_bands.assets(item, bands[:1])[bands[0]])
    with rasterio.open(path) as src:
        return GeoBox(src.shape, src.transform, src.crs)


def _day(name: str) -> str:
    """Return the date in a file's name, `2023-08-10`; empty if there is none."""
    told = re.search(r"(?<!\d)(20\d\d)-?([01]\d)-?([0-3]\d)(?!\d)", name)
    return "-".join(told.groups()) if told else ""


def _bands(item: pystac.Item) -> set[str]:
    found = {sentinel2_bands.band_of(key, asset) for key, asset in item.assets.items()}
    return {band for band in found if band and band not in ("SCL", "AOT", "WVP")}

"""Images and labels as pairs of GeoTIFFs, in one folder or two."""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from aqgeo.datasets.cloudsen12_record import NO_LABEL
from aqgeo.errors import SourceError

# What a label may call CloudSEN12's classes; `cloud` is thick or thin.
NAMES = {"clear": 0, "cloud": 1, "thick": 1, "thin": 2, "shadow": 3, "none": NO_LABEL}
_SUFFIXES = (".tif", ".tiff")
_IMAGE, _LABEL = ("_refl", "_image", "_img"), ("_labels", "_label", "_mask")
# Of Sentinel-2's products: 10000 is a reflectance of 1.
_SCALE = 1e-4
# Rows times columns of a whole tile at 10 m; images are read whole.
_MOST_PIXELS = 10_980**2
# A median beyond it is no reflectance: fresh snow and cloud reach 1, glint 1.5.
_BRIGHTEST = 3.0


@dataclass(frozen=True, slots=True)
class Pair:
    """An image with its label, and how both are to be read."""

    image: Path
    """GeoTIFF of reflectance, a band for each name."""
    label: Path
    """GeoTIFF of classes on the same pixels."""
    bands: tuple[str, ...]
    """Names of the image's bands in order."""
    classes: Mapping[int, str]
    """Key of NAMES by code in the label; 255 and the file's own no data need no name."""
    scale: float | None = None
    """Reflectance of one digital number; 1e-4 for whole numbers and 1 for floats if None."""
    offset: float = 0.0
    """What is added, reflectance; digital number 0 of whole numbers is no data."""


def find(
    images: Path,
    labels: Path,
    *,
    bands: Sequence[str],
    classes: Mapping[int, str],
    scale: float | None = None,
    offset: float = 0.0,
) -> dict[str, Pair]:
    """Return pairs by name: files of equal stem but for `_refl`, `_label` and the like.

    Args:
        images: folder of images.
        labels: folder of labels; it may be the same.
        bands: names of every image's bands in order.
        classes: `clear`, `cloud`, `thick`, `thin`, `shadow` or `none` by code in the labels.
        scale: reflectance of one digital number; 1e-4 for whole numbers and 1 for floats if None.
        offset: reflectance that is added.

    Raises:
        SourceError: a folder or a partner is missing, two files bear one name, or a class is none.
    """
    if odd := set(classes.values()) - set(NAMES):
        raise SourceError(f"class {sorted(odd)[0]!r} is none: choose of {', '.join(NAMES)}")
    if not {"cloud", "thick", "thin"} & set(classes.values()):
        raise SourceError("no code is named cloud, thick or thin: name one, as in 0=clear,1=cloud")
    if not bands or len(set(bands)) < len(bands):
        raise SourceError(f"bands {','.join(bands)!r}: name each band of the images once, in order")
    pictures, masks = _files(images, _LABEL, _IMAGE), _files(labels, _IMAGE, _LABEL)
    if images.resolve() == labels.resolve():
        masks = {name: path for name, path in masks.items() if path not in pictures.values()}
    for name in sorted(set(pictures) ^ set(masks)):
        lost = "label" if name in pictures else "image"
        found = pictures.get(name) or masks[name]
        raise SourceError(f"{found} has no {lost} beside it: add the {lost} or remove the file")
    if not pictures:
        raise SourceError(f"{images} holds no GeoTIFF that could be an image: name another folder")
    return {
        name: Pair(pictures[name], masks[name], tuple(bands), dict(classes), scale, offset)
        for name in sorted(pictures)
    }


def read_pair(pair: Pair, bands: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return (band, y, x) float32 reflectance, NaN where no data, and (y, x) uint8 classes.

    Raises:
        SourceError: a file is broken, they do not fit, or the label has a code without a name.
    """
    with _opened(pair.image) as image, _opened(pair.label) as label:
        _check(pair, image, label)
        values = _reflectance(pair, image, [pair.bands.index(band) + 1 for band in bands])
        codes = label.read(1)
        unnamed = {NO_LABEL} | ({int(label.nodata)} if _whole(label.nodata) else set())
    table = np.full(256, NO_LABEL, "uint8")
    for code, name in pair.classes.items():
        table[code] = NAMES[name]
    met = set(np.unique(codes).tolist())
    if odd := sorted(met - set(pair.classes) - unnamed):
        raise SourceError(
            f"{pair.label} has the code {odd[0]:g}, of which nothing is said: name it, as in "
            f"{int(odd[0])}=none"
        )
    return values, table[codes.astype("uint8")]


def pixel_m(pair: Pair) -> float | None:
    """Return the side of an image's pixels in metres; None where it has no projection."""
    with _opened(pair.image) as src:
        if src.crs is None or not src.crs.is_projected:
            return None
        return float(abs(src.transform.a) * src.crs.linear_units_factor[1])


def tells(pair: Pair) -> tuple[tuple[int, ...], ...]:
    """Return the groups of CloudSEN12's classes that a label tells apart.

    A label of clear and cloud has ((0, 3), (1, 2)): shadow is clear in it, thin cloud is cloud.
    """
    named = set(pair.classes.values())
    cloud: tuple[tuple[int, ...], ...] = ((1, 2),)
    if {"thick", "thin"} <= named and "cloud" not in named:
        cloud = ((1,), (2,))
    return ((0,), *cloud, (3,)) if "shadow" in named else ((0, 3), *cloud)


def _files(folder: Path, others: Sequence[str], own: Sequence[str]) -> dict[str, Path]:
    """Return GeoTIFFs by name, but for those that are called something else."""
    if not folder.is_dir():
        raise SourceError(f"{folder} is no folder: name the one that holds the GeoTIFFs")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        stem = path.stem
        if path.suffix.lower() not in _SUFFIXES or stem.startswith("."):
            continue
        if stem.endswith(tuple(others)):
            continue
        end = next((end for end in own if stem.endswith(end)), "")
        name = stem.removesuffix(end)
        if name in found and (not end or found[name].stem != name):
            raise SourceError(f"{found[name]} and {path} are one name: keep one of them")
        # `a_label.tif` goes before `a.tif`, which is the image in a folder of both.
        if name not in found or end:
            found[name] = path
    return found


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a GeoTIFF, which may lack a georeference, and nothing that lies beside it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with (
                rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
                rasterio.open(path, driver="GTiff") as src,
            ):
                yield src
    except (OSError, RasterioError) as err:
        raise SourceError(f"{path} cannot be read as a GeoTIFF ({err}): mend or remove it") from err


def _check(pair: Pair, image: Any, label: Any) -> None:
    """Refuse files that do not fit each other or what was said of them."""
    if image.count != len(pair.bands):
        raise SourceError(
            f"{pair.image} has {image.count} bands, {len(pair.bands)} are named "
            f"({', '.join(pair.bands)}): name those of the file in order"
        )
    told = [re.sub(r"^B(\d)$", r"B0\1", str(text)) for text in image.descriptions]
    if set(told) & set(pair.bands) and told != list(pair.bands):
        raise SourceError(
            f"{pair.image} calls its bands {', '.join(told)}: name them so, not "
            f"{', '.join(pair.bands)}"
        )
    if image.shape != label.shape or label.count != 1:
        raise SourceError(
            f"{pair.label} has {label.count} bands of {label.height} x {label.width} pixels, its "
            f"image {image.height} x {image.width}: one band of the same pixels is needed"
        )
    if image.width * image.height > _MOST_PIXELS:
        raise SourceError(
            f"{pair.image} has {image.height} x {image.width} pixels: cut it, images are read whole"
        )
    apart = None
    if image.crs and label.crs and image.crs != label.crs:
        apart = image.crs, label.crs
    elif image.crs and label.crs and not image.transform.almost_equals(label.transform, 1e-3):
        apart = tuple(image.transform)[:6], tuple(label.transform)[:6]
    if apart:
        raise SourceError(
            f"{pair.label} lies elsewhere than its image ({apart[1]}, not {apart[0]}): bring both "
            "onto the same pixels"
        )


def _reflectance(pair: Pair, image: Any, indexes: Sequence[int]) -> np.ndarray:
    raw = image.read(list(indexes))
    whole = np.issubdtype(raw.dtype, np.integer)
    scale = pair.scale if pair.scale is not None else (_SCALE if whole else 1.0)
    lost = (raw == 0) if whole else ~np.isfinite(raw)
    if image.nodata is not None:
        lost |= raw == image.nodata
    values = raw.astype("float32") * np.float32(scale) + np.float32(pair.offset)
    values[lost] = np.nan
    known = values[~lost]
    if known.size and (middle := float(np.median(known))) > _BRIGHTEST:
        raise SourceError(
            f"{pair.image} has a median of {middle:.4g}, no reflectance: give the scale of one "
            "digital number, as 0.0001"
        )
    return np.asarray(values)


def _whole(value: float | None) -> bool:
    return value is not None and float(value).is_integer()

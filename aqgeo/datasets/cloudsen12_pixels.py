"""Pixels of CloudSEN12 patches: reflectance by band name, and labels."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError

from aqgeo import cube
from aqgeo.datasets import cloudsen12_record as rec
from aqgeo.datasets import taco
from aqgeo.datasets.cloudsen12_record import CLASSES, NO_LABEL, Level, Patch
from aqgeo.errors import SourceError

# Bands of a file: the older layout adds three of a colour picture to L2A, others lack AOT and WVP.
_COUNTS = {"L1C": (13,), "L2A": (12, 14, 17)}
# Sentinel-2 products: 10000 is a reflectance of 1; AOT (1) and WVP (cm) are in thousandths.
_REFLECTANCE = 1e-4, "1"
_SCALES = {"AOT": (1e-3, "1"), "WVP": (1e-3, "cm")}
# Digital numbers of no data and of saturated pixels, as in Sentinel-2 products.
_NO_DATA, _SATURATED = 0, 65535
# Codes of no label: that of the set, and ours.
_NO_LABELS = [99, NO_LABEL]
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# A block of a file is unpacked whole, whatever is asked for.
_MAX_BLOCK = 2048
# Percentages of the table may be rounded, and count padding or not.
_TOLERANCE_PERCENT = 2.0


class Place(NamedTuple):
    """Where a GeoTIFF lies."""

    path: Path
    """The file that it is or lies in."""
    offset: int = 0
    """First byte."""
    length: int = 0
    """Bytes; 0 for the whole file."""


def read(patch: Patch, bands: Sequence[str] | None = None) -> xr.Dataset:
    """Return a patch as a cube of one time step, without padding.

    Where the georeferences of file and record differ, that of the file holds.

    Args:
        patch: as `patches` tells.
        bands: names such as `B04` in any order; all of the patch if None.

    Returns:
        Cube (1, y, x): bands as float32 reflectance, 1 (`AOT` 1, `WVP` cm), NaN where the file has
        0 (no data) or 65535 (saturated); `label` as uint8 CLASSES, NO_LABEL where there is none.
        Patches without labels have no `label`.

    Raises:
        SourceError: a file is missing, broken or not what it claims to be, or lacks a band.
    """
    image, label = places(patch)
    wanted = patch.bands if bands is None else tuple(bands)
    with _opened(image, patch, label=False) as src:
        names = _band_names(src, patch)
        if missing := [band for band in wanted if band not in names]:
            raise SourceError(
                f"{image.path} has no band {', '.join(missing)}: choose of {', '.join(names)}"
            )
        raw = _pixels(src, patch.size, [names.index(band) + 1 for band in wanted])
        where = _grid(src, patch.size)
    variables = {band: _physical(raw[i], band) for i, band in enumerate(wanted)}
    if label is not None:
        variables["label"] = cube.classes(_label(label, patch)[None], CLASSES)
    return cube.make(variables, np.array([patch.time.replace(tzinfo=None)], "datetime64[s]"), where)


def read_label(patch: Patch) -> np.ndarray | None:
    """Return (y, x) uint8 CLASSES, NO_LABEL where there is none; None for a patch without labels.

    Raises:
        SourceError: as `read`.
    """
    label = places(patch)[1]
    return None if label is None else _label(label, patch)


def places(patch: Patch) -> tuple[Place, Place | None]:
    """Return where a patch's image and label lie.

    Raises:
        SourceError: a file is missing, or the patch in a TACO file is broken.
    """
    name = rec.label_name(patch.label_type)
    if patch.length:
        rows = taco.table(patch.path, patch.offset, patch.length)
        spans = zip(rows[taco.OFFSET], rows[taco.LENGTH], strict=True)
        # The image comes first, then the label.
        found = [Place(patch.path, int(start), int(size)) for start, size in spans]
        if name is not None and len(found) < 2:
            raise SourceError(f"{patch.path}, patch {patch.id}, has no label: fetch it again")
        return found[0], None if name is None else found[1]
    image = Place(patch.path / rec.image_name(patch.level))
    label = None if name is None else Place(patch.path / name)
    for place in (image, label):
        if place is not None and not place.path.is_file():
            raise SourceError(f"{place.path} is missing: fetch the patch again")
    return image, label


def check(patch: Patch) -> None:
    """Look at the headers of a patch's files.

    Raises:
        SourceError: one is no GeoTIFF of the patch's size, bands and type.
    """
    image, label = places(patch)
    with _opened(image, patch, label=False) as src:
        _band_names(src, patch)
    if label is not None:
        with _opened(label, patch, label=True):
            pass


def header(path: Path, level: Level) -> dict[str, Any]:
    """Return crs, transform, size and bands of an image, as fields of a record.

    Raises:
        SourceError: it is no GeoTIFF with a georeference.
    """
    with _geotiff(Place(path)) as src:
        size = next((s for s, padded in rec.PADDED.items() if src.width in (s, padded)), src.width)
        grid = _grid(src, size)
        names = rec.BANDS[level][: src.count]
    return {
        "crs": str(grid.crs),
        "transform": tuple(grid.affine)[:6],
        "size": size,
        "bands": names,
    }


@contextmanager
def _geotiff(place: Place) -> Iterator[Any]:
    """Open a GeoTIFF, whatever its suffix, and nothing that lies beside it."""
    name = str(place.path)
    if place.length:
        name = f"/vsisubfile/{place.offset}_{place.length},{name}"
    try:
        with place.path.open("rb") as file:
            file.seek(place.offset)
            first = file.read(4)
        if first not in _TIFF:
            raise SourceError(
                f"{name} begins with {first!r}: it is no GeoTIFF whatever it is called, "
                "fetch it again"
            )
        # Without it, GDAL takes georeference and nodata from other files of the folder.
        with (
            rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
            rasterio.open(name, driver="GTiff") as src,
        ):
            yield src
    except (OSError, RasterioError) as err:
        raise SourceError(
            f"{name} cannot be read, it may be cut short ({err}): fetch it again"
        ) from err


@contextmanager
def _opened(place: Place, patch: Patch, *, label: bool) -> Iterator[Any]:
    """Open an image or label after a look at its header: no pixel is read before."""
    with _geotiff(place) as src:
        shapes = [(side, side) for side in (patch.size, rec.PADDED[patch.size])]
        kinds = ("uint8", "uint16", "int16") if label else ("uint16", "int16")
        if (
            src.shape not in shapes
            or (label and src.count != 1)
            or set(src.dtypes) - set(kinds)
            or max(max(shape) for shape in src.block_shapes) > _MAX_BLOCK
        ):
            raise SourceError(
                f"{src.name} has {src.count} bands of {src.height} x {src.width} pixels, "
                f"{src.dtypes[0]}: {'one band' if label else 'bands'} of {' or '.join(kinds)} with "
                f"{patch.size} or {rec.PADDED[patch.size]} pixels a side is needed, fetch it again"
            )
        yield src


def _band_names(src: Any, patch: Patch) -> tuple[str, ...]:
    """Return the file's bands: as it describes them, or else by their number."""
    if src.count not in _COUNTS[patch.level]:
        raise SourceError(
            f"{src.name} has {src.count} bands: an image of {patch.level} has "
            f"{' or '.join(map(str, _COUNTS[patch.level]))}"
        )
    names = rec.BANDS[patch.level][: src.count]
    told = [re.sub(r"^B(\d)$", r"B0\1", str(text)) for text in src.descriptions[: len(names)]]
    if set(told) & set(names) and told != list(names):
        raise SourceError(
            f"{src.name} calls its bands {', '.join(told)}: expected are {', '.join(names)}"
        )
    return names


def _grid(src: Any, size: int) -> GeoBox:
    """Return where a file's pixels lie, without the padding on the left and at the bottom."""
    code = src.crs.to_epsg() if src.crs else None
    if code is None or not src.transform.is_rectilinear or src.transform.e >= 0:
        raise SourceError(f"{src.name} has no georeference with an EPSG code: fetch it again")
    where = src.transform @ Affine.translation(src.width - size, 0)
    return GeoBox((size, size), where, f"EPSG:{code}")


def _pixels(src: Any, size: int, indexes: list[int]) -> np.ndarray:
    """Return (band, y, x) digital numbers without padding, which is checked to be there."""
    raw: np.ndarray = src.read(indexes)
    left = src.width - size
    if raw[:, size:].any() or raw[:, :, :left].any():
        raise SourceError(
            f"{src.name} has data where padding should be, left and at the bottom: its pixels "
            "cannot be told from padding"
        )
    return raw[:, :size, left:]


def _physical(raw: np.ndarray, band: str) -> xr.Variable:
    scale, unit = _SCALES.get(band, _REFLECTANCE)
    valid = (raw > _NO_DATA) & (raw < _SATURATED)
    data = np.where(valid, raw * np.float32(scale), np.float32("nan"))
    return cube.values(data[None], unit)


def _label(place: Place, patch: Patch) -> np.ndarray:
    with _opened(place, patch, label=True) as src:
        raw = src.read(1)[: patch.size, src.width - patch.size :]
        codes = set(np.unique(raw).tolist()) - set(CLASSES) - set(_NO_LABELS)
        if codes:
            raise SourceError(
                f"{src.name} has the codes {', '.join(map(str, sorted(codes)[:8]))}: known are "
                f"{', '.join(map(str, [*CLASSES, *_NO_LABELS]))}"
            )
        label: np.ndarray = np.where(np.isin(raw, _NO_LABELS), NO_LABEL, raw).astype("uint8")
        _refuse_swapped(label, patch, src.name)
    return label


def _refuse_swapped(label: np.ndarray, patch: Patch, name: str) -> None:
    """Refuse thick and thin cloud in each other's place: some public code swaps 1 and 2."""
    known = np.count_nonzero(label != NO_LABEL)
    if patch.label_type != "high" or patch.thick is None or patch.thin is None or not known:
        return
    thick, thin = (100 * np.count_nonzero(label == code) / known for code in (1, 2))

    def far(one: float, two: float) -> bool:
        return bool(max(abs(one - thick), abs(two - thin)) > _TOLERANCE_PERCENT)

    if far(patch.thick, patch.thin) and not far(patch.thin, patch.thick):
        raise SourceError(
            f"{name} has {thick:.1f} % thick and {thin:.1f} % thin cloud, its record says "
            f"{patch.thick:.1f} and {patch.thin:.1f}: the codes 1 and 2 look swapped, mend them"
        )

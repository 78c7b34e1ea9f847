"""Pictures and rasters made finer: a file in, a file with more pixels out."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from PIL import Image
from rasterio.errors import RasterioError
from scipy import ndimage

from aqgeo.datasets import disk, pictures
from aqgeo.errors import SourceError
from aqgeo.processing import sharpen
from aqgeo.processing.sharpen import Steps
from pipelines import finer

# Pixels of a result, so that it and its planes fit into 4 GiB.
_LARGEST = 2**26


def upscale(images: Sequence[Path], out: Path, weights: Path) -> list[Path]:
    """Write each image with more pixels, and return the paths of the files.

    Pictures of 8 bit become `<stem>_x3.png`: the network sharpens luminance, chroma is enlarged by
    bicubic interpolation. A GeoTIFF of other numbers becomes `<stem>_x3.tif`, band by band in its
    own units, on the same ground; pixels without data stay without.

    Args:
        images: pictures or GeoTIFF files.
        out: folder of the result, made if need be.
        weights: a checkpoint for `superres`.

    Raises:
        SourceError: an image cannot be read, or its result would be too large.
        ModelError: the weights are for something else, or cannot be used.
    """
    steps = sharpen.steps_of(weights)
    factor = steps.factor
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for path in images:
        if _is_raster(path):
            written.append(_raster(path, out / f"{path.stem}_x{factor}.tif", weights, steps))
        else:
            written.append(_picture(path, out / f"{path.stem}_x{factor}.png", weights, steps))
    return written


def _is_raster(path: Path) -> bool:
    """Tell whether a file holds measured values, no colours of 8 bit."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return False
    try:
        with rasterio.open(path) as src:
            return bool(src.crs) or set(src.dtypes) != {"uint8"}
    except RasterioError as err:
        raise SourceError(f"{path} cannot be read: {' '.join(str(err).split())}") from err


def _picture(path: Path, target: Path, weights: Path, steps: Steps) -> Path:
    rgb = pictures.read(path)
    shape = _shape(path, rgb.shape[:2], steps.factor)
    small = pictures.to_ycbcr(rgb)
    luminance = finer.given(small[..., 0] / 255, steps)
    planes = pictures.resize(small, shape)
    planes[..., 0] = 255 * sharpen.sharpen(luminance, weights)
    file = io.BytesIO()
    Image.fromarray(pictures.to_rgb(planes)).save(file, "PNG")
    disk.save(target, file.getvalue())
    return target


def _raster(path: Path, target: Path, weights: Path, steps: Steps) -> Path:
    aside = target.with_name(f".{target.name}.part")
    with rasterio.open(path) as src:
        shape = _shape(path, src.shape, steps.factor)
        if not src.dataset_mask().any():
            raise SourceError(f"{path} holds no data in any band: there is nothing to make finer")
        transform = src.transform * Affine.scale(1 / steps.factor)
        size = {"width": shape[1], "height": shape[0], "count": src.count}
        kind = {"dtype": "float32", "nodata": float("nan"), "compress": "deflate", "tiled": True}
        with rasterio.open(
            aside, "w", "GTiff", crs=src.crs, transform=transform, **size, **kind
        ) as file:
            file.descriptions = src.descriptions
            for band in range(1, src.count + 1):
                values = src.read(band, masked=True).astype("float64").filled(np.nan)
                file.write(_band(values, shape, weights, steps), band)
    with aside.open("rb") as done:
        os.fsync(done.fileno())
    aside.replace(target)
    return target


def _band(values: np.ndarray, shape: tuple[int, int], weights: Path, steps: Steps) -> np.ndarray:
    """Return one band finer; the network sees it stretched from 0 to 1."""
    known = np.isfinite(values)
    if not known.any():
        return np.full(shape, np.nan, "float32")
    low, high = float(values[known].min()), float(values[known].max())
    spread = high - low or 1.0
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    even = (values[tuple(nearest)] - low) / spread
    found = sharpen.sharpen(finer.given(even, steps), weights)
    lost = np.kron(~known, np.ones((steps.factor, steps.factor), bool))
    return np.where(lost, np.float32("nan"), found * np.float32(spread) + np.float32(low))


def _shape(path: Path, shape: tuple[int, ...], factor: int) -> tuple[int, int]:
    rows, cols = shape[0] * factor, shape[1] * factor
    if rows * cols > _LARGEST:
        raise SourceError(
            f"{path} would have {rows} x {cols} pixels: at most {_LARGEST} are made: cut it first"
        )
    return rows, cols

"""Single GeoTIFF files read window by window as reflectance."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from aqgeo.errors import SourceError

# Sentinel-2's quantification; other missions' integers need --scale.
SCALE = 1e-4
# What is looked at before any work: so many windows along each side, of so many pixels.
_LOOKS, _LOOK = 4, 128
# Snow and cloud reach 1.5; no land or water is darker than 0.002 in its brightest pixels.
_BRIGHTEST_MEDIAN, _DARKEST_PEAK = 3.0, 0.002


@dataclass(frozen=True, slots=True)
class Image:
    """A file with all bands of an image, and how its values become reflectance."""

    path: Path
    """The file."""
    shape: tuple[int, int]
    """Rows and columns."""
    profile: Mapping[str, Any]
    """CRS and transform."""
    scale: float
    """Reflectance = value x scale + offset."""
    offset: float
    """Reflectance of the value 0."""
    nodata: float | None
    """Value that stands for no data; NaN always does."""

    def reflectance(self, values: np.ndarray) -> np.ndarray:
        """Return reflectance (1, band, y, x) float32 with NaN of the file's values."""
        found = values.astype("float32")
        found *= np.float32(self.scale)
        found += np.float32(self.offset)
        if self.nodata is not None:
            found[values == self.nodata] = np.nan
        return found[None]

    def pixel_m(self) -> tuple[float, float]:
        """Return metres between rows and between columns.

        Raises:
            SourceError: the file has no grid in metres.
        """
        crs, step = self.profile["crs"], self.profile["transform"]
        if crs is None or not crs.is_projected or step.b or step.d:
            raise SourceError(
                f"{self.path} has no north-up grid in metres ({crs}): leave --dilate-m out, or "
                "reproject it"
            )
        metres = crs.linear_units_factor[1]
        return abs(step.e) * metres, abs(step.a) * metres


def look(
    path: Path, bands: Sequence[str], *, scale: float | None = None, offset: float = 0.0
) -> Image:
    """Return an image after a look at a few places of it.

    Args:
        path: a raster file that GDAL reads.
        bands: names of its bands in order.
        scale: reflectance = value x scale + offset; SCALE for integers and 1 for others if None.
        offset: reflectance of the value 0.

    Raises:
        SourceError: it is no raster, or its bands or values cannot be what they are said to be.
    """
    with reading(path) as src:
        if src.count != len(bands):
            raise SourceError(
                f"{path} has {src.count} bands, --bands names {len(bands)} ({','.join(bands)}): "
                "name every band of the file in order"
            )
        kind = np.dtype(src.dtypes[0]).kind
        if kind not in "iuf" or (src.dtypes[0] in ("uint8", "int8") and scale is None):
            raise SourceError(
                f"{path} holds {src.dtypes[0]}, a picture and no reflectance: give the measured "
                "values, or --scale if these are"
            )
        if scale is None:
            scale = SCALE if kind in "iu" else 1.0
        # Sentinel-2's files carry no tag for their 0.
        nodata = src.nodata if src.nodata is not None or kind == "f" else 0.0
        profile = {"crs": src.crs, "transform": src.transform}
        image = Image(path, src.shape, profile, scale, offset, nodata)
        _refuse_other_units(image, src)
        return image


@contextmanager
def reading(path: Path) -> Iterator[DatasetReader]:
    """Open a raster file; an error in it names the file.

    Raises:
        SourceError: it is missing, no raster, or broken.
    """
    if not path.is_file():
        raise SourceError(f"{path} does not exist: name a GeoTIFF file")
    try:
        with rasterio.open(path) as src:
            yield src
    except (RasterioError, rasterio._err.CPLE_BaseError) as err:
        reason = " ".join(str(err.__cause__ or err).split())
        raise SourceError(f"{path} cannot be read: {reason}: name a whole GeoTIFF file") from err


def _refuse_other_units(image: Image, src: DatasetReader) -> None:
    seen = [image.reflectance(src.read(window=w)).ravel() for w in _looks(image.shape)]
    values = np.concatenate(seen)
    values = values[np.isfinite(values)]
    if not values.size:
        return
    middle, peak = np.median(values), np.quantile(values, 0.99)
    rule = f"value x {image.scale:g} + {image.offset:g}"
    if middle > _BRIGHTEST_MEDIAN:
        raise SourceError(
            f"{image.path} has a median reflectance of {middle:.4g} by {rule}: reflectance is 0 to "
            "1.5: give the --scale of its values"
        )
    if peak < _DARKEST_PEAK:
        raise SourceError(
            f"{image.path} has reflectance below {peak:.2g} by {rule}: clouds are near 1: give the "
            "--scale of its values"
        )


def _looks(shape: tuple[int, int]) -> Iterator[Window]:
    """Yield small windows spread over an image."""
    rows, cols = (np.linspace(0, max(n - _LOOK, 0), _LOOKS).astype(int).tolist() for n in shape)
    for row in dict.fromkeys(rows):
        for col in dict.fromkeys(cols):
            yield Window(col, row, min(_LOOK, shape[1] - col), min(_LOOK, shape[0] - row))

"""Truth brought to the pixels and times of a product."""

import numpy as np
import odc.geo.xr
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer

NO_DATA = 255
"""Class code of pixels without truth."""


def onto(layer: xr.DataArray, where: GeoBox, *, how: str = "average") -> np.ndarray:
    """Return (y, x) values of a layer on the pixels of a grid.

    A pixel that reaches beyond the layer is no data: it cannot be compared.

    Args:
        layer: (y, x) with its georeference; may be lazy.
        where: the grid.
        how: `average` weighs by area, `mode` takes the most frequent class, `nearest` and `cubic`
            interpolate.

    Returns:
        float32 with NaN, or uint8 with NO_DATA.
    """
    source = layer.odc.geobox
    loaded = layer.compute()
    blank = NO_DATA if loaded.dtype == "uint8" else np.nan
    if source == where:
        return np.asarray(loaded.to_numpy())
    moved = odc.geo.xr.xr_reproject(loaded, where, resampling=how, dst_nodata=blank)
    return np.where(_covered(source, where), moved.to_numpy(), blank).astype(loaded.dtype)


def nearest_times(wanted: np.ndarray, times: np.ndarray, within: np.timedelta64) -> list[int]:
    """Return the index of the nearest time for each wanted one; -1 if none is near enough.

    Args:
        wanted: (n,) datetime64.
        times: (m,) datetime64, one or more.
        within: largest distance.
    """
    found = []
    for instant in wanted:
        distance = np.abs(times - instant)
        index = int(np.argmin(distance))
        found.append(index if distance[index] <= within else -1)
    return found


def first_times(wanted: np.ndarray, times: np.ndarray, span: np.timedelta64) -> list[int]:
    """Return the index of the first time that is not before each wanted one; -1 if it is too late.

    Args:
        wanted: (n,) datetime64.
        times: (m,) datetime64, ascending.
        span: how long after the wanted one a time may be.
    """
    places = np.searchsorted(times, wanted)
    return [
        int(place) if place < len(times) and times[place] - instant <= span else -1
        for place, instant in zip(places, wanted, strict=True)
    ]


def centres(where: GeoBox) -> np.ndarray:
    """Return (y times x, 2) centres of a grid's pixels in its CRS, row by row."""
    rows, cols = where.shape
    at = np.meshgrid(np.arange(cols) + 0.5, np.arange(rows) + 0.5)
    x, y = _moved(where.affine, at[0], at[1])
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _covered(source: GeoBox, where: GeoBox) -> np.ndarray:
    """Return (y, x) True where all corners of a pixel lie in the source, 1 % of a pixel aside."""
    rows, cols = where.shape
    corners = np.meshgrid(np.arange(cols + 1.0), np.arange(rows + 1.0))
    x, y = _moved(where.affine, corners[0], corners[1])
    if where.crs != source.crs:
        change = Transformer.from_crs(str(where.crs), str(source.crs), always_xy=True)
        x, y = change.transform(x, y)
    col, row = _moved(~source.affine, x, y)
    height, width = source.shape
    inside = (col >= -0.01) & (col <= width + 0.01) & (row >= -0.01) & (row <= height + 0.01)
    found: np.ndarray = inside[1:, 1:] & inside[:-1, 1:] & inside[1:, :-1] & inside[:-1, :-1]
    return found


def _moved(change: Affine, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y by an affine change."""
    return change.a * x + change.b * y + change.c, change.d * x + change.e * y + change.f

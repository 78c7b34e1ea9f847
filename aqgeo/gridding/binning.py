"""Satellite pixels averaged onto a grid by area."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from aqgeo.grid import lonlat_bbox

PAIRS_AT_ONCE = 500_000


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over pixels from which means follow; sums of parts add up to the whole."""

    weight: np.ndarray
    """(y, x) area of pixels in each cell, as a share of the cell."""
    total: np.ndarray
    """(y, x) weight x value."""
    square: np.ndarray
    """(y, x) weight x squared orbit mean."""
    count: np.ndarray
    """(y, x) orbits that reach the cell."""

    def __add__(self, other: "Sums") -> "Sums":
        """Join the sums of two sets of orbits."""
        return Sums(
            self.weight + other.weight,
            self.total + other.total,
            self.square + other.square,
            self.count + other.count,
        )

    def mean(self) -> np.ndarray:
        """Return the area-weighted mean (y, x); NaN where nothing was seen."""
        mean = _nan(self.weight)
        np.divide(self.total, self.weight, out=mean, where=self.weight > 0)
        return mean

    def standard_error(self) -> np.ndarray:
        """Return the standard error of the mean (y, x) from the spread between orbits.

        NaN where fewer than two orbits were seen.
        """
        mean = np.where(self.weight > 0, self.mean(), 0)
        several = self.count > 1
        spread = np.divide(
            self.square, self.weight, out=np.zeros_like(self.weight), where=self.weight > 0
        )
        variance = np.maximum(spread - mean**2, 0)
        error = _nan(self.weight)
        np.divide(variance, self.count - 1, out=error, where=several)
        return np.asarray(np.sqrt(error))


def average(values: np.ndarray, lon: np.ndarray, lat: np.ndarray, grid: GeoBox) -> Sums:
    """Return one orbit's sums on a grid; each pixel counts by its area within the cell.

    Pixel edges are straight lines in the grid's CRS. Pixels far from the grid, across the date line
    or with corners that cross are left out.

    Args:
        values: (n,) finite values, any unit.
        lon: (n, 4) corner longitudes, degrees, in order round the pixel.
        lat: (n, 4) corner latitudes, degrees.
        grid: where the cells lie.
    """
    near = _near(lon, lat, grid)
    values, lon, lat = values[near], lon[near], lat[near]
    rows, cols = grid.shape
    weight, total = np.zeros(rows * cols), np.zeros(rows * cols)
    x, y = Transformer.from_crs("EPSG:4326", str(grid.crs), always_xy=True).transform(lon, lat)
    # In units of cells, a cell is a unit square and an area is a share of a cell.
    corners = np.stack(~grid.affine @ (x, y), axis=-1)
    for cell, pixel in _candidates(corners, rows, cols):
        areas = _overlap(corners[pixel], cell, cols)
        weight += np.bincount(cell, areas, rows * cols)
        total += np.bincount(cell, areas * values[pixel], rows * cols)
    seen = weight > 0
    square = np.divide(total**2, weight, out=np.zeros_like(total), where=seen)
    shape = (rows, cols)
    return Sums(*(a.reshape(shape) for a in (weight, total, square, seen.astype("float64"))))


def _near(lon: np.ndarray, lat: np.ndarray, grid: GeoBox) -> np.ndarray:
    """Return which pixels (n,) may meet the grid.

    A projection can fold the far side of the globe into it.
    """
    west, south, east, north = lonlat_bbox(grid)
    box = shapely.box(lon.min(axis=1), lat.min(axis=1), lon.max(axis=1), lat.max(axis=1))
    meets = shapely.intersects(box, shapely.box(west - 1, south - 1, east + 1, north + 1))
    corners = shapely.polygons(np.stack([lon, lat], axis=-1))
    return np.asarray(meets & (np.ptp(lon, axis=1) < 180) & shapely.is_valid(corners))


def _candidates(
    corners: np.ndarray, rows: int, cols: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches of (cell, pixel) indices whose bounding boxes may meet."""
    low = np.floor(corners.min(axis=1)).astype(int)
    high = np.ceil(corners.max(axis=1)).astype(int)
    low, high = np.clip(low, 0, (cols, rows)), np.clip(high, 0, (cols, rows))
    width, height = (high - low).T
    per_pixel = width * height
    batch = np.cumsum(per_pixel) // PAIRS_AT_ONCE
    for number in np.unique(batch[per_pixel > 0]):
        pixels = np.flatnonzero((batch == number) & (per_pixel > 0))
        pixel = np.repeat(pixels, per_pixel[pixels])
        first = np.repeat(np.cumsum(per_pixel[pixels]) - per_pixel[pixels], per_pixel[pixels])
        within = np.arange(pixel.size) - first
        row = low[pixel, 1] + within // width[pixel]
        yield row * cols + low[pixel, 0] + within % width[pixel], pixel


def _overlap(corners: np.ndarray, cell: np.ndarray, cols: int) -> np.ndarray:
    row, col = np.divmod(cell, cols)
    pixels = shapely.polygons(corners)
    cells = shapely.box(col, row, col + 1, row + 1)
    return np.asarray(shapely.area(shapely.intersection(pixels, cells)))


def _nan(like: np.ndarray) -> np.ndarray:
    return np.full(like.shape, np.nan)

"""Which satellite pixels may meet a grid, by their centres alone."""

import math
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox
from pyproj import Transformer

_MARGIN = math.radians(0.5)  # 56 km; a pixel reaches 10 km from its centre
_LATTICE = 33  # points along a side of the grid


def near(lon: np.ndarray, lat: np.ndarray, where: GeoBox) -> np.ndarray:
    """Return which pixels (scanline, ground_pixel) may meet a grid; in doubt they do.

    They lie in the smallest cap round the grid's middle and between its southernmost and
    northernmost point, with a margin, which holds over the date line and at the poles.

    Args:
        lon: (scanline, ground_pixel) centre longitudes, degrees; NaN where missing.
        lat: (scanline, ground_pixel) centre latitudes, degrees.
        where: the grid, in any CRS.
    """
    middle, reach, south, north = _cap(where)
    found = ~((lat < south) | (lat > north))
    if reach >= math.pi:
        return np.asarray(found)
    some = found.any(axis=1)
    x, y = np.radians(lon[some]), np.radians(lat[some])
    centre_x, centre_y = math.atan2(middle[1], middle[0]), math.asin(middle[2])
    cosine = np.cos(y) * np.cos(x - centre_x) * math.cos(centre_y) + np.sin(y) * middle[2]
    found[some] &= ~(cosine < math.cos(reach))
    return np.asarray(found)


def _cap(where: GeoBox) -> tuple[list[float], float, float, float]:
    """Return a cap that holds a grid and a margin, and the grid's latitudes.

    Returns:
        The cap's middle as unit vector, its radius in radians, lowest and highest latitude in
        degrees.
    """
    rows, cols = where.shape
    grid: Any = np.meshgrid(np.linspace(0, cols, _LATTICE), np.linspace(0, rows, _LATTICE))
    transformer = Transformer.from_crs(str(where.crs), "EPSG:4326", always_xy=True)
    placed = (np.asarray(a) for a in transformer.transform(*(where.affine @ grid)))
    lon, lat = (np.radians(np.where(np.isfinite(a), a, np.nan)) for a in placed)
    points = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    total = points.mean(axis=(0, 1))
    size = float(np.linalg.norm(total))
    if not size > 1e-6:  # all round the globe, or points that have no place on it
        total, size = np.array([0.0, 0.0, 1.0]), 1.0
    middle = (total / size).tolist()
    # What lies between the points is nearer to one of them than these are to each other.
    steps = [points[1:, 1:] - points[:-1, :-1], points[1:, :-1] - points[:-1, 1:]]
    chord = max(float(np.linalg.norm(step, axis=-1).max()) for step in steps)
    between = 2 * math.asin(min(chord / 2, 1)) + _MARGIN
    reach = float(np.arccos(np.clip(points @ middle, -1, 1)).max()) + between
    if not math.isfinite(reach):
        return middle, math.pi, -90.0, 90.0
    south, north = (math.degrees(v) for v in (lat.min() - between, lat.max() + between))
    return middle, reach, south, north

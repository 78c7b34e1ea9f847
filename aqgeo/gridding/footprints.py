"""Pixel corners in degrees as polygons in cells of a grid, and what is wrong with the others."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from aqgeo.gridding.overlap import compiled, extent

Array = NDArray[Any]

FAULTS = (
    "corner not finite",
    "corner off the globe",
    "value not finite",
    "no area",
    "edges cross",
    "cut by the projection",
)
"""Why a pixel is skipped; a fault's code is its place here, from 1."""
NOT_FINITE, OFF_GLOBE, NO_VALUE, NO_AREA, CROSSED, TORN = range(1, 7)
WGS84 = "EPSG:4326"
"""In which pixels are given."""
# Longitudes run over one turn, and a pixel's last corner may lie in the next one.
_LON_LIMIT = 540.0
# Area that rounding leaves of a flat pixel, as a part of its bounding box.
_FLAT = 1e-13
_ROUNDED = 4e-16  # of a coordinate, as a part of it


class Footprints(NamedTuple):
    """Polygons in cells of a grid."""

    rings: Array
    """(n, vertex, 2) float64 column and row, in order round the pixel."""
    pixel: Array
    """(n,) int32 place of the pixel that each comes from; a pixel may have several."""


@dataclass(frozen=True, slots=True)
class Geographic:
    """A grid in degrees; pixels over the date line and the poles are whole on it."""

    shape: tuple[int, int]
    """Rows and columns."""
    to_cells: Array
    """(6,) affine from lon, lat to column, row."""
    span: tuple[float, float]
    """West and east end of the grid, degrees; they may lie beyond 180."""
    datum: Transformer | None
    """From WGS 84 to the grid's CRS; None where that is WGS 84."""

    @classmethod
    def of(cls, grid: GeoBox) -> "Geographic":
        """Return the placement of a grid."""
        rows, cols = grid.shape
        lon = [(grid.affine @ corner)[0] for corner in ((0, 0), (cols, 0), (0, rows), (cols, rows))]
        same = str(grid.crs) == WGS84
        datum = None if same else Transformer.from_crs(WGS84, str(grid.crs), always_xy=True)
        return cls((rows, cols), cells_of(grid), (min(lon), max(lon)), datum)

    def place(self, lon: Array, lat: Array, usable: Array, faults: Array) -> list[Footprints]:
        """Return the footprints of pixels that reach the grid.

        Args:
            lon: (n, 4) float64 corners, degrees.
            lat: (n, 4) float64 corners, degrees.
            usable: (n,) bool, whether the pixel has a value.
            faults: (n,) uint8, set to the codes of FAULTS, 0 for none.
        """
        if self.datum is not None:
            lon, lat = self.datum.transform(lon, lat)
        copies = math.floor((self.span[1] - self.span[0]) / 360) + 2
        rings = np.empty((copies * len(lon), 4, 2))
        pixel = np.empty(len(rings), "int32")
        turns = np.zeros(len(lon), "int8")
        count = _unroll(lon, lat, self.span, self.to_cells, rings, pixel, turns, faults)
        count = settle(rings[:count], pixel, usable, self.shape, faults)
        # Copies, since a view would keep the room of the copies that miss the grid.
        found = [Footprints(rings[:count].copy(), pixel[:count].copy())]
        if turns.any():
            found.append(self._polar(lon, lat, turns, usable, faults))
        return found

    def _polar(
        self, lon: Array, lat: Array, turns: Array, usable: Array, faults: Array
    ) -> Footprints:
        """Return pixels round a pole: all that lies between their edges and the pole."""
        pixel = np.flatnonzero(turns).astype("int32")
        # All run eastward, repeated beyond both ends of the grid, so no seam falls within it.
        order = np.where(turns[pixel, None] > 0, np.arange(4), np.arange(4)[::-1])
        lon, lat = (np.take_along_axis(a[pixel], order, axis=1) for a in (lon, lat))
        lon = np.unwrap(lon, period=360, axis=1)
        lon -= 360 * np.floor((lon[:, :1] - self.span[0]) / 360)
        once = np.column_stack([lon, lon[:, 0] + 360]), np.column_stack([lat, lat[:, 0]])
        tied = bow_ties(np.stack(once, axis=-1))
        faults[pixel[tied]] = CROSSED
        lon, lat, pixel = lon[~tied], lat[~tied], pixel[~tied]
        copies = math.ceil((self.span[1] - self.span[0]) / 360) + 2
        x = np.concatenate([lon + 360 * k for k in range(-1, copies)], axis=1)
        y = np.tile(lat, copies + 1)
        pole = np.copysign(90.0, lat.sum(axis=1))
        x = np.column_stack([x, x[:, -1], x[:, 0]])
        y = np.column_stack([y, pole, pole])
        rings = np.stack(affine(self.to_cells, x, y), axis=-1)
        count = settle(rings, pixel, usable, self.shape, faults)
        return Footprints(rings[:count], pixel[:count])


def cells_of(grid: GeoBox) -> Array:
    """Return the affine (6,) from the grid's CRS to column, row."""
    return np.array(list(~grid.affine)[:6], "float64")


@compiled
def affine(by: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Return column and row of places."""
    return by[0] * x + by[1] * y + by[2], by[3] * x + by[4] * y + by[5]


@compiled
def unwind(lon: Array, lat: Array, unrolled: Array) -> tuple[int, int]:
    """Unroll a pixel's longitudes (4,) so that each corner is less than 180 degrees from the last.

    Returns:
        the fault, 0 for none; the turns round a pole that the pixel's edges make, -1, 0 or 1.
    """
    for at in range(4):
        if not (math.isfinite(lon[at]) and math.isfinite(lat[at])):
            return NOT_FINITE, 0
        if abs(lat[at]) > 90 or abs(lon[at]) > _LON_LIMIT:
            return OFF_GLOBE, 0
        if at == 0:
            unrolled[0] = lon[0]
            continue
        unrolled[at] = lon[at] - 360 * round((lon[at] - unrolled[at - 1]) / 360)
    return 0, round((unrolled[3] - unrolled[0]) / 360)


@compiled
def _unroll(
    lon: Array,
    lat: Array,
    span: tuple[float, float],
    to_cells: Array,
    rings: Array,
    pixel: Array,
    turns: Array,
    faults: Array,
) -> int:
    """Write every copy, 360 degrees apart, of each pixel that may reach the grid; count them."""
    count = 0
    x = np.empty(4)
    for at in range(lon.shape[0]):
        faults[at], turns[at] = unwind(lon[at], lat[at], x)
        if faults[at] or turns[at]:
            continue
        west, east = min(x[0], x[1], x[2], x[3]), max(x[0], x[1], x[2], x[3])
        first = math.ceil((span[0] - east) / 360)
        last = math.floor((span[1] - west) / 360)
        for copy in range(first, last + 1):
            for k in range(4):
                rings[count, k] = affine(to_cells, x[k] + 360 * copy, lat[at, k])
            pixel[count] = at
            count += 1
    return count


@compiled
def settle(rings: Array, pixel: Array, usable: Array, shape: tuple[int, int], faults: Array) -> int:
    """Keep the rings that reach the grid and have no fault, in their order; return their number.

    Only a quad can be at fault: other rings were checked when they were made.
    """
    kept = 0
    for at in range(rings.shape[0]):
        west, east, north, south = extent(rings[at])
        if east <= 0 or west >= shape[1] or south <= 0 or north >= shape[0]:
            continue
        fault = _fault(rings[at]) if rings.shape[1] == 4 else 0
        if not usable[pixel[at]]:
            fault = NO_VALUE
        if fault:
            faults[pixel[at]] = fault
            continue
        rings[kept], pixel[kept] = rings[at], pixel[at]
        kept += 1
    return kept


@compiled
def _fault(ring: Array) -> int:
    """Return what is wrong with a quad, 0 for nothing."""
    west, east, north, south = extent(ring)
    far = max(abs(west), abs(east)) * (south - north) + max(abs(north), abs(south)) * (east - west)
    noise = _FLAT * (east - west) * (south - north) + _ROUNDED * far
    if _crossed(ring, noise):
        return CROSSED
    area = _side(ring, 0, 1, 2, 0.0) + _side(ring, 0, 2, 3, 0.0)
    return NO_AREA if abs(area) / 2 <= noise else 0


@compiled
def bow_ties(paths: Array) -> Array:
    """Tell which pixels (n,) have edges that cross, from the paths (n, 4 or 5, 2) of corners.

    A path of five is of a pixel round a pole, whose last corner is the first a turn later.
    """
    found = np.empty(paths.shape[0], np.bool_)
    for at in range(paths.shape[0]):
        found[at] = _crossed(paths[at], 0.0)
    return found


@compiled
def _crossed(path: Array, noise: float) -> bool:
    """Tell whether opposite edges of a pixel cross; areas up to `noise` are none."""
    last = 4 % path.shape[0]
    return _meet(path, 0, 1, 2, 3, noise) or _meet(path, 1, 2, 3, last, noise)


@compiled
def _meet(path: Array, a: int, b: int, c: int, d: int, noise: float) -> bool:
    """Tell whether the inner parts of the edges a-b and c-d meet in one point."""
    one = _side(path, a, b, c, noise) * _side(path, a, b, d, noise)
    return one < 0 and _side(path, c, d, a, noise) * _side(path, c, d, b, noise) < 0


@compiled
def _side(path: Array, a: int, b: int, c: int, noise: float) -> float:
    """Return twice the area of the triangle a-b-c: its sign tells on which side of a-b c lies."""
    x, y = path[a]
    double = (path[b, 0] - x) * (path[c, 1] - y) - (path[c, 0] - x) * (path[b, 1] - y)
    return 0.0 if abs(double) <= noise else double

"""Ways to make and compare GeoBoxes, the only type that says 'where'."""

import math
import re
from typing import Literal

from odc.geo import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import BoundingBox, Geometry, polygon
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from aqgeo.errors import GridError

MAX_PIXELS = 2**31
Anchor = Literal["edge", "center"]


def bounds(area: BaseGeometry, crs: str) -> BoundingBox:
    """Return the bounding box of an area in a CRS.

    Args:
        area: shapely geometry in lon/lat degrees (WGS 84).
        crs: authority code such as `EPSG:32633`; other texts are refused, since PROJ would
            follow a text that is an address.

    Raises:
        GridError: the CRS is unknown, or the area has no place in it.
    """
    if not re.fullmatch(r"EPSG:\d{4,6}", str(crs)):
        raise GridError(f"crs {crs!r} is not an EPSG code: write it as EPSG:32633")
    try:
        target = CRS(crs)
    except CRSError as err:
        raise GridError(f"crs {crs!r} is unknown to PROJ: check the EPSG code") from err
    if not (target.projected or target.geographic):
        raise GridError(f"crs {crs!r} is neither projected nor geographic: choose one for maps")
    box = Geometry(area, "EPSG:4326").segmented(0.1).to_crs(target).boundingbox
    if not all(math.isfinite(v) for v in box.bbox):
        raise GridError(f"the area has no finite outline in {crs}: choose a CRS that covers it")
    return box


def geobox(box: BoundingBox, resolution: float, *, anchor: Anchor = "edge") -> GeoBox:
    """Return the grid that covers a bounding box.

    Args:
        box: with its CRS.
        resolution: pixel size in units of the CRS.
        anchor: `edge` puts pixel edges, `center` pixel centres on multiples of the resolution,
            so that grids of one CRS and resolution always match.

    Raises:
        GridError: the grid would be empty or too large.
    """
    if not (resolution > 0 and math.isfinite(resolution)):
        raise GridError(f"resolution {resolution} is not a positive number")
    rows = (box.top - box.bottom) / resolution + 1
    cols = (box.right - box.left) / resolution + 1
    if not (rows > 1 and cols > 1):
        raise GridError(f"the box {box.bbox} is empty: draw an area with a width and a height")
    if rows * cols > MAX_PIXELS:
        raise GridError(
            f"a grid of {rows:.0f} x {cols:.0f} pixels is too large: choose a coarser resolution "
            f"than {resolution} or a smaller area"
        )
    return GeoBox.from_bbox(box, box.crs, resolution=resolution, anchor=anchor, tol=1e-6)


def refine(grid: GeoBox, factor: int) -> GeoBox:
    """Return the grid with every pixel cut into factor x factor pixels."""
    rows, cols = grid.shape
    return GeoBox(
        (rows * factor, cols * factor), grid.affine @ grid.affine.scale(1 / factor), grid.crs
    )


def lonlat_bbox(grid: GeoBox) -> tuple[float, float, float, float]:
    """Return west, south, east, north of a grid in degrees."""
    box = grid.extent.to_crs("EPSG:4326").boundingbox
    return (box.left, box.bottom, box.right, box.top)


def lonlat_outline(grid: GeoBox) -> Geometry:
    """Return the outline of a grid as a lon/lat polygon of 4 corners."""
    corners = [grid.affine @ xy for xy in _corners(grid)]
    return polygon([*corners, corners[0]], crs=grid.crs).to_crs("EPSG:4326")


def _corners(grid: GeoBox) -> list[tuple[int, int]]:
    rows, cols = grid.shape
    return [(0, rows), (cols, rows), (cols, 0), (0, 0)]

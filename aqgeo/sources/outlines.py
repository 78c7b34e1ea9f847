"""Where grids and items lie in longitude and latitude, over the date line and the poles too."""

import math

import numpy as np
import pystac
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from aqgeo.errors import SourceError

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees; west <= east, and both within -180 to 180."""
_POINTS_PER_SIDE = 64
# A tile or a swath piece whose vertices hug the date line is drawn around the globe by some
# services; what is taller is a whole orbit, and really may be anywhere.
_TILE_DEG = 20.0


def boxes(where: GeoBox) -> list[Box]:
    """Return the one or, over the date line, two boxes that hold a grid."""
    return _split(*_grid_span(where))


def area(item: pystac.Item) -> shapely.MultiPolygon:
    """Return the boxes of an item as one area.

    Raises:
        SourceError: the item has no geometry, or no bbox of 4 or 6 finite degrees.
    """
    return shapely.MultiPolygon([shapely.box(*box) for box in _split(*_item_span(item))])


def centre_lon(item: pystac.Item) -> float:
    """Return the longitude of an item's middle, -180 to 180."""
    west, _, east, _ = _item_span(item)
    return _wrap((west + east) / 2)


def _grid_span(where: GeoBox) -> Box:
    """Return a grid's box; east may exceed 180."""
    rows, cols = where.shape
    steps = np.linspace(0, 1, _POINTS_PER_SIDE, endpoint=False)
    ahead, back = steps, 1 - steps
    x = cols * np.concatenate([ahead, 0 * steps + 1, back, 0 * steps, [0]])
    y = rows * np.concatenate([0 * steps, ahead, 0 * steps + 1, back, [0]])
    to_lonlat = Transformer.from_crs(str(where.crs), "EPSG:4326", always_xy=True)
    to = where.affine
    lon, lat = to_lonlat.transform(to.a * x + to.b * y + to.c, to.d * x + to.e * y + to.f)
    lon = np.unwrap(lon, period=360)
    south, north = float(lat.min()), float(lat.max())
    if abs(lon[-1] - lon[0]) > 180:  # once around a pole
        return (-180.0, south, 180.0, 90.0) if lat.mean() > 0 else (-180.0, -90.0, 180.0, north)
    return float(lon.min()), south, float(lon.max()), north


def _item_span(item: pystac.Item) -> Box:
    """Return an item's box; east may exceed 180. A bbox of 6 numbers has heights too."""
    box = list(item.bbox or ())
    if len(box) not in (4, 6) or item.geometry is None or not all(map(_is_degree, box)):
        raise SourceError(
            f"item {item.id} has no geometry or a bbox of {len(box)} numbers: mend it"
        )
    west, south, east, north = [*box[:2], *box[len(box) // 2 :][:2]]
    if west > east:
        return west, south, east + 360, north
    if east - west > 180 and north - south < _TILE_DEG:
        lons = shapely.get_coordinates(shapely.geometry.shape(item.geometry))[:, 0] % 360
        if _TILE_DEG > np.ptp(lons) > 0:
            return float(lons.min()), south, float(lons.max()), north
    return west, south, east, north


def _split(west: float, south: float, east: float, north: float) -> list[Box]:
    if east - west >= 360:
        return [(-180.0, south, 180.0, north)]
    if -180 <= west and east <= 180:
        return [(west, south, east, north)]
    west, east = _wrap(west), _wrap(east)
    if west <= east:
        return [(west, south, east, north)]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]


def _wrap(lon: float) -> float:
    return (lon + 180) % 360 - 180


def _is_degree(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)

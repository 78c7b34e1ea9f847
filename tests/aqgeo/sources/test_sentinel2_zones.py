"""Two UTM zones on one grid: a smooth truth in lon/lat comes back unbroken and in its place."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from aqgeo.sources import sentinel2

BORDER = 18.0
# Degrees by which each tile reaches into the other zone.
OVERLAP = 0.01
PIXEL, SIDE = 60, 300
PER_DEGREE = 30_000.0


def truth(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Digital numbers, a plane: 24 more with each pixel to the east, 16 with each to the north."""
    return 10_000 + PER_DEGREE * (lon - BORDER) + PER_DEGREE * (lat - 47.0)


def places(where: GeoBox) -> tuple[np.ndarray, np.ndarray]:
    rows, cols = where.shape
    x, y = np.meshgrid(np.arange(cols) + 0.5, np.arange(rows) + 0.5)
    to = where.affine
    lonlat = Transformer.from_crs(str(where.crs), "EPSG:4326", always_xy=True)
    return lonlat.transform(to.a * x + to.c, to.e * y + to.f)


def tile(folder: Path, zone: int) -> pystac.Item:
    """Write a tile around the border, with data on its own side and a little beyond."""
    crs = f"EPSG:326{zone}"
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(BORDER, 47.0)
    left, top = (round(v / PIXEL) * PIXEL for v in (x - PIXEL * SIDE / 2, y + PIXEL * SIDE / 2))
    where = GeoBox((SIDE, SIDE), Affine(PIXEL, 0, left, 0, -PIXEL, top), crs)
    lon, lat = places(where)
    mine = lon < BORDER + OVERLAP if zone == 33 else lon > BORDER - OVERLAP
    files = {
        "B04": np.where(mine, truth(lon, lat).round(), 0).astype("uint16"),
        "SCL": np.where(mine, 4, 0).astype("uint8"),
    }
    # The outline is wrong, as some services' are: it must not matter.
    box = [BORDER - 0.001, 46.999, BORDER + 0.001, 47.001]
    outline = shapely.geometry.mapping(shapely.box(*box))
    when = datetime(2024, 6, 1, 10, tzinfo=UTC)
    item = pystac.Item(f"tile-{zone}", outline, box, when, {"s2:processing_baseline": "02.14"})
    for key, data in files.items():
        path = folder / f"{zone}-{key}.tif"
        how = {"width": SIDE, "height": SIDE, "count": 1, "dtype": data.dtype, "crs": crs}
        with rasterio.open(path, "w", driver="GTiff", transform=where.affine, **how) as dst:
            dst.write(data, 1)
        item.add_asset(key, pystac.Asset(str(path)))
    return item


@pytest.mark.parametrize(
    ("crs", "resolution", "order"),
    [
        ("EPSG:32633", 60, (33, 34)),
        ("EPSG:32633", 60, (34, 33)),
        ("EPSG:32634", 60, (33, 34)),
        ("EPSG:32634", 60, (34, 33)),
        ("EPSG:32633", 180, (34, 33)),
        ("EPSG:4326", 0.002, (33, 34)),
        ("EPSG:4326", 0.002, (34, 33)),
    ],
)
def test_the_border_of_two_zones_is_not_seen(crs, resolution, order, tmp_path: Path) -> None:
    items = [tile(tmp_path, zone) for zone in order]
    near = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform_bounds
    box = near(BORDER - 0.05, 46.96, BORDER + 0.05, 47.04)
    where = GeoBox.from_bbox(box, crs, resolution=resolution)
    ds = sentinel2.read(items, ["B04"], where).compute()
    numbers = ds["B04"].values[0] * 1e4
    assert np.isfinite(numbers).all(), "a hole"
    wrong = numbers - truth(*places(where))
    # Half a pixel to the east would be 12 off.
    assert np.abs(wrong).max() < 3
    assert abs(wrong.mean()) < 0.5
    assert (ds["SCL"].values == 4).all()

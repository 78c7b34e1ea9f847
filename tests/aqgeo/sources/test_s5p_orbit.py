"""A whole simulated orbit: only what a region needs is read, over the date line and at poles."""

import time
import tracemalloc
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from scipy.spatial import cKDTree

from aqgeo.simulation import swath
from aqgeo.sources import s5p

VIEW = swath.whole(34570)  # crosses the date line and passes both poles
NUMBER = np.arange(VIEW.centres[..., 0].size).reshape(VIEW.shape)
PLACE = "SUPPORT_DATA/GEOLOCATIONS"
UNIT = 1e-9  # a pixel's column tells its number


def write(path: Path, lines: slice = slice(None), *, full: bool = True) -> Path:
    """Write scanlines in official chunks; in full with corners and a kernel, which is large."""
    centres, corners, number = VIEW.centres[lines], VIEW.corners[lines], NUMBER[lines]
    with netCDF4.Dataset(path, "w") as nc:
        product = nc.createGroup("PRODUCT")
        sizes = {"time": 1, "scanline": len(number), "ground_pixel": 450, "corner": 4, "layer": 34}
        for name, size in sizes.items():
            product.createDimension(name, size)
        add(product, "longitude", centres[..., 0])
        add(product, "latitude", centres[..., 1])
        add(product, s5p.COLUMN, number * UNIT, kind="f8").units = "mol m-2"
        qa = add(product, "qa_value", np.where(number % 7, 100, 50), kind="u1")
        qa.scale_factor = np.float32(0.01)
        if full:
            add(product, f"{PLACE}/longitude_bounds", corners[..., 0], "corner")
            add(product, f"{PLACE}/latitude_bounds", corners[..., 1], "corner")
            kernel = np.ones((*number.shape, 34), "float32")
            add(product, "averaging_kernel", kernel, "layer")
    return path


def add(group, name: str, values, *more: str, kind: str = "f4") -> netCDF4.Variable:
    dims = ("time", "scanline", "ground_pixel", *more)
    chunks = (1, 64, 450, len(group.dimensions[more[0]])) if more else (1, 256, 450)
    chunks = tuple(min(a, b) for a, b in zip(chunks, (1, *np.shape(values)), strict=True))
    variable = group.createVariable(
        name, kind, dims, compression="zlib", complevel=1, chunksizes=chunks
    )
    variable.set_auto_maskandscale(False)
    variable[0] = values
    return variable


@pytest.fixture(scope="module")
def orbit(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("orbit") / f"{VIEW.name}.nc")


def numbers(granule: s5p.Granule) -> np.ndarray:
    return np.round(granule.column / UNIT).astype(int)


def cut(lon: float, lat: float, km: float = 60) -> GeoBox:
    """Return a grid in degrees round a place."""
    up = km / 222
    east = up / np.cos(np.radians(lat))
    box = (lon - east, lat - up, lon + east, lat + up)
    return GeoBox.from_bbox(box, "EPSG:4326", resolution=0.02)


def vectors(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    x, y = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)], axis=-1)


SMALL = cut(*VIEW.centres[2000, 100].tolist())


def test_a_small_region_is_read_in_a_moment_and_in_little_memory(orbit: Path) -> None:
    s5p.read(orbit, where=SMALL)  # loads libraries
    begin = time.process_time()
    granule = s5p.read(orbit, where=SMALL, fields=["averaging_kernel"])
    assert time.process_time() - begin < 0.5  # measured 0.14 s
    tracemalloc.start()
    s5p.read(orbit, where=SMALL, fields=["averaging_kernel"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6  # measured 57 MB, of which the centres take 30 MB
    assert granule.fields["averaging_kernel"].shape == (granule.column.size, 34)
    assert 100 < granule.column.size < 3000


def grids() -> dict[str, GeoBox]:
    lon, lat = np.moveaxis(VIEW.centres, -1, 0)
    north = lat[(abs(lon) > 179.99) & (abs(lat) < 60)][0]
    found = {
        "date line": cut(180, north),
        "date line from the east": cut(-179.9, north),
        "north pole": GeoBox.from_bbox((-4e5, -4e5, 4e5, 4e5), "EPSG:3413", resolution=5000),
        "south pole": GeoBox.from_bbox((-3e6, -3e6, 3e6, 3e6), "EPSG:3031", resolution=25_000),
        "wide": GeoBox.from_bbox((-180, -20, 180, 20), "EPSG:4326", resolution=1),
        "long": GeoBox.from_bbox((150, -80, 152, 80), "EPSG:4326", resolution=1),
        "globe but for a pole": GeoBox.from_bbox((-180, -60, 180, 90), "EPSG:4326", resolution=1),
    }
    for name, at in {"nadir": (1500, 225), "edge": (2500, 1), "first line": (0, 300)}.items():
        x, y = VIEW.centres[at]
        code = f"EPSG:{(32600 if y > 0 else 32700) + int((x + 180) // 6) + 1}"
        x, y = Transformer.from_crs("EPSG:4326", code, always_xy=True).transform(x, y)
        box = (x - 3e4, y - 3e4, x + 3e4, y + 3e4)
        found[name] = GeoBox.from_bbox(box, code, resolution=1000)
    return found


@pytest.fixture(scope="module")
def everything(orbit: Path) -> s5p.Granule:
    return s5p.read(orbit)


@pytest.mark.parametrize("name", list(grids()))
def test_no_pixel_near_the_grid_is_lost(name: str, orbit: Path, everything) -> None:
    where = grids()[name]
    found = s5p.read(orbit, where=where)
    taken = np.isin(numbers(everything), numbers(found))
    for field in ("column", "lon", "lat"):
        assert np.array_equal(getattr(everything, field)[taken], getattr(found, field))
    assert 0 < found.column.size < everything.column.size
    rows, cols = (np.linspace(0, size, 60) for size in where.shape)
    to_lonlat = Transformer.from_crs(str(where.crs), "EPSG:4326", always_xy=True)
    lon, lat = to_lonlat.transform(*(where.affine @ np.meshgrid(cols, rows)))
    places = cKDTree(vectors(lon, lat).reshape(-1, 3))
    some = NUMBER[::3, ::2] % 7 > 0
    centres = VIEW.centres[::3, ::2][some]
    # Within 20 km of a point of the grid, further than a pixel reaches.
    near = np.isfinite(
        places.query(vectors(*centres.T), distance_upper_bound=20 / 6371, workers=1)[0]
    )
    assert near.any() and np.isin(NUMBER[::3, ::2][some][near], numbers(found)).all()


def test_a_grid_of_which_a_part_has_no_place_is_read_whole(orbit: Path, everything) -> None:
    where = GeoBox.from_bbox((-1e8, -1e8, 1e8, 1e8), "EPSG:3035", resolution=1e6)
    assert s5p.read(orbit, where=where).column.size == everything.column.size


def test_counts_are_of_the_pixels_looked_at(orbit: Path) -> None:
    found = s5p.read(orbit, where=SMALL)
    assert found.skipped["qa"] > 0 and found.skipped["fill"] == 0
    assert found.pixels == found.column.size + sum(found.skipped.values())
    assert found.pixels / 7 == pytest.approx(found.skipped["qa"], abs=30)


def test_a_region_that_the_orbit_does_not_see_gives_no_pixels(orbit: Path) -> None:
    assert np.abs(VIEW.centres).sum(axis=-1).min() > 2  # the orbit is not near 0, 0
    granule = s5p.read(orbit, where=cut(0, 0), fields=["averaging_kernel"])
    assert granule.column.size == granule.pixels == sum(granule.skipped.values()) == 0
    assert granule.fields["averaging_kernel"].shape == (0, 34)
    assert granule.lon.shape == (0, 4) and np.isnan(granule.best_qa)


def test_rebuilt_corners_of_a_region_are_those_of_the_whole_file(tmp_path: Path) -> None:
    path = write(tmp_path / "bare.nc", slice(1900, 2150), full=False)
    part, whole = s5p.read(path, where=SMALL), s5p.read(path)
    assert part.rebuilt and 0 < part.column.size < whole.column.size / 10
    taken = np.isin(numbers(whole), numbers(part))
    assert np.array_equal(whole.lon[taken], part.lon)
    assert np.array_equal(whole.lat[taken], part.lat)

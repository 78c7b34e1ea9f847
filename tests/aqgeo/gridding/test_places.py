"""Places where gridding goes wrong elsewhere: date line, poles, seams and edges of projections."""

import numpy as np
import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer

from aqgeo.gridding import binning

RNG = np.random.default_rng(11)


def degrees(west: float, north: float, cols: int, rows: int, step: float) -> GeoBox:
    return GeoBox((rows, cols), Affine(step, 0, west, 0, -step, north), "EPSG:4326")


def metres(crs: str, box: tuple[float, float, float, float], step: float) -> GeoBox:
    west, south, east, north = box
    shape = (round((north - south) / step), round((east - west) / step))
    return GeoBox(shape, Affine(step, 0, west, 0, -step, north), crs)


def around(lon: float, lat: float, km: float, turn: float = 30.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners (1, 4) of a square pixel of a size on the ground, also round a pole."""
    azimuth = turn + np.array([0.0, 90.0, 180.0, 270.0])
    lons, lats, _ = Geod(ellps="WGS84").fwd(
        np.full(4, lon), np.full(4, lat), azimuth, np.full(4, 1000 * km / np.sqrt(2))
    )
    return np.array([lons]), np.array([lats])


def swath(
    lon: float, lat: float, lines: int = 12, pixels: int = 12, km: float = 30.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners (n, 4) of a gapless swath about a place, crossing it at an angle."""
    plane = Transformer.from_crs(
        "EPSG:4326", f"+proj=laea +lon_0={lon} +lat_0={lat} +ellps=WGS84", always_xy=True
    )
    a, b = np.meshgrid(np.arange(pixels + 1) - pixels / 2, np.arange(lines + 1) - lines / 2)
    x, y = 1000 * km * (a + 0.2 * b), 1000 * km * (b - 0.2 * a)
    u, v = plane.transform(x, y, direction="INVERSE")
    ring = [(slice(0, -1), slice(0, -1)), (slice(0, -1), slice(1, None))]
    ring += [(slice(1, None), slice(1, None)), (slice(1, None), slice(0, -1))]
    lons, lats = (np.stack([p[i] for i in ring], axis=-1).reshape(-1, 4) for p in (u, v))
    return lons, lats


# The date line


@pytest.mark.parametrize("lat", [-60.0, 0.0, 75.0])
def test_grids_of_any_numbering_of_longitudes_agree_over_the_date_line(lat: float) -> None:
    lon, lat_ = swath(180, lat)
    values = RNG.normal(3e-5, 4e-5, len(lon))
    west = binning.average(values, lon, lat_, degrees(-180, 90, 720, 360, 0.5))
    east = binning.average(values, lon % 360, lat_, degrees(0, 90, 720, 360, 0.5))
    over = binning.average(values, lon, lat_, degrees(160, 90, 80, 360, 0.5))
    assert (west.weight[:, :40].sum() > 1) and (west.weight[:, -40:].sum() > 1)
    for name in ("weight", "total"):
        one, two, three = (getattr(s, name) for s in (west, east, over))
        np.testing.assert_allclose(np.roll(one, 360, axis=1), two, rtol=1e-9, atol=1e-16)
        np.testing.assert_allclose(two[:, 320:400], three, rtol=1e-9, atol=1e-16)
    assert not west.skipped and not over.skipped


def test_no_mass_is_lost_at_the_date_line() -> None:
    lon, lat = swath(180, 10)
    whole = np.stack([lon % 360, lat], axis=-1)
    area = shapely.area(shapely.polygons(whole)).sum()
    for grid in (degrees(-180, 90, 360, 180, 1), degrees(0, 90, 360, 180, 1)):
        assert binning.average(np.ones(len(lon)), lon, lat, grid).weight.sum() == pytest.approx(
            area, rel=1e-9
        )


# The poles


@pytest.mark.parametrize(
    ("grid", "lat"),
    [
        (degrees(-180, 90, 360, 20, 1), 90.0),
        (degrees(-180, 90, 360, 20, 1), 89.93),
        (degrees(0, -70, 720, 40, 0.5), -90.0),
        (degrees(100, -70, 720, 40, 0.5), -89.9),
        (degrees(-5, 90, 10, 10, 0.5), 89.99),
        (metres("EPSG:3413", (-5e5, -5e5, 5e5, 5e5), 2e4), 90.0),
        (metres("EPSG:3413", (-5e5, -5e5, 5e5, 5e5), 2e4), 89.9),
        (metres("EPSG:3031", (-5e5, -5e5, 5e5, 5e5), 2e4), -89.95),
        (metres("EPSG:3031", (1e4, 1e4, 5e5, 5e5), 2e4), -90.0),
    ],
)
def test_a_gapless_swath_over_a_pole_covers_every_cell_there_once(grid: GeoBox, lat: float) -> None:
    lon, lats = swath(25.0, lat, 61, 61)
    values = np.full(len(lon), -4e-6)
    sums = binning.average(values, lon, lats, grid)
    near = sums.weight > 0.5
    covered = near if grid.crs.projected else np.abs(cell_lat(grid)) > 83
    assert not sums.skipped and covered.sum() > 30
    full = sums.weight[covered & (np.abs(cell_lat(grid)) > 83)]
    np.testing.assert_allclose(full, 1, rtol=1e-9)
    np.testing.assert_allclose(sums.mean()[covered], -4e-6, rtol=1e-12)


def cell_lat(grid: GeoBox) -> np.ndarray:
    """Return the latitude of each cell's middle."""
    col, row = np.meshgrid(np.arange(grid.shape[1]) + 0.5, np.arange(grid.shape[0]) + 0.5)
    x, y = grid.affine @ (col, row)
    back = Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True)
    return np.asarray(back.transform(x, y)[1])


@pytest.mark.parametrize("turn", [0.0, 17.0, 45.0])
def test_a_pixel_round_a_pole_reaches_up_to_it_at_all_longitudes(turn: float) -> None:
    lon, lat = around(40.0, 90.0, 60.0, turn)
    for order in (slice(None), slice(None, None, -1)):
        sums = binning.average(
            np.array([7.0]), lon[:, order], lat[:, order], degrees(-180, 90, 360, 900, 0.1)
        )
        np.testing.assert_allclose(sums.weight[0], 1, rtol=1e-12)
        assert sums.pixels[0].max() == 1  # one pixel counts once in every cell
        height = 90 - lat.max()
        assert sums.weight.sum() * 0.1 == pytest.approx(360 * height, rel=1e-9)


# Projections


@pytest.mark.parametrize(
    ("crs", "lon", "lat"),
    [
        ("EPSG:32633", 16.0, 48.0),
        ("EPSG:32660", 179.5, 10.0),
        ("EPSG:32601", -179.9, 60.0),
        ("EPSG:3035", 10.0, 50.0),
        ("EPSG:3035", -25.0, 68.0),
        ("EPSG:3857", 77.0, 28.0),
        ("EPSG:3413", 180.0, 75.0),
        ("EPSG:3031", -135.0, -70.0),
        ("EPSG:3832", 180.0, 20.0),
        ("EPSG:2193", 173.0, -41.0),
    ],
)
def test_projected_cells_agree_with_clipping_in_their_own_plane(
    crs: str, lon: float, lat: float
) -> None:
    lons, lats = swath(lon, lat, 6, 6)
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lons, lats)
    grid = metres(crs, (x.mean() - 8e4, y.mean() - 6e4, x.mean() + 8e4, y.mean() + 6e4), 1e4)
    values = RNG.normal(3e-5, 4e-5, len(lons))
    sums = binning.average(values, lons, lats, grid)
    pixels = shapely.polygons(np.stack([x, y], axis=-1))
    col, row = np.meshgrid(np.arange(grid.shape[1]), np.arange(grid.shape[0]))
    left, top = grid.affine @ (col, row)
    cells = shapely.box(left, top - 1e4, left + 1e4, top)
    share = shapely.area(shapely.intersection(cells[..., None], pixels)) / 1e8
    np.testing.assert_allclose(sums.weight, share.sum(axis=-1), rtol=1e-7)
    np.testing.assert_allclose(sums.total, share @ values, rtol=1e-6, atol=1e-12)
    assert not sums.skipped and sums.weight.max() > 0.99


WORLD = ("EPSG:3857", "EPSG:6933", "EPSG:8857", "EPSG:3832", "ESRI:54009", "ESRI:54008")


@pytest.mark.parametrize("crs", WORLD)
@pytest.mark.parametrize("lat", [0.0, 35.0, -60.0])
def test_a_swath_over_the_seam_of_a_world_map_keeps_its_mass_and_smears_nothing(
    crs: str, lat: float
) -> None:
    seam = -30.0 if crs == "EPSG:3832" else 180.0
    grid = metres(crs, (-2.1e7, -1e7, 2.1e7, 1e7), 1e5)
    lon, lats = swath(seam, lat, 20, 20)
    sums = binning.average(np.ones(len(lon)), lon, lats, grid)
    # The same swath where nothing is cut, on maps where a shift in longitude changes no area.
    lon = lon - seam + (150 if crs == "EPSG:3832" else 0)
    whole = binning.average(np.ones(len(lon)), lon, lats, grid)
    assert not sums.skipped and not whole.skipped
    assert sums.weight.max() < 1 + 1e-9
    if crs in ("EPSG:3857", "EPSG:6933", "EPSG:3832"):
        assert sums.weight.sum() == pytest.approx(whole.weight.sum(), rel=1e-9)
        assert not sums.weight[:, 60:-60].any()
    else:
        assert sums.weight.sum() == pytest.approx(whole.weight.sum(), rel=0.01)


def test_what_a_projection_cannot_hold_is_counted_and_left_out() -> None:
    grid = metres("EPSG:3857", (-2.0037e7, -3e7, 2.0037e7, 3e7), 1e6)
    lon, lat = around(0.0, 90.0, 60.0)
    sums = binning.average(np.array([1.0]), lon, lat, grid)
    assert not sums.weight.any() and sums.skipped == {"cut by the projection": 1}


def test_a_whole_globe_of_pixels_leaves_nothing_but_its_own_part_on_a_utm_grid() -> None:
    a, b = np.meshgrid(np.arange(-180, 180, 2.0), np.arange(-90, 90, 2.0))
    lon = np.stack([a, a + 2, a + 2, a], axis=-1).reshape(-1, 4)
    lat = np.stack([b, b, b + 2, b + 2], axis=-1).reshape(-1, 4)
    for crs in ("EPSG:32633", "EPSG:3035", "EPSG:3413", "EPSG:3857"):
        grid = metres(crs, (4e5, 5e6, 8e5, 5.4e6), 2e4)
        sums = binning.average(np.ones(len(lon)), lon, lat, grid)
        np.testing.assert_allclose(sums.weight, 1, rtol=1e-6, err_msg=crs)
        assert not sums.skipped and (sums.pixels < 5).all()

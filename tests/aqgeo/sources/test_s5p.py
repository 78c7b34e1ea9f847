"""Sentinel-5P granules: the official layout read pixel by pixel, with corners that fit."""

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import shapely
from pyproj import Transformer

from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.simulation import granule, swath, tropomi
from aqgeo.sources import s5p

REAL = Path(__file__).parents[3].parent / "shared/data/s5p_l2_delhi"
FILL = {"f4": np.float32(9.96921e36), "u1": np.uint8(255)}
PLACE = "PRODUCT/SUPPORT_DATA/GEOLOCATIONS"


def write(path: Path, column, qa, *, corners: bool = True, unit: str = s5p.UNIT) -> Path:
    """Write (scanline, ground_pixel) columns and qa values in hundredths; NaN becomes the fill."""
    column = np.asarray(column, "float64")
    lines, pixels = column.shape
    lon, lat = np.meshgrid(15 + 0.05 * np.arange(pixels), 47 + 0.05 * np.arange(lines))
    with netCDF4.Dataset(path, "w") as nc:
        product = nc.createGroup("PRODUCT")
        sizes = {"time": 1, "scanline": lines, "ground_pixel": pixels, "corner": 4}
        for name, size in sizes.items():
            product.createDimension(name, size)
        add(product, s5p.COLUMN, "f4", column).units = unit
        found = add(product, "qa_value", "u1", qa)
        found.scale_factor, found.add_offset = np.float32(0.01), np.float32(0)
        add(product, "longitude", "f4", lon)
        add(product, "latitude", "f4", lat)
        if corners:
            place = nc.createGroup(PLACE)
            signs = np.array([-1, 1, 1, -1]), np.array([-1, -1, 1, 1])
            add(place, "longitude_bounds", "f4", lon[..., None] + 0.025 * signs[0])
            add(place, "latitude_bounds", "f4", lat[..., None] + 0.025 * signs[1])
    return path


def add(group, name: str, kind: str, values) -> netCDF4.Variable:
    dims = ("time", "scanline", "ground_pixel", "corner")[: np.ndim(values) + 1]
    variable = group.createVariable(name, kind, dims, fill_value=FILL[kind])
    variable.set_auto_maskandscale(False)
    values = np.asarray(values, "float64")
    variable[0] = np.where(np.isfinite(values), values, FILL[kind]).astype(kind)
    return variable


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        s5p.read(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def test_a_quality_of_75_is_not_above_the_bound_and_76_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", [[1e-5, 2e-5, 3e-5, 4e-5]], [[74, 75, 76, 100]])
    granule = s5p.read(path)
    np.testing.assert_allclose(granule.column, [3e-5, 4e-5], rtol=1e-6)
    assert (granule.pixels, granule.best_qa) == (4, pytest.approx(1.0))


@pytest.mark.parametrize("bound", [0, 29, 33, 50, 58, 67, 74, 90, 99])
def test_the_bound_is_strict_in_hundredths_whatever_it_is(bound: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", [[1e-5] * 3], [[max(bound - 1, 0), bound, bound + 1]])
    assert s5p.read(path, min_qa=bound / 100).column.size == 1


def test_fill_values_of_any_variable_are_no_pixels(tmp_path: Path) -> None:
    column = [[1e-5, np.nan, 3e-5, 4e-5]]
    path = write(tmp_path / "a.nc", column, [[100, 100, np.nan, 100]])
    with netCDF4.Dataset(path, "a") as nc:
        nc[PLACE]["longitude_bounds"][0, 0, 3, 2] = np.ma.masked
    granule = s5p.read(path)
    np.testing.assert_allclose(granule.column, [1e-5], rtol=1e-6)
    assert granule.pixels == 3
    assert np.isfinite(granule.lon).all() and np.isfinite(granule.lat).all()


def test_a_granule_without_a_usable_pixel_is_empty_and_tells_its_best_quality(tmp_path) -> None:
    granule = s5p.read(write(tmp_path / "a.nc", [[1e-5, 2e-5]], [[33, 74]]))
    assert granule.column.size == 0 and granule.best_qa == pytest.approx(0.74)
    nothing = s5p.read(write(tmp_path / "b.nc", [[np.nan, np.nan]], [[100, 100]]))
    assert nothing.pixels == 0 and np.isnan(nothing.best_qa)


def test_negative_columns_are_noise_and_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", [[-2e-5, 1e-5, 0]], [[100, 100, 100]])
    np.testing.assert_allclose(s5p.read(path).column, [-2e-5, 1e-5, 0], rtol=1e-6)


def test_corners_are_those_of_the_file_and_enclose_their_pixel(tmp_path: Path) -> None:
    granule = s5p.read(write(tmp_path / "a.nc", [[1e-5, 2e-5], [3e-5, 4e-5]], [[100] * 2] * 2))
    assert not granule.rebuilt
    np.testing.assert_allclose(granule.lon[0], [14.975, 15.025, 15.025, 14.975], atol=1e-5)
    np.testing.assert_allclose(granule.lat[2], [47.025, 47.025, 47.075, 47.075], atol=1e-5)


def test_without_corners_they_are_rebuilt_and_that_is_told(tmp_path: Path) -> None:
    values = np.arange(12).reshape(3, 4) * 1e-6
    given, rebuilt = (
        s5p.read(write(tmp_path / f"{c}.nc", values, np.full((3, 4), 100), corners=c))
        for c in (True, False)
    )
    assert rebuilt.rebuilt
    one, two = (shapely.polygons(np.stack([g.lon, g.lat], -1)) for g in (given, rebuilt))
    assert (shapely.area(shapely.symmetric_difference(one, two)) < 1e-4 * shapely.area(one)).all()


def test_a_single_scanline_without_corners_cannot_be_placed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", [[1e-5, 2e-5]], [[100, 100]], corners=False)
    assert "corners" in refusal(path)


def test_a_file_that_is_no_granule_is_told(tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as nc:
        nc.createGroup("OTHER")
    assert "no group PRODUCT" in refusal(tmp_path / "a.nc")
    with netCDF4.Dataset(tmp_path / "b.nc", "w") as nc:
        nc.createGroup("PRODUCT")
    assert s5p.COLUMN in refusal(tmp_path / "b.nc")


@pytest.mark.parametrize("unit", ["molecules cm-2", "umol m-2", ""])
def test_another_unit_is_refused_and_both_are_named(unit: str, tmp_path: Path) -> None:
    line = refusal(write(tmp_path / "a.nc", [[1e-5]], [[100]], unit=unit))
    assert repr(unit) in line and "'mol m-2'" in line


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
def test_a_file_that_was_cut_short_is_named(share: float, tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", np.full((60, 60), 1e-5), np.full((60, 60), 100))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "fetch it again" in refusal(path)


@pytest.fixture(scope="module")
def view() -> swath.Swath:
    return swath.passes((14.4, 46.7, 15.8, 47.5), Period.parse("2024-06-07").start.date())[0]


@pytest.fixture(scope="module")
def files(view, tmp_path_factory) -> dict[str, Path]:
    """A granule of the simulation, in each form that is less than an orbit."""
    folder = tmp_path_factory.mktemp("s5p")
    ground = np.ones(view.shape, bool)
    truth = tropomi.Footprints(
        column=np.full(view.shape, 1e-4, "float32"),
        cloud_fraction=np.full(view.shape, 0.05, "float32"),
        cloud_height_m=np.full(view.shape, 1500, "float32"),
        elevation_m=np.full(view.shape, 300, "float32"),
        land=ground,
        snow=~ground,
        albedo=np.full(view.shape, 0.05, "float32"),
    )
    seen = tropomi.observe(view, 7, truth)
    return {form: granule.write(view, seen, folder, form=form) for form in ("piece", "subset")}


@pytest.fixture(scope="module")
def simulated(view, files) -> tuple[Path, np.ndarray]:
    """A full granule of the simulation, and its corners in metres."""
    utm = Transformer.from_crs("EPSG:4326", "EPSG:32633", always_xy=True)
    corners = utm.transform(view.corners[..., 0], view.corners[..., 1])
    return files["piece"], np.stack(corners, axis=-1)


def misfit_m(path: Path, corners: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """Return the distance of each rebuilt corner from the true one, centres in `gone` missing."""
    with netCDF4.Dataset(path) as nc:
        centres = np.stack([nc[f"PRODUCT/{n}"][0] for n in ("longitude", "latitude")], axis=-1)
    centres = np.where(gone[..., None], np.nan, np.asarray(centres, "float64"))
    rebuilt = s5p.rebuild_corners(centres)
    assert (np.isnan(rebuilt).any(axis=(-1, -2)) == gone).all()
    utm = Transformer.from_crs("EPSG:4326", "EPSG:32633", always_xy=True)
    found = np.stack(utm.transform(rebuilt[..., 0], rebuilt[..., 1]), axis=-1)
    distance = np.linalg.norm(found[:, :, :, None] - corners[:, :, None], axis=-1)
    # Each rebuilt corner is near another one of the four true ones: the order goes round.
    assert (np.sort(distance[~gone].argmin(axis=-1)) == np.arange(4)).all()
    return distance.min(axis=-1)


def test_rebuilt_corners_lie_within_20_m_of_the_true_ones_and_100_m_at_the_edge(simulated) -> None:
    # Pixels widen toward the swath's edge, which half a step from the centre does not know.
    path, corners = simulated
    found = misfit_m(path, corners, np.zeros(corners.shape[:2], bool))
    assert found[1:-1, 1:-1].max() < 20
    assert found.max() < 100


def test_corners_at_a_ragged_edge_of_missing_centres_lie_within_150_m(simulated) -> None:
    path, corners = simulated
    lines, pixels = corners.shape[:2]
    first, last = np.random.default_rng(1).integers(0, 4, (2, lines, 1))
    at = np.arange(pixels)
    gone = (at < first) | (at >= pixels - last)
    assert gone.sum() > lines
    assert np.nanmax(misfit_m(path, corners, gone)) < 150


def test_a_granule_of_the_simulation_reads_with_its_own_corners(simulated) -> None:
    path, corners = simulated
    granule = s5p.read(path)
    assert not granule.rebuilt and 0.5 * corners[..., 0, 0].size < granule.column.size
    assert granule.lon.shape == granule.lat.shape == (granule.column.size, 4)


def test_a_subset_of_the_simulation_reads_like_its_piece_but_for_the_corners(files) -> None:
    full, part = s5p.read(files["piece"]), s5p.read(files["subset"])
    assert part.rebuilt and not full.rebuilt
    assert np.array_equal(part.column, full.column) and part.best_qa == full.best_qa
    assert np.abs(part.lon - full.lon).max() < 2e-3 and np.abs(part.lat - full.lat).max() < 2e-3


def test_rebuilt_corners_do_not_tear_at_the_date_line() -> None:
    lon, lat = np.meshgrid(179.85 + 0.05 * np.arange(8), 10 + 0.05 * np.arange(5))
    centres = np.stack([(lon + 180) % 360 - 180, lat], axis=-1)
    corners = s5p.rebuild_corners(centres)
    assert np.ptp(corners[..., 0], axis=-1) == pytest.approx(np.full(lon.shape, 0.05))


def real() -> list[Path]:
    if not REAL.is_dir():
        pytest.skip("no real Sentinel-5P files beside the repository: ../shared/data/s5p_l2_delhi")
    return sorted(REAL.glob("*.nc4"))


def test_pixels_of_the_real_subsets_have_the_size_of_the_instrument_and_do_not_overlap() -> None:
    utm = Transformer.from_crs("EPSG:4326", "EPSG:32643", always_xy=True)
    sizes, edges = [], 0
    for path in real():
        granule = s5p.read(path)
        with netCDF4.Dataset(path) as nc:
            centres = nc["PRODUCT/longitude"][0]
            edges += int(np.ma.getmaskarray(centres).sum())
        corners = np.stack(utm.transform(granule.lon, granule.lat), axis=-1)
        pixels = shapely.polygons(corners)
        assert granule.rebuilt and shapely.is_valid(pixels).all()
        assert granule.pixels >= granule.column.size
        sizes += list(shapely.area(pixels) / 1e6)
        if pixels.size:
            doubled = 1 - shapely.union_all(pixels).area / shapely.area(pixels).sum()
            assert doubled < 0.002, path.name
    assert edges > 0  # the subsets' edges lack centres
    # 3.5 km across at nadir and up to about 14 km at the edge, 5.5 or 7 km along the track.
    assert 18 < min(sizes) and max(sizes) < 110

"""Sentinel-5P granules: the official layout read pixel by pixel, with corners that fit."""

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import shapely

from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.simulation import granule, swath, tropomi
from aqgeo.sources import s5p

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
    assert (shapely.area(shapely.symmetric_difference(one, two)) < 3e-4 * shapely.area(one)).all()


@pytest.mark.parametrize("unit", ["umol m-2", "mol cm-2", "molecules m-2", "1e15", "DU", ""])
def test_another_unit_is_refused_and_both_are_named(unit: str, tmp_path: Path) -> None:
    line = refusal(write(tmp_path / "a.nc", [[1e-5]], [[100]], unit=unit))
    assert repr(unit) in line and "'mol m-2'" in line


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


def test_a_granule_of_the_simulation_reads_with_its_own_corners(view, files) -> None:
    granule = s5p.read(files["piece"])
    assert not granule.rebuilt and 0.5 * view.centres[..., 0].size < granule.column.size
    assert granule.lon.shape == granule.lat.shape == (granule.column.size, 4)


def test_a_subset_of_the_simulation_reads_like_its_piece_but_for_the_corners(files) -> None:
    full, part = s5p.read(files["piece"]), s5p.read(files["subset"])
    assert part.rebuilt and not full.rebuilt
    assert np.array_equal(part.column, full.column) and part.best_qa == full.best_qa
    assert np.abs(part.lon - full.lon).max() < 2e-4 and np.abs(part.lat - full.lat).max() < 1e-4


FACTOR = 6.02214e19


@pytest.mark.parametrize(
    ("unit", "one_mol"),
    [
        ("mol m-2", 1),
        ("mol/m2", 1),
        ("mol m^-2", 1),
        ("molecules cm-2", FACTOR),
        ("molec cm-2", FACTOR),
        ("molec/cm2", FACTOR),
        ("molec./cm^2", FACTOR),
        ("Molecules cm**-2", FACTOR),
        ("molecule cm-2", FACTOR),
        ("1e15 molecules cm-2", FACTOR / 1e15),
        ("1.0E+15 molec/cm2", FACTOR / 1e15),
        ("10^15 molec cm-2", FACTOR / 1e15),
        ("10**15 molecules/cm**2", FACTOR / 1e15),
    ],
)
def test_columns_of_either_unit_come_out_in_mol_m2(unit: str, one_mol: float, tmp_path) -> None:
    path = write(tmp_path / "a.nc", np.array([[-2e-5, 3e-4]]) * one_mol, [[100, 100]], unit=unit)
    precision = f"{s5p.COLUMN}_precision"
    with netCDF4.Dataset(path, "a") as nc:
        add(nc["PRODUCT"], precision, "f4", np.array([[1e-5, 2e-5]]) * one_mol).units = unit
    granule = s5p.read(path, fields=[precision])
    np.testing.assert_allclose(granule.column, [-2e-5, 3e-4], rtol=1e-6)
    np.testing.assert_allclose(granule.fields[precision], [1e-5, 2e-5], rtol=1e-6)


def test_the_scale_of_a_column_is_applied_before_its_unit(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", [[3.0]], [[100]], unit="molecules cm-2")
    with netCDF4.Dataset(path, "a") as nc:
        nc["PRODUCT"][s5p.COLUMN].scale_factor = 1e15
    np.testing.assert_allclose(s5p.read(path).column, [3e15 / FACTOR], rtol=1e-6)


def rated(path: Path, kind: str, values, scale: float | None) -> s5p.Granule:
    write(path, [[1e-5, 2e-5, 3e-5, 4e-5]], [[0] * 4])
    bare = path.with_suffix(".2.nc")
    with netCDF4.Dataset(path) as old, netCDF4.Dataset(bare, "w") as new:
        old.set_auto_maskandscale(False)
        product, source = new.createGroup("PRODUCT"), old["PRODUCT"]
        for name, dim in source.dimensions.items():
            product.createDimension(name, dim.size)
        for name in (s5p.COLUMN, "longitude", "latitude"):
            add(product, name, "f4", source[name][0]).units = getattr(source[name], "units", "1")
        qa = add(product, "qa_value", kind, values)
        if scale is not None:
            qa.scale_factor = np.float32(scale)
        for name in ("longitude_bounds", "latitude_bounds"):
            add(product, f"SUPPORT_DATA/GEOLOCATIONS/{name}", "f4", old[PLACE][name][0])
    return s5p.read(bare)


@pytest.mark.parametrize(
    ("kind", "values", "scale"),
    [
        ("u1", [[74, 75, 76, np.nan]], 0.01),
        ("u1", [[74, 75, 76, np.nan]], None),
        ("f4", [[0.74, 0.75, 0.76, np.nan]], None),
        ("f4", [[74, 75, 76, np.nan]], None),
        ("f4", [[74, 75, 76, np.nan]], 0.01),
    ],
)
def test_quality_is_the_same_decoded_or_not(kind: str, values, scale, tmp_path: Path) -> None:
    granule = rated(tmp_path / "a.nc", kind, values, scale)
    np.testing.assert_allclose(granule.column, [3e-5], rtol=1e-6)
    assert granule.best_qa == pytest.approx(0.76)
    assert granule.skipped == {"fill": 0, "qa": 3, "implausible": 0, "corners": 0}
    assert granule.rule == "qa_value > 0.75, column >= -0.001 mol m-2"


def test_a_pixel_is_counted_under_the_first_reason_and_none_is_forgotten(tmp_path) -> None:
    column = [[np.nan, np.nan, -2e-3, -2e-3, -9e-4, 1e-5, 2e-5]]
    path = write(tmp_path / "a.nc", column, [[100, 0, 0, 100, 100, 100, 100]])
    with netCDF4.Dataset(path, "a") as nc:
        nc[PLACE]["latitude_bounds"][0, 0, 5, 0] = np.nan
    granule = s5p.read(path)
    assert granule.skipped == {"fill": 2, "qa": 1, "implausible": 1, "corners": 1}
    np.testing.assert_allclose(granule.column, [-9e-4, 2e-5], rtol=1e-6)
    assert granule.pixels == 5


def test_the_tropospheric_kernel_follows_the_total_one_up_to_the_tropopause(tmp_path) -> None:
    path = write(tmp_path / "a.nc", [[1e-5] * 7], [[100] * 7])
    kernel = np.arange(1, 8)[:, None] + np.arange(5) / 10
    kernel[6, 4] = np.nan
    tops = [2, 4, 0, -1, -2147483647, 5, 2]
    with netCDF4.Dataset(path, "a") as nc:
        product = nc["PRODUCT"]
        product.createDimension("layer", 5)
        dims = ("time", "scanline", "ground_pixel")
        found = product.createVariable("averaging_kernel", "f4", (*dims, "layer"))
        found[:] = np.where(np.isfinite(kernel), kernel, 9.96921e36)
        add(product, "air_mass_factor_total", "f4", [[2.0] * 7])
        add(product, "air_mass_factor_troposphere", "f4", [[1.0, 4.0, 1, 1, 1, 1, 1]])
        top = product.createVariable("tm5_tropopause_layer_index", "i4", dims)
        top[:] = tops
    granule = s5p.read(path, fields=[s5p.KERNEL, "tm5_tropopause_layer_index"])
    found = granule.fields[s5p.KERNEL]
    np.testing.assert_allclose(found[0], [2, 2.2, 2.4, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(found[1], [1, 1.05, 1.1, 1.15, 1.2], rtol=1e-6)
    assert np.isnan(found[2:6]).all()
    np.testing.assert_allclose(found[6], [14, 14.2, 14.4, 0, np.nan], rtol=1e-6)


def test_an_air_mass_factor_that_is_not_positive_gives_no_kernel(files, tmp_path) -> None:
    path = tmp_path / "a.nc"
    path.write_bytes(files["piece"].read_bytes())
    with netCDF4.Dataset(path, "a") as nc:
        nc["PRODUCT/air_mass_factor_troposphere"][0, 5] = 0
        nc["PRODUCT/air_mass_factor_troposphere"][0, 6] = -1
    kernel = s5p.read(path, min_qa=0, fields=[s5p.KERNEL]).fields[s5p.KERNEL]
    whole = s5p.read(files["piece"], min_qa=0, fields=[s5p.KERNEL]).fields[s5p.KERNEL]
    gone = np.isnan(kernel).all(axis=1)
    assert gone.any() and np.array_equal(kernel[~gone], whole[~gone]) and np.isfinite(whole).all()


def test_fields_of_all_groups_come_with_their_pixels(view, files) -> None:
    names = ["surface_pressure", "averaging_kernel", "cloud_fraction_crb", "longitude", "qa_value"]
    granule = s5p.read(files["piece"], fields=names)
    assert list(granule.fields) == names
    size = granule.column.size
    assert granule.fields["averaging_kernel"].shape == (size, 34)
    assert all(f.shape[0] == size and np.isfinite(f).all() for f in granule.fields.values())
    assert granule.fields["surface_pressure"].min() > 9e4
    assert (granule.fields["qa_value"] > 0.75).all() and granule.fields["qa_value"].max() <= 1.001
    middle = granule.lon.mean(axis=1)
    assert np.abs(granule.fields["longitude"] - middle).max() < 0.01


@pytest.mark.parametrize("name", ["nothing", "delta_time", "tm5_constant_a", "time_utc"])
def test_a_field_that_is_not_one_of_pixels_is_refused_by_name(name: str, files) -> None:
    with pytest.raises(SourceError, match=name):
        s5p.read(files["piece"], fields=[name])


def test_a_lone_scanline_without_corners_has_the_length_of_its_date(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", [[1e-5, 2e-5, 3e-5]], [[100] * 3], corners=False)
    assert "length along the track is unknown" in refusal(path)
    for day, metres in (("2019-08-05", 7000), ("2019-08-06", 5500)):
        with netCDF4.Dataset(path, "a") as nc:
            nc.time_reference = f"{day}T00:00:00Z"
        granule = s5p.read(path)
        assert granule.rebuilt
        height = np.ptp(granule.lat, axis=1) * np.pi / 180 * 6_371_000
        assert height == pytest.approx([metres] * 3, rel=2e-3)


def test_a_lone_column_without_corners_cannot_be_placed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", [[1e-5], [2e-5]], [[100], [100]], corners=False)
    assert "width across the track is unknown" in refusal(path)

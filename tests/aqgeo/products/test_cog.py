"""Laws of the published GeoTIFF files."""

import hashlib
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import xarray as xr
from rio_cogeo.cogeo import cog_validate

from aqgeo import __version__, cube
from aqgeo.catalog import Layer
from aqgeo.errors import ProductError
from aqgeo.products import cog

Make = Callable[..., xr.Dataset]


@pytest.fixture(scope="module")
def column(layers: dict[str, Layer]) -> Layer:
    return layers["no2_column/no2_column"]


@pytest.fixture(scope="module")
def aqi(layers: dict[str, Layer]) -> Layer:
    return layers["no2_surface/aqi_class"]


@pytest.fixture(scope="module")
def picture(layers: dict[str, Layer]) -> Layer:
    return layers["surface_reflectance/surface_reflectance"]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("size", [(1, 1), (13, 13), (600, 700), (1500, 1100)])
@pytest.mark.parametrize("kind", ["column", "aqi", "picture"])
def test_a_file_of_any_size_keeps_the_release_checklist(
    size: tuple[int, int],
    kind: str,
    composite: Make,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    path = tmp_path / "layer.tif"
    cog.write_cog(request.getfixturevalue(kind), composite(*size), path, tags={})
    assert cog_validate(path, strict=True, quiet=True)[0]
    # The only pixel of the smallest composite is no data.
    assert [what for what in cog.check_cog(path) if "no valid pixel" not in what] == []
    assert [p.name for p in tmp_path.iterdir()] == ["layer.tif"]


def test_every_layer_of_the_catalog_can_be_published(
    layers: dict[str, Layer], composite: Make, tmp_path: Path
) -> None:
    for name, layer in layers.items():
        path = tmp_path / f"{name.replace('/', '_')}.tif"
        cog.write_cog(layer, composite(40, 30), path, tags={})
        assert cog.check_cog(path) == [], name


def test_a_pixel_lies_where_the_cube_says(column: Layer, composite: Make, tmp_path: Path) -> None:
    ds = composite(60, 70)
    cog.write_cog(column, ds, tmp_path / "c.tif", tags={})
    wanted = ds["no2_column"].isel(time=0).to_numpy() * 1e6
    with rasterio.open(tmp_path / "c.tif") as src:
        points = [(float(x), float(y)) for y in ds.y for x in ds.x]
        found = np.array([v[0] for v in src.sample(points)]).reshape(wanted.shape)
        assert src.crs.to_epsg() == 32633
        assert src.transform == cube.geobox(ds).affine
    np.testing.assert_allclose(found, wanted, rtol=4.9e-4)
    assert np.array_equal(np.isnan(found), np.isnan(wanted))


def test_rounding_does_not_shift_the_mean(column: Layer, composite: Make, tmp_path: Path) -> None:
    ds = composite(600, 700)
    cog.write_cog(column, ds, tmp_path / "c.tif", tags={})
    wanted = float(ds["no2_column"].astype("float64").mean()) * 1e6
    with rasterio.open(tmp_path / "c.tif") as src:
        assert np.nanmean(src.read(1).astype("float64")) == pytest.approx(wanted, rel=1e-5)
        assert float(src.tags(1)["STATISTICS_MEAN"]) == pytest.approx(wanted, rel=1e-5)


def test_overviews_keep_the_mean_of_values(column: Layer, composite: Make, tmp_path: Path) -> None:
    ds = composite(1024, 1536)
    ds["no2_column"] = ds["no2_column"].fillna(3e-5)
    cog.write_cog(column, ds, tmp_path / "c.tif", tags={})
    with rasterio.open(tmp_path / "c.tif") as full:
        mean = full.read(1).astype("float64").mean()
        assert full.overviews(1) == [2, 4]
    with rasterio.open(tmp_path / "c.tif", overview_level=1) as small:
        assert small.read(1).astype("float64").mean() == pytest.approx(mean, rel=1e-6)


def test_overviews_keep_nan(column: Layer, composite: Make, tmp_path: Path) -> None:
    cog.write_cog(column, composite(1024, 1024), tmp_path / "c.tif", tags={})
    with rasterio.open(tmp_path / "c.tif", overview_level=0) as small:
        assert np.isnan(small.read(1)).mean() == pytest.approx(0.25 * 0.2, abs=0.002)


def test_overviews_of_classes_are_votes(aqi: Layer, composite: Make, tmp_path: Path) -> None:
    ds = composite(1024, 1024)
    codes = np.ones((1, 1024, 1024), "uint8")
    codes[:, ::2, ::2] = 6
    ds["aqi_class"] = ds["aqi_class"].copy(data=codes)
    cog.write_cog(aqi, ds, tmp_path / "c.tif", tags={})
    with rasterio.open(tmp_path / "c.tif", overview_level=0) as small:
        assert set(np.unique(small.read(1))) == {1}


@pytest.mark.parametrize("kind", ["column", "aqi", "picture"])
def test_the_same_pixels_give_the_same_bytes(
    kind: str, composite: Make, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    layer = request.getfixturevalue(kind)
    for name, lazy in (("first", False), ("second", False), ("lazy", True)):
        ds = composite(1100, 900, lazy=lazy)
        cog.write_cog(layer, ds, tmp_path / name, tags={"LICENSE": "CC-BY-4.0"})
    assert len({digest(tmp_path / name) for name in ("first", "second", "lazy")}) == 1


def test_nan_payloads_and_negative_zeros_do_not_change_the_bytes(
    column: Layer, composite: Make, tmp_path: Path
) -> None:
    plain, odd = composite(20, 20), composite(20, 20)
    values = plain["no2_column"].to_numpy().copy()
    values[0, 10, 10] = 0.0
    plain["no2_column"] = plain["no2_column"].copy(data=values)
    bits = values.copy().view("uint32")
    bits[np.isnan(values)] = 0xFFC01234
    bits[0, 10, 10] = 0x80000000
    odd["no2_column"] = odd["no2_column"].copy(data=bits.view("float32"))
    cog.write_cog(column, plain, tmp_path / "plain.tif", tags={})
    cog.write_cog(column, odd, tmp_path / "odd.tif", tags={})
    assert digest(tmp_path / "plain.tif") == digest(tmp_path / "odd.tif")


def test_the_file_says_what_it_holds(column: Layer, composite: Make, tmp_path: Path) -> None:
    tags = {"LICENSE": "CC-BY-4.0", "ATTRIBUTION": "Größe, µ and <b>"}
    cog.write_cog(column, composite(30, 30), tmp_path / "c.tif", tags=tags)
    with rasterio.open(tmp_path / "c.tif") as src:
        assert src.units == ("µmol m-2",)
        assert src.descriptions == ("Tropospheric NO2 column (µmol m-2)",)
        assert (src.scales, src.offsets) == ((1.0,), (0.0,))
        assert np.isnan(src.nodata)
        assert src.profile["compress"] == "deflate"
        assert tags.items() <= src.tags().items()
        assert src.tags()["TIFFTAG_SOFTWARE"] == f"aqgeo {__version__}"
        assert src.tags()["KEPT_MANTISSA_BITS"] == "10"
        assert src.tags()["AREA_OR_POINT"] == "Area"
        low, high = (float(src.tags(1)[f"STATISTICS_{k}"]) for k in ("MINIMUM", "MAXIMUM"))
        assert (low, high) == (np.nanmin(src.read(1)), np.nanmax(src.read(1)))


def test_classes_have_their_colours_and_no_statistics(
    aqi: Layer, composite: Make, tmp_path: Path
) -> None:
    ds = composite(30, 30)
    cog.write_cog(aqi, ds, tmp_path / "c.tif", tags={})
    with rasterio.open(tmp_path / "c.tif") as src:
        assert (src.dtypes, src.nodata) == (("uint8",), 0)
        assert src.colormap(1)[1] == (0x50, 0xF0, 0xE6, 255)
        assert not [key for key in src.tags(1) if key.startswith("STATISTICS")]
        assert np.array_equal(src.read(1), ds["aqi_class"][0])


def test_a_colour_picture_holds_its_bands_in_order(
    picture: Layer, composite: Make, tmp_path: Path
) -> None:
    ds = composite(30, 30)
    cog.write_cog(picture, ds, tmp_path / "c.tif", tags={})
    with rasterio.open(tmp_path / "c.tif") as src:
        assert src.descriptions == ("B02", "B03", "B04", "B08")
        np.testing.assert_allclose(src.read(3), ds["B04"][0], rtol=4.9e-4)


def test_a_layer_that_the_cube_does_not_hold_is_refused(
    column: Layer, composite: Make, tmp_path: Path
) -> None:
    with pytest.raises(ProductError, match="needs no2_column, which the composite does not hold"):
        cog.write_cog(column, composite(5, 5).drop_vars("no2_column"), tmp_path / "c.tif", tags={})
    assert list(tmp_path.iterdir()) == []


def test_codes_without_a_class_are_refused(aqi: Layer, composite: Make, tmp_path: Path) -> None:
    ds = composite(5, 5)
    ds["aqi_class"] = ds["aqi_class"] + np.uint8(3)
    with pytest.raises(ProductError, match=r"codes \[7"):
        cog.write_cog(aqi, ds, tmp_path / "c.tif", tags={})


def test_infinite_values_are_refused(column: Layer, composite: Make, tmp_path: Path) -> None:
    ds = composite(5, 5)
    ds["no2_column"] = ds["no2_column"] / np.float32(0)
    with pytest.raises(ProductError, match="infinite"):
        cog.write_cog(column, ds, tmp_path / "c.tif", tags={})


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    column: Layer, composite: Make, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.tif"
    cog.write_cog(column, composite(600, 700), path, tags={})
    before = digest(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises((ProductError, OSError), match=r"c\.tif"):
            cog.write_cog(column, composite(600, 700), path, tags={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert digest(path) == before
    assert [p.name for p in tmp_path.iterdir()] == ["c.tif"]


def test_a_missing_folder_is_an_error_that_names_it(
    column: Layer, composite: Make, tmp_path: Path
) -> None:
    with pytest.raises(OSError, match="nowhere"):
        cog.write_cog(column, composite(5, 5), tmp_path / "nowhere" / "c.tif", tags={})


def test_pixels_lost_on_the_way_are_found(
    column: Layer, composite: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = rasterio.shutil.copy

    def lossy(source: Path, target: Path, **options: str) -> None:
        with rasterio.open(source, "r+") as dst:
            dst.write(np.full((1, 1), 7, "float32"), 1, window=((599, 600), (699, 700)))
        copy(source, target, **options)

    monkeypatch.setattr(rasterio.shutil, "copy", lossy)
    with pytest.raises(ProductError, match="does not hold the pixels"):
        cog.write_cog(column, composite(600, 700), tmp_path / "c.tif", tags={})
    assert list(tmp_path.iterdir()) == []


def test_the_checklist_finds_what_a_careless_writer_forgets(tmp_path: Path) -> None:
    path = tmp_path / "careless.tif"
    codes = np.random.default_rng(0).integers(1, 3, (2, 1100, 600)).astype("float32") * 10
    profile = {"driver": "GTiff", "height": 1100, "width": 600, "count": 2, "dtype": "float32"}
    transform = rasterio.Affine(100, 0, 500_000, 0, -100, 4_400_000)
    with rasterio.open(
        tmp_path / "plain.tif", "w", **profile, crs="EPSG:32633", transform=transform
    ) as dst:
        dst.write(codes)
    rasterio.shutil.copy(
        tmp_path / "plain.tif", path, driver="COG", OVERVIEW_RESAMPLING="CUBIC", BLOCKSIZE="512"
    )
    path.with_name("careless.tif.aux.xml").write_text("<PAMDataset/>")
    found = "\n".join(cog.check_cog(path))
    for what in ("aux.xml", "2 quantities", "unit", "description", "no data is", "STATISTICS_MEAN"):
        assert what in found
    assert "beyond" in found
    assert cog.check_cog(tmp_path / "plain.tif")

"""Sentinel-2 items on a grid: reflectance from digital numbers, pixel by pixel, or an error."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo.errors import SourceError
from aqgeo.sources import sentinel2

LEFT, TOP, SIDE = 500_000, 4_400_000, 960
BASELINE = "s2:processing_baseline"
APPLIED = "earthsearch:boa_offset_applied"
JP2 = {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES", "nodata": None}


def grid(size: float, left: float = LEFT, top: float = TOP, pixels: int | None = None) -> GeoBox:
    count = pixels or int(SIDE / size)
    return GeoBox((count, count), Affine(size, 0, left, 0, -size, top), "EPSG:32633")


def raster(path: Path, data: np.ndarray, left: float = LEFT, **options) -> Path:
    options = {"driver": "GTiff", "nodata": 0, "crs": "EPSG:32633"} | options
    size = SIDE / data.shape[1]
    profile = {"width": data.shape[1], "height": data.shape[0], "count": 1, "dtype": data.dtype}
    transform = Affine(size, 0, left, 0, -size, TOP)
    with rasterio.open(path, "w", transform=transform, **profile, **options) as dst:
        dst.write(data, 1)
    return path


def item(band: Path, scl: Path | None = None, name: str = "scene", hour: int = 10, **props):
    bbox = [14.9, 39.6, 15.1, 39.8]
    outline = shapely.geometry.mapping(shapely.box(*bbox))
    made = pystac.Item(
        name, outline, bbox, datetime(2024, 6, 1, hour, tzinfo=UTC), {BASELINE: "02.14"} | props
    )
    made.add_asset("B04", pystac.Asset(str(band)))
    made.add_asset("SCL", pystac.Asset(str(scl or scl_beside(band))))
    return made


def scl_beside(band: Path) -> Path:
    return raster(band.with_suffix(".scl.tif"), np.full((16, 16), 4, "uint8"))


def numbers(pixels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 10_000, (pixels, pixels)).astype("uint16")


def refusal(call, *args) -> str:
    with pytest.raises(SourceError) as caught:
        call(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("props", "bands", "offset"),
    [
        ({APPLIED: True, BASELINE: "05.10"}, [{"offset": -0.1, "scale": 1e-4}], 0.0),
        ({APPLIED: True, BASELINE: "05.10"}, None, 0.0),
        ({APPLIED: True, BASELINE: ""}, None, 0.0),
        ({APPLIED: False, BASELINE: "05.10"}, [{"offset": -0.1, "scale": 1e-4}], -0.1),
        ({APPLIED: False, BASELINE: "05.10"}, [{"offset": 0, "scale": 1e-4}], 0.0),
        ({APPLIED: False, BASELINE: "05.10"}, None, -0.1),
        ({APPLIED: False, BASELINE: "02.14"}, None, 0.0),
        ({BASELINE: "02.14"}, [{"offset": -0.1, "scale": 1e-4}], -0.1),
        ({BASELINE: ""}, [{"offset": -0.1, "scale": 1e-4}], -0.1),
        ({BASELINE: "05.10"}, [{"scale": 1e-4}], -0.1),
        ({BASELINE: "02.14"}, None, 0.0),
        ({BASELINE: "03.01"}, None, 0.0),
        ({BASELINE: "04.00"}, None, -0.1),
        ({BASELINE: "05.10"}, None, -0.1),
    ],
)
def test_flag_wins_over_the_assets_offset_and_that_over_the_baseline(
    props, bands, offset: float, tmp_path: Path
) -> None:
    data = np.repeat(np.array([0, 1, 1000, 65535], "uint16"), 4)[None].repeat(16, 0)
    one = item(raster(tmp_path / "b.tif", data), **props)
    if bands:
        one.assets["B04"].extra_fields["raster:bands"] = bands
    found = sentinel2.read([one], ["B04"], grid(60))["B04"].values[0, :, ::4]
    wanted = [np.nan, 1e-4 + offset, 0.1 + offset, np.nan]
    np.testing.assert_allclose(found, np.tile(wanted, (16, 1)), atol=1e-7)


@pytest.mark.parametrize("baseline", ["", "new"])
def test_no_word_on_the_offset_is_an_error_and_not_a_guess(baseline: str, tmp_path: Path) -> None:
    one = item(raster(tmp_path / "b.tif", numbers(16)), **{BASELINE: baseline})
    line = refusal(sentinel2.scale_offset, one, "B04")
    assert all(word in line for word in ("scene", "'B04'", repr(baseline), "raster:bands"))
    del one.properties[BASELINE]
    assert "wrong by 0.1" in refusal(sentinel2.scale_offset, one, "B04")


@pytest.mark.parametrize("suffix", ["tif", "jp2"])
@pytest.mark.parametrize("size", [60, 20, 15])
def test_every_value_is_the_source_pixel_at_its_own_place(
    size: float, suffix: str, tmp_path: Path
) -> None:
    path = raster(tmp_path / f"b.{suffix}", numbers(16), **(JP2 if suffix == "jp2" else {}))
    ds = sentinel2.read([item(path)], ["B04"], grid(size))
    with rasterio.open(path) as src:
        points = [(float(x), float(y)) for y in ds.y for x in ds.x]
        wanted = np.array([v[0] for v in src.sample(points)]).reshape(ds["B04"].shape)
    np.testing.assert_allclose(ds["B04"], wanted * 1e-4, atol=1e-6)


def test_a_coarser_grid_holds_the_means_of_the_pixels_in_it(tmp_path: Path) -> None:
    data = numbers(48)
    data[:3, :3] = 0
    data[0, 3] = 0
    blocks = data.reshape(16, 3, 16, 3).astype("float64")
    blocks[blocks == 0] = np.nan
    path = raster(tmp_path / "b.tif", data)
    found = sentinel2.read([item(path)], ["B04"], grid(60))["B04"].values[0]
    assert np.isnan(found[0, 0]) and np.isnan(found).sum() == 1
    blocks[0, :, 0] = 0
    wanted = np.nanmean(blocks, axis=(1, 3)) * 1e-4
    wanted[0, 0] = np.nan
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_coarser_grid_holds_the_class_with_most_votes(tmp_path: Path) -> None:
    codes = np.full((48, 48), 4, "uint8")
    codes[::3, ::3] = 9
    codes[6:9, 6:9] = 0
    one = item(raster(tmp_path / "b.tif", numbers(48)), raster(tmp_path / "s.tif", codes))
    found = sentinel2.read([one], ["B04"], grid(60))["SCL"].values[0]
    assert found[2, 2] == 0
    found[2, 2] = 4
    assert (found == 4).all()


def test_two_tiles_of_a_day_make_one_picture_and_the_first_with_data_wins(tmp_path: Path) -> None:
    west, east = numbers(16, 1), numbers(16, 2)
    west[:4] = 0
    paths = [raster(tmp_path / "w.tif", west), raster(tmp_path / "e.tif", east, LEFT + SIDE / 2)]
    items = [item(p, name=p.stem, hour=h) for p, h in zip(paths, (10, 11), strict=True)]
    assert sentinel2.days(items) == [items]
    ds = sentinel2.read(items, ["B04"], grid(60, pixels=24))
    found = ds["B04"].values[0] * 1e4
    np.testing.assert_allclose(found[4:16, :16], west[4:], rtol=1e-5)
    np.testing.assert_allclose(found[:4, 8:], east[:4][:, :16], rtol=1e-5)
    np.testing.assert_allclose(found[:16, 16:], east[:, 8:], rtol=1e-5)
    assert np.isnan(found[16:]).all() and np.isnan(found[:4, :8]).all()
    assert (ds["SCL"].values[0, 16:] == 0).all() and (ds["SCL"].values[0, :16, :16] == 4).all()


def test_a_solar_day_is_not_a_day_of_utc(tmp_path: Path) -> None:
    path = raster(tmp_path / "b.tif", numbers(16))
    items = [item(path, name="late"), item(path, name="early")]
    for one, when in zip(items, (datetime(2024, 6, 1, 23), datetime(2024, 6, 2, 1)), strict=True):
        one.bbox, one.datetime = [149, -36, 151, -35], when.replace(tzinfo=UTC)  # 09:00 and 11:00
    assert sentinel2.days(items) == [items]
    items[0].bbox = items[1].bbox = [-1, 50, 1, 51]
    assert sentinel2.days(items) == [[items[0]], [items[1]]]


def test_a_missing_band_or_scene_class_is_named_with_those_there_are(tmp_path: Path) -> None:
    one = item(raster(tmp_path / "b.tif", numbers(16)))
    line = refusal(sentinel2.assets, one, ["B04", "B08"])
    assert "scene" in line and "B08" in line and "B04, SCL" in line
    del one.assets["SCL"]
    assert "SCL" in refusal(sentinel2.assets, one, ["B04"])


VRT = '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand band="1"/></VRTDataset>'


@pytest.mark.parametrize("text", [VRT, "This is no picture.", ""])
def test_a_file_that_only_calls_itself_tif_is_named_with_how_it_begins(
    text: str, tmp_path: Path
) -> None:
    (tmp_path / "b.tif").write_text(text)
    line = refusal(sentinel2.check_file, item(tmp_path / "b.tif"), "B04")
    assert str(tmp_path / "b.tif") in line and text[:4] in line


def test_a_picture_without_a_place_or_with_three_bands_is_refused(tmp_path: Path) -> None:
    path = raster(tmp_path / "b.tif", numbers(16), crs=None)
    assert "CRS" in refusal(sentinel2.check_file, item(path), "B04")


@pytest.mark.parametrize("share", [0.01, 0.4, 0.97])
@pytest.mark.parametrize("options", [{}, {"compress": "deflate"}, JP2])
def test_a_file_that_was_cut_short_is_named(options, share: float, tmp_path: Path) -> None:
    suffix = "jp2" if "driver" in options else "tif"
    whole = raster(tmp_path / f"whole.{suffix}", numbers(160), **options)
    sentinel2.find_broken([item(whole)], ["B04"])
    path, content = tmp_path / f"cut.{suffix}", whole.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    line = refusal(sentinel2.find_broken, [item(whole), item(path)], ["B04"])
    assert str(path) in line and "fetch it again" in line


@pytest.mark.parametrize("special", [0, 65535])
@pytest.mark.parametrize("baseline", ["02.14", "05.10"])
def test_special_values_are_left_out_before_averaging(
    special: int, baseline: str, tmp_path: Path
) -> None:
    data = np.full((16, 16), 2000, "uint16")
    data[::2, ::2] = special
    data[:2, :2] = special
    band = raster(tmp_path / "b.tif", data, nodata=None)
    found = sentinel2.read([item(band, **{BASELINE: baseline})], ["B04"], grid(120))["B04"].values
    assert np.isnan(found[0, 0, 0])
    expected = 0.2 if baseline < "04.00" else 0.1
    np.testing.assert_allclose(found[0].ravel()[1:], expected, rtol=1e-6)


def test_an_offset_in_the_bands_of_stac_1_1_is_read(tmp_path: Path) -> None:
    scene = item(raster(tmp_path / "b.tif", numbers(16)))
    scene.assets["B04"].extra_fields["bands"] = [{"name": "B04", "raster:offset": -0.1}]
    assert sentinel2.scale_offset(scene, "B04") == (1e-4, -0.1)

"""Bad Sentinel-2 rasters, each named in one line; pixels without a whole spectrum."""

import struct
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo.errors import SourceError
from aqgeo.sources import sentinel2

AFFINE = Affine(60, 0, 500_000, 0, -60, 5_200_000)
GRID = GeoBox((16, 16), AFFINE, "EPSG:32633")


def raster(path: Path, data: np.ndarray, **how) -> Path:
    how = {"driver": "GTiff", "crs": "EPSG:32633", "transform": AFFINE, "count": 1} | how
    size = {"width": data.shape[1], "height": data.shape[0], "dtype": data.dtype}
    with rasterio.open(path, "w", **size, **how) as dst:
        for band in range(how["count"]):
            dst.write(data, band + 1)
    return path


def item(name: str = "scene", **paths: Path) -> pystac.Item:
    box = [14.9, 46.8, 15.1, 47.0]
    when = datetime(2024, 6, 1, 10, tzinfo=UTC)
    told = {"s2:processing_baseline": "02.14"}
    made = pystac.Item(name, {"type": "Point", "coordinates": [15, 46.9]}, box, when, told)
    for key, path in paths.items():
        made.add_asset(key, pystac.Asset(str(path)))
    return made


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        sentinel2.check_file(item(B04=path), "B04")
    line = str(caught.value)
    assert "\n" not in line and str(path) in line and "fetch it again" in line
    return line


DATA = np.full((16, 16), 2000, "uint16")


@pytest.mark.parametrize("kind", ["float32", "int16", "uint32", "complex64"])
def test_numbers_of_another_type_are_refused(kind: str, tmp_path: Path) -> None:
    assert kind in refusal(raster(tmp_path / "b.tif", DATA.astype(kind)))


@pytest.mark.parametrize(
    "transform",
    [
        AFFINE @ Affine.rotation(10),
        Affine(60, 0, 500_000, 0, 60, 5_200_000),
        Affine(-60, 0, 500_000, 0, -60, 5_200_000),
        Affine(60, 0, 500_000, 0, -30, 5_200_000),
        Affine.identity(),
    ],
    ids=["rotated", "south up", "mirrored", "oblong", "none"],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_strange_place_on_the_ground_is_refused(transform: Affine, tmp_path: Path) -> None:
    assert "geotransform" in refusal(raster(tmp_path / "b.tif", DATA, transform=transform))


def test_a_missing_crs_or_more_bands_are_refused(tmp_path: Path) -> None:
    assert "CRS" in refusal(raster(tmp_path / "b.tif", DATA, crs=None))
    assert "3 bands" in refusal(raster(tmp_path / "c.tif", DATA, count=3))


def claim(path: Path, width: int, height: int, **tags: int) -> Path:
    """Write a TIFF whose header claims a size; it has no pixels."""
    known = {"width": (256, width), "height": (257, height), "bits": (258, 16), "packed": (259, 1)}
    known |= {"colour": (262, 1), "start": (273, 8), "samples": (277, 1), "rows": (278, height)}
    known |= {"bytes": (279, 2)}
    known |= {name: (int(name[1:]), value) for name, value in tags.items()}
    entries = sorted(known.values())
    content = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(entries))
    content += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    path.write_bytes(content + b"\0\0\0\0")
    return path


@pytest.mark.parametrize(
    ("width", "height"), [(2**31 - 1, 1), (2**16, 2**15), (10_981, 16), (16, 10_981)]
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_tiff_that_claims_too_many_pixels_is_refused_by_its_header(
    width: int, height: int, tmp_path: Path
) -> None:
    line = refusal(claim(tmp_path / "b.tif", width, height))
    assert f"{width} x {height}" in line or "CRS" in line


def test_a_sparse_tiff_with_a_place_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "b.tif"
    size = {"width": 46_341, "height": 46_341, "dtype": "uint16", "count": 1}
    how = {"driver": "GTiff", "crs": "EPSG:32633", "transform": AFFINE, "SPARSE_OK": True}
    with rasterio.open(path, "w", tiled=True, BIGTIFF="YES", **size, **how):
        pass
    assert path.stat().st_size < 10 * 2**20
    assert "46341 x 46341" in refusal(path)


def test_huge_blocks_are_refused(tmp_path: Path) -> None:
    how = {"tiled": True, "blockxsize": 2**14, "blockysize": 2**14, "SPARSE_OK": True}
    path = raster(tmp_path / "b.tif", np.zeros((16, 16), "uint16"), compress="deflate", **how)
    assert "16384 x 16384" in refusal(path)


@pytest.mark.parametrize("size", [16, 48, 512])
def test_any_sane_block_size_is_read(size: int, tmp_path: Path) -> None:
    how = {"tiled": True, "blockxsize": size, "blockysize": size}
    path = raster(tmp_path / "b.tif", DATA, **how)
    scl = raster(tmp_path / "s.tif", np.full((16, 16), 4, "uint8"))
    ds = sentinel2.read([item(B04=path, SCL=scl)], ["B04"], GRID)
    np.testing.assert_allclose(ds["B04"], 0.2, atol=1e-6)


ENVI = "ENVI\nsamples = 8\nlines = 8\nbands = 1\ndata type = 12\n"


@pytest.mark.parametrize(
    "text", [ENVI, "<html><body>Log in", "<?xml version='1.0'?><a/>", "PK\3\4"]
)
def test_another_format_that_calls_itself_tif_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "b.tif").write_text(text)
    assert "neither GeoTIFF nor JPEG 2000" in refusal(tmp_path / "b.tif")


@pytest.mark.parametrize("baseline", ["02.14", "05.10"])
def test_a_pixel_that_lacks_one_band_lacks_all(baseline: str, tmp_path: Path) -> None:
    red, blue = DATA.copy(), DATA.copy()
    red[:, :3], blue[:2], red[8, 8] = 0, 0, 65535
    paths = {"B04": raster(tmp_path / "4.tif", red), "B02": raster(tmp_path / "2.tif", blue)}
    paths["SCL"] = raster(tmp_path / "s.tif", np.full((16, 16), 4, "uint8"))
    one = item(**paths)
    one.properties["s2:processing_baseline"] = baseline
    ds = sentinel2.read([one], ["B04", "B02"], GRID)
    lost = (red == 0) | (blue == 0) | (red == 65535)
    for band in ("B04", "B02"):
        np.testing.assert_array_equal(np.isnan(ds[band].values[0]), lost)
    assert (ds["SCL"].values == 4).all()


def test_a_pixel_classified_as_defective_has_no_reflectance_and_another_item_fills_it(
    tmp_path: Path,
) -> None:
    classes = np.full((16, 16), 4, "uint8")
    classes[3, 4:6] = 1
    first = item(
        "first", B04=raster(tmp_path / "a.tif", DATA), SCL=raster(tmp_path / "s.tif", classes)
    )
    found = sentinel2.read([first], ["B04"], GRID)
    np.testing.assert_array_equal(np.isnan(found["B04"].values[0]), classes == 1)
    clouds = np.full((16, 16), 9, "uint8")
    second = item(
        "second", B04=raster(tmp_path / "b.tif", DATA * 2), SCL=raster(tmp_path / "t.tif", clouds)
    )
    both = sentinel2.read([first, second], ["B04"], GRID)
    np.testing.assert_allclose(both["B04"].values[0], np.where(classes == 1, 0.4, 0.2), atol=1e-6)
    # Class and spectrum are of one item.
    np.testing.assert_array_equal(both["SCL"].values[0], np.where(classes == 1, 9, 4))


def test_where_no_item_has_a_spectrum_the_first_class_stays(tmp_path: Path) -> None:
    classes = np.full((16, 16), 1, "uint8")
    classes[0] = 0
    empty = raster(tmp_path / "e.tif", DATA * 0)
    more = np.full((16, 16), 3, "uint8")
    items = [
        item("first", B04=empty, SCL=raster(tmp_path / "s.tif", classes)),
        item("second", B04=empty, SCL=raster(tmp_path / "t.tif", more)),
    ]
    found = sentinel2.read(items, ["B04"], GRID)
    assert np.isnan(found["B04"].values).all()
    np.testing.assert_array_equal(found["SCL"].values[0], np.where(classes == 0, 3, 1))


def test_level_1c_is_read_without_classes_and_not_mixed_with_level_2a(tmp_path: Path) -> None:
    band = raster(tmp_path / "b.tif", DATA)
    top = item("top", B04=band)
    top.collection_id = "sentinel-2-l1c"
    ds = sentinel2.read([top], ["B04"], GRID)
    assert set(ds.data_vars) == {"B04"} and "top-of-atmosphere" in ds["B04"].attrs["long_name"]
    np.testing.assert_allclose(ds["B04"], 0.2, atol=1e-6)
    scl = raster(tmp_path / "s.tif", np.full((16, 16), 4, "uint8"))
    with pytest.raises(SourceError, match="1C and 2A"):
        sentinel2.read([top, item(B04=band, SCL=scl)], ["B04"], GRID)


def test_pixel_type_and_outline_are_the_files_whatever_the_item_says(tmp_path: Path) -> None:
    data = np.arange(256, dtype="uint16").reshape(16, 16) * 37 + 1
    scl = raster(tmp_path / "s.tif", np.full((16, 16), 4, "uint8"))
    one = item(B04=raster(tmp_path / "b.tif", data), SCL=scl)
    one.bbox, one.geometry = [3, 3, 4, 4], {"type": "Point", "coordinates": [3, 3]}
    one.properties |= {
        "proj:epsg": 4326,
        "proj:shape": [1, 1],
        "proj:transform": [1, 0, 0, 0, 1, 0],
    }
    told = {"raster:bands": [{"data_type": "uint8", "nodata": 1}], "proj:shape": "x"}
    one.assets["B04"].extra_fields |= told
    ds = sentinel2.read([one], ["B04"], GRID)
    np.testing.assert_allclose(ds["B04"].values[0], data * 1e-4, atol=1e-6)

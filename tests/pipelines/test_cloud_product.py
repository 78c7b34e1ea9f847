"""The cloud mask as a map product, in the report and on the scorecard."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio

from aqgeo import cube
from aqgeo.products import stac_items

CLASSES = {0: "clear", 1: "thick_cloud", 2: "thin_cloud", 3: "cloud_shadow", 255: "no_data"}


@pytest.fixture(scope="module")
def folder(small: Any) -> Path:
    return Path(small.results["publish-cloud_mask"])


@pytest.fixture(scope="module")
def item(folder: Path) -> pystac.Item:
    (path,) = folder.glob("cloud_mask_*.json")
    return pystac.Item.from_file(str(path))


@pytest.fixture(scope="module")
def series(small: Any) -> Any:
    return cube.open(small.results["clean"] / "cube.zarr")


def test_every_date_has_its_classes_in_cloudsen12s_codes(folder: Path, series: Any) -> None:
    stamps = series["time"].dt.strftime("%Y%m%dT%H%M%S").values
    files = sorted(path.stem for path in folder.glob("cloud_class_*.tif"))
    assert files == [f"cloud_class_{stamp}" for stamp in stamps]
    for number, name in enumerate(files):
        with rasterio.open(folder / f"{name}.tif") as src:
            assert src.nodata == 255
            np.testing.assert_array_equal(src.read(1), series["cloud_class"].values[number])
            assert src.colormap(1)[1] == (255, 255, 255, 255)
            assert src.colormap(1)[255][3] == 0


def test_every_date_has_its_confidence(folder: Path, series: Any) -> None:
    files = sorted(folder.glob("cloud_confidence_2*.tif"))
    assert len(files) == series.sizes["time"]
    for number, path in enumerate(files):
        with rasterio.open(path) as src:
            assert src.units == ("%",)
            wanted = series["cloud_confidence"].values[number]
            np.testing.assert_allclose(src.read(1), wanted, rtol=2**-10)


def test_the_item_names_the_classes_as_the_extension_asks(item: pystac.Item, series: Any) -> None:
    assert stac_items.CLASSIFICATION in item.stac_extensions
    dated = {
        k: a for k, a in item.assets.items() if k.startswith("cloud_class") and "data" in a.roles
    }
    assert len(dated) == series.sizes["time"]
    for key, asset in dated.items():
        listed = asset.extra_fields["classification:classes"]
        assert {c["value"]: c["name"] for c in listed} == CLASSES
        assert all(c["nodata"] for c in listed if c["value"] == 255)
        assert all(len(c["color_hint"]) == 6 for c in listed if c["value"] != 255)
        assert asset.extra_fields["bands"][0]["nodata"] == 255
        assert asset.extra_fields["datetime"].replace("-", "").replace(":", "")[:-1] in key
    assert len(item.properties["aqgeo:scenes"]) == len(dated)


def test_the_share_of_dates_under_cloud_is_that_of_the_files(folder: Path, series: Any) -> None:
    with rasterio.open(folder / "cloud_share.tif") as src:
        share = src.read(1)
    codes = series["cloud_class"].values
    seen = (codes != 255).sum(axis=0)
    cloudy = np.isin(codes, (1, 2)).sum(axis=0)
    known = seen > 0
    np.testing.assert_allclose(share[known], 100 * cloudy[known] / seen[known], rtol=2**-10)


def test_the_report_has_a_row_for_each_date(small: Any, series: Any) -> None:
    page = (small.results["validate"] / "report.html").read_text("utf-8")
    table = page[page.index("Sentinel-2 dates") :]
    for scene in json.loads((small.results["clean"] / "provenance.json").read_text())["scenes"]:
        assert f"<td>{scene['date']}</td>" in table
    assert "cloud shadow, %" in table
    assert "cloud_weights" in page


def test_the_scorecard_sets_sen2cor_beside_the_network(small: Any) -> None:
    content = json.loads((small.results["score"] / "scorecard.json").read_text("utf-8"))
    clouds = content["tables"]["clouds"]
    assert clouds["title"] == "Cloud classes by U-Net"
    rows = {(row["what"], row["method"]): row for row in clouds["rows"]}
    for what in ("clear", "cloud shadow", "cloud, yes or no", "all four classes"):
        assert rows[what, "aqgeo"]["n"] == rows[what, "SCL"]["n"]


def test_without_confidence_none_is_published(
    small: Any, make: Callable[..., Any], tmp_path: Path
) -> None:
    how = {"archive": small.archive / "catalog.json", "products": ["cloud_mask"], "clouds": "scl"}
    made = make(tmp_path, **how)
    names = {path.stem for path in made.results["publish-cloud_mask"].glob("*.tif")}
    assert len(names) == 4 and not any("confidence" in name for name in names)
    page = (made.results["validate"] / "report.html").read_text("utf-8")
    assert "Sen2Cor scene classification" in page


def test_s2cloudless_without_l1c_says_what_to_do(
    small: Any, tell: Callable[..., Any], tmp_path: Path
) -> None:
    words = ("map", "demo", "--period", "2024-06-03/2024-06-06", "--product", "cloud_mask")
    how = ("--archive", small.archive / "catalog.json", "--clouds", "s2cloudless")
    told = tell(*words, *how, "--out", tmp_path)
    assert (told.code, told.out, len(told.err)) == (2, [], 1)
    for part in ("no collection 'sentinel-2-l1c'", "--level l1c", "--clouds unet"):
        assert part in told.err[0]

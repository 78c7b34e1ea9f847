"""Bands by the keys of each provider."""

from datetime import UTC, datetime
from typing import Any

import pystac
import pytest

from aqgeo.errors import SourceError
from aqgeo.sources import sentinel2_bands

BANDS = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]
EARTH_SEARCH = (
    "coastal blue green red rededge1 rededge2 rededge3 nir nir08 nir09 swir16 swir22 scl"
).split()


def item(assets: dict[str, dict[str, Any]] | list[str], collection: str = "sentinel-2-l2a"):
    when = datetime(2024, 6, 1, 10, tzinfo=UTC)
    made = pystac.Item("scene", None, None, when, {}, collection=collection)
    for key in assets:
        fields = assets[key] if isinstance(assets, dict) else {}
        made.add_asset(key, pystac.Asset("https://a.b/x", extra_fields=fields))
    return made


def refusal(one: pystac.Item, bands: list[str]) -> str:
    with pytest.raises(SourceError) as caught:
        sentinel2_bands.assets(one, bands)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_earth_search_has_names_and_twins_of_which_the_geotiff_is_taken() -> None:
    rest = ["visual", "aot", "wvp", "thumbnail", "granule_metadata", "tileinfo_metadata"]
    keys = [*(f"{k}-jp2" for k in EARTH_SEARCH), *EARTH_SEARCH, *rest]
    found = sentinel2_bands.assets(item(keys), BANDS)
    assert found == dict(zip([*BANDS, "SCL"], EARTH_SEARCH, strict=True))
    assert sentinel2_bands.assets(item(["red-jp2", "scl-jp2"]), ["B04"])["B04"] == "red-jp2"


def test_planetary_computer_has_names_of_bands_and_level_1c_no_scene_classes() -> None:
    keys = [*BANDS, "SCL", "AOT", "WVP", "visual", "preview", "product-metadata"]
    assert sentinel2_bands.assets(item(keys), BANDS) == {k: k for k in [*BANDS, "SCL"]}
    level1 = [*BANDS, "B10"]
    found = sentinel2_bands.assets(item(level1, "sentinel-2-l1c"), level1)
    assert found == {k: k for k in level1}
    assert "SCL" in refusal(item(level1), ["B10"])


def test_of_several_sizes_the_bands_own_is_taken_else_the_finest() -> None:
    keys = [
        *("B02_60m", "B02_20m", "B02_10m", "B01_20m", "B01_60m", "B8A_60m", "B8A_20m", "SCL_60m"),
        *("SCL_20m", "B04_60m", "B04_20m", "TCI_10m", "AOT_10m", "product_metadata"),
    ]
    found = sentinel2_bands.assets(item(keys), ["B01", "B02", "B04", "B8A"])
    assert found == {
        "B01": "B01_60m", "B02": "B02_10m", "B04": "B04_20m", "B8A": "B8A_20m", "SCL": "SCL_20m",
    }  # fmt: skip


@pytest.mark.parametrize("field", ["eo:bands", "bands"])
def test_bands_are_read_by_name_and_by_common_name_where_that_is_one_bands(field: str) -> None:
    common = "eo:common_name" if field == "bands" else "common_name"
    told = {
        "a": {field: [{"name": "B4", common: "red"}]},
        "b": {field: [{"name": "band-8", common: "nir"}]},
        "c": {field: [{common: "rededge"}]},
        "d": {field: [{"name": "B06", common: "rededge"}]},
        "SCL": {},
    }
    found = sentinel2_bands.assets(item(told), ["B04", "B08", "B06"])
    assert found == {"B04": "a", "B08": "b", "B06": "d", "SCL": "SCL"}
    assert "B05" in refusal(item(told), ["B05"])


def test_a_colour_picture_is_no_band() -> None:
    picture = {"eo:bands": [{"name": b} for b in ("B04", "B03", "B02")]}
    told = {"B04": {}, "scl": {}, "visual": picture}
    assert sentinel2_bands.assets(item(told), ["B04"])["B04"] == "B04"
    del told["B04"]
    assert "B04" in refusal(item(told), ["B04"])


def test_two_assets_of_one_band_are_refused_and_so_is_a_key_that_contradicts_its_name() -> None:
    told = {"x": {"bands": [{"name": "B04"}]}, "y": {"bands": [{"name": "B04"}]}, "SCL": {}}
    assert all(word in refusal(item(told), ["B04"]) for word in ("'x'", "'y'", "B04", "scene"))
    told = {"red": {"bands": [{"name": "B03"}]}, "SCL": {}}
    assert all(word in refusal(item(told), ["B04"]) for word in ("'red'", "B03", "B04"))


@pytest.mark.parametrize("told", [3, "B04", [], [None], [3], {}, [{"name": 7}], [{}]])
def test_bands_of_another_kind_say_nothing(told: Any) -> None:
    one = item({"red": {"bands": told}, "scl": {"eo:bands": told}})
    assert sentinel2_bands.assets(one, ["B04"]) == {"B04": "red", "SCL": "scl"}

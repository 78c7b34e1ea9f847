"""The offset of Sentinel-2 reflectance: what each word says, which word wins, when none does."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo.errors import SourceError
from aqgeo.sources import sentinel2, sentinel2_metadata, sentinel2_offset

BASELINE, APPLIED = "s2:processing_baseline", "earthsearch:boa_offset_applied"
# 0 is no data before the offset is added, 65535 saturated; dark pixels may be below zero after it.
NUMBERS = np.array([0, 1, 999, 1000, 65535], "uint16")
RAW = np.array([np.nan, 1e-4, 0.0999, 0.1, np.nan])
GRID = GeoBox((5, 5), Affine(60, 0, 500_000, 0, -60, 5_200_000), "EPSG:32633")
PRODUCT = "S2B_MSIL2A_20230815T100029_N0509_R122_T33TWM_20230815T140000"


def xml(
    offset: float | None = -1000,
    *,
    level: str = "2A",
    quantity: float = 10000,
    bands: range = range(13),
    special: str = "65535",
    product: str = PRODUCT,
) -> str:
    """Return a product's metadata, as ESA's in what is read of it."""
    kind, tag = ("BOA", "BOA_ADD_OFFSET") if level == "2A" else ("Radiometric", "RADIO_ADD_OFFSET")
    listed = "".join(f'<{tag} band_id="{b}">{offset}</{tag}>' for b in bands)
    names = "".join(
        f'<Spectral_Information bandId="{n}" physicalBand="{b.replace("B0", "B")}"/>'
        for n, b in enumerate(sentinel2_metadata.BAND_IDS)
    )
    steps = (
        f"<BOA_QUANTIFICATION_VALUE unit='none'>{quantity}</BOA_QUANTIFICATION_VALUE>"
        "<AOT_QUANTIFICATION_VALUE>1000.0</AOT_QUANTIFICATION_VALUE>"
        if level == "2A"
        else f"<QUANTIFICATION_VALUE unit='none'>{quantity}</QUANTIFICATION_VALUE>"
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level}_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/x.xsd">
<n1:General_Info><Product_Info><PRODUCT_URI>{product}.SAFE</PRODUCT_URI></Product_Info>
<Product_Image_Characteristics>
<Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
<SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>
<Special_Values><SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT>
<SPECIAL_VALUE_INDEX>{special}</SPECIAL_VALUE_INDEX></Special_Values>
{f"<{kind}_OFFSETS>{listed}</{kind}_OFFSETS>" if offset is not None else ""}
<QUANTIFICATION_VALUES_LIST>{steps}</QUANTIFICATION_VALUES_LIST>
<Spectral_Information_List>{names}</Spectral_Information_List>
</Product_Image_Characteristics></n1:General_Info></n1:Level-{level}_User_Product>"""


def scene(folder: Path, text: str | None = None, offset: Any = None, **properties: Any):
    when = datetime(2017, 6, 1, 10, tzinfo=UTC)
    box = [14.9, 46.9, 15.1, 47.1]
    made = pystac.Item("scene", {"type": "Point", "coordinates": [15, 47]}, box, when, properties)
    rows = {"B04": np.tile(NUMBERS, (5, 1)), "SCL": np.full((5, 5), 4, "uint8")}
    for key, data in rows.items():
        how = {"width": 5, "height": 5, "count": 1, "dtype": data.dtype, "crs": "EPSG:32633"}
        path = folder / f"{key}.tif"
        with rasterio.open(path, "w", driver="GTiff", transform=GRID.affine, **how) as dst:
            dst.write(data, 1)
        made.add_asset(key, pystac.Asset(str(path)))
    if offset is not None:
        made.assets["B04"].extra_fields["raster:bands"] = [{"scale": 1e-4, "offset": offset}]
    if text is not None:
        (folder / "MTD.xml").write_text(text)
        made.add_asset("product_metadata", pystac.Asset(str(folder / "MTD.xml")))
    return made


def refusal(one: pystac.Item, key: str = "B04") -> str:
    with pytest.raises(SourceError) as caught:
        sentinel2.scale_offset(one, key)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("applied", [True, False, None])
@pytest.mark.parametrize("offset", [0, -0.1])
@pytest.mark.parametrize("baseline", ["02.14", "04.00", "05.00", "99.99"])
def test_flag_and_offset_on_known_pixels_at_any_baseline(
    applied: bool | None, offset: float, baseline: str, tmp_path: Path
) -> None:
    flag = {} if applied is None else {APPLIED: applied}
    one = scene(tmp_path, offset=offset, **{BASELINE: baseline}, **flag)
    found = sentinel2.read([one], ["B04"], GRID)["B04"].values[0, 2]
    np.testing.assert_allclose(found, RAW if applied else RAW + offset, atol=1e-7)


@pytest.mark.parametrize(
    ("baseline", "text", "wanted"),
    [
        ("05.00", xml(), -0.1),  # reprocessed: sensed in 2017
        ("99.99", xml(), -0.1),
        ("99.99", xml(None), 0.0),
        ("02.14", xml(None), 0.0),
        ("", xml(), -0.1),
        ("", xml(-500), -0.05),
        ("", xml(level="1C"), -0.1),
        ("05.10", xml(quantity=10000.0), -0.1),
    ],
)
def test_the_products_own_metadata_tells_the_offset(
    baseline: str, text: str, wanted: float, tmp_path: Path
) -> None:
    one = scene(tmp_path, text, **{BASELINE: baseline})
    found = sentinel2.read([one], ["B04"], GRID)["B04"].values[0, 2]
    np.testing.assert_allclose(found, RAW + wanted, atol=1e-7)


def test_a_flag_that_pixels_are_shifted_wins_over_the_products_metadata(tmp_path: Path) -> None:
    assert sentinel2.scale_offset(scene(tmp_path, xml(), **{APPLIED: True}), "B04")[1] == 0


@pytest.mark.parametrize("flag", [{}, {APPLIED: False}])
@pytest.mark.parametrize(("told", "text"), [(0, xml()), (-0.1, xml(None)), (-0.1, xml(-500))])
def test_item_and_product_that_contradict_each_other_are_refused(
    told: float, text: str, flag: dict[str, bool], tmp_path: Path
) -> None:
    line = refusal(scene(tmp_path, text, offset=told, **{BASELINE: "05.10"}, **flag))
    assert all(word in line for word in ("scene", "'B04'", f"offset is {told}", APPLIED))


def test_another_step_than_the_products_is_refused(tmp_path: Path) -> None:
    line = refusal(scene(tmp_path, xml(quantity=5000), offset=-0.2))
    assert "scale is 0.0001 in the item and 0.0002" in line


def test_metadata_without_offsets_of_a_baseline_with_them_is_refused(tmp_path: Path) -> None:
    assert "'05.10'" in refusal(scene(tmp_path, xml(None), **{BASELINE: "05.10"}))


def test_metadata_of_another_product_are_refused(tmp_path: Path) -> None:
    one = scene(tmp_path, xml(), **{"s2:product_uri": f"{PRODUCT[:-1]}9.SAFE"})
    assert PRODUCT in refusal(one)
    one.properties["s2:product_uri"] = f"{PRODUCT}.SAFE"
    assert sentinel2.scale_offset(one, "B04") == (1e-4, pytest.approx(-0.1))


@pytest.mark.parametrize("baseline", ["", "99.99", "new", "5", "05.10.1", "-1.2"])
def test_without_a_word_that_tells_it_is_an_error(baseline: str, tmp_path: Path) -> None:
    assert repr(baseline) in refusal(scene(tmp_path, **{BASELINE: baseline}))


def test_metadata_that_were_not_fetched_tell_nothing(tmp_path: Path) -> None:
    one = scene(tmp_path, **{BASELINE: "05.10"})
    one.add_asset("product_metadata", pystac.Asset("https://example.com/MTD_MSIL2A.xml"))
    assert sentinel2.scale_offset(one, "B04") == (1e-4, -0.1)
    assert sentinel2_offset.metadata_key(one) == "product_metadata"
    one.properties[BASELINE] = "99.99"
    assert "product_metadata" in refusal(one)


def test_a_granules_metadata_tell_nothing_of_offsets(tmp_path: Path) -> None:
    tile = '<n1:Level-2A_Tile_ID xmlns:n1="https://x"><n1:General_Info/></n1:Level-2A_Tile_ID>'
    one = scene(tmp_path, tile, **{BASELINE: "05.10"})
    assert sentinel2.scale_offset(one, "B04") == (1e-4, -0.1)


@pytest.mark.parametrize(("key", "scale"), [("AOT", 1e-3), ("WVP", 1e-3), ("SCL", 1.0)])
def test_layers_that_are_no_reflectance_have_no_offset(
    key: str, scale: float, tmp_path: Path
) -> None:
    one = scene(tmp_path, xml(), **{BASELINE: "05.10"})
    one.assets[key] = one.assets["B04"]
    assert sentinel2.scale_offset(one, key) == (scale, 0)


@pytest.mark.parametrize("place", ["asset", "bands", "raster:bands"])
def test_the_asset_itself_or_its_bands_may_tell(place: str, tmp_path: Path) -> None:
    one = scene(tmp_path, **{BASELINE: "02.14"})
    prefix = "" if place == "raster:bands" else "raster:"
    told = {f"{prefix}scale": 2e-4, f"{prefix}offset": -0.2}
    one.assets["B04"].extra_fields |= told if place == "asset" else {place: [told]}
    assert sentinel2.scale_offset(one, "B04") == (2e-4, -0.2)


@pytest.mark.parametrize("offset", [-1000, "-0.1", True, float("nan"), [0], {}])
def test_an_offset_that_is_no_reflectance_is_refused(offset: Any, tmp_path: Path) -> None:
    assert "'B04'" in refusal(scene(tmp_path, offset=offset))


@pytest.mark.parametrize("flag", ["true", 1, "false"])
def test_a_flag_that_is_neither_true_nor_false_is_refused(flag: Any, tmp_path: Path) -> None:
    assert repr(flag) in refusal(scene(tmp_path, **{APPLIED: flag, BASELINE: "05.10"}))


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]><n1:Level-2A_User_Product xmlns:n1='x'>&i;</n1:Level-2A_User_Product>"
)
OUTSIDE = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    "<n1:Level-2A_User_Product xmlns:n1='x'>&a;</n1:Level-2A_User_Product>"
)


@pytest.mark.parametrize(
    "text",
    [BOMB, OUTSIDE, "", "<html><body>Log in", xml()[:900], xml().replace("10000", "ten"),
     xml(quantity=0), xml(float("nan")), xml(-1e9), xml(special="7"), xml(bands=range(40)),
     xml().replace(" band_id=", " band="), "\0", " " * (5 * 2**20)],
    ids=["bomb", "outside", "empty", "page", "cut", "words", "zero", "nan", "huge", "special",
         "bands", "attribute", "zero byte", "large"],
)  # fmt: skip
def test_bad_metadata_are_named_in_one_line(text: str, tmp_path: Path) -> None:
    line = refusal(scene(tmp_path, text, **{BASELINE: "05.10"}))
    assert str(tmp_path / "MTD.xml") in line and len(line) < 500 and "root:" not in line


def test_a_band_that_the_list_of_offsets_lacks_is_refused(tmp_path: Path) -> None:
    line = refusal(scene(tmp_path, xml(bands=range(3)), **{BASELINE: "05.10"}))
    assert "none for B04" in line and PRODUCT in line

"""Maps of real scenes and granules; skipped where the project's shared data are absent."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import rasterio.transform

ARCHIVE = Path(__file__).resolve().parents[3] / "shared" / "data" / "stac"
LEFT_OUT = {
    "20191112": "none of 9 pixels has qa_value above 0.75 (best 0.74)",
    "20200813": "none of 12 pixels has qa_value above 0.75 (best 0.33)",
}
pytestmark = pytest.mark.skipif(
    not (ARCHIVE / "catalog.json").is_file(), reason=f"no real data: {ARCHIVE} is absent"
)


@pytest.fixture(scope="module")
def delhi(make: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    how = {"archive": ARCHIVE / "catalog.json", "products": ["no2_column"]}
    out = tmp_path_factory.mktemp("delhi")
    return make(out, region="delhi", period="2019-08/2020-10", **how)


@pytest.fixture(scope="module")
def styria(make: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Ground on the border of two Sentinel-2 tiles, four dates."""
    how = {"archive": ARCHIVE / "catalog.json", "products": ["surface_reflectance"]}
    how |= {"clouds": "scl"}
    return make(tmp_path_factory.mktemp("styria"), region="tiles", period="2023-08", **how)


def test_four_bands_are_enough_for_the_network(make: Callable[..., Any], tmp_path: Path) -> None:
    how = {"archive": ARCHIVE / "catalog.json", "products": ["cloud_mask"]}
    made = make(tmp_path, region="tiles", period="2023-08", **how)
    folder = made.results["publish-cloud_mask"]
    told = json.loads((folder / "provenance.json").read_text("utf-8"))
    assert told["parameters"]["bands"] == ["B02", "B03", "B04", "B08"]
    shares = {scene["date"]: scene["percent"] for scene in told["scenes"]}
    cover = {day: share["thick cloud"] + share["thin cloud"] for day, share in shares.items()}
    # The one overcast day of the archive.
    assert max(cover, key=lambda day: cover[day]) == "2023-08-10"
    assert len(list(folder.glob("cloud_class_*.tif"))) == len(cover) == 4


def test_the_provenance_names_the_granules_that_fall_to_the_quality_rule(delhi: Any) -> None:
    folder = delhi.results["publish-no2_column"]
    told = json.loads((folder / "provenance.json").read_text("utf-8"))
    (item,) = (pystac.Item.from_file(str(path)) for path in folder.glob("no2_column_*.json"))
    left = [note for note in told["notes"] if "left out" in note]
    assert len(left) == len(LEFT_OUT)
    for day, why in LEFT_OUT.items():
        (note,) = (note for note in left if f"____{day}T" in note)
        assert note.endswith(f" left out: {why}")
        assert note in item.properties["processing:lineage"]
        assert not any(f"____{day}T" in name for name in told["inputs"])
    assert len(told["inputs"]) == len(item.properties["aqgeo:inputs"]) == 11


def test_a_real_map_is_not_called_simulated(delhi: Any) -> None:
    folder = delhi.results["publish-no2_column"]
    credit = "Contains modified Copernicus Sentinel data 2019-2020"
    for path in folder.glob("*.tif"):
        with rasterio.open(path) as src:
            assert src.tags()["SIMULATED"] == "no"
            assert src.tags()["ATTRIBUTION"] == credit
    told = json.loads((folder / "provenance.json").read_text("utf-8"))
    assert (told["simulated"], told["attribution"]) == (False, credit)
    page = (delhi.results["validate"] / "report.html").read_text("utf-8")
    assert "No station measurements were at hand" in page


def test_delhi_has_a_plausible_column_where_it_was_seen(delhi: Any) -> None:
    with rasterio.open(delhi.results["publish-no2_column"] / "no2_column.tif") as src:
        column = src.read(1)
    seen = column[np.isfinite(column)]
    assert seen.size > 100
    assert 50 < np.median(seen) < 400  # µmol m-2, a polluted city


def test_nearly_every_pixel_inside_the_tiles_has_a_clear_date(styria: Any) -> None:
    with rasterio.open(styria.results["publish-surface_reflectance"] / "valid_count.tif") as src:
        count = src.read(1)
    assert (count > 0).mean() > 0.95


def _source(items: list[pystac.Item], key: str, x: float, y: float) -> int:
    """Return the digital number of the day's first tile that has data at a place."""
    for item in items:
        with rasterio.open(item.assets[key].get_absolute_href()) as src:
            row, col = src.index(x, y)
            if 0 <= row < src.height and 0 <= col < src.width:
                number = int(src.read(1)[row, col])
                if number:
                    return number
    return 0


@pytest.fixture(scope="module")
def days() -> list[list[pystac.Item]]:
    catalog = pystac.Catalog.from_file(str(ARCHIVE / "catalog.json"))
    items = [i for i in catalog.get_items(recursive=True) if i.id.startswith(("S2A", "S2B"))]
    dates = sorted({item.datetime.date() for item in items if item.datetime})
    return [
        sorted((i for i in items if i.datetime and i.datetime.date() == day), key=lambda i: i.id)
        for day in dates
    ]


def test_a_pixel_is_the_median_of_the_clear_dates_of_its_source(
    styria: Any, days: list[list[pystac.Item]]
) -> None:
    from aqgeo.processing import clouds
    from aqgeo.sources import sentinel2

    path = styria.results["publish-surface_reflectance"] / "surface_reflectance.tif"
    rng = np.random.default_rng(0)
    with rasterio.open(path) as src:
        seen = src.read(src.descriptions.index("B04") + 1)
        rows, cols = (rng.integers(0, size, 12) for size in src.shape)
        places = [src.xy(r, c) for r, c in zip(rows, cols, strict=True)]
    compared = 0
    for row, col, (x, y) in zip(rows, cols, places, strict=True):
        values = []
        for items in days:
            keys = sentinel2.assets(items[0], ["B04"])
            scl = _source(items, keys["SCL"], x, y)
            if clouds.from_scl(np.array(scl)) == clouds.CLEAR:
                scale, offset = sentinel2.scale_offset(items[0], keys["B04"])
                values.append(_source(items, keys["B04"], x, y) * scale + offset)
        if values:
            compared += 1
            assert seen[row, col] == pytest.approx(np.median(values), rel=2**-10)
        else:
            assert np.isnan(seen[row, col])
    assert compared >= 6

"""Laws of the archive: same seed same bytes, a catalog that can be read, truth that agrees."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio

from aqgeo import cube
from aqgeo.catalog import Grid
from aqgeo.errors import GridError
from aqgeo.period import Period
from aqgeo.simulation import archive, records

from .conftest import PERIOD, SEED, Archive, make_region


def digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_same_seed_gives_same_bytes(small: Archive, region, tmp_path: Path) -> None:
    archive.write_archive(region, PERIOD, tmp_path, seed=SEED)
    assert digests(tmp_path) == digests(small.folder)


def test_another_seed_gives_another_world(small: Archive, region, tmp_path: Path) -> None:
    archive.write_archive(region, PERIOD, tmp_path, seed=SEED + 1, days=1)
    names = {p.name for p in (tmp_path / "data/sentinel2").iterdir()}
    assert len(names) == 5
    old, new = set(digests(small.folder).values()), set(digests(tmp_path).values())
    assert not old & new


def test_summary_counts_what_lies_there(small: Archive) -> None:
    folder, summary = small.folder, small.summary
    assert summary["scenes"] == 5
    assert len(list((folder / "data/sentinel2").iterdir())) == 5 * summary["scenes"]
    assert len(list((folder / "data/sentinel5p").iterdir())) == summary["granules"] == 6
    assert 25 <= summary["stations"] <= 40
    assert summary["seed"] == SEED
    assert len(small.told) == 3
    json.dumps(summary)


def test_pystac_reads_the_catalog_and_every_href_exists(small: Archive) -> None:
    catalog = pystac.Catalog.from_file(str(small.folder / "catalog.json"))
    collections = {c.id: c for c in catalog.get_children()}
    assert set(collections) == {"sentinel-2-l2a", "sentinel-5p-l2-no2", "stations-no2"}
    items = list(catalog.get_items(recursive=True))
    assert len(items) == 5 + 6 + 1
    for item in items:
        assert item.properties["aqgeo:simulated"] is True
        assert item.collection_id in collections
        for asset in item.assets.values():
            assert not Path(asset.href).is_absolute()
            assert Path(str(asset.get_absolute_href())).is_file()


def test_everything_says_that_it_is_simulated(small: Archive) -> None:
    for path in [small.folder / "catalog.json", *small.folder.glob("*/collection.json")]:
        record = json.loads(path.read_text("utf-8"))
        assert "simulated" in record["description"].lower()
        assert "simulated" in record["keywords"]
        if record["type"] == "Collection":
            assert record["license"] == "CC0-1.0"
            assert record["providers"] == [{"name": "aqgeo", "roles": ["producer"]}]


def test_sentinel2_items_tell_the_offset_and_the_grid(small: Archive, place) -> None:
    for path in sorted((small.folder / "sentinel-2-l2a").glob("*/*.json")):
        item = json.loads(path.read_text("utf-8"))
        assert item["id"].split("_")[1:] == ["33TWN", item["id"].split("_")[2], "0", "L2A"]
        properties = item["properties"]
        assert properties["s2:processing_baseline"] == "05.10"
        assert properties["earthsearch:boa_offset_applied"] is False
        assert set(item["assets"]) == {"blue", "green", "red", "nir", "scl"}
        band = item["assets"]["nir"]["raster:bands"][0]
        assert (band["scale"], band["offset"], band["nodata"]) == (0.0001, -0.1, 0)
        with rasterio.open(path.parent / item["assets"]["nir"]["href"]) as source:
            assert list(source.shape) == properties["proj:shape"]
            assert list(source.transform)[:6] == properties["proj:transform"]
            assert source.crs.to_epsg() == 32633


def test_domain_covers_both_grids_on_multiples_of_60_m(region) -> None:
    box = archive.domain(region).extent.boundingbox
    for product in ("surface_reflectance", "no2_column"):
        inner = region.geobox(product).extent.boundingbox
        assert box.left <= inner.left and box.right >= inner.right
        assert box.bottom <= inner.bottom and box.top >= inner.top
    assert all(v % 60 == 0 for v in box.bbox)


def test_a_region_too_large_or_in_degrees_is_refused() -> None:
    with pytest.raises(GridError, match="at most 150000 m"):
        archive.domain(make_region(2.0))
    region = make_region()
    degrees = {**region.grids, "surface_reflectance": Grid("EPSG:4326", resolution_deg=0.001)}
    with pytest.raises(GridError, match="not in metres"):
        archive.domain(type(region)("x", "x", region.area, degrees))


def test_scenes_spread_over_the_period_with_clear_and_cloudy_ones() -> None:
    scenes = archive.plan(Period.parse("2024-06"), 0)
    gaps = np.diff([s.day.toordinal() for s in scenes])
    assert set(gaps) == {6}
    covers = sorted(s.cover for s in scenes)
    assert sum(c < 0.1 for c in covers) == 2
    assert sum(c > 0.8 for c in covers) == 1


def test_truth_is_a_cube_on_the_refined_grid(region) -> None:
    ds = archive.truth(region, PERIOD, seed=SEED)
    cube.check(ds)
    coarse = region.geobox("no2_column")
    assert ds.sizes == {"time": 1, "y": 4 * coarse.shape[0], "x": 4 * coarse.shape[1]}
    assert ds.no2_column.attrs["units"] == "mol m-2"
    assert ds.no2_concentration.attrs["units"] == "ug m-3"
    assert 1.5e-5 < float(ds.no2_column.min()) < float(ds.no2_column.max()) < 4e-4


@pytest.mark.parametrize(
    ("lon", "lat", "name"),
    [(15.2, 47.05, "33TWN"), (14.0, 39.5, "33SVD"), (77.1, 28.6, "43RGM"), (151.2, -33.9, "56HLH")],
)
def test_tiles_are_named_as_in_the_military_grid(lon: float, lat: float, name: str) -> None:
    # Sydney, Delhi and Graz lie in these squares of the Sentinel-2 tiling grid.
    assert records.tile(lon, lat) == name

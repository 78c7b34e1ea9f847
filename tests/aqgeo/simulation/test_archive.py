"""Laws of the archive: same seed same bytes, a catalog that can be read, truth that agrees."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pystac
import pytest
import rasterio
import xarray as xr

from aqgeo import cube
from aqgeo.period import Period
from aqgeo.simulation import archive, plan, records, zoom
from aqgeo.simulation.plan import Settings
from aqgeo.sources import s5p

from .conftest import PERIOD, SETTINGS, Archive, make_region


def digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def by_date(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: path.name.split("_")[2])


def truth(small: Archive, group: str) -> xr.Dataset:
    ds = cube.open(small.truth / "truth.zarr" / group)
    cube.check(ds)
    return ds


def test_same_settings_give_same_bytes_with_one_worker_and_two(
    small: Archive, tmp_path: Path
) -> None:
    archive.write_archive(make_region(), PERIOD, tmp_path, SETTINGS, workers=1)
    assert digests(tmp_path) == digests(small.folder)


def test_another_seed_gives_another_world(small: Archive, tmp_path: Path) -> None:
    other = replace(SETTINGS, seed=8, days=1, levels=("l2a",))
    archive.write_archive(make_region(), PERIOD, tmp_path, other)
    assert len(list((tmp_path / "archive/data/sentinel2").iterdir())) == 13
    rasters = {k: v for k, v in digests(tmp_path).items() if k.endswith((".tif", ".nc", ".csv"))}
    assert not set(rasters.values()) & set(digests(small.folder).values())


def test_a_larger_domain_holds_the_smaller_unchanged(tmp_path: Path) -> None:
    """Land, roads and clouds: the classes of clouds and the clear ground are the same numbers."""
    found = []
    for size in (6, 12):
        folder = tmp_path / str(size)
        folder.mkdir()
        settings = Settings(seed=7, size_km=size, scenes=1, clouds=0.5)
        archive.write_archive(make_region(), Period.parse("2024-06-07"), folder, settings)
        found.append(cube.open(folder / "truth/truth.zarr/scenes"))
    inner, outer = found
    part = outer.sel(x=inner.x, y=inner.y)
    assert inner.sizes["x"] == 100 and outer.sizes["x"] == 200
    for name in ("B02", "B08", "B11", "cloud"):
        np.testing.assert_array_equal(part[name].to_numpy(), inner[name].to_numpy())


def test_summary_counts_what_lies_there(small: Archive) -> None:
    summary, folder = small.summary, small.archive / "data"
    assert summary["scenes"] == 3
    assert len(list((folder / "sentinel2").iterdir())) == 13 * 3
    assert len(list((folder / "sentinel2_l1c").iterdir())) == 13 * 3
    assert len(list((small.truth / "labels").iterdir())) == 3
    assert len(list((folder / "sentinel5p").iterdir())) == summary["granules"]
    assert 5 <= summary["granules"] <= 10
    assert 3 <= summary["stations"] <= 40
    json.dumps(summary)


def test_pystac_reads_the_catalog_and_every_href_exists(small: Archive) -> None:
    catalog = pystac.Catalog.from_file(str(small.archive / "catalog.json"))
    collections = {c.id: c for c in catalog.get_children()}
    kinds = {"sentinel-2-l1c", "sentinel-2-l2a", "sentinel-5p-l2-no2", "stations-no2"}
    assert set(collections) == kinds
    items = list(catalog.get_items(recursive=True))
    assert len(items) == 3 + 3 + small.summary["granules"] + 1
    for item in items:
        assert item.properties["aqgeo:simulated"] is True
        assert item.collection_id in collections
        for asset in item.assets.values():
            assert not Path(asset.href).is_absolute()
            path = Path(str(asset.get_absolute_href()))
            assert path.is_file()
            assert "truth" not in str(path.relative_to(small.folder.parent))


def test_everything_says_that_it_is_simulated(small: Archive) -> None:
    for path in [small.archive / "catalog.json", *small.archive.glob("*/collection.json")]:
        record = json.loads(path.read_text("utf-8"))
        assert "simulated" in record["description"].lower()
        assert "simulated" in record["keywords"]
        if record["type"] == "Collection":
            assert record["license"] == "CC0-1.0"
            assert record["providers"] == [{"name": "aqgeo", "roles": ["producer"]}]


@pytest.mark.parametrize("level", ["l1c", "l2a"])
def test_sentinel2_items_tell_the_offset_and_the_grid(small: Archive, level: str) -> None:
    for path in sorted((small.archive / f"sentinel-2-{level}").glob("*/*.json")):
        item = json.loads(path.read_text("utf-8"))
        assert item["id"].split("_")[1:] == [
            "33TWN", item["id"].split("_")[2], "0", level.upper()
        ]  # fmt: skip
        properties = item["properties"]
        assert properties["s2:processing_baseline"] == "05.10"
        assert properties["earthsearch:boa_offset_applied"] is False
        assert len(item["assets"]) == 13
        assert ("scl" in item["assets"]) == (level == "l2a")
        assert ("cirrus" in item["assets"]) == (level == "l1c")
        band = item["assets"]["nir"]["raster:bands"][0]
        assert (band["scale"], band["offset"], band["nodata"]) == (0.0001, -0.1, 0)
        for asset in item["assets"].values():
            with rasterio.open(path.parent / asset["href"]) as source:
                assert list(source.shape) == asset["proj:shape"]
                assert list(source.transform)[:6] == asset["proj:transform"]
                assert source.res[0] == asset["raster:bands"][0]["spatial_resolution"]
                assert source.crs.to_epsg() == 32633


def test_truth_of_scenes_is_what_clear_pixels_show(small: Archive) -> None:
    """Within Sen2Cor's stated uncertainty, .005-.01 + 5 % (simulation-facts, section 1)."""
    ds, paths = (
        truth(small, "scenes"),
        by_date((small.archive / "data/sentinel2").glob("*_B04.tif")),
    )
    for number, path in enumerate(paths):
        true = ds.B04.to_numpy()[number]
        clear = ds.cloud.to_numpy()[number] == 0
        with rasterio.open(path) as source:
            seen = zoom.shrink((source.read(1) * 1e-4 - 0.1).astype("float32"), 3)
        if clear.mean() > 0.2:
            error = (seen - true)[clear]
            assert abs(np.median(error)) < 0.01
            assert np.percentile(np.abs(error) / (0.015 + 0.1 * true[clear]), 80) < 1


def test_labels_are_the_truth_at_full_resolution(small: Archive) -> None:
    ds = truth(small, "scenes")
    for number, path in enumerate(by_date((small.truth / "labels").iterdir())):
        with rasterio.open(path) as source:
            label = source.read(1)
            assert source.nodata == 255
        shares = np.bincount(label.ravel(), minlength=4)[:4] / label.size
        coarse = ds.cloud.to_numpy()[number]
        np.testing.assert_allclose(
            np.bincount(coarse.ravel(), minlength=4) / coarse.size, shares, atol=0.03
        )


def test_granules_scatter_about_the_true_columns(small: Archive) -> None:
    """Mean over the domain, good pixels: bias and noise of the product, no more."""
    ds = truth(small, "columns")
    assert (ds.no2_column.to_numpy() > 1e-5).all()
    seen = [
        s5p.read(path, min_qa=0.75).column
        for path in sorted((small.archive / "data/sentinel5p").glob("*.nc"))
    ]
    found, true = float(np.concatenate(seen).mean()), float(ds.no2_column.mean())
    assert 0.6 * true < found < 1.4 * true


def test_air_and_stations_agree_with_each_other(small: Archive) -> None:
    air = truth(small, "air").no2_concentration
    assert air.sizes["time"] == 6
    table = pd.read_csv(small.truth / "stations.csv")
    hourly = pd.read_csv(next((small.archive / "data/stations").glob("*.csv")))
    assert set(table.location_id) == set(hourly.location_id)
    measured = hourly[hourly.value.between(0, 300)].groupby("location_id").value.mean()
    ratio = measured / table.set_index("location_id").no2
    assert ratio.between(0.5, 1.8).all()
    background = table[table.station_type == "background"].no2
    assert float(air.min()) * 0.8 < background.min() and background.max() < float(air.max()) * 1.3


def test_a_domain_of_several_tiles_has_an_item_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(size_km=9, scenes=1, days=1)
    period = settings.shorten(PERIOD)
    world = plan.world(make_region(), settings)
    weather = plan.weather(world, period, settings)
    scene = plan.scenes(period, settings, weather)[0]
    found = []
    for number, side in enumerate((6_000, 109_800)):
        monkeypatch.setattr(plan, "TILE_M", side)
        for name in ("archive/data/sentinel2", "truth/labels"):
            (tmp_path / str(number) / name).mkdir(parents=True)
        found.append(
            archive._write_scene(world, weather, scene, tmp_path / str(number), ("l2a",), 1)
        )
    items, _, ground, classes = found[0]
    assert [item["id"].split("_")[3] for item in items] == list("0123")
    assert ground.shape == (12, 150, 150) and np.isfinite(ground).all()
    np.testing.assert_array_equal(classes, found[1][3])


@pytest.mark.parametrize("form", ["subset", "orbit"])
def test_granules_come_in_other_forms(form: str, tmp_path: Path) -> None:
    settings = Settings(size_km=6, scenes=1, days=1, granules=form)
    archive.write_archive(make_region(), Period.parse("2024-06-08"), tmp_path, settings)
    paths = sorted((tmp_path / "archive/data/sentinel5p").iterdir())
    assert paths
    found = s5p.read(paths[0], min_qa=0.0)
    assert (found.pixels > 1_500_000) == (form == "orbit")
    assert (found.rebuilt > 0) == (form == "subset")


@pytest.mark.parametrize(
    ("lon", "lat", "name"),
    [(15.2, 47.05, "33TWN"), (14.0, 39.5, "33SVD"), (77.1, 28.6, "43RGM"), (151.2, -33.9, "56HLH")],
)
def test_tiles_are_named_as_in_the_military_grid(lon: float, lat: float, name: str) -> None:
    # Sydney, Delhi and Graz lie in these squares of the Sentinel-2 tiling grid.
    assert records.tile(lon, lat) == name

"""The published catalog, read by any STAC client on a machine without network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio

# Overpasses of the demo's four scenes.
DATES = [f"202406{day}T100243" for day in ("04", "12", "19", "27")]
LAYERS = {
    "cloud_mask": {"cloud_share", "cloud_confidence_mean"}
    | {f"cloud_{what}_{date}" for what in ("class", "confidence") for date in DATES},
    "no2_column": {"no2_column", "no2_column_sigma", "valid_count"},
    "no2_column_fine": {"no2_column_fine", "no2_column_fine_sigma"},
    "no2_surface": {"no2_surface", "no2_surface_sigma", "aqi_class", "filled_share"},
    "surface_reflectance": {"surface_reflectance", "valid_count", "filled_share"},
}


@pytest.fixture(scope="module")
def catalog(demo: Any) -> pystac.Catalog:
    return pystac.Catalog.from_file(str(demo.out / "maps" / "catalog.json"))


def test_the_catalog_leads_to_every_map(catalog: pystac.Catalog) -> None:
    collections = {child.id: child for child in catalog.get_children()}
    assert set(collections) == set(LAYERS)
    for name, collection in collections.items():
        (item,) = collection.get_items()
        assert item.collection_id == name
        layers = {key for key, asset in item.assets.items() if "data" in (asset.roles or [])}
        assert layers == LAYERS[name]
        assert {f"{layer}_style" for layer in layers} | {"quicklook"} <= set(item.assets)


def test_every_link_is_relative_and_leads_to_a_file(demo: Any) -> None:
    files = sorted((demo.out / "maps").rglob("*.json"))
    seen = 0
    for path in (file for file in files if file.name != "provenance.json"):
        content = pystac.StacIO.default().read_json(str(path))
        links = [*content.get("links", []), *content.get("assets", {}).values()]
        for href in (link["href"] for link in links):
            seen += 1
            assert not href.startswith(("/", "http", "file:")), (path, href)
            assert (path.parent / href).resolve().is_file(), (path, href)
    assert seen > 30


def test_the_catalog_may_be_moved(demo: Any, copy: Callable[..., Path], tmp_path: Path) -> None:
    moved = copy(demo.out / "maps", tmp_path / "elsewhere")
    catalog = pystac.Catalog.from_file(str(moved / "catalog.json"))
    for item in catalog.get_items(recursive=True):
        for asset in item.assets.values():
            path = Path(asset.get_absolute_href() or "")
            assert path.is_relative_to(moved)
            assert path.is_file()


def test_a_simulated_map_says_so_everywhere(demo: Any, catalog: pystac.Catalog) -> None:
    for item in catalog.get_items(recursive=True):
        assert item.properties["aqgeo:simulated"] is True
        assert item.properties["attribution"] == "Simulated by aqgeo, not observed"
    for path in (demo.out / "maps").rglob("*.tif"):
        with rasterio.open(path) as src:
            assert src.tags()["SIMULATED"] == "yes"
    assert "simulated" in (demo.out / demo.printed[-2]).read_text("utf-8").lower()


def _values(demo: Any, product: str, layer: str) -> np.ndarray:
    with rasterio.open(demo.out / "maps" / product / "demo" / "2024-06" / f"{layer}.tif") as src:
        return np.asarray(src.read(1))


def test_uncertainty_classes_and_shares_hold_what_they_say(demo: Any) -> None:
    surface, sigma = (_values(demo, "no2_surface", f"no2_surface{s}") for s in ("", "_sigma"))
    codes, share = (_values(demo, "no2_surface", name) for name in ("aqi_class", "filled_share"))
    known = np.isfinite(surface)
    assert known.mean() > 0.9
    assert (np.isfinite(sigma) == known).all()
    assert (sigma[known] > 0).all()
    assert ((codes > 0) == known).all()
    # Bands of the European index, revised 2024: 10, 25, 60, 100, 150 µg m-3.
    expected = 1 + np.searchsorted([10, 25, 60, 100, 150], surface[known])
    assert (codes[known] == expected).mean() > 0.999
    assert np.nanmin(share) >= 0 and np.nanmax(share) <= 100


def test_the_means_of_the_fine_column_are_the_coarse_column(demo: Any) -> None:
    from aqgeo import cube

    coarse, fine = (
        cube.open(demo.stages / stage / "composite.zarr")["no2_column"].values[0].astype("float64")
        for stage in ("ingest-sentinel-5p-l2-no2", "enhance")
    )
    rows, cols = coarse.shape
    assert fine.shape == (4 * rows, 4 * cols)
    means = fine.reshape(rows, 4, cols, 4).mean(axis=(1, 3))
    known = np.isfinite(coarse)
    assert known.mean() > 0.9
    assert (np.isfinite(means) == known).all()
    np.testing.assert_allclose(means[known], coarse[known], rtol=1e-6)

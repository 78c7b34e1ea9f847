"""Laws of the STAC items and of the static catalog."""

import hashlib
import json
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pystac
import pytest
import xarray as xr

from aqgeo import cube
from aqgeo.catalog import Product
from aqgeo.errors import ProductError
from aqgeo.period import Period
from aqgeo.products import cog, qgis, stac_items, static_catalog

Make = Callable[..., xr.Dataset]
PROVENANCE: Mapping[str, Any] = {
    "simulated": True,
    "license": "CC-BY-4.0",
    "attribution": "Simulated, no satellite has seen this",
    "lineage": "mean of 12 orbits",
    "inputs": ["orbit-1", "orbit-2"],
    "notes": ["corners rebuilt from centres"],
}


def publish(root: Path, product: Product, ds: xr.Dataset, month: str, **changes: object) -> Path:
    """Publish one map the way a stage does."""
    folder = root / product.name / "demo" / month
    folder.mkdir(parents=True)
    for layer in product.layers:
        cog.write_cog(layer, ds, folder / f"{layer.name}.tif", tags={})
        (folder / f"{layer.name}.qml").write_text(qgis.style(layer), "utf-8")
    (folder / "quicklook.png").write_bytes(b"\x89PNG")
    made = stac_items.item(
        product,
        "demo",
        Period.parse(month),
        grid=cube.geobox(ds),
        folder=folder,
        provenance={**PROVENANCE, **changes},
    )
    return static_catalog.write_item(made, folder)


@pytest.fixture(scope="module")
def published(
    products: dict[str, Product], composite: Make, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    root = tmp_path_factory.mktemp("published")
    for product in products.values():
        for month in ("2024-06", "2024-07"):
            publish(root, product, composite(30, 40), month)
    static_catalog.index(root, products)
    return root


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("offline")
def test_pystac_reads_the_whole_tree_without_network(
    published: Path, products: dict[str, Product]
) -> None:
    root = pystac.Catalog.from_file(str(published / "catalog.json"))
    items = list(root.get_items(recursive=True))
    assert len(items) == 2 * len(products)
    for found in items:
        collection = found.get_collection()
        assert collection is not None
        assert collection.id == found.collection_id == found.properties["aqgeo:product"]
        assert found.get_root() is root
        for asset in found.assets.values():
            assert Path(asset.get_absolute_href() or "").is_file()


@pytest.mark.usefixtures("offline")
def test_the_tree_keeps_the_core_specification(published: Path) -> None:
    pytest.importorskip("jsonschema")
    root = pystac.Catalog.from_file(str(published / "catalog.json"))
    for entry in (root, *root.get_collections(), *root.get_items(recursive=True)):
        # The schemas of the extensions lie on the network, that of the core in pystac.
        entry.stac_extensions = []
        entry.validate()


def test_links_are_relative_and_lead_somewhere(published: Path) -> None:
    files = list(published.rglob("*.json"))
    assert len(files) == 1 + 5 + 10
    for path in files:
        content = json.loads(path.read_text("utf-8"))
        hrefs = [link["href"] for link in content["links"]]
        hrefs += [asset["href"] for asset in content.get("assets", {}).values()]
        assert "self" not in {link["rel"] for link in content["links"]}
        for href in hrefs:
            assert href.startswith("."), href
            assert (path.parent / href).resolve().is_relative_to(published)
            assert (path.parent / href).is_file(), href


def test_checksums_and_sizes_are_those_of_the_files(published: Path) -> None:
    for path in published.rglob("*_demo_*.json"):
        for asset in json.loads(path.read_text("utf-8"))["assets"].values():
            data = (path.parent / asset["href"]).read_bytes()
            assert asset["file:checksum"] == "1220" + hashlib.sha256(data).hexdigest()
            assert asset["file:size"] == len(data)


def test_a_second_index_rewrites_nothing(published: Path, products: dict[str, Product]) -> None:
    before = {p: p.stat().st_mtime_ns for p in published.rglob("*")}
    static_catalog.index(published, products)
    assert {p: p.stat().st_mtime_ns for p in published.rglob("*")} == before


def test_an_item_says_where_when_and_what(published: Path) -> None:
    folder = published / "no2_surface" / "demo" / "2024-06"
    content = json.loads((folder / "no2_surface_demo_2024-06.json").read_text("utf-8"))
    said = content["properties"]
    assert said["datetime"] is None
    assert said["start_datetime"] == "2024-06-01T00:00:00Z"
    assert said["end_datetime"] == "2024-06-30T23:59:59Z"
    assert said["proj:code"] == "EPSG:32633"
    assert said["proj:shape"] == [30, 40]
    assert said["proj:transform"] == [100, 0, 500_000, 0, -100, 4_403_000]
    assert said["proj:bbox"] == [500_000, 4_400_000, 504_000, 4_403_000]
    assert said["processing:level"] == "L4"
    assert said["processing:software"].keys() == {"aqgeo"}
    assert said["aqgeo:inputs"] == ["orbit-1", "orbit-2"]
    assert said["aqgeo:simulated"] is True
    assert said["aqgeo:notes"] == ["corners rebuilt from centres"]
    west, south, east, north = content["bbox"]
    assert 14.9 < west < east < 15.1
    assert 39.7 < south < north < 39.9


def test_bands_say_unit_type_and_statistics(published: Path) -> None:
    folder = published / "no2_surface" / "demo" / "2024-06"
    assets = json.loads((folder / "no2_surface_demo_2024-06.json").read_text("utf-8"))["assets"]
    (band,) = assets["no2_surface"]["bands"]
    assert (band["unit"], band["data_type"], band["nodata"]) == ("µg m-3", "float32", "nan")
    assert band["statistics"]["minimum"] <= band["statistics"]["mean"]
    assert assets["no2_surface"]["raster:spatial_resolution"] == 100
    assert assets["no2_surface_sigma"]["roles"] == ["data", "uncertainty"]
    assert assets["no2_surface_style"]["roles"] == ["style"]
    classes = assets["aqi_class"]["classification:classes"]
    assert [c["value"] for c in classes] == list(range(7))
    assert classes[0]["nodata"] is True
    assert classes[1]["color_hint"] == "50F0E6"
    assert "statistics" not in assets["aqi_class"]["bands"][0]


def test_a_collection_tells_the_extent_of_its_items(published: Path) -> None:
    collection = pystac.Collection.from_file(str(published / "no2_column" / "collection.json"))
    ((start, end),) = collection.extent.temporal.intervals
    assert (f"{start:%Y-%m-%d}", f"{end:%Y-%m-%d}") == ("2024-06-01", "2024-07-31")
    assert collection.license == "CC-BY-4.0"
    assert "simulated" in (collection.keywords or [])
    assert set(collection.item_assets) == {"no2_column", "no2_column_sigma", "valid_count"}


def test_a_withdrawn_map_leaves_the_catalog(
    products: dict[str, Product], composite: Make, tmp_path: Path
) -> None:
    product = products["no2_column_fine"]
    publish(tmp_path, product, composite(20, 20), "2024-06", simulated=False)
    last = publish(tmp_path, product, composite(20, 20), "2024-07", simulated=False)
    (tmp_path / product.name / "demo" / ".2024-08").mkdir()
    (tmp_path / product.name / "demo" / ".2024-08" / "part.json").write_text("{")
    static_catalog.index(tmp_path, products)
    whole = (tmp_path / product.name / "collection.json").read_text("utf-8")
    assert "2024-07" in whole
    assert "simulated" not in json.loads(whole)["keywords"]
    shutil.rmtree(last.parent)
    static_catalog.index(tmp_path, products)
    assert "2024-07" not in (tmp_path / product.name / "collection.json").read_text("utf-8")
    shutil.rmtree(tmp_path / product.name / "demo")
    static_catalog.index(tmp_path, products)
    assert "child" not in (tmp_path / "catalog.json").read_text("utf-8")


def test_a_map_without_provenance_or_files_is_refused(
    products: dict[str, Product], composite: Make, tmp_path: Path
) -> None:
    product, grid = products["no2_column_fine"], cube.geobox(composite(9, 9))
    what = (product, "demo", Period.parse("2024-06"))
    with pytest.raises(ProductError, match="lacks simulated, license"):
        stac_items.item(*what, grid=grid, folder=tmp_path, provenance={})
    with pytest.raises(ProductError, match=r"no2_column_fine\.tif"):
        stac_items.item(*what, grid=grid, folder=tmp_path, provenance=PROVENANCE)


def test_a_broken_item_file_is_named(products: dict[str, Product], tmp_path: Path) -> None:
    folder = tmp_path / "no2_column" / "demo" / "2024-06"
    folder.mkdir(parents=True)
    for text in ("{", '{"type": "Feature", "properties": {}}'):
        (folder / "item.json").write_text(text)
        with pytest.raises(ProductError, match=r"item\.json"):
            static_catalog.index(tmp_path, products)

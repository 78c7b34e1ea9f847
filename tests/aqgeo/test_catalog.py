"""Catalogs: the shipped ones hold together, and a slip in one is named with file and entry."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aqgeo import catalog
from aqgeo.errors import CatalogError
from pipelines.chain import STAGES
from pipelines.ingest import GRIDS

CATALOGS = Path(__file__).parents[2] / "catalogs"
REGIONS, PRODUCTS = catalog.regions(CATALOGS), catalog.products(CATALOGS)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CATALOGS, tmp_path / "catalogs"))


@pytest.fixture
def edit(copy: Path) -> Callable[[str, Callable[[dict[str, Any]], object]], None]:
    def change(name: str, how: Callable[[dict[str, Any]], object]) -> None:
        content = json.loads((copy / name).read_text("utf-8"))
        how(content)
        (copy / name).write_text(json.dumps(content), "utf-8")

    return change


def refusal(read: Callable[[Path], object], folder: Path) -> str:
    with pytest.raises(CatalogError) as caught:
        read(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_shipped_catalogs_load() -> None:
    assert REGIONS and PRODUCTS and catalog.sources(CATALOGS)
    assert all(key == entry.name for key, entry in (REGIONS | PRODUCTS).items())


@pytest.mark.parametrize("region", REGIONS.values(), ids=lambda r: r.name)
@pytest.mark.parametrize("product", PRODUCTS.values(), ids=lambda p: p.name)
def test_every_product_has_a_grid_in_every_region(
    region: catalog.Region, product: catalog.Product
) -> None:
    assert region.geobox(product.grid).shape[0] > 1


@pytest.mark.parametrize("region", REGIONS.values(), ids=lambda r: r.name)
def test_all_products_of_a_region_cover_the_ground_of_the_coarse_grid(
    region: catalog.Region,
) -> None:
    coarse = region.geobox("no2_column").boundingbox
    for name in region.grids:
        made = region.geobox(name)
        size, found = made.affine.a, made.boundingbox
        assert size == -made.affine.e == region.grids[name].resolution
        for inner, outer in ((coarse.left, found.left), (coarse.bottom, found.bottom)):
            assert 0 <= inner - outer < size
        for inner, outer in ((coarse.right, found.right), (coarse.top, found.top)):
            assert 0 <= outer - inner < size


@pytest.mark.parametrize("region", REGIONS.values(), ids=lambda r: r.name)
def test_the_map_of_a_region_holds_its_area(region: catalog.Region) -> None:
    for name in region.grids:
        box = catalog.grid.bounds(region.area, region.grids[name].crs)
        found = region.geobox(name).boundingbox
        assert found.left <= box.left and found.right >= box.right
        assert found.bottom <= box.bottom and found.top >= box.top


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=lambda p: p.name)
def test_every_product_comes_from_a_known_stage(product: catalog.Product) -> None:
    assert product.stage in set(STAGES) | {f"ingest-{name}" for name in GRIDS}


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=lambda p: p.name)
def test_every_layer_can_be_shown(product: catalog.Product) -> None:
    assert len({layer.name for layer in product.layers}) == len(product.layers) > 0
    for layer in product.layers:
        stops = [value for value, _ in layer.ramp]
        assert stops == sorted(set(stops))
        colors = [c for _, c in layer.ramp] + [c.color for c in layer.classes]
        assert all(len(c) == 7 and int(c[1:], 16) >= 0 for c in colors)
        assert layer.no_data not in {c.value for c in layer.classes}
        assert set(layer.rgb) <= set(layer.variables)
        assert {"values": layer.ramp, "classes": layer.classes, "rgb": layer.rgb}[layer.kind]


def test_an_unknown_key_of_a_region_is_named_with_the_allowed_ones(copy: Path, edit: Any) -> None:
    edit("regions.geojson", lambda c: c["features"][1]["properties"].update(colour="red"))
    line = refusal(catalog.regions, copy)
    for word in ("regions.geojson", "'styria'", "colour", "title", "grids", "source"):
        assert word in line


def test_an_unknown_key_of_a_grid_is_named_with_region_and_grid(copy: Path, edit: Any) -> None:
    def spoil(content: dict[str, Any]) -> None:
        content["features"][2]["properties"]["grids"]["no2_column"]["resolution"] = 5

    edit("regions.geojson", spoil)
    line = refusal(catalog.regions, copy)
    for word in ("regions.geojson", "'delhi'", "no2_column", "resolution_m", "resolution_deg"):
        assert word in line


def test_an_unknown_key_of_a_layer_is_named_with_file_and_layer(copy: Path, edit: Any) -> None:
    edit("products/no2_column.json", lambda c: c["layers"][1].update(units="1"))
    line = refusal(catalog.products, copy)
    for word in ("no2_column.json", "'no2_column_sigma'", "units", "ramp", "factor"):
        assert word in line


def test_an_unknown_key_of_a_source_is_named_with_the_allowed_ones(copy: Path) -> None:
    with (copy / "sources.toml").open("a") as file:
        file.write('\n[mine]\ntitle = "Mine"\nhref = "x"\nuser = "me"\n')
    line = refusal(catalog.sources, copy)
    for word in ("sources.toml", "'mine'", "user", "title", "href"):
        assert word in line


@pytest.mark.parametrize("key", ["title", "stage", "grid", "level"])
def test_a_missing_key_of_a_product_is_named_with_its_file(copy: Path, edit: Any, key: str) -> None:
    edit("products/no2_surface.json", lambda c: c.pop(key))
    line = refusal(catalog.products, copy)
    assert "no2_surface.json" in line and f"missing key {key!r}" in line


@pytest.mark.parametrize("key", ["id", "geometry"])
def test_a_region_without_id_or_geometry_is_named(copy: Path, edit: Any, key: str) -> None:
    edit("regions.geojson", lambda c: c["features"][1].pop(key))
    line = refusal(catalog.regions, copy)
    assert "regions.geojson" in line and ("'styria'" in line or "feature 1" in line) and key in line


@pytest.mark.parametrize("name", ["regions.geojson", "products/no2_column.json"])
@pytest.mark.parametrize("text", ['{"type":', "", "[1, 2]", "\ufeff\x00"])
def test_broken_json_is_named_with_its_path(copy: Path, name: str, text: str) -> None:
    (copy / name).write_text(text, "utf-8")
    read = catalog.regions if "regions" in name else catalog.products
    line = refusal(read, copy)
    assert str(copy / name) in line and "JSON" in line


def test_broken_toml_is_named_with_its_path(copy: Path) -> None:
    (copy / "sources.toml").write_text("[simulated\n")
    assert str(copy / "sources.toml") in refusal(catalog.sources, copy)


def test_a_self_crossing_outline_is_refused_and_named(copy: Path, edit: Any) -> None:
    bow = [[15, 45], [16, 46], [16, 45], [15, 46], [15, 45]]
    edit("regions.geojson", lambda c: c["features"][1]["geometry"].update(coordinates=[bow]))
    line = refusal(catalog.regions, copy)
    assert "regions.geojson" in line and "'styria'" in line and "self-crossing" in line


def test_a_name_in_no_catalog_is_answered_with_those_that_exist() -> None:
    with pytest.raises(CatalogError, match=r"'atlantis'.*styria"):
        catalog.pick(REGIONS, "atlantis", "region")
    with pytest.raises(CatalogError, match=r"'delhi'.*'ozone'.*no2_column"):
        REGIONS["delhi"].geobox("ozone")


@pytest.mark.parametrize("sizes", [{}, {"resolution_m": 60, "resolution_deg": 0.1}])
def test_a_grid_has_one_pixel_size(copy: Path, edit: Any, sizes: dict[str, float]) -> None:
    def spoil(content: Any) -> None:
        content["features"][0]["properties"]["grids"]["no2_column"] = {"crs": "EPSG:32633", **sizes}

    edit("regions.geojson", spoil)
    assert "resolution_m or resolution_deg" in refusal(catalog.regions, copy)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("grids", "no2_column", "crs"), 32633),
        (("grids", "no2_column", "anchor"), "middle"),
        (("grids", "no2_column", "resolution_m"), "wide"),
        (("grids", "no2_column"), 5),
        (("grids",), []),
        (("title",), None),
    ],
)
def test_a_region_with_a_value_of_another_kind_is_one_line(
    copy: Path, edit: Any, keys: tuple[str, ...], value: Any
) -> None:
    def spoil(content: Any) -> None:
        *path, last = keys
        entry = content["features"][0]["properties"]
        for key in path:
            entry = entry[key]
        entry[last] = value

    edit("regions.geojson", spoil)
    line = refusal(catalog.regions, copy)
    assert "regions.geojson" in line and "'demo'" in line and keys[-1] in line


def test_a_region_that_is_there_twice_is_refused(copy: Path, edit: Any) -> None:
    edit("regions.geojson", lambda c: c["features"].append(c["features"][0]))
    assert "twice" in refusal(catalog.regions, copy)


@pytest.mark.parametrize(
    ("key", "value"),
    [("layers", []), ("layers", ["x"]), ("level", "L9"), ("refine", 0), ("title", 7)],
)
def test_a_product_with_a_value_of_another_kind_is_one_line(
    copy: Path, edit: Any, key: str, value: Any
) -> None:
    edit("products/no2_surface.json", lambda c: c.update({key: value}))
    line = refusal(catalog.products, copy)
    assert "no2_surface.json" in line and key in line


@pytest.mark.parametrize(
    ("key", "value"), [("kind", "raster"), ("variables", "abc"), ("ramp", [1]), ("name", "../x")]
)
def test_a_layer_with_a_value_of_another_kind_is_one_line(
    copy: Path, edit: Any, key: str, value: Any
) -> None:
    edit("products/no2_surface.json", lambda c: c["layers"][0].update({key: value}))
    line = refusal(catalog.products, copy)
    assert "no2_surface.json" in line and key in line

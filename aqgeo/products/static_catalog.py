"""The static STAC catalog that lists published maps."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pystac

from aqgeo.catalog import Layer, Product
from aqgeo.errors import ProductError
from aqgeo.products.stac_items import class_extension, layer_facts

# What the collection takes from the properties of its items.
_LISTED = {"title", "start_datetime", "end_datetime", "license", "providers"} | {
    "aqgeo:region",
    "aqgeo:simulated",
}


def write_item(made: pystac.Item, folder: Path) -> Path:
    """Write an item as `<id>.json` into its folder, unless it is there already."""
    content = made.to_dict(include_self_link=False, transform_hrefs=False)
    root = _link("root", "../../../catalog.json")
    content["links"] = [root, *(entry for entry in content["links"] if entry["rel"] != "root")]
    path = folder / f"{made.id}.json"
    _write(path, content)
    return path


def index(folder: Path, products: Mapping[str, Product]) -> None:
    """Write catalog.json and a collection.json a product from the item files below a folder.

    Item files are `<product>/<region>/<period>/*.json`. Only what has changed is written, each
    file whole or not at all. A collection whose items have all gone leaves the catalog.

    Raises:
        ProductError: an item file cannot be read.
    """
    children = []
    for name, product in sorted(products.items()):
        found = _items(folder / name)
        if found:
            _write(folder / name / "collection.json", _collection(product, found))
            children.append(_link("child", f"./{name}/collection.json", product.title))
    catalog = {
        "type": "Catalog",
        "stac_version": pystac.get_stac_version(),
        "id": "aqgeo",
        "title": "Air-quality maps",
        "description": "Map products of aqgeo: one collection a product, one item a region and "
        "period, one Cloud Optimized GeoTIFF a quantity.",
        "links": [_link("root", "./catalog.json"), *children],
    }
    _write(folder / "catalog.json", catalog)


def _items(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the items of a product by their path below its folder."""
    found = {}
    for path in sorted(folder.glob("*/*/*.json")):
        place = path.relative_to(folder)
        # Hidden names are folders that are still being written.
        if any(part.startswith(".") for part in place.parts):
            continue
        try:
            content = json.loads(path.read_text("utf-8"))
        except ValueError as err:
            raise ProductError(f"{path} holds no JSON: publish this map again") from err
        if not isinstance(content, dict) or content.get("type") != "Feature":
            continue
        if not _LISTED <= content.get("properties", {}).keys():
            raise ProductError(f"{path} is no item of aqgeo's maps: move it to another folder")
        found[place.as_posix()] = content
    return found


def _collection(product: Product, items: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    properties = [entry["properties"] for entry in items.values()]
    west, south, east, north = zip(*(entry["bbox"] for entry in items.values()), strict=True)
    start = min(p["start_datetime"] for p in properties)
    end = max(p["end_datetime"] for p in properties)
    simulated = {p["aqgeo:simulated"] for p in properties}
    licenses = {p["license"] for p in properties}
    regions = sorted({p["aqgeo:region"] for p in properties})
    return {
        "type": "Collection",
        "stac_version": pystac.get_stac_version(),
        "stac_extensions": class_extension(product),
        "id": product.name,
        "title": product.title,
        "description": product.description,
        "keywords": ["air quality", *regions, *(["simulated"] if True in simulated else [])],
        "license": licenses.pop() if len(licenses) == 1 else "other",
        "providers": _distinct(provider for p in properties for provider in p["providers"]),
        "extent": {
            "spatial": {"bbox": [[min(west), min(south), max(east), max(north)]]},
            "temporal": {"interval": [[start, end]]},
        },
        "summaries": {
            "processing:level": [product.level],
            "aqgeo:region": regions,
            "aqgeo:simulated": sorted(simulated),
        },
        "item_assets": {layer.name: _template(layer) for layer in product.layers},
        "links": [
            _link("root", "../catalog.json"),
            _link("parent", "../catalog.json"),
            *(_link("item", f"./{p}", e["properties"]["title"]) for p, e in items.items()),
        ],
    }


def _template(layer: Layer) -> dict[str, Any]:
    """Return what the files of a layer have in common."""
    facts = layer_facts(layer)
    if layer.dated:
        facts["description"] = f"One file a date: {layer.name}_<date>T<time>, UTC."
    return facts


def _distinct(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for entry in entries:
        if entry not in found:
            found.append(entry)
    return found


def _link(rel: str, href: str, title: str | None = None) -> dict[str, str]:
    media = pystac.MediaType.GEOJSON if rel == "item" else pystac.MediaType.JSON
    return {"rel": rel, "href": href, "type": str(media)} | ({"title": title} if title else {})


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a file at one stroke, or leave it alone where it holds the same bytes."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if path.exists() and path.read_bytes() == text.encode():
        return
    # Not tempfile: its files are for their owner only, and a web server shall read this one.
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

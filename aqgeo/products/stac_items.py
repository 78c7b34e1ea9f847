"""STAC items of map products."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pystac
import rasterio
from odc.geo.geobox import GeoBox
from pyproj import Geod

from aqgeo import __version__
from aqgeo.catalog import Layer, Product
from aqgeo.errors import ProductError
from aqgeo.grid import lonlat_bbox, lonlat_outline
from aqgeo.period import Period

_SCHEMA = "https://stac-extensions.github.io/{}/schema.json"
EXTENSIONS = tuple(
    _SCHEMA.format(name)
    for name in ("projection/v2.0.0", "raster/v2.0.0", "file/v2.1.0", "processing/v1.2.0")
)
CLASSIFICATION = _SCHEMA.format("classification/v2.0.0")
NEEDED = ("simulated", "license", "attribution", "lineage")
_PRODUCER = {"name": "aqgeo", "roles": ["producer", "processor"]}
_STATISTICS = {
    "minimum": "STATISTICS_MINIMUM",
    "maximum": "STATISTICS_MAXIMUM",
    "mean": "STATISTICS_MEAN",
    "stddev": "STATISTICS_STDDEV",
    "valid_percent": "STATISTICS_VALID_PERCENT",
}


def item(
    product: Product,
    region_name: str,
    period: Period,
    *,
    grid: GeoBox,
    folder: Path,
    provenance: Mapping[str, Any],
    instants: Mapping[str, datetime] | None = None,
) -> pystac.Item:
    """Return the STAC item of a folder of published files.

    Args:
        product: what is published.
        region_name: region of the map.
        period: the days that the map is made of; the item ends one second before `period.end`,
            which is not included.
        grid: where the pixels lie.
        folder: holds `<layer>.tif` and `<layer>.qml` of every layer and `quicklook.png`; it is to
            be published as `<product>/<region>/<period>/`.
        provenance: `simulated` (bool), `license` (SPDX), `attribution` and `lineage` (text) are
            needed; any other key, such as `inputs` (ids), becomes the property `aqgeo:<key>`.
        instants: when the layers that show one date were seen, UTC, by their name.

    Raises:
        ProductError: a file or a needed key is missing.
    """
    missing = [key for key in NEEDED if key not in provenance]
    if missing:
        raise ProductError(
            f"the provenance of {product.name} lacks {', '.join(missing)}: a map is not published "
            "without them"
        )
    made = pystac.Item(
        id=f"{product.name}_{region_name}_{period.slug}",
        geometry=_rounded(lonlat_outline(grid).json),
        bbox=_rounded(list(lonlat_bbox(grid))),
        datetime=None,
        start_datetime=period.start,
        end_datetime=period.end - timedelta(seconds=1),
        properties={
            "title": f"{product.title}, {region_name}, {period}",
            "description": product.description,
            "aqgeo:product": product.name,
            "aqgeo:region": region_name,
            "aqgeo:period": str(period),
            **_projection(grid),
            **_origin(product, provenance),
        },
        stac_extensions=[*EXTENSIONS, *class_extension(product)],
        assets=_assets(product, grid, folder, instants or {}),
        collection=product.name,
    )
    # No root link yet: with one, pystac would look for the catalog whenever it writes the item.
    for rel in (pystac.RelType.COLLECTION, pystac.RelType.PARENT):
        made.add_link(pystac.Link(rel, "../../collection.json", pystac.MediaType.JSON))
    return made


def _projection(grid: GeoBox) -> dict[str, Any]:
    code = grid.crs.epsg if grid.crs else None
    if code is None:
        raise ProductError(f"the grid's CRS {grid.crs} has no EPSG code: choose one that has")
    return {
        "proj:code": f"EPSG:{code}",
        "proj:shape": list(grid.shape),
        "proj:transform": list(grid.affine[:6]),
        "proj:bbox": list(grid.boundingbox.bbox),
    }


def class_extension(product: Product) -> list[str]:
    """Return the schema that a product with class codes needs beside the others."""
    return [CLASSIFICATION] if any(layer.classes for layer in product.layers) else []


def _resolution_m(grid: GeoBox) -> float:
    """Return the size of the middle pixel along a parallel and a meridian, as one number."""
    size = abs(float(grid.resolution.x))
    if grid.crs is None or not grid.crs.geographic:
        return size
    box = grid.boundingbox
    lon, lat = (box.left + box.right) / 2, (box.bottom + box.top) / 2
    _, _, east = Geod(ellps="WGS84").inv(lon, lat, lon + size, lat)
    _, _, north = Geod(ellps="WGS84").inv(lon, lat - size / 2, lon, lat + size / 2)
    return round(float((east * north) ** 0.5), 1)


def _origin(product: Product, provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "license": provenance["license"],
        "attribution": provenance["attribution"],
        "providers": [_PRODUCER],
        "processing:level": product.level,
        "processing:lineage": provenance["lineage"],
        "processing:software": {"aqgeo": __version__},
        "processing:version": __version__,
        "aqgeo:simulated": bool(provenance["simulated"]),
        **{f"aqgeo:{key}": value for key, value in provenance.items() if key not in NEEDED},
    }


def _assets(
    product: Product, grid: GeoBox, folder: Path, instants: Mapping[str, datetime]
) -> dict[str, pystac.Asset]:
    entries: dict[str, dict[str, Any]] = {}
    for layer in product.layers:
        path = folder / f"{layer.name}.tif"
        facts = layer_facts(layer)
        raster = {
            "bands": _bands(path, facts["bands"]),
            "raster:spatial_resolution": _resolution_m(grid),
            "raster:sampling": "area",
        }
        if layer.name in instants:
            raster["datetime"] = f"{instants[layer.name]:%Y-%m-%dT%H:%M:%SZ}"
        entries[layer.name] = facts | raster | _file(path)
        entries[f"{layer.name}_style"] = {
            "title": f"QGIS style of {layer.title}",
            "type": pystac.MediaType.XML,
            "roles": ["style"],
        } | _file(folder / f"{layer.name}.qml")
    entries["quicklook"] = {
        "title": "Quick look",
        "type": pystac.MediaType.PNG,
        "roles": ["overview", "thumbnail"],
    } | _file(folder / "quicklook.png")
    return {key: pystac.Asset.from_dict(entry) for key, entry in entries.items()}


def layer_facts(layer: Layer) -> dict[str, Any]:
    """Return what is the same in every file of a layer."""
    names = layer.variables if layer.kind == "rgb" else (layer.name,)
    facts: dict[str, Any] = {
        "title": layer.title,
        "type": pystac.MediaType.COG,
        "roles": ["data"] if layer.role == "data" else ["data", layer.role],
        "bands": [{"name": name, "unit": layer.unit} for name in names],
    }
    if layer.kind == "classes":
        listed = [
            {"value": c.value, "name": c.name, "title": c.title, "description": c.title}
            | {"color_hint": c.color.lstrip("#").upper()}
            for c in layer.classes
        ]
        none = {"value": layer.no_data, "name": "no_data", "description": "No data", "nodata": True}
        facts["classification:classes"] = [none, *listed]
    return facts


def _bands(path: Path, bands: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add what the file itself says to the bands of a layer."""
    try:
        with rasterio.Env(GDAL_PAM_ENABLED="NO"), rasterio.open(path) as src:
            pairs = zip(bands, src.indexes, strict=True)
            return [{**band, **_band(src, index)} for band, index in pairs]
    except rasterio.errors.RasterioIOError as err:
        raise ProductError(f"{path} cannot be read: {err}; publish it again") from err


def _band(src: rasterio.io.DatasetReader, index: int) -> dict[str, Any]:
    tags = src.tags(index)
    facts = {
        "description": tags.get("long_name") or src.descriptions[index - 1],
        "data_type": src.dtypes[index - 1],
        "nodata": int(src.nodata) if src.dtypes[index - 1] == "uint8" else "nan",
    }
    found = {key: float(tags[tag]) for key, tag in _STATISTICS.items() if tag in tags}
    return facts | ({"statistics": found} if found else {})


def _file(path: Path) -> dict[str, Any]:
    """Return address, size and checksum of a file; 1220 says SHA-256 of 32 bytes (multihash)."""
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError as err:
        raise ProductError(f"{path} is missing: write all files before the item") from err
    size = path.stat().st_size
    return {"href": f"./{path.name}", "file:size": size, "file:checksum": f"1220{digest}"}


def _rounded(value: Any) -> Any:
    """Round coordinates to 1e-6 degrees, 0.1 m: PROJ's last digits differ between versions."""
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    return round(value, 6) if isinstance(value, float) else value

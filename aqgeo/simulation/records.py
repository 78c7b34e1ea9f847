"""STAC catalog, collections and items of a simulated archive."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyproj
from affine import Affine

from aqgeo import grid as grids
from aqgeo.simulation import instrument, sun, swath
from aqgeo.simulation.sentinel2 import BANDS, Scene, Written
from aqgeo.simulation.spectra import RESOLUTION_M
from aqgeo.simulation.swath import Swath
from aqgeo.simulation.world import World

Record = dict[str, Any]
SENTINEL2 = {"l1c": "sentinel-2-l1c", "l2a": "sentinel-2-l2a"}
SENTINEL5P, STATIONS = "sentinel-5p-l2-no2", "stations-no2"
_LABEL = "SIMULATED by aqgeo over an invented world: no measurement, not a real place."
_DESCRIPTIONS = {
    SENTINEL2["l1c"]: "Sentinel-2 L1C top-of-atmosphere reflectance.",
    SENTINEL2["l2a"]: "Sentinel-2 L2A bottom-of-atmosphere reflectance.",
    SENTINEL5P: "Sentinel-5P TROPOMI OFFL L2 NO2, pieces of orbits as netCDF-4.",
    STATIONS: "Hourly NO2 concentrations of ground stations as CSV in OpenAQ's columns.",
}
# Keys of assets and their bands as Earth Search has them.
_KEYS = {
    "B01": "coastal", "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge1",
    "B06": "rededge2", "B07": "rededge3", "B08": "nir", "B8A": "nir08", "B09": "nir09",
    "B10": "cirrus", "B11": "swir16", "B12": "swir22",
}  # fmt: skip
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_JSON, _GEOJSON = "application/json", "application/geo+json"
_EXTENSIONS = ("projection/v2.0.0", "raster/v1.1.0", "eo/v1.1.0", "view/v1.0.0")


def write(folder: Path, items: Iterable[Record], world: str) -> None:
    """Write catalog.json, a collection.json for each collection, a file for each item.

    Args:
        folder: of the archive.
        items: its items.
        world: what was simulated, a few words.
    """
    items = list(items)
    links = [_link("root", "./catalog.json")]
    for name, text in _DESCRIPTIONS.items():
        own = [item for item in items if item["collection"] == name]
        if not own:
            continue
        links.append(_link("child", f"./{name}/collection.json"))
        _write_json(folder / name / "collection.json", _collection(name, text, own))
        for item in own:
            _write_json(folder / name / item["id"] / f"{item['id']}.json", item)
    catalog = {
        "type": "Catalog",
        "id": "simulated-archive",
        "stac_version": "1.1.0",
        "description": f"{_LABEL} {world}.",
        "keywords": ["simulated"],
        "links": links,
    }
    _write_json(folder / "catalog.json", catalog)


def scene_item(
    world: World, scene: Scene, level: str, name: str, data: str, written: Written
) -> Record:
    """Return the item of a Sentinel-2 scene.

    Args:
        world: the world, cut to the scene.
        scene: the scene.
        level: l1c or l2a.
        name: the item's id, also the stem of its files.
        data: path of the files' folder, relative to the archive.
        written: what was written.
    """
    when = scene.when(world)
    zenith, azimuth = sun.position(when, *world.lonlat)
    shares = written.shares
    properties = {
        "platform": {"S2A": "sentinel-2a", "S2B": "sentinel-2b"}[scene.platform],
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "gsd": world.pixel_m,
        "eo:cloud_cover": round(sum(shares[code] for code in ("8", "9", "10")), 2),
        "proj:code": str(world.grid.crs),
        "s2:processing_baseline": scene.baseline,
        "earthsearch:boa_offset_applied": False,
        "grid:code": f"MGRS-{name.split('_')[1]}",
        "s2:nodata_pixel_percentage": round(shares["0"], 2),
        "view:sun_azimuth": round(azimuth, 2),
        "view:sun_elevation": round(90 - zenith, 2),
        "datetime": _time(when),
    }
    assets = {_KEYS[b]: _band(world, scene, f"../../{data}/{name}", b) for b in BANDS[level]}
    if level == "l2a":
        pixels = {"nodata": 0, "data_type": "uint8", "spatial_resolution": 20}
        assets["scl"] = {
            "href": f"../../{data}/{name}_SCL.tif",
            "type": _COG,
            "title": "Scene classification",
            **_projection(world, 20),
            "raster:bands": [pixels],
            "roles": ["data"],
        }
    outline = [(float(x), float(y)) for x, y in grids.lonlat_outline(world.grid).exterior.points]
    item = _item(SENTINEL2[level], name, outline, properties, assets)
    return item | {"stac_extensions": [_extension(e) for e in _EXTENSIONS]}


def granule_item(orbit: int, href: str, view: Swath | None = None) -> Record:
    """Return the item of a Sentinel-5P granule.

    Args:
        orbit: orbit number.
        href: path of the file, relative to the archive.
        view: the part of the orbit in the file; None is a whole orbit, whose outline is the globe.
    """
    outline = [(-180.0, -90.0), (180.0, -90.0), (180.0, 90.0), (-180.0, 90.0)]
    if view is not None:
        corners = view.corners[[0, 0, -1, -1], [0, -1, -1, 0], [0, 1, 2, 3]]
        outline = [(float(x), float(y)) for x, y in corners]
    properties = {
        "start_datetime": _time(swath.orbit_start(orbit)),
        "end_datetime": _time(swath.orbit_start(orbit + 1)),
        "platform": "sentinel-5p",
        "instruments": ["tropomi"],
        "s5p:product_type": "L2__NO2___",
        "s5p:processing_mode": "OFFL",
        "s5p:orbit": orbit,
        "datetime": None,
    }
    asset = {"href": f"../../{href}", "type": "application/x-netcdf", "roles": ["data"]}
    name = swath.name(orbit)
    return _item(SENTINEL5P, name, [*outline, outline[0]], properties, {"no2": asset})


def stations_item(
    places: Sequence[tuple[float, float]], span: tuple[datetime, datetime], name: str, href: str
) -> Record:
    """Return the item of the stations' table.

    Args:
        places: longitude and latitude of every station, degrees.
        span: begin of the first hour, end of the last one.
        name: the item's id.
        href: path of the table, relative to the archive.
    """
    lons, lats = zip(*places, strict=True)
    west, south, east, north = min(lons), min(lats), max(lons), max(lats)
    outline = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    properties = {"start_datetime": _time(span[0]), "end_datetime": _time(span[1])}
    asset = {"href": f"../../{href}", "type": "text/csv", "title": "Hourly NO2 concentrations"}
    assets = {"hourly": {**asset, "roles": ["data"]}}
    return _item(STATIONS, name, outline, {**properties, "datetime": None}, assets)


def tile(lon: float, lat: float) -> str:
    """Return the name of the 100 km MGRS square of a place, as Sentinel-2 tiles are named."""
    zone = int((lon + 180) // 6) + 1
    band = "CDEFGHJKLMNPQRSTUVWX"[min(max(int((lat + 80) // 8), 0), 19)]
    epsg = (32600 if lat >= 0 else 32700) + zone
    x, y = pyproj.Transformer.from_crs("EPSG:4326", epsg, always_xy=True).transform(lon, lat)
    column = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")[zone % 3][int(x // 100_000) - 1]
    row = "ABCDEFGHJKLMNPQRSTUV"[(int(y // 100_000) + (5 if zone % 2 == 0 else 0)) % 20]
    return f"{zone:02d}{band}{column}{row}"


def _band(world: World, scene: Scene, stem: str, band: str) -> Record:
    size = max(RESOLUTION_M[band], world.pixel_m)
    scale, offset = instrument.QUANTUM, -instrument.QUANTUM * instrument.offset(scene.baseline)
    pixels = {"nodata": 0, "data_type": "uint16", "spatial_resolution": size}
    return {
        "href": f"{stem}_{band}.tif",
        "type": _COG,
        "title": band,
        "eo:bands": [{"name": band, "common_name": _KEYS[band].rstrip("123")}],
        **_projection(world, size),
        "raster:bands": [{**pixels, "scale": scale, "offset": offset}],
        "roles": ["data", "reflectance"],
    }


def _projection(world: World, size: int) -> Record:
    factor = size // world.pixel_m
    rows, cols = (n // factor for n in world.grid.shape)
    transform = world.grid.affine * Affine.scale(factor)
    return {"proj:shape": [rows, cols], "proj:transform": list(transform)[:6]}


def _item(
    collection: str,
    name: str,
    outline: Sequence[tuple[float, float]],
    properties: Record,
    assets: Record,
) -> Record:
    lons, lats = zip(*outline, strict=True)
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": name,
        "geometry": {"type": "Polygon", "coordinates": [[list(xy) for xy in outline]]},
        "bbox": [min(lons), min(lats), max(lons), max(lats)],
        "properties": {**properties, "aqgeo:simulated": True},
        "links": [
            _link("root", "../../catalog.json"),
            _link("collection", "../collection.json"),
            _link("parent", "../collection.json"),
        ],
        "assets": assets,
        "collection": collection,
    }


def _collection(name: str, text: str, items: Sequence[Record]) -> Record:
    boxes = list(zip(*(item["bbox"] for item in items), strict=True))
    bbox = [min(boxes[0]), min(boxes[1]), max(boxes[2]), max(boxes[3])]
    found = [item["properties"] for item in items]
    starts = [p["datetime"] or p["start_datetime"] for p in found]
    ends = [p["datetime"] or p["end_datetime"] for p in found]
    links = [_link("item", f"./{i['id']}/{i['id']}.json", _GEOJSON) for i in items]
    return {
        "type": "Collection",
        "id": name,
        "stac_version": "1.1.0",
        "description": f"{_LABEL} {text}",
        "keywords": ["simulated"],
        "links": [_link("root", "../catalog.json"), *links, _link("parent", "../catalog.json")],
        "extent": {
            "spatial": {"bbox": [bbox]},
            "temporal": {"interval": [[min(starts), max(ends)]]},
        },
        "license": "CC0-1.0",
        "providers": [{"name": "aqgeo", "roles": ["producer"]}],
    }


def _link(rel: str, href: str, media_type: str = _JSON) -> dict[str, str]:
    return {"rel": rel, "href": href, "type": media_type}


def _extension(name: str) -> str:
    return f"https://stac-extensions.github.io/{name}/schema.json"


def _time(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _write_json(path: Path, record: Record) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")

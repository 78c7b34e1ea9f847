"""Catalogs: the regions, sources and map products that exist, read from data files."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import shapely.geometry
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from aqgeo import grid
from aqgeo.errors import CatalogError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Grid:
    """CRS and pixel size of one product in one region."""

    crs: str
    """EPSG code."""
    resolution_m: float | None = None
    """Pixel size in metres, for a projected CRS."""
    resolution_deg: float | None = None
    """Pixel size in degrees, for a geographic CRS."""
    anchor: grid.Anchor = "edge"
    """What lies on multiples of the resolution: pixel edges or pixel centres."""

    @property
    def resolution(self) -> float:
        """Pixel size in units of the CRS."""
        sizes = [r for r in (self.resolution_m, self.resolution_deg) if r is not None]
        if len(sizes) != 1:
            raise CatalogError("a grid needs resolution_m or resolution_deg, and only one of them")
        return sizes[0]


@dataclass(frozen=True, slots=True)
class Region:
    """An area that maps are made of."""

    name: str
    """Identifier, the feature's `id`."""
    title: str
    """Name for people."""
    area: BaseGeometry
    """Outline in lon/lat; maps cover its bounding box."""
    grids: Mapping[str, Grid]
    """Grid by product name."""
    source: str | None = None
    """Source that is read when none is named."""

    def geobox(self, product: str) -> GeoBox:
        """Return where the pixels of a product lie.

        Raises:
            CatalogError: the region has no grid for the product.
        """
        if product not in self.grids:
            raise CatalogError(
                f"region {self.name!r} has no grid for {product!r}: add one under its `grids`, "
                f"which has {_names(self.grids)}"
            )
        own = self.grids[product]
        # All products cover the pixels of the coarsest one, so that none has an empty rim.
        peers = [peer for peer in self.grids.values() if peer.crs == own.crs]
        coarsest = max(peers, key=lambda peer: peer.resolution)
        box = grid.bounds(self.area, own.crs)
        ground = grid.geobox(box, coarsest.resolution, anchor=coarsest.anchor)
        if own is coarsest:
            return ground
        return grid.geobox(ground.boundingbox, own.resolution, anchor=own.anchor)


@dataclass(frozen=True, slots=True)
class Source:
    """A place that items come from."""

    name: str
    """Identifier, the table's name."""
    title: str
    """Name for people."""
    href: str
    """Path of a static STAC catalog; a relative one lies below the output folder."""


@dataclass(frozen=True, slots=True)
class ClassEntry:
    """One class of a layer."""

    value: int
    """Code in the file."""
    name: str
    """Identifier without spaces."""
    title: str
    """Name for people."""
    color: str
    """`#rrggbb`."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One file of a map product: one quantity."""

    name: str
    """Name of the file, without suffix."""
    title: str
    """Name for people, without the unit."""
    variables: tuple[str, ...]
    """Variables of the stage's composite cube, one a band."""
    kind: Literal["values", "classes", "rgb"]
    """Continuous values, class codes, or a colour picture of three of the bands."""
    unit: str = "1"
    """Unit of the file's values."""
    factor: float = 1.0
    """File value = cube value x factor."""
    role: Literal["data", "uncertainty", "quality"] = "data"
    """What the layer is for."""
    ramp: tuple[tuple[float, str], ...] = ()
    """(value, `#rrggbb`) stops of the colour ramp, in the file's unit, ascending."""
    classes: tuple[ClassEntry, ...] = ()
    """Classes of a layer of class codes; 0 is no data."""
    rgb: tuple[str, ...] = ()
    """Variables shown as red, green and blue."""
    stretch: tuple[float, float] = (0.0, 0.3)
    """Values shown as black and as full colour in a colour picture."""


@dataclass(frozen=True, slots=True)
class Product:
    """A map product: what one stage's composite is published as."""

    name: str
    """Identifier, the file's stem."""
    title: str
    """Name for people."""
    description: str
    """One paragraph for the STAC collection."""
    stage: str
    """Stage whose composite is published."""
    grid: str
    """Key of the region's grids."""
    level: Literal["L3", "L4"]
    """Processing level: L3 gridded, L4 modelled."""
    layers: tuple[Layer, ...]
    """Files, the first one is the map."""
    refine: int = 1
    """Pixels of the product along one side of a pixel of `grid`."""


def regions(folder: Path) -> dict[str, Region]:
    """Read regions.geojson: one feature a region, its `id` the name.

    Raises:
        CatalogError: the file breaks its rules.
    """
    path = folder / "regions.geojson"
    found = {}
    for number, feature in enumerate(_json(path).get("features", [])):
        where = f"{path.name}, feature {feature.get('id', number)!r}"
        entry = dict(feature.get("properties", {}))
        try:
            area = shapely.geometry.shape(feature["geometry"])
            entry |= {"name": feature["id"], "area": area}
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise CatalogError(f"{where} needs an id and a geometry: {err}") from err
        if area.is_empty or not area.is_valid:
            raise CatalogError(f"{where} has an empty or self-crossing outline: redraw it")
        grids = entry.get("grids", {})
        entry["grids"] = {k: _record(Grid, v, f"{where}, grid {k!r}") for k, v in grids.items()}
        found[feature["id"]] = _record(Region, entry, where)
    return found


def sources(folder: Path) -> dict[str, Source]:
    """Read sources.toml: one table a source."""
    path = folder / "sources.toml"
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as err:
        raise CatalogError(f"{path} cannot be read as TOML: {err}") from err
    return {k: _record(Source, {**v, "name": k}, f"{path.name}, {k!r}") for k, v in tables.items()}


def products(folder: Path) -> dict[str, Product]:
    """Read products/*.json: one file a product."""
    found = {}
    for path in sorted((folder / "products").glob("*.json")):
        entry = {**_json(path), "name": path.stem}
        entry["layers"] = tuple(_layer(e, path.name) for e in entry.get("layers", []))
        found[path.stem] = _record(Product, entry, path.name)
    return found


def pick(entries: Mapping[str, T], name: str, what: str) -> T:
    """Return the entry of that name.

    Raises:
        CatalogError: there is none; the message lists those that exist.
    """
    if name not in entries:
        raise CatalogError(f"{what} {name!r} is in no catalog: choose one of {_names(entries)}")
    return entries[name]


def _layer(entry: dict[str, Any], where: str) -> Layer:
    where = f"{where}, layer {entry.get('name')!r}"
    listed = {
        "variables": tuple(entry.get("variables", ())),
        "ramp": tuple((stop[0], stop[1]) for stop in entry.get("ramp", ())),
        "classes": tuple(_record(ClassEntry, c, where) for c in entry.get("classes", ())),
        "rgb": tuple(entry.get("rgb", ())),
    }
    if "stretch" in entry:
        listed["stretch"] = tuple(entry["stretch"])
    return _record(Layer, {**entry, **listed}, where)


def _record(kind: type[T], entry: Mapping[str, Any], where: str) -> T:
    """Build a record, refusing unknown and missing keys."""
    allowed = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    needed = [f.name for f in fields(kind) if f.default is MISSING]  # type: ignore[arg-type]
    unknown = sorted(set(entry) - set(allowed))
    missing = [name for name in needed if name not in entry]
    if unknown:
        raise CatalogError(f"{where}: unknown key {_names(unknown)}; allowed are {_names(allowed)}")
    if missing:
        raise CatalogError(f"{where}: missing key {_names(missing)}")
    return kind(**entry)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as err:
        raise CatalogError(f"{path} cannot be read as JSON: {err}") from err
    if not isinstance(content, dict):
        raise CatalogError(f"{path} holds no JSON object")
    return content


def _names(names: Mapping[str, object] | list[str]) -> str:
    return ", ".join(str(n) for n in names) or "none"

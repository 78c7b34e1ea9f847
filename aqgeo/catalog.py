"""Catalogs: the regions, sources and map products that exist, read from data files."""

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import shapely
import shapely.geometry
from odc.geo.geobox import GeoBox
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from shapely.geometry.base import BaseGeometry

from aqgeo import grid
from aqgeo.errors import CatalogError

T = TypeVar("T")
_RULES = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
Color = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]
Code = Annotated[int, Field(ge=0, le=255)]
Name = Annotated[str, Field(pattern="^[a-zA-Z0-9_-]+$")]


@dataclass(frozen=True, slots=True)
class Grid:
    """CRS and pixel size of one product in one region."""

    __pydantic_config__ = _RULES

    crs: str
    """EPSG code."""
    resolution_m: float | None = None
    """Pixel size in metres, for a projected CRS."""
    resolution_deg: float | None = None
    """Pixel size in degrees, for a geographic CRS."""
    anchor: grid.Anchor = "edge"
    """What lies on multiples of the resolution: pixel edges or pixel centres."""

    def __post_init__(self) -> None:
        """Refuse a grid without a pixel size, or with two."""
        if (self.resolution_m is None) == (self.resolution_deg is None):
            raise ValueError("a grid needs resolution_m or resolution_deg, and only one of them")

    @property
    def resolution(self) -> float:
        """Pixel size in units of the CRS."""
        return self.resolution_m or self.resolution_deg or math.nan


@dataclass(frozen=True, slots=True)
class Region:
    """An area that maps are made of."""

    __pydantic_config__ = _RULES

    name: Name
    """Identifier, the feature's `id`."""
    title: str
    """Name for people."""
    area: BaseGeometry
    """Outline in lon/lat; maps cover its bounding box."""
    grids: Mapping[str, Grid]
    """Grid by product name."""
    sources: tuple[str, ...] = ()
    """Sources that are read when none is named; the first that serves a collection wins."""

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

    __pydantic_config__ = _RULES

    name: str
    """Identifier, the table's name."""
    title: str
    """Name for people."""
    href: str
    """Where it is: path of a static STAC catalog or of a folder, root of a service.

    A relative path lies below the output folder; `{region}` and `{period}` in it stand for those
    of a run."""
    kind: Literal["static", "folder", "stac", "sentinelhub", "openaq", "eea"] = "static"
    """Who answers: a static catalog, a folder of granules, a STAC API, or a service of its own."""
    collections: Mapping[str, str] = field(default_factory=dict)
    """What it serves: the source's own name, or several with commas, by our name of a collection.

    A static catalog serves what is in it."""
    hosts: tuple[str, ...] = ()
    """Hosts that may be opened: exact names, or `*.` before a domain for all below it."""
    auth: Literal["none", "planetary-computer", "cdse", "s3", "openaq", "sentinelhub"] = "none"
    """How requests are signed; keys come from the environment, `sources/auth.py` says which."""

    def serves(self, collection: str) -> bool:
        """Tell whether the source has a collection; a static catalog may have any."""
        return collection in self.collections or not self.collections


@dataclass(frozen=True, slots=True)
class ClassEntry:
    """One class of a layer."""

    __pydantic_config__ = _RULES

    value: Code
    """Code in the file, another one than the layer's `no_data`."""
    name: str
    """Identifier without spaces."""
    title: str
    """Name for people."""
    color: Color
    """`#rrggbb`."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One file of a map product: one quantity."""

    __pydantic_config__ = _RULES

    name: Name
    """Name of the file, without suffix."""
    title: str
    """Name for people, without the unit."""
    variables: Annotated[tuple[str, ...], Field(min_length=1)]
    """Variables of the stage's composite cube, one a band."""
    kind: Literal["values", "classes", "rgb"]
    """Continuous values, class codes, or a colour picture of three of the bands."""
    unit: str = "1"
    """Unit of the file's values."""
    factor: float = 1.0
    """File value = cube value x factor."""
    role: Literal["data", "uncertainty", "quality"] = "data"
    """What the layer is for."""
    ramp: tuple[tuple[float, Color], ...] = ()
    """(value, `#rrggbb`) stops of the colour ramp, in the file's unit, ascending."""
    classes: tuple[ClassEntry, ...] = ()
    """Classes of a layer of class codes."""
    no_data: Code = 0
    """Code of pixels without a class, in a layer of class codes."""
    rgb: tuple[str, ...] = ()
    """Variables shown as red, green and blue."""
    stretch: tuple[float, float] = (0.0, 0.3)
    """Values shown as black and as full colour in a colour picture."""
    dated: bool = False
    """One file for each date of the stage's series, instead of one of its composite."""
    optional: bool = False
    """Left out where the stage did not make its variables."""

    def __post_init__(self) -> None:
        """Refuse a class whose code says that there is none."""
        if self.no_data in [entry.value for entry in self.classes]:
            raise ValueError(f"{self.no_data} is no data, and the value of a class")


@dataclass(frozen=True, slots=True)
class Product:
    """A map product: what one stage's composite is published as."""

    __pydantic_config__ = _RULES

    name: Name
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
    layers: Annotated[tuple[Layer, ...], Field(min_length=1)]
    """Files, the first one is the map."""
    refine: Annotated[int, Field(ge=1)] = 1
    """Pixels of the product along one side of a pixel of `grid`."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained; what it says is checked by the room that trains."""

    __pydantic_config__ = _RULES

    name: Name
    """Identifier, the file's stem."""
    title: str
    """Name for people."""
    task: Literal["clouds", "superres", "columns"]
    """What the network is for."""
    level: Literal["L1C", "L2A", "any"]
    """Processing level of the images; `any` for pictures."""
    network: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the network that are not measured from the data."""
    patches: Mapping[str, Any] = field(default_factory=dict)
    """How images become batches, the `Settings` of `training/segmentation` or `/superres`."""
    run: Mapping[str, Any] = field(default_factory=dict)
    """How the run goes, `training/fit.Settings`."""


@dataclass(frozen=True, slots=True)
class Model:
    """Weights that are shipped."""

    __pydantic_config__ = _RULES

    name: Name
    """Identifier, the file's stem."""
    title: str
    """Name for people."""
    task: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    """What the network is for."""
    level: Literal["L1C", "L2A", "any"]
    """Processing level of the images that it takes."""
    file: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+\.safetensors$")]
    """Name of the checkpoint in `aqgeo/models/weights`."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Checksum of the checkpoint."""


def regions(folder: Path) -> dict[str, Region]:
    """Read regions.geojson: one feature a region, its `id` the name.

    Raises:
        CatalogError: the file breaks its rules.
    """
    path = folder / "regions.geojson"
    found: dict[str, Region] = {}
    for number, feature in enumerate(_list(_json(path), "features", path)):
        entry, where = _feature(feature, f"{path.name}, feature {number}")
        if entry["name"] in found:
            raise CatalogError(f"{where} is there twice: give one of them another id")
        found[entry["name"]] = _record(Region, entry, where)
    return found


def sources(folder: Path) -> dict[str, Source]:
    """Read sources.toml: one table a source."""
    path = folder / "sources.toml"
    tables = _toml(path)
    return {
        name: _record(
            Source, _named(table, name, f"{path.name}, {name!r}"), f"{path.name}, {name!r}"
        )
        for name, table in tables.items()
    }


def recipes(folder: Path) -> dict[str, Recipe]:
    """Read recipes/*.toml: one file a recipe."""
    return {
        path.stem: _record(Recipe, _named(_toml(path), path.stem, path.name), path.name)
        for path in sorted((folder / "recipes").glob("*.toml"))
    }


def models(folder: Path) -> dict[str, Model]:
    """Read models/*.toml: one file for each checkpoint."""
    return {
        path.stem: _record(Model, _named(_toml(path), path.stem, path.name), path.name)
        for path in sorted((folder / "models").glob("*.toml"))
    }


def products(folder: Path) -> dict[str, Product]:
    """Read products/*.json: one file a product."""
    return {
        path.stem: _record(Product, _named(_json(path), path.stem, path.name), path.name)
        for path in sorted((folder / "products").glob("*.json"))
    }


def pick(entries: Mapping[str, T], name: str, what: str) -> T:
    """Return the entry of that name.

    Raises:
        CatalogError: there is none; the message lists those that exist.
    """
    if name not in entries:
        raise CatalogError(f"{what} {name!r} is in no catalog: choose one of {_names(entries)}")
    return entries[name]


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as err:
        raise CatalogError(f"{path} cannot be read as TOML: {err}") from err


def _feature(feature: Any, where: str) -> tuple[dict[str, Any], str]:
    """Return a region's entry, and where it stands."""
    if not isinstance(feature, dict) or not isinstance(feature.get("id"), str):
        raise CatalogError(f"{where} needs an id, a text")
    where = f"{where}, {feature['id']!r}"
    try:
        area = shapely.geometry.shape(feature["geometry"])
    except (KeyError, TypeError, ValueError, AttributeError, shapely.errors.ShapelyError) as err:
        raise CatalogError(f"{where} needs a geometry: {err}") from err
    if area.is_empty or not area.is_valid:
        raise CatalogError(f"{where} has an empty or self-crossing outline: redraw it")
    return {**_named(feature.get("properties"), feature["id"], where), "area": area}, where


def _named(entry: Any, name: str, where: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise CatalogError(f"{where} holds {type(entry).__name__}: named values are needed")
    return {**entry, "name": name}


def _record(kind: type[T], entry: Mapping[str, Any], where: str) -> T:
    """Build a record, refusing unknown keys and values of other types, in one line."""
    try:
        return TypeAdapter(kind).validate_python(entry)
    except ValidationError as err:
        slip = err.errors(include_url=False)[0]
        *path, key = slip["loc"] or ("",)
        for step in path:
            where += f", {step}" if isinstance(step, str) else f" {_title(entry, path, step)}"
        what = f"{key}: {slip['msg']}" if key else slip["msg"]
        if slip["type"] in ("unexpected_keyword_argument", "missing"):
            what = (
                f"{slip['type'].partition('_')[0]} key {key!r}; allowed are {_allowed(kind, path)}"
            )
        raise CatalogError(f"{where}: {what}") from err


def _title(entry: Any, path: list[int | str], last: int) -> str:
    """Return the name of a list's element, or its number where it has none."""
    for step in path[: path.index(last) + 1]:
        entry = entry[step]
    return repr(entry.get("name", last)) if isinstance(entry, dict) else str(last)


def _allowed(kind: Any, path: list[int | str]) -> str:
    """Return the keys that are allowed at a place within a record."""
    inner = {"grids": Grid, "layers": Layer, "classes": ClassEntry}
    for step in path:
        kind = inner.get(str(step), kind)
    return _names([f.name for f in fields(kind)])


def _list(content: Mapping[str, Any], key: str, path: Path) -> list[Any]:
    if not isinstance(content.get(key), list):
        raise CatalogError(f"{path} holds no list {key!r}")
    return list(content[key])


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

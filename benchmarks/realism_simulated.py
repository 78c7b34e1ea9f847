"""What a simulated archive delivers, in the form of the real samples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pystac
import rasterio
import xarray as xr
from numpy.typing import NDArray

from aqgeo import cube
from aqgeo.simulation import land
from aqgeo.simulation.plan import Settings, domain, world
from benchmarks import realism_clouds as clouds
from benchmarks.realism_chips import L1C, L2A, Pixels, by_classification, inside
from benchmarks.realism_clouds import Mask, Masks
from benchmarks.realism_distances import Values

TRUTH_M = 60
COARSE_KM = 27.8
"""Cells of the daily fields of 0.25 degree, south to north."""
_COVER = {
    "water": (land.WATER,),
    "forest": (land.FOREST, land.CONIFER),
    "crops": (land.CROPLAND,),
    "grass": (land.GRASS,),
    "urban": (land.LOOSE_URBAN, land.DENSE_URBAN, land.INDUSTRY, land.ROAD),
    "sand": (land.SAND,),
}
_MOST, _FEWEST = 4000, 20
_CLEAR = 0


@dataclass(frozen=True, slots=True)
class Scene:
    """One Sentinel-2 product of a simulated archive."""

    item: pystac.Item
    """Its STAC item."""
    level: str
    """L1C or L2A."""

    def reflectance(self, band: str, pixel_m: int) -> NDArray[np.float32]:
        """Return (y, x) reflectance on pixels of the size asked for; coarser bands repeat."""
        asset = next(
            a for a in self.item.assets.values()
            if a.extra_fields.get("eo:bands", [{}])[0].get("name") == band
        )  # fmt: skip
        about = asset.extra_fields["raster:bands"][0]
        numbers = _read(asset)
        values = np.where(numbers == about["nodata"], np.nan, numbers).astype("float32")
        return _resized(values * about["scale"] + about["offset"], _size(asset), pixel_m)

    @property
    def scl(self) -> NDArray[np.uint8]:
        """(y, x) scene classification, 20 m."""
        return _read(self.item.assets["scl"])


def scenes(folder: Path, level: str) -> list[Scene]:
    """Return the products of a level in order of time."""
    catalog = pystac.Catalog.from_file(str(folder / "archive" / "catalog.json"))
    name = f"sentinel-2-{level.lower()}"
    items = [i for i in catalog.get_items(recursive=True) if i.collection_id == name]
    return [Scene(item, level) for item in sorted(items, key=lambda i: (str(i.datetime), i.id))]


def pixels_by_cover(name: str, folder: Path, about: dict[str, Any], region: Any) -> list[Pixels]:
    """Return clear pixels by true land cover, as the chips are sorted by their land-use map.

    Args:
        name: of the run.
        folder: the run's archive and truth.
        about: its provenance.
        region: its region.
    """
    settings = Settings(**{**about["settings"], "levels": tuple(about["settings"]["levels"])})
    place = world(region, settings)
    cover = land.draw(place, domain(region, settings)).cover
    size = settings.resolution_m
    found = []
    sky = cube.open(folder / "truth" / "truth.zarr" / "scenes")["cloud"].values
    for level, bands in (("L1C", L1C), ("L2A", L2A)):
        for frame, scene in zip(sky, scenes(folder, level), strict=False):
            clear = inside(_repeated(frame == _CLEAR, TRUTH_M // size), 120 // size)
            layers = {band: scene.reflectance(band, size) for band in bands}
            for kind, codes in _COVER.items():
                here = np.flatnonzero(inside(np.isin(cover, codes), 40 // size) & clear)
                if here.size >= _FEWEST:
                    here = here[:: max(1, here.size // _MOST)]
                    taken = {b: v.ravel()[here] for b, v in layers.items()}
                    found.append(Pixels(name, level, kind, taken))
    return found


def pixels_by_scl(name: str, folder: Path, pixel_m: int) -> list[Pixels]:
    """Return pixels by the product's own classification, as the real sets without a map.

    Args:
        name: of the run.
        folder: the run's archive.
        pixel_m: 20, or 120 for the coarse copies of the 33T set.
    """
    found = []
    factor = pixel_m // 20
    bands = [b for b in L2A if b not in ("B01", "B09")]
    names = bands if factor == 1 else ["B02", "B03", "B04", "B08"]
    for scene in scenes(folder, "L2A"):
        layers = {b: _resized(scene.reflectance(b, 20), 20, pixel_m) for b in names}
        rows, cols = next(iter(layers.values())).shape
        scl = scene.scl[factor // 2 :: factor, factor // 2 :: factor][:rows, :cols]
        level = "L2A" if factor == 1 else f"L2A {pixel_m} m"
        found += by_classification(name, level, layers, scl)
    return [_thinned(p) for p in found]


def snow(name: str, folder: Path) -> list[Pixels]:
    """Return what the classification calls snow, where the sky is clear in truth, 20 m."""
    sky = cube.open(folder / "truth" / "truth.zarr" / "scenes")["cloud"].values
    found = []
    for frame, scene in zip(sky, scenes(folder, "L2A"), strict=True):
        here = (scene.scl == 11) & _repeated(frame == _CLEAR, TRUTH_M // 20)
        bands = [b for b in L2A if b not in ("B01", "B09")]
        found.append(
            Pixels(name, "L2A", "snow", {b: scene.reflectance(b, 20)[here] for b in bands})
        )
    return [_thinned(p) for p in found]


def tiles(folder: Path) -> Masks:
    """Return windows of the scene classification at 120 m, as those of the 33T set."""
    factor = clouds.TILE_PIXEL_M // 20
    return _windows(folder, factor, clouds.TILE_WINDOW)


def frames(folder: Path) -> Masks:
    """Return windows of 1 km at 20 m, as the 68 frames."""
    return _windows(folder, clouds.FRAME_PIXEL_M // 20, clouds.FRAME_WINDOW)


def columns(name: str, folder: Path, bbox: Sequence[float]) -> pd.DataFrame:
    """Return all retrieved pixels inside the domain, as the real tables have them."""
    west, south, east, north = bbox
    rows = []
    for path in sorted((folder / "archive" / "data" / "sentinel5p").glob("*.nc")):
        with xr.open_dataset(path, group="PRODUCT", decode_times=False) as ds:
            names = {
                "lat": "latitude", "lon": "longitude", "qa": "qa_value",
                "column": "nitrogendioxide_tropospheric_column",
                "precision": "nitrogendioxide_tropospheric_column_precision",
                "amf": "air_mass_factor_troposphere",
            }  # fmt: skip
            table = pd.DataFrame({k: ds[v].values.ravel() for k, v in names.items()})
        inner = table["lat"].between(south, north) & table["lon"].between(west, east)
        rows.append(table[inner].assign(orbit=path.stem[20:35], site=name))
    return pd.concat(rows, ignore_index=True)


def coarse_fields(folder: Path) -> Values:
    """Return (time, y, x) true columns in mol m-2 on cells as large as the daily fields'."""
    truth = cube.open(folder / "truth" / "truth.zarr" / "columns")
    fields = truth["no2_column"].values
    pixel_km = cube.geobox(truth).affine.a / 1000
    factor = round(COARSE_KM / pixel_km)
    rows, cols = (n // factor for n in fields.shape[1:])
    cut = fields[:, : rows * factor, : cols * factor]
    return np.asarray(cut.reshape(-1, rows, factor, cols, factor).mean((2, 4)))


def hours(folder: Path) -> pd.DataFrame:
    """Return the hourly table of the stations."""
    paths = sorted((folder / "archive" / "data" / "stations").glob("*.csv"))
    return pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)


def _windows(folder: Path, factor: int, side: int) -> Masks:
    cloud: list[Mask] = []
    gap: list[Mask] = []
    for scl in _classifications(folder):
        masks = (clouds.coarser(m, factor) for m in clouds.cloud_and_gap(scl, 20))
        for found, mask in zip((cloud, gap), masks, strict=True):
            found += clouds.windows(mask, side)
    return Masks(20 * factor, cloud, gap)


def _classifications(folder: Path) -> Iterator[NDArray[np.uint8]]:
    for scene in scenes(folder, "L2A"):
        yield scene.scl


def _thinned(p: Pixels) -> Pixels:
    step = max(1, len(next(iter(p.bands.values()))) // _MOST)
    return Pixels(p.site, p.level, p.kind, {b: v[::step] for b, v in p.bands.items()})


def _read(asset: pystac.Asset) -> NDArray[Any]:
    with rasterio.open(asset.get_absolute_href()) as src:
        found: NDArray[Any] = src.read(1)
    return found


def _size(asset: pystac.Asset) -> int:
    return int(asset.extra_fields["raster:bands"][0]["spatial_resolution"])


def _resized(values: NDArray[np.float32], size: int, wanted: int) -> NDArray[np.float32]:
    """Return block means, or pixels repeated; a ragged rim is cut off."""
    if size >= wanted:
        return _repeated(values, size // wanted)
    factor = wanted // size
    rows, cols = (n // factor for n in values.shape)
    cut = values[: rows * factor, : cols * factor]
    return np.asarray(cut.reshape(rows, factor, cols, factor).mean((1, 3)))


def _repeated(values: NDArray[Any], factor: int) -> NDArray[Any]:
    return np.repeat(np.repeat(values, factor, 0), factor, 1)

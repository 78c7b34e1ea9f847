"""Sentinel-2 items read as reflectance on a grid."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import Any

import dask.array as da
import numpy as np
import odc.stac
import pystac
import rasterio
import xarray as xr
from odc.geo import CRS
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError

from aqgeo import cube
from aqgeo.errors import SourceError
from aqgeo.sources import outlines, sentinel2_bands, sentinel2_files, sentinel2_mosaic, stac
from aqgeo.sources.sentinel2_bands import SCL, SCL_CLASSES
from aqgeo.sources.sentinel2_bands import assets as assets
from aqgeo.sources.sentinel2_files import NO_DATA
from aqgeo.sources.sentinel2_files import check_file as check_file
from aqgeo.sources.sentinel2_offset import scale_offset as scale_offset

# A JPEG 2000 tile is decoded anew for every chunk that touches it: read in large chunks.
READ_CHUNK = 2048
_DEFECTIVE = 1
_PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
_RASTER = "https://stac-extensions.github.io/raster/v1.1.0/schema.json"


def days(items: Sequence[pystac.Item]) -> list[list[pystac.Item]]:
    """Group items, sorted by time, by the solar day at their place."""
    return [list(group) for _, group in groupby(items, key=_solar_day)]


def read(items: Sequence[pystac.Item], bands: Sequence[str], where: GeoBox) -> xr.Dataset:
    """Return one day's items as a lazy cube of one time step; the first item with data wins.

    Reflectance is averaged, classes are voted, where the grid is coarser than the files; finer
    grids repeat pixels. A pixel that lacks one band, as at the edge of a detector, or that is
    classified as saturated or defective has no reflectance in any band: half a spectrum is none.

    Args:
        items: items of one day and one level; they may lie in different UTM zones.
        bands: band names such as `B04`.
        where: grid of the result.

    Returns:
        Cube (1, y, x): bands as float32 reflectance, 1 (at the top of the atmosphere for L1C);
        of L2A also `SCL` as uint8 classes.
    """
    levels = {sentinel2_bands.is_l1c(item) for item in items}
    if len(levels) > 1:
        raise SourceError(f"{items[0].id} and its day hold levels 1C and 2A: read one at a time")
    layers, nested = zip(*(_read_one(item, bands, where) for item in items), strict=True)
    merged = sentinel2_mosaic.merge(layers, nested)
    kind = "top-of-atmosphere" if True in levels else "surface"
    variables = {
        band: cube.values(merged[band], "1", long_name=f"{kind} reflectance, {band}")
        for band in bands
    }
    if SCL in merged:
        variables[SCL] = cube.classes(merged[SCL], SCL_CLASSES, long_name="scene classification")
    return cube.make(variables, np.array([_instant(items[0])]), where)


def find_broken(items: Sequence[pystac.Item], bands: Sequence[str]) -> None:
    """Read every pixel of the items' files, to name the one that cannot be read.

    Raises:
        SourceError: for the first broken file.
    """
    for item in items:
        for key in assets(item, bands).values():
            path = check_file(item, key)
            try:
                with rasterio.open(path, driver=sentinel2_files.driver(path)) as src:
                    for _, window in src.block_windows(1):
                        src.read(1, window=window)
            except RasterioError as err:
                raise sentinel2_files.broken(path, err) from err


def _read_one(
    item: pystac.Item, bands: Sequence[str], where: GeoBox
) -> tuple[sentinel2_mosaic.Layer, bool]:
    """Return an item's layers, and whether its pixels are in the grid's CRS."""
    keys = assets(item, bands)
    told = _as_on_disk(item, keys)
    raw = odc.stac.load(
        [told],
        bands=list(keys),
        geobox=where,
        groupby="id",
        chunks={"x": READ_CHUNK, "y": READ_CHUNK},
        resampling={"*": "average", SCL: "mode"},
        nodata=0,
        patch_url=sentinel2_files.masked,
        # Overviews of 40 m do not nest in pixels of 60 m, and were averaged with special values.
        use_overviews=False,
    )
    layers = {}
    whole = True
    if SCL in keys:
        layers[SCL] = raw[SCL].data.astype("uint8")
        whole = layers[SCL] != _DEFECTIVE
    for band in bands:
        whole = whole & (raw[band].data != NO_DATA)
    for band in bands:
        scale, offset = scale_offset(item, keys[band])
        layers[band] = _reflectance(raw[band].data, whole, scale, offset)
    return layers, CRS(told.assets[bands[0]].extra_fields["proj:wkt2"]) == where.crs


def _as_on_disk(item: pystac.Item, keys: Mapping[str, str]) -> pystac.Item:
    """Return an item whose assets, by band, lie where their files' headers say.

    A service's outline may be wrong, as over the date line, and what lies outside is not read.
    """
    told = pystac.Item(item.id, item.geometry, item.bbox, stac.start(item), {})
    told.stac_extensions = [_PROJECTION, _RASTER]
    for band, key in keys.items():
        path = check_file(item, key)
        with rasterio.open(path, driver=sentinel2_files.driver(path)) as src:
            fields = {
                "proj:wkt2": src.crs.to_wkt(),
                "proj:shape": src.shape,
                "proj:transform": list(src.transform)[:6],
                # Means stay whole numbers where the item tells the type, and are floats elsewhere.
                "raster:bands": [{"data_type": src.dtypes[0]}] if _tells_type(item, key) else [],
            }
        told.add_asset(band, pystac.Asset(str(path), extra_fields=fields))
    return told


def _tells_type(item: pystac.Item, key: str) -> bool:
    bands = item.assets[key].extra_fields.get("raster:bands")
    return isinstance(bands, list) and "data_type" in str(bands[:1])


def _reflectance(numbers: Any, whole: Any, scale: float, offset: float) -> Any:
    # No data is told apart before the offset is added.
    reflectance = numbers.astype("float32") * np.float32(scale) + np.float32(offset)
    return da.where(whole, reflectance, np.float32(np.nan))


def _instant(item: pystac.Item) -> np.datetime64:
    return np.datetime64(stac.start(item).replace(tzinfo=None), "s")


def _solar_day(item: pystac.Item) -> date:
    return (stac.start(item) + timedelta(hours=outlines.centre_lon(item) / 15)).date()

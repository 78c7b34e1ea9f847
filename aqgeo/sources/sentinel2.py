"""Sentinel-2 L2A items read as surface reflectance on a grid."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import dask.array as da
import numpy as np
import odc.stac
import pystac
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError

from aqgeo import cube
from aqgeo.errors import SourceError
from aqgeo.sources import stac

# First bytes of the formats that are read; a file is what it begins with, not what it is called.
DRIVERS = {
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"\0\0\0\x0cjP": "JP2OpenJPEG",
}
SCL = "SCL"
# Special values of the product, before scale and offset.
NO_DATA, SATURATED = 0, 65535
# A JPEG 2000 tile is decoded anew for every chunk that touches it: read in large chunks.
READ_CHUNK = 2048
# Scene classification of Sen2Cor, Sentinel-2 L2A product definition.
SCL_CLASSES = {
    1: "saturated or defective",
    2: "dark area",
    3: "cloud shadow",
    4: "vegetation",
    5: "not vegetated",
    6: "water",
    7: "unclassified",
    8: "cloud medium probability",
    9: "cloud high probability",
    10: "thin cirrus",
    11: "snow or ice",
}


def days(items: Sequence[pystac.Item]) -> list[list[pystac.Item]]:
    """Group items, sorted by time, by the solar day at their place."""
    return [list(group) for _, group in groupby(items, key=_solar_day)]


def assets(item: pystac.Item, bands: Sequence[str]) -> dict[str, str]:
    """Return the asset key of each band and of the scene classification.

    Raises:
        SourceError: a band is missing.
    """
    keys = {_band_name(key, asset): key for key, asset in item.assets.items()}
    missing = [band for band in (*bands, SCL) if band not in keys]
    if missing:
        raise SourceError(
            f"item {item.id} has no asset for {', '.join(missing)} (it has "
            f"{', '.join(sorted(keys))}): complete the item or remove it"
        )
    return {band: keys[band] for band in (*bands, SCL)}


def scale_offset(item: pystac.Item, key: str) -> tuple[float, float]:
    """Return scale and offset that turn an asset's digital numbers into reflectance.

    The item's flag that the offset is in the pixels already wins over the asset's own offset, which
    wins over the processing baseline: from 04.00 on, products carry +1000 (Sentinel-2 product
    notice, January 2022). A date decides nothing, since reprocessed old scenes carry it too.

    Raises:
        SourceError: nothing says which offset holds.
    """
    asset = item.assets[key]
    bands = asset.extra_fields.get("raster:bands") or [{}]
    # STAC 1.0 has raster:bands; 1.1 has raster:scale in `bands` or at the asset itself.
    newer = (asset.extra_fields.get("bands") or [{}])[0]
    fields = {**bands[0], **newer, **asset.extra_fields}
    scale = float(fields.get("raster:scale", fields.get("scale", 1e-4)))
    if item.properties.get("earthsearch:boa_offset_applied") is True:
        return scale, 0.0
    offset = fields.get("raster:offset", fields.get("offset"))
    if offset is not None:
        return scale, float(offset)
    baseline = str(item.properties.get("s2:processing_baseline", ""))
    try:
        version = tuple(int(part) for part in baseline.split("."))
    except ValueError as err:
        raise SourceError(
            f"item {item.id}, asset {key!r} has neither an offset nor a processing baseline "
            f"(s2:processing_baseline is {baseline!r}): reflectance would be wrong by 0.1; add "
            "raster:bands to the item"
        ) from err
    return scale, -0.1 if version >= (4, 0) else 0.0


def check_file(item: pystac.Item, key: str) -> Path:
    """Return an asset's file after a look at its header.

    Raises:
        SourceError: it is no GeoTIFF or JPEG 2000, whatever its suffix, or has no georeference.
    """
    path = stac.asset_path(item, key)
    try:
        with rasterio.open(path, driver=_driver(path)) as src:
            if src.crs is None or src.count != 1:
                raise SourceError(
                    f"{path} has {src.count} bands and CRS {src.crs}: one band with a CRS is "
                    "needed, the file may be cut short: fetch it again"
                )
            if src.driver == "JP2OpenJPEG" and not _ends_whole(path):
                raise _broken(path, "no end of codestream")
    except RasterioError as err:
        raise _broken(path, err) from err
    return path


def read(items: Sequence[pystac.Item], bands: Sequence[str], where: GeoBox) -> xr.Dataset:
    """Return one day's items as a lazy cube of one time step; the first item with data wins.

    Reflectance is averaged, classes are voted, where the grid is coarser than the files; finer
    grids repeat pixels.

    Args:
        items: items of one day.
        bands: band names such as `B04`.
        where: grid of the result.

    Returns:
        Cube (1, y, x): bands as float32 reflectance, 1; `SCL` as uint8 classes.
    """
    layers = [_read_one(item, bands, where) for item in items]
    merged = {name: _first(name, [layer[name] for layer in layers]) for name in layers[0]}
    variables = {
        band: cube.values(merged[band], "1", long_name=f"surface reflectance, {band}")
        for band in bands
    }
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
                with rasterio.open(path, driver=_driver(path)) as src:
                    for _, window in src.block_windows(1):
                        src.read(1, window=window)
            except RasterioError as err:
                raise _broken(path, err) from err


def _read_one(item: pystac.Item, bands: Sequence[str], where: GeoBox) -> Mapping[str, Any]:
    keys = assets(item, bands)
    raw = odc.stac.load(
        [item],
        bands=list(keys.values()),
        geobox=where,
        groupby="id",
        chunks={"x": READ_CHUNK, "y": READ_CHUNK},
        resampling={"*": "average", keys[SCL]: "mode"},
        nodata=0,
        patch_url=_masked,
        # Overviews of 40 m do not nest in pixels of 60 m, and were averaged with special values.
        use_overviews=False,
    )
    layers = {SCL: raw[keys[SCL]].data.astype("uint8")}
    for band in bands:
        scale, offset = scale_offset(item, keys[band])
        layers[band] = _reflectance(raw[keys[band]].data, scale, offset)
    return layers


def _masked(file: str) -> str:
    """Return a virtual file (GDAL VRT) in which the product's special values are no data.

    0 is no data and 65535 saturated. ESA's files carry no tag for either: without this, both would
    be averaged into the pixels of a coarser grid.
    """
    path = Path(file)
    with rasterio.open(path, driver=_driver(path)) as src:
        kind = {"uint8": "Byte", "uint16": "UInt16"}.get(src.dtypes[0])
        if kind is None:
            raise SourceError(f"{path} holds {src.dtypes[0]}: digital numbers are uint8 or uint16")
        placed = ", ".join(f"{v!r}" for v in src.transform.to_gdal())
        size = f'rasterXSize="{src.width}" rasterYSize="{src.height}"'
        return (
            f"<VRTDataset {size}><SRS>{escape(src.crs.to_wkt())}</SRS>"
            f"<GeoTransform>{placed}</GeoTransform>"
            f'<VRTRasterBand dataType="{kind}" band="1"><NoDataValue>{NO_DATA}</NoDataValue>'
            f'<ComplexSource><SourceFilename relativeToVRT="0">{escape(str(path))}</SourceFilename>'
            f"<SourceBand>1</SourceBand><NODATA>{SATURATED}</NODATA></ComplexSource>"
            "</VRTRasterBand></VRTDataset>"
        )


def _reflectance(numbers: Any, scale: float, offset: float) -> Any:
    # No data is told apart before the offset is added.
    reflectance = numbers.astype("float32") * np.float32(scale) + np.float32(offset)
    return da.where(numbers != NO_DATA, reflectance, np.float32(np.nan))


def _first(name: str, layers: Sequence[Any]) -> Any:
    merged = layers[0]
    for layer in layers[1:]:
        empty = merged == 0 if name == SCL else da.isnan(merged)
        merged = da.where(empty, layer, merged)
    return merged


def _instant(item: pystac.Item) -> np.datetime64:
    return np.datetime64(stac.start(item).replace(tzinfo=None), "s")


def _solar_day(item: pystac.Item) -> date:
    west, east = (item.bbox or [0, 0, 0, 0])[0], (item.bbox or [0, 0, 0, 0])[2]
    return (stac.start(item) + timedelta(hours=(west + east) / 2 / 15)).date()


def _band_name(key: str, asset: pystac.Asset) -> str:
    if key.lower() == "scl":
        return SCL
    bands = asset.extra_fields.get("bands") or asset.extra_fields.get("eo:bands") or [{}]
    return str(bands[0].get("name", key))


def _driver(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(max(map(len, DRIVERS)))
    for magic, driver in DRIVERS.items():
        if start.startswith(magic):
            return driver
    raise SourceError(
        f"{path} begins with {start!r}, as neither GeoTIFF nor JPEG 2000 does: fetch it again"
    )


def _ends_whole(path: Path) -> bool:
    """Tell whether a JPEG 2000 file has its end; decoders make up pixels where it lacks."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 65536, 0))
        # This marker cannot occur inside the codestream (ISO/IEC 15444-1, annex A).
        return b"\xff\xd9" in file.read()


def _broken(path: Path, err: Exception | str) -> SourceError:
    return SourceError(
        f"{path} cannot be read, it may be cut short: {' '.join(str(err).split())}: fetch it again"
    )

"""Sentinel-2 raster files: what they are by first bytes and header, and special values masked."""

from pathlib import Path
from xml.sax.saxutils import escape

import pystac
import rasterio
from rasterio.errors import RasterioError

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
# Special values of the product, before scale and offset.
NO_DATA, SATURATED = 0, 65535
# Pixels along one side of a tile of 109.8 km at 10 m, Sentinel-2 product specification.
MAX_SIDE = 10_980
_GDAL_TYPES = {"uint8": "Byte", "uint16": "UInt16"}


def check_file(item: pystac.Item, key: str) -> Path:
    """Return an asset's file after a look at its header; no pixel is read.

    Raises:
        SourceError: it is no GeoTIFF or JPEG 2000, whatever its suffix; it has no place on the
            ground, several bands, other numbers than uint8 or uint16, or more pixels than a tile.
    """
    path = stac.asset_path(item, key)
    try:
        with rasterio.open(path, driver=driver(path)) as src:
            fault = _fault(src)
            if fault:
                raise SourceError(f"{path} {fault}, the file may be cut short: fetch it again")
            if src.driver == "JP2OpenJPEG" and not _ends_whole(path):
                raise broken(path, "no end of codestream")
    except RasterioError as err:
        raise broken(path, err) from err
    return path


def masked(file: str) -> str:
    """Return a virtual file (GDAL VRT) in which the product's special values are no data.

    0 is no data and 65535 saturated. ESA's files carry no tag for either: without this, both would
    be averaged into the pixels of a coarser grid.
    """
    path = Path(file)
    with rasterio.open(path, driver=driver(path)) as src:
        if fault := _fault(src):
            raise SourceError(f"{path} {fault}: fetch it again")
        placed = ", ".join(f"{v!r}" for v in src.transform.to_gdal())
        size = f'rasterXSize="{src.width}" rasterYSize="{src.height}"'
        kind = _GDAL_TYPES[src.dtypes[0]]
        return (
            f"<VRTDataset {size}><SRS>{escape(src.crs.to_wkt())}</SRS>"
            f"<GeoTransform>{placed}</GeoTransform>"
            f'<VRTRasterBand dataType="{kind}" band="1"><NoDataValue>{NO_DATA}</NoDataValue>'
            f'<ComplexSource><SourceFilename relativeToVRT="0">{escape(str(path))}</SourceFilename>'
            f"<SourceBand>1</SourceBand><NODATA>{SATURATED}</NODATA></ComplexSource>"
            "</VRTRasterBand></VRTDataset>"
        )


def driver(path: Path) -> str:
    """Return the GDAL driver of a file by its first bytes.

    Raises:
        SourceError: it is neither GeoTIFF nor JPEG 2000.
    """
    with path.open("rb") as file:
        start = file.read(max(map(len, DRIVERS)))
    for magic, name in DRIVERS.items():
        if start.startswith(magic):
            return name
    raise SourceError(
        f"{path} begins with {start!r}, as neither GeoTIFF nor JPEG 2000 does: fetch it again"
    )


def broken(path: Path, err: Exception | str) -> SourceError:
    """Return the error for a file that GDAL cannot read."""
    return SourceError(
        f"{path} cannot be read, it may be cut short: {' '.join(str(err).split())}: fetch it again"
    )


def _fault(src: rasterio.DatasetReader) -> str | None:
    """Return what a header says that no file of the product may say."""
    if src.crs is None or src.count != 1:
        return f"has {src.count} bands and CRS {src.crs}: one band with a CRS is needed"
    if max(src.width, src.height) > MAX_SIDE:
        return f"claims {src.width} x {src.height} pixels: a tile has up to {MAX_SIDE} a side"
    rows, cols = src.block_shapes[0]
    if rows * cols > MAX_SIDE**2:
        return f"claims blocks of {cols} x {rows} pixels, more than a tile has"
    if src.dtypes[0] not in _GDAL_TYPES:
        return f"holds {src.dtypes[0]}: digital numbers are uint8 or uint16"
    to = src.transform
    if to.b or to.d or not (to.a > 0 and abs(to.a + to.e) < 1e-6 * to.a):
        return f"has the geotransform {to.to_gdal()}: square pixels with north up are needed"
    return None


def _ends_whole(path: Path) -> bool:
    """Tell whether a JPEG 2000 file has its end; decoders make up pixels where it lacks."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 65536, 0))
        # This marker cannot occur inside the codestream (ISO/IEC 15444-1, annex A).
        return b"\xff\xd9" in file.read()

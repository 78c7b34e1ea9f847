"""What is known on a fine grid beside satellites: rasters in a folder, named by what they show."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT

from aqgeo import cube
from aqgeo.catalog import Source
from aqgeo.errors import SourceError
from pipelines.workspace import file_key

FOLDER = "covariates"
"""Folder beside an archive's catalog; it need not be there."""
SUFFIX = ".tif"
PRIOR = "prior_column"
"""Covariate that is made of others: the column that known sources would make, mol m-2."""


def find(folder: Path) -> dict[str, Path]:
    """Return the GeoTIFFs of a folder by name; none if it is not there."""
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def beside(source: Source) -> Path | None:
    """Return where the covariates of an archive on disk lie, if it has any; None of a service."""
    place = Path(source.href)
    return None if "://" in source.href else (place if place.is_dir() else place.parent) / FOLDER


def key(rasters: Mapping[str, Path]) -> dict[str, Any]:
    """Return what tells the state of rasters."""
    return {name: file_key(path) for name, path in rasters.items()}


def read(rasters: Mapping[str, Path], where: GeoBox) -> dict[str, da.Array]:
    """Return (y, x) float32 means on the pixels of a grid, lazily; NaN is what is not known.

    Args:
        rasters: GeoTIFFs of one band in the units that the network's card tells.
        where: the grid.

    Raises:
        SourceError: a file is no georeferenced GeoTIFF of one band.
    """
    for path in rasters.values():
        _check(path)
    chunks = da.core.normalize_chunks(cube.CHUNK, where.shape.yx)
    blank = da.zeros(where.shape.yx, chunks=chunks, dtype="float32")
    return {
        name: blank.map_blocks(_block, path=path, where=where, dtype="float32")
        for name, path in rasters.items()
    }


def _check(path: Path) -> None:
    try:
        with rasterio.open(path, driver="GTiff") as src:
            bands, placed = src.count, src.crs is not None and not src.transform.is_identity
    except RasterioError as err:
        raise SourceError(f"{path} cannot be read as a GeoTIFF: {err}") from err
    if bands != 1 or not placed:
        raise SourceError(
            f"{path} has {bands} bands {'and a' if placed else 'and no'} georeference: a covariate "
            "is one band that has one"
        )


def _block(block: np.ndarray, *, path: Path, where: GeoBox, block_info: Any) -> np.ndarray:
    (top, bottom), (left, right) = block_info[None]["array-location"]
    part = where[top:bottom, left:right]
    how = {"crs": str(part.crs), "transform": part.affine, "resampling": Resampling.average}
    size = {"height": bottom - top, "width": right - left}
    with (
        rasterio.open(path, driver="GTiff") as src,
        WarpedVRT(src, **how, **size, dtype="float32", nodata=np.nan) as moved,
    ):
        return np.asarray(moved.read(1))

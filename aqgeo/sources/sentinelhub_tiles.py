"""Tiles that Sentinel Hub has rendered: checked, kept, and put side by side."""

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import rasterio
import xarray as xr
from rasterio.errors import RasterioError
from rasterio.windows import Window

from aqgeo import cube
from aqgeo.errors import SourceError
from aqgeo.sources.sentinel2_bands import SCL_CLASSES
from aqgeo.sources.sentinelhub_line import host
from aqgeo.sources.sentinelhub_plan import SCL, Day, Plan, Tile, root
from aqgeo.sources.sentinelhub_request import dtype, payload

UNIT = "mol m-2"
# What evalscripts/sentinel2.js makes of reflectance; its highest number means saturated, as in the
# product.
SCALE, OFFSET, SATURATED = 1e-4, -0.1, 65535


def place(plan: Plan, day: Day, tile: Tile, folder: Path) -> Path:
    """Return where a reply is kept: newer products of a day make it another one."""
    asked = [root(plan.source, plan.collection), payload(plan, day, tile), day.products]
    name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return folder / f"{name}.tif"


def keep(content: bytes, path: Path, tile: Tile, plan: Plan) -> bool | None:
    """Write a reply aside, check it, rename it into its place and tell whether it shows anything.

    Raises:
        SourceError: it is not whole, or not what was asked for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(f".{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        seen = look(aside, tile, plan)
        if seen is None:
            raise SourceError(
                f"{host(root(plan.source, plan.collection))} sent {len(content)} bytes, no "
                f"whole GeoTIFF of {tile.width} x {tile.height} pixels with {len(plan.bands) + 1} "
                f"bands of {dtype(plan)} in its place; they begin with {content[:40]!r}: run again"
            )
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return seen


def look(path: Path, tile: Tile, plan: Plan) -> bool | None:
    """Tell whether a reply shows anything; None if it is not whole or not what was asked for."""
    try:
        with rasterio.open(path, driver="GTiff") as src:
            shape = (src.count, src.height, src.width)
            if shape != (len(plan.bands) + 1, tile.height, tile.width):
                return None
            if set(src.dtypes) != {str(dtype(plan))} or not _lies_at(src, tile):
                return None
            # All of it is decoded, since a file may break anywhere.
            parts = [
                Window(0, top, tile.width, cube.CHUNK) for top in range(0, tile.height, cube.CHUNK)
            ]
            return any([bool((src.read(window=part)[-1] == 1).any()) for part in parts])
    except RasterioError:
        return None


def _lies_at(src: Any, tile: Tile) -> bool:
    """Tell whether a reply lies where it should, to a hundredth of a pixel."""
    slack = 0.01 * (tile.bbox[2] - tile.bbox[0]) / tile.width
    return src.crs is None or np.allclose(src.bounds, tile.bbox, rtol=0, atol=slack)


def _mosaic(plan: Plan, paths: list[Path]) -> da.Array:
    """Return the replies side by side, (band, y, x), read chunk by chunk."""
    rows, cols = plan.where.shape
    bands = len(plan.bands) + 1
    sizes = da.core.normalize_chunks((bands, cube.CHUNK, cube.CHUNK), (bands, rows, cols))
    across = math.ceil(cols / plan.side)
    how = {"paths": paths, "side": plan.side, "across": across}
    return da.map_blocks(_chunk, **how, chunks=sizes, dtype=dtype(plan))


def _chunk(*, paths: list[Path], side: int, across: int, block_info: Any = None) -> np.ndarray:
    _, (top, bottom), (left, right) = block_info[None]["array-location"]
    path = paths[top // side * across + left // side]
    window = Window(left % side, top % side, right - left, bottom - top)
    with rasterio.open(path, driver="GTiff") as src:
        return np.asarray(src.read(window=window))


def variables(plan: Plan, paths: list[Path]) -> dict[str, xr.Variable]:
    """Return a day's layers, lazy (1, y, x) each, from its tiles in the plan's order."""
    raw = _mosaic(plan, paths)
    seen, layers = raw[-1:] == 1, dict(zip(plan.bands, raw[:, None], strict=False))
    if plan.min_qa is not None:
        column = da.where(seen & (abs(layers["NO2"]) < 1e30), layers["NO2"], np.float32(np.nan))
        return {"no2_column": cube.values(column, UNIT, long_name="tropospheric NO2 column")}
    level = "surface" if SCL in layers else "top-of-atmosphere"
    made = {}
    for band, numbers in layers.items():
        if band == SCL:
            classes = da.where(seen, numbers, 0)
            made[SCL] = cube.classes(classes, SCL_CLASSES, long_name="scene classification")
        else:
            reflectance = _reflectance(numbers, seen)
            made[band] = cube.values(reflectance, "1", long_name=f"{level} reflectance, {band}")
    return made


def _reflectance(numbers: da.Array, seen: da.Array) -> da.Array:
    reflectance = numbers.astype("float32") * np.float32(SCALE) + np.float32(OFFSET)
    return da.where(seen & (numbers != SATURATED), reflectance, np.float32(np.nan))

"""One picture of a day's Sentinel-2 items, where each pixel is of one item."""

from collections.abc import Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
from scipy import ndimage

from aqgeo.sources.sentinel2_bands import SCL

Layer = Mapping[str, Any]
"""Dask arrays (1, y, x) by band: reflectance, all NaN where one is; `SCL` as uint8, 0 no data."""


def merge(layers: Sequence[Layer], nested: Sequence[bool]) -> Layer:
    """Return the first item's pixels, and the next one's where that has no spectrum.

    Pixels of another CRS do not nest in the grid's: those at an item's rim are covered in part, and
    their mean is of another place than their middle. They are used where nothing else is.

    Args:
        layers: items on the grid, the best first; at least one.
        nested: whether an item's pixels are in the grid's CRS.
    """
    if len(layers) > 1:
        rims = [layer for layer, nests in zip(layers, nested, strict=True) if not nests]
        inner = [one if ok else _inner(one) for one, ok in zip(layers, nested, strict=True)]
        layers = [*inner, *rims]
    merged = layers[0]
    for layer in layers[1:]:
        merged = _fill(merged, layer)
    return merged


def _fill(first: Layer, more: Layer) -> Layer:
    """Class and spectrum of a pixel are of one item; a class alone fills where neither has one."""
    take = ~_shown(first)
    if SCL in first:
        take = take & (_shown(more) | (first[SCL] == 0))
    return {name: da.where(take, more[name], first[name]) for name in first}


def _inner(layer: Layer) -> Layer:
    """Return an item without the pixels beside those that it lacks; the grid's edge is no rim."""
    inside = _shown(layer).map_overlap(
        ndimage.binary_erosion,
        depth={1: 1, 2: 1},
        boundary="nearest",
        structure=np.ones((1, 3, 3)),
        border_value=1,
    )
    empty = {name: np.uint8(0) if name == SCL else np.float32(np.nan) for name in layer}
    return {name: da.where(inside, data, empty[name]) for name, data in layer.items()}


def _shown(layer: Layer) -> Any:
    return ~da.isnan(next(data for name, data in layer.items() if name != SCL))

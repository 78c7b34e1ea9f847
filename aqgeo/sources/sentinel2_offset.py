"""Scale and offset of Sentinel-2 bands, from what item and product say: never from date or name."""

import math
import re
from typing import Any

import pystac

from aqgeo.errors import SourceError
from aqgeo.sources import sentinel2_bands, sentinel2_metadata, stac

# Steps of the layers that are no reflectance, Sentinel-2 product specification.
_STEPS = {"AOT": 1e-3, "WVP": 1e-3, "SCL": 1.0}
_APPLIED = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
_METADATA = ("product_metadata", "product-metadata", "granule_metadata", "granule-metadata")
# From here on, numbers carry an offset of 1000 (Sentinel-2 product notice, January 2022).
_SHIFTED_SINCE, _SHIFT = (4, 0), -0.1
# Test productions, which may be of any kind.
TEST = (99, 99)


def scale_offset(item: pystac.Item, key: str) -> tuple[float, float]:
    """Return scale and offset that turn an asset's digital numbers into reflectance.

    The item's flag that the offset is in the pixels already wins over the offsets in the asset
    (STAC 1.0 and 1.1) and in the product's metadata file, where that is an asset on disk; these win
    over the processing baseline. A date decides nothing, since reprocessed old scenes carry the
    offset too. Where two of them contradict each other nothing tells which one is right, and a
    wrong choice shifts the whole scene by 0.1: that is an error. AOT, WVP and SCL have no offset.

    Raises:
        SourceError: nothing says which offset holds, or two sources say different things.
    """
    asset = item.assets[key]
    band = sentinel2_bands.band_of(key, asset)
    told = _told(item, key)
    if band in _STEPS:
        return told.get("scale", _STEPS[band]), 0.0
    product = _product(item)
    scale = told.get("scale", product.scale if product else 1e-4)
    if _is_applied(item):
        return scale, 0.0
    offset = told.get("offset")
    if product is None:
        return scale, _by_baseline(item, key) if offset is None else offset
    meant = product.offset(band or key)
    for name, mine, theirs in (("scale", scale, product.scale), ("offset", offset, meant)):
        if mine is not None and not math.isclose(mine, theirs, abs_tol=1e-9):
            raise SourceError(
                f"item {item.id}, asset {key!r}: {name} is {mine} in the item and {theirs} in the "
                f"product's metadata: correct the item, or set {_APPLIED[0]} if the pixels are "
                "shifted already"
            )
    if not product.add and _SHIFTED_SINCE <= (baseline(item) or (0, 0)) < TEST:
        raise SourceError(
            f"item {item.id}: baseline {_version(item)!r} carries an offset, and the product's "
            "metadata lists none: they are of different products, fetch both again"
        )
    return scale, meant


def metadata_key(item: pystac.Item) -> str | None:
    """Return the key of the asset with the product's metadata, which is worth fetching, if any."""
    return next((key for key in _METADATA if key in item.assets), None)


def _product(item: pystac.Item) -> sentinel2_metadata.Numbers | None:
    for key in (key for key in _METADATA if key in item.assets):
        try:
            path = stac.asset_path(item, key)
        except SourceError:
            continue  # not fetched: the item has to tell
        if found := sentinel2_metadata.read(path):
            name = str(item.properties.get("s2:product_uri") or "").removesuffix(".SAFE")
            if name and found.product and name != found.product:
                raise SourceError(
                    f"item {item.id} is {name}, its metadata {found.product}: refetch"
                )
            return found
    return None


def _told(item: pystac.Item, key: str) -> dict[str, float]:
    """Return scale and offset that an asset tells, where it does."""
    extra = item.assets[key].extra_fields
    # STAC 1.0 has raster:bands; 1.1 has raster:scale in `bands` or at the asset itself.
    fields = {**_first(extra.get("raster:bands")), **_first(extra.get("bands")), **extra}
    told = {}
    for name, low, high in (("scale", 1e-9, 1.0), ("offset", -1.0, 1.0)):
        value = fields.get(f"raster:{name}", fields.get(name))
        if value is None:
            continue
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            raise SourceError(
                f"item {item.id}, asset {key!r}: {name} {value!r} is no number from {low} to "
                f"{high}: correct raster:bands"
            )
        told[name] = float(value)
    return told


def _first(bands: Any) -> dict[str, Any]:
    return bands[0] if isinstance(bands, list) and bands and isinstance(bands[0], dict) else {}


def _is_applied(item: pystac.Item) -> bool:
    flag = next((item.properties[name] for name in _APPLIED if name in item.properties), None)
    if flag is not None and not isinstance(flag, bool):
        raise SourceError(f"item {item.id}: {_APPLIED[0]} is {flag!r}: it is true or false")
    return flag is True


def _by_baseline(item: pystac.Item, key: str) -> float:
    version = baseline(item)
    if version is None or version == TEST:
        raise SourceError(
            f"item {item.id}, asset {key!r} has neither an offset nor a processing baseline that "
            f"tells one (s2:processing_baseline is {_version(item)!r}): reflectance would be wrong "
            "by 0.1; add raster:bands to the item, or fetch its product_metadata"
        )
    return _SHIFT if version >= _SHIFTED_SINCE else 0.0


def _version(item: pystac.Item) -> str:
    told = item.properties.get("s2:processing_baseline", item.properties.get("processing:version"))
    return str(told or "")


def baseline(item: pystac.Item) -> tuple[int, int] | None:
    """Return the baseline as numbers: as texts, 10.00 would come before 9.00."""
    match = re.fullmatch(r"(\d{1,2})\.(\d{1,2})", _version(item))
    return (int(match[1]), int(match[2])) if match else None

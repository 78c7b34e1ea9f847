"""Which asset of a Sentinel-2 item holds which band, by the keys of any provider."""

import re
from collections.abc import Sequence

import pystac

from aqgeo.errors import SourceError

SCL = "SCL"
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
# Pixel size in metres, Sentinel-2 product specification; AOT and WVP are made at 10 m too.
NATIVE_M = {
    "B01": 60, "B02": 10, "B03": 10, "B04": 10, "B05": 20, "B06": 20, "B07": 20, "B08": 10,
    "B8A": 20, "B09": 60, "B10": 60, "B11": 20, "B12": 20, "AOT": 10, "WVP": 10, "SCL": 20,
}  # fmt: skip
# Keys of Earth Search and common names of STAC's eo extension, versions 1 and 2. Plain `rededge`
# is shared by three bands, so it names none.
_NAMES = {
    "coastal": "B01", "blue": "B02", "green": "B03", "red": "B04", "rededge1": "B05",
    "rededge2": "B06", "rededge3": "B07", "rededge071": "B05", "rededge075": "B06",
    "rededge078": "B07", "nir": "B08", "nir08": "B8A", "nir09": "B09", "cirrus": "B10",
    "swir16": "B11", "swir22": "B12",
}  # fmt: skip
# `B04`, `B4` (odc and XML files), `B04_10m` (Copernicus Data Space).
_KEY = re.compile(r"(?:B0?(?P<number>\d|1[0-2])|(?P<other>B8A|SCL|AOT|WVP))(?:_(?P<size>\d+)m)?")
_TWIN = "-jp2"


def assets(item: pystac.Item, bands: Sequence[str]) -> dict[str, str]:
    """Return the asset key of each band and, but for L1C, of the scene classification.

    Of several sizes (`B02_10m`, `B02_20m`) the band's own is taken, else the finest; of Earth
    Search's twins (`red`, `red-jp2`) the GeoTIFF.

    Raises:
        SourceError: a band is missing, or two assets claim it.
    """
    wanted = [*bands] if is_l1c(item) else [*bands, SCL]
    found: dict[str, list[tuple[tuple[bool, bool, int, bool], str]]] = {}
    for key, asset in item.assets.items():
        if band := band_of(key, asset):
            found.setdefault(band, []).append((_rank(band, key), key))
    missing = [band for band in wanted if band not in found]
    if missing:
        raise SourceError(
            f"item {item.id} has no asset for {', '.join(missing)} (it has "
            f"{', '.join(sorted(found or item.assets))}): complete the item or remove it"
        )
    return {band: _best(item, band, sorted(found[band])) for band in wanted}


def band_of(key: str, asset: pystac.Asset) -> str | None:
    """Return the band that an asset holds alone, as its key or its `bands` say.

    Raises:
        SourceError: key and `bands` name different bands.
    """
    told = asset.extra_fields.get("bands") or asset.extra_fields.get("eo:bands")
    entries = told if isinstance(told, list) else []
    if len(entries) > 1:
        return None  # a colour picture
    entry = entries[0] if entries and isinstance(entries[0], dict) else {}
    by_key, by_name = _read(key.removesuffix(_TWIN)), _read(entry.get("name"))
    if by_key and by_name and by_key != by_name:
        raise SourceError(
            f"asset {key!r} is {by_key} by its key and {by_name} by its bands: mend the item"
        )
    common = entry.get("eo:common_name", entry.get("common_name"))
    return by_key or by_name or _read(common)


def is_l1c(item: pystac.Item) -> bool:
    """Tell whether an item is of level 1C, which has no scene classification."""
    level = item.properties.get("s2:product_type") or item.properties.get("product:type")
    return "L1C" in str(item.collection_id).upper() or level in ("S2MSI1C", "L1C")


def _read(name: object) -> str | None:
    if not isinstance(name, str):
        return None
    if match := _KEY.fullmatch(name.upper().replace("M", "m")):
        band = match["other"] or f"B{int(match['number']):02d}"
        return band if band in NATIVE_M else None
    return _NAMES.get(name.lower())


def _rank(band: str, key: str) -> tuple[bool, bool, int, bool]:
    """Return what sorts the best of several assets first."""
    match = _KEY.fullmatch(key.upper().replace("M", "m"))
    size = int(match["size"]) if match and match["size"] else NATIVE_M[band]
    return key.endswith(_TWIN), size != NATIVE_M[band], size, match is None


def _best(
    item: pystac.Item, band: str, found: list[tuple[tuple[bool, bool, int, bool], str]]
) -> str:
    if len(found) > 1 and found[0][0] == found[1][0]:
        raise SourceError(
            f"item {item.id}: assets {found[0][1]!r} and {found[1][1]!r} both hold {band}: "
            "remove one of them"
        )
    return found[0][1]

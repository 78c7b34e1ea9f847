"""What a Sentinel-2 product's own metadata (MTD_MSIL2A.xml, MTD_MSIL1C.xml) says of its numbers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from aqgeo.errors import SourceError

# A product's file has about 60 kB.
MAX_BYTES = 4 * 2**20
# Order of band_id and bandId in the product specification.
BAND_IDS = (
    "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12",
)  # fmt: skip
_SPECIAL = {"NODATA": 0, "SATURATED": 65535}


@dataclass(frozen=True, slots=True)
class Numbers:
    """How a product's digital numbers become reflectance: (number + add) x scale."""

    product: str
    """PRODUCT_URI, the product's name; empty if the file does not tell."""
    scale: float
    """1 / quantification value."""
    add: Mapping[str, float]
    """Digital numbers to add by band; empty in products before baseline 04.00."""

    def offset(self, band: str) -> float:
        """Return the reflectance to add after scaling.

        Raises:
            SourceError: other bands have an offset and this one has none.
        """
        if self.add and band not in self.add:
            raise SourceError(
                f"metadata of {self.product or 'a product'} has offsets for "
                f"{', '.join(self.add)} and none for {band}: fetch it again"
            )
        return self.add.get(band, 0.0) * self.scale


def read(path: Path) -> Numbers | None:
    """Return what a metadata file says, or None if it is not a product's but a granule's.

    Raises:
        SourceError: it is no XML, defines entities, is too large, or its numbers make no sense.
    """
    stat = path.stat()
    return _read(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(64)
def _read(path: Path, size: int, _changed: int) -> Numbers | None:
    if size > MAX_BYTES:
        raise SourceError(f"{path} has {size} bytes, a product's metadata under {MAX_BYTES}")
    try:
        root = fromstring(path.read_bytes(), forbid_dtd=True)
        return _numbers(root) if _name(root).endswith("_User_Product") else None
    except DefusedXmlException as err:
        raise SourceError(
            f"{path} defines entities, which may be without end, and no product's metadata do: "
            "fetch it again from a source that you trust"
        ) from err
    except (ParseError, LookupError, ValueError) as err:
        why = f"{type(err).__name__} {' '.join(str(err).split())[:200]}"
        raise SourceError(f"{path} is no metadata of a product: {why}: fetch it again") from err


def _numbers(root: Element) -> Numbers:
    names = dict(enumerate(BAND_IDS))
    for entry in _all(root, "Spectral_Information"):
        # `B1` here, `B01` everywhere else.
        names[int(entry.attrib["bandId"])] = f"B{entry.attrib['physicalBand'][1:]:0>2}"
    for special in _all(root, "Special_Values"):
        kind, value = (child.text or "" for child in special)
        if _SPECIAL.get(kind.strip(), int(value)) != int(value):
            raise ValueError(f"special value {kind} is {value}, not {_SPECIAL[kind.strip()]}")
    quantities = [
        float(e.text or "")
        for tag in ("BOA_QUANTIFICATION_VALUE", "QUANTIFICATION_VALUE")
        for e in _all(root, tag)
    ]
    if len(set(quantities)) != 1 or not 1 <= quantities[0] <= 1e6:
        raise ValueError(f"quantification values are {quantities}, not one of 1 to 1e6")
    add = {
        names[int(e.attrib["band_id"])]: float(e.text or "")
        for tag in ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET")
        for e in _all(root, tag)
    }
    if not all(abs(value) <= quantities[0] for value in add.values()):
        raise ValueError(f"offsets {add} are larger than a reflectance of 1")
    product = next((e.text or "" for e in _all(root, "PRODUCT_URI")), "")
    return Numbers(product.strip().removesuffix(".SAFE"), 1 / quantities[0], add)


def _all(root: Element, name: str) -> Iterator[Element]:
    return (e for e in root.iter() if _name(e) == name)


def _name(element: Element) -> str:
    """Return a tag without its namespace."""
    return str(element.tag).rpartition("}")[2]

"""Official names of Sentinel-5P products taken apart."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

NO2 = "L2__NO2___"
# Fixed widths, since underscores also fill up the fields (sources handbook, section 4).
_NAME = re.compile(
    r"S5P_(?P<mode>[A-Z0-9_]{4})_(?P<product>[A-Z0-9_]{10})_(?P<start>\d{8}T\d{6})_"
    r"(?P<end>\d{8}T\d{6})_(?P<orbit>\d{5})_(?P<collection>\d{2})_(?P<processor>\d{6})_"
    r"(?P<produced>\d{8}T\d{6})(?![0-9A-Z])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Name:
    """What an official name tells."""

    text: str
    """The name without suffixes."""
    mode: str
    """How it was processed: OFFL, NRTI, RPRO or PAL."""
    product: str
    """Type in 10 characters, such as `L2__NO2___`."""
    start: datetime
    """Begin of the orbit, or of a NRTI piece, UTC."""
    end: datetime
    """Its end, UTC."""
    orbit: int
    """Absolute orbit number."""
    collection: int
    """Number of the collection."""
    processor: tuple[int, int, int]
    """Version of the processor: 010302 in the name is 1.3.2."""
    produced: datetime
    """When it was made, UTC."""


def parse(text: str) -> Name | None:
    """Return what an item's id or a file's name tells, whatever its suffixes; None for others."""
    told = _NAME.match(text)
    if told is None:
        return None
    try:
        start, end, produced = (_time(told[key]) for key in ("start", "end", "produced"))
    except ValueError:  # digits that are no date
        return None
    return Name(
        text=told[0].upper(),
        mode=told["mode"].upper().rstrip("_"),
        product=told["product"].upper(),
        start=start,
        end=end,
        orbit=int(told["orbit"]),
        collection=int(told["collection"]),
        processor=version(told["processor"]),
        produced=produced,
    )


def version(text: str) -> tuple[int, int, int]:
    """Return a processor's version, written as 010302, 1.3.2 or 01.03.02.

    Raises:
        ValueError: the text is no version.
    """
    told = re.fullmatch(r"(\d\d)(\d\d)(\d\d)|v?(\d+)\.(\d+)(?:\.(\d+))?", text.strip())
    if told is None:
        raise ValueError(f"{text!r} is no version of a processor")
    major, minor, patch = told.groups()[:3] if told[1] else told.groups()[3:]
    return int(major), int(minor), int(patch or 0)


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)

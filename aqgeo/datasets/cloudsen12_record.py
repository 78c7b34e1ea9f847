"""The record of one CloudSEN12 patch, and the names of its files.

Aybar et al.: doi:10.1038/s41597-022-01878-2 (CloudSEN12), doi:10.1016/j.dib.2024.110852
(CloudSEN12+); codes, bands and sizes are those of the data set card of CloudSEN12+, version 1.1.2.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from affine import Affine
from odc.geo.geobox import GeoBox
from pydantic import AfterValidator, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from aqgeo.errors import SourceError

Level = Literal["L1C", "L2A"]
Split = Literal["train", "validation", "test"]
LabelType = Literal["high", "scribble", "nolabel"]
Size = Literal[509, 2000]
CLASSES = {0: "clear", 1: "thick cloud", 2: "thin cloud", 3: "cloud shadow"}
NO_LABEL = 255
MANIFEST = "manifest.json"
_L1C = (*(f"B{n:02d}" for n in range(1, 9)), "B8A", "B09", "B10", "B11", "B12")
BANDS: dict[Level, tuple[str, ...]] = {
    "L1C": _L1C,
    "L2A": (*(band for band in _L1C if band != "B10"), "AOT", "WVP"),
}
# Rows and columns of a file by those of the patch in it: TACO files are padded.
PADDED: dict[int, int] = {509: 512, 2000: 2048}
# Label of a patch in its folder.
LABELS: dict[str, str] = {"high": "labels/manual_hq.tif", "scribble": "labels/manual_sc.tif"}
_COVER = {"clear": "clear", "thick": "thick", "thin": "thin", "shadow": "cloud_shadow"}

# Names become folders: no separator, and no dot in front.
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,150}$")]
_Percent = Annotated[FiniteFloat, Field(ge=0, le=100)]
_Utc = Annotated[
    datetime, AfterValidator(lambda t: t.replace(tzinfo=UTC) if t.tzinfo is None else t)
]


@dataclass(frozen=True, slots=True)
class Patch:
    """One image with its label, and where they lie."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    id: _Name
    """Identifier; place and acquisition joined by `__` where the set gives none."""
    roi_id: _Name
    """Place; splits are by place."""
    s2_id: _Name
    """Acquisition."""
    split: Split
    """The set's own split."""
    label_type: LabelType
    """Whether every pixel is labelled, some are, or none."""
    level: Level
    """Processing level of the image."""
    bands: tuple[str, ...]
    """Bands in the order of the file."""
    crs: Annotated[str, Field(pattern=r"^EPSG:\d{4,6}$")]
    """Coordinate system."""
    transform: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    """Affine transform of the patch without padding: a, b, c, d, e, f."""
    size: Size
    """Rows and columns without padding."""
    time: _Utc
    """Start of the acquisition, UTC."""
    path: Path
    """TACO file that it lies in, or folder of its own."""
    offset: int = 0
    """First byte in the TACO file."""
    length: int = 0
    """Bytes in the TACO file; 0 for a folder."""
    old_roi_id: str | None = None
    """Place as CloudSEN12 named it before it was CloudSEN12+."""
    clear: _Percent | None = None
    """Pixels labelled clear, percent, as the set's table says."""
    thick: _Percent | None = None
    """Pixels labelled thick cloud, percent."""
    thin: _Percent | None = None
    """Pixels labelled thin cloud, percent."""
    shadow: _Percent | None = None
    """Pixels labelled cloud shadow, percent."""

    @property
    def grid(self) -> GeoBox:
        """Where the pixels lie."""
        return GeoBox((self.size, self.size), Affine(*self.transform), self.crs)


def record(told: Mapping[str, Any], where: str) -> Patch:
    """Return a patch from the values of its fields.

    Args:
        told: value by field; missing ones take their default.
        where: what to call it in an error.

    Raises:
        SourceError: a value breaks the rules, such as a name that would lead out of the folder.
    """
    try:
        return TypeAdapter(Patch).validate_python(dict(told))
    except ValidationError as err:
        slip = err.errors(include_url=False)[0]
        key = ".".join(str(step) for step in slip["loc"])
        raise SourceError(
            f"{where}: {key} {str(slip['input'])[:80]!r}: {slip['msg']}: mend or remove the patch"
        ) from err


def card(patch: Patch) -> dict[str, Any]:
    """Return a patch's fields as JSON, without where it lies."""
    told = asdict(patch)
    for key in ("path", "offset", "length"):
        del told[key]
    return {**told, "time": patch.time.isoformat()}


def percentages(row: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the cover fields from a row of the set's table, None where it says nothing."""
    return {key: number(row.get(f"{name}_percentage")) for key, name in _COVER.items()}


def number(value: Any) -> float | None:
    """Return a number of a table, None for an empty cell."""
    found = math.nan if value is None or value == "" else float(value)
    return None if math.isnan(found) else found


def began(s2_id: str, start: Any = None) -> datetime:
    """Return when an acquisition began: its name says so, or else the table.

    Args:
        s2_id: as `20200215T082021_20200215T084629_T34JCP`, or a product's name with such a time.
        start: seconds since 1970 or an instant.

    Raises:
        ValueError: neither says.
    """
    if stamp := re.search(r"(?<!\d)\d{8}T\d{6}(?!\d)", s2_id):
        return datetime.strptime(stamp[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    if isinstance(start, datetime):
        return start if start.tzinfo else start.replace(tzinfo=UTC)
    if (seconds := number(start)) is None:
        raise ValueError(f"neither the name {s2_id!r} nor the table says when it was taken")
    return datetime.fromtimestamp(seconds, UTC)


def image_name(level: Level) -> str:
    """Return the name of an image in a patch's folder."""
    return f"S2{level}.tif"


def card_name(level: Level) -> str:
    """Return the name of the record that lies beside an image."""
    return f"S2{level}.json"


def label_name(label_type: LabelType) -> str | None:
    """Return the name of a label in a patch's folder; None for patches without labels."""
    return LABELS.get(label_type)

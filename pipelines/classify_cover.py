"""Cover and class of any GeoTIFF, and which method told them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from aqgeo import cover
from aqgeo.errors import ModelError, SourceError
from pipelines import cover_counter
from pipelines.cluster import track

log = logging.getLogger(__name__)
COUNT, NETWORK = "counted from the U-Net's mask", "cover network"
# A larger image is no scene of Sentinel-2, whose tiles have 10980 rows and columns.
_LARGEST = 12_000


@dataclass(frozen=True, slots=True)
class Form:
    """How the images' numbers are to be read."""

    bands: tuple[str, ...] = ()
    """Names of the bands in order; those that the file describes if empty."""
    level: str = "L2A"
    """Processing level."""
    scale: float = 1e-4
    """Reflectance of one digital number."""
    offset: float = 0.0
    """Reflectance of digital number 0, such as -0.1 from baseline 04.00 on."""


def classify_cover(
    images: Sequence[Path], form: Form, *, weights: Path | None = None, unet: Path | None = None
) -> list[dict[str, Any]]:
    """Return cover and class of images.

    Cover is counted from the U-Net's mask; a network for cover is asked where its weights are
    named, since none has beaten the best counting (docs/cover.md).

    Args:
        images: GeoTIFFs.
        form: how their numbers are to be read.
        weights: checkpoint for `cover`; counting if None.
        unet: checkpoint for `clouds`; that which aqgeo brings if None.

    Returns:
        For each image `image`, `cover` (percent of what holds data), `class`, `range`,
        `confidence` (0 to 1), `method`.

    Raises:
        SourceError: an image cannot be read, or its bands are not known.
        ModelError: weights are for something else or another level, or see none of the bands.
    """
    network, cut, method = _teller(form.level, weights, unet)
    return [
        _told(path, form, network, cut=cut, method=method) for path in track(images, "Classify")
    ]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return what was told as a text table."""
    lines = [["image", "cover %", "class", "confidence", "method"]]
    for row in rows:
        confidence = f"{row['confidence']:.2f}"
        name = f"{row['class']} {row['range']}"
        lines.append([row["image"], f"{row['cover']:.1f}", name, confidence, row["method"]])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(t.ljust(w) for t, w in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )


def _teller(level: str, weights: Path | None, unet: Path | None) -> tuple[Any, int | None, str]:
    """Return the network that is asked, the side of its squares, and the method's name."""
    if level not in ("L1C", "L2A"):
        raise SourceError(f"level {level!r}: choose L1C or L2A")
    if weights is None:
        counter = cover_counter.find(level, unet)
        if counter is None:
            raise ModelError(
                f"aqgeo brings no weights of a U-Net for {level}: name some by --unet, or those of "
                "a cover network by --weights"
            )
        return counter, None, COUNT
    from aqgeo.models import checkpoint

    network, card = checkpoint.read(weights, task="cover")
    if card.level not in (level, "any"):
        raise ModelError(
            f"{weights} takes {card.level}, the images are {level}: choose other weights"
        )
    return network, int(card.training.get("cut", 128)), f"{NETWORK} {card.arguments['network']}"


def _told(path: Path, form: Form, network: Any, *, cut: int | None, method: str) -> dict[str, Any]:
    from aqgeo.processing import cover as processing

    values = _read(path, form, tuple(network.bands))
    try:
        if cut is None:
            found = processing.by_mask(network, values)
        else:
            # A patch of CloudSEN12 was learnt whole; what is larger is cut as products were.
            whole = max(values.shape[1:]) <= max(cut, 512)
            found = processing.by_network(network, values, cut=None if whole else cut)
    except ModelError as err:
        raise ModelError(f"{path}: {err}") from err
    return {
        "image": str(path),
        "cover": round(found.cover, 3),
        "class": found.klass,
        "range": cover.NAMES[found.klass],
        "confidence": round(found.confidence, 4),
        "method": method,
    }


def _read(path: Path, form: Form, wanted: tuple[str, ...]) -> np.ndarray:
    """Return (band, y, x) float32 reflectance of the bands wanted; NaN where there is none."""
    try:
        with rasterio.open(path, driver="GTiff") as src:
            if max(src.shape) > _LARGEST:
                raise SourceError(f"{path} has {src.shape} pixels: at most {_LARGEST} a side")
            names = _names(path, form, src.descriptions)
            if src.count != len(names):
                raise SourceError(
                    f"{path} has {src.count} bands and {len(names)} names: name each by --bands"
                )
            own = [band for band in wanted if band in names]
            if not own:
                raise SourceError(
                    f"{path} has none of the bands {', '.join(wanted)}: it has {', '.join(names)}"
                )
            raw = src.read([names.index(band) + 1 for band in own]).astype("float32")
            nodata = 0 if src.nodata is None else src.nodata
    except (RasterioError, OSError) as err:
        raise SourceError(f"{path} cannot be read as GeoTIFF: {err}: name another image") from err
    raw[(raw == nodata) | ~np.isfinite(raw)] = np.nan
    values = np.full((len(wanted), *raw.shape[1:]), np.nan, "float32")
    values[[wanted.index(band) for band in own]] = raw * form.scale + form.offset
    return values


def _names(path: Path, form: Form, described: Sequence[str | None]) -> tuple[str, ...]:
    if form.bands:
        return form.bands
    names = tuple(name for name in described if name)
    if len(names) < len(described) or len(set(names)) < len(names):
        raise SourceError(f"{path} does not name its bands: name them by --bands B02,B03,B04,B08")
    return names

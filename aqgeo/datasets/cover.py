"""Samples for cover classes: small images, each with the share of its ground under cloud."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from aqgeo import cover
from aqgeo.datasets import labelled
from aqgeo.datasets.cloudsen12_record import NO_LABEL, Patch
from aqgeo.datasets.labelled import Image
from aqgeo.errors import SourceError
from aqgeo.patches import shrink, windows

# Cover of a piece of which less than half is labelled says little of the piece.
_LEAST = 0.5


@dataclass(frozen=True, slots=True)
class Piece:
    """An image, or a part of one, with its cover."""

    id: str
    """Identifier of the image, with row and column of the part."""
    image: Image
    """What it is of."""
    values: np.ndarray
    """(band, y, x) float32 reflectance, NaN where there is no data."""
    cover: float
    """Percent of the labelled pixels under thick or thin cloud; NaN if too few are labelled."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Pieces, brought to one size."""

    values: np.ndarray
    """(n, band, size, size) float16 reflectance, NaN where there is no data."""
    cover: np.ndarray
    """(n,) float32 percent."""
    ids: tuple[str, ...]
    """Identifiers."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Pieces left out by reason."""

    @property
    def classes(self) -> np.ndarray:
        """(n,) classes, 0 to 3."""
        return cover.class_of(self.cover)


def pieces(
    image: Image, bands: Sequence[str], *, cut: int = 128, overlap: bool = False
) -> Iterator[Piece]:
    """Yield the pieces of an image: a patch as a whole, a product in squares.

    Args:
        image: of a set.
        bands: names in the order wanted; one that the image lacks is no data.
        cut: rows and columns of a square; what is left at a product's lower and right edge is
            covered by squares that overlap their neighbours.
        overlap: squares begin every half of `cut`, which gives training four times as many.

    Raises:
        SourceError: the image cannot be read, or has none of the bands.
    """
    values, label = labelled.read(image, bands)
    whole = isinstance(image.origin, Patch) or min(label.shape) < cut
    if whole:
        yield Piece(image.id, image, values, _known(label))
        return
    for here in windows(label.shape, cut, cut // 2 if overlap else 0):
        part = np.ascontiguousarray(values[:, *here])
        name = f"{image.id}/{here[0].start}/{here[1].start}"
        yield Piece(name, image, part, _known(label[here]))


def gather(
    images: Sequence[Image],
    bands: Sequence[str],
    *,
    size: int,
    cut: int = 128,
    overlap: bool = False,
) -> Samples:
    """Return the samples of some images, all in memory: 2 bytes a value.

    Args:
        images: of any sets.
        bands: names in the order wanted.
        size: rows and columns of a sample.
        cut: as in `pieces`.
        overlap: as in `pieces`.

    Raises:
        SourceError: an image cannot be read or has none of the bands, or no sample is left.
    """
    values, covers, ids, skipped = [], [], [], Counter[str]()
    for image in images:
        for piece in pieces(image, bands, cut=cut, overlap=overlap):
            if np.isnan(piece.cover):
                skipped["less than half of the pixels are labelled"] += 1
                continue
            values.append(shrink(piece.values, size).astype("float16"))
            covers.append(piece.cover)
            ids.append(piece.id)
    if not values:
        why = "".join(f"; {reason}: {n}" for reason, n in skipped.items())
        raise SourceError(f"{len(images)} images give no sample{why}: give images with labels")
    return Samples(np.stack(values), np.array(covers, "float32"), tuple(ids), dict(skipped))


def _known(label: np.ndarray) -> float:
    percent, labelled_share = cover.share(label, NO_LABEL)
    return percent if labelled_share >= _LEAST else np.nan

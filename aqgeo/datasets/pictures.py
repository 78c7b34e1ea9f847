"""Pictures of cameras: colour, size, and the degrading by which super-resolution is judged.

The protocol is that of Dong et al. 2016, doi:10.1109/TPAMI.2015.2439281: luminance alone, made
smaller and larger again by bicubic interpolation with a kernel as wide as the pixels it averages.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from aqgeo.errors import SourceError

SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff")
# Pixels beyond which a picture is refused before it is unpacked.
_LARGEST = 2**28

# Luminance and chroma of 8-bit RGB, ITU-R BT.601 with its head room: 16 to 235, and 16 to 240.
_YCBCR = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
_ZERO = np.array([16.0, 128.0, 128.0])


def find(folder: Path) -> list[Path]:
    """Return the pictures of a folder, by name.

    Raises:
        SourceError: it is no folder, or holds none.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder} is no folder: name one that holds pictures")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise SourceError(f"{folder} holds no picture: {', '.join(SUFFIXES)} are read")
    return found


def read(path: Path) -> np.ndarray:
    """Return (y, x, 3) uint8 RGB of a picture.

    Raises:
        SourceError: it is missing, broken, too large, or no picture of 8 bit.
    """
    try:
        with Image.open(path) as image:
            if image.width * image.height > _LARGEST:
                raise SourceError(
                    f"{path} has {image.width} x {image.height} pixels: at most {_LARGEST} are read"
                )
            if image.mode not in ("L", "P", "RGB", "RGBA", "LA", "1", "CMYK", "YCbCr"):
                raise SourceError(f"{path} is of mode {image.mode}: pictures of 8 bit are read")
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as err:
        reason = " ".join(str(err).split())
        raise SourceError(f"{path} cannot be read as a picture: {reason}") from err


def to_ycbcr(rgb: np.ndarray) -> np.ndarray:
    """Return (y, x, 3) float64 luminance, Cb and Cr of RGB (y, x, 3), both on 8 bit's scale."""
    return np.asarray(rgb / 255.0 @ _YCBCR.T + _ZERO)


def to_rgb(ycbcr: np.ndarray) -> np.ndarray:
    """Return (y, x, 3) uint8 RGB of what `to_ycbcr` gives."""
    rgb = 255.0 * (ycbcr - _ZERO) @ np.linalg.inv(_YCBCR).T
    return np.asarray(np.clip(np.rint(rgb), 0, 255), "uint8")


def luminance(rgb: np.ndarray) -> np.ndarray:
    """Return (y, x) float64 luminance in whole steps of 8 bit, as pictures are compared by."""
    return np.asarray(np.rint(to_ycbcr(rgb)[..., 0]))


def resize(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return an image on another number of pixels, by bicubic interpolation.

    Keys' kernel with a = -0.5, widened where pixels grow, so that none is left out: the
    interpolation of the published figures.

    Args:
        values: (y, x) or (y, x, band), any unit.
        shape: rows and columns.

    Returns:
        float64 of that shape; it may overshoot the values by a few percent.
    """
    planes = np.atleast_3d(np.asarray(values, "float64")).transpose(2, 0, 1)
    found = torch.nn.functional.interpolate(
        torch.from_numpy(np.ascontiguousarray(planes))[None],
        size=shape,
        mode="bicubic",
        antialias=True,
    )[0]
    return found.numpy().transpose(1, 2, 0).reshape(*shape, *np.shape(values)[2:])


def modcrop(values: np.ndarray, factor: int) -> np.ndarray:
    """Return an image without the last rows and columns that a factor does not divide."""
    rows, cols = (n - n % factor for n in values.shape[:2])
    return values[:rows, :cols]


def degrade(values: np.ndarray, factor: int) -> np.ndarray:
    """Return an image made smaller and larger again; its size is a multiple of the factor."""
    rows, cols = values.shape[:2]
    return resize(shrink(values, factor), (rows, cols))


def shrink(values: np.ndarray, factor: int) -> np.ndarray:
    """Return an image with fewer pixels; its size is a multiple of the factor."""
    rows, cols = values.shape[:2]
    return resize(values, (rows // factor, cols // factor))

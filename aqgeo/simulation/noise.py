"""Random fields that depend on nothing but a seed."""

import zlib

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def stream(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """Return the random numbers of one purpose, the same whatever else was drawn before."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *numbers])


def fractal(
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    slope: float,
    outer: float = 0.0,
    inner: float = 0.0,
) -> FloatArray:
    """Return a Gaussian field with a power-law spectrum, mean 0 and standard deviation 1.

    Args:
        shape: (y, x).
        rng: source of the numbers.
        slope: two-dimensional power falls as wavenumber ** -slope.
        outer: wavelength in pixels above which power is flat; 0 is the size of the field.
        inner: wavelength in pixels below which power falls as wavenumber ** -4; 0 is never.
    """
    rows, cols = (int(scipy.fft.next_fast_len(n, real=True)) for n in shape)
    white = rng.standard_normal((rows, cols), dtype="float32")
    k = np.hypot(scipy.fft.fftfreq(rows)[:, None], scipy.fft.rfftfreq(cols)[None, :])
    k = np.maximum(k, 1 / outer if outer else 1 / max(rows, cols)).astype("float32")
    gain = k ** np.float32(-slope / 2)
    if inner:
        edge = np.float32(1 / inner)
        gain *= np.where(k > edge, (k / edge) ** np.float32((slope - 4) / 2), np.float32(1))
    gain[0, 0] = 0
    field = scipy.fft.irfft2(scipy.fft.rfft2(white) * gain, s=(rows, cols))
    field = field[: shape[0], : shape[1]].astype("float32")
    return (field - field.mean()) / field.std()  # type: ignore[no-any-return]


def upsample(field: FloatArray, factor: int, shape: tuple[int, int]) -> FloatArray:
    """Return a field on pixels `factor` times smaller, cut to a shape, by linear interpolation.

    Args:
        field: (y, x), at least shape / factor pixels, the same upper left corner.
        factor: pixels of the result along one side of a pixel of `field`.
        shape: (y, x) of the result.
    """
    rows, cols = (-(-n // factor) for n in shape)
    fine = scipy.ndimage.zoom(
        field[:rows, :cols], factor, order=1, mode="nearest", grid_mode=True, prefilter=False
    )
    return fine[: shape[0], : shape[1]].astype("float32", copy=False)  # type: ignore[no-any-return]


def block_sum(field: FloatArray, factor: int) -> FloatArray:
    """Return sums over blocks of factor x factor pixels; the last blocks may be cut short."""
    rows, cols = (-(-n // factor) for n in field.shape)
    padded = np.zeros((rows * factor, cols * factor), "float32")
    padded[: field.shape[0], : field.shape[1]] = field
    blocks = padded.reshape(rows, factor, cols, factor)
    return np.asarray(blocks.sum(axis=(1, 3), dtype="float64"), "float32")

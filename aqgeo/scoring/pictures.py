"""How near a restored picture comes to the true one: PSNR, MSE, SSIM, GMSD, detail."""

import numpy as np
from scipy import ndimage

PEAK = 255.0
# Wang et al. 2004, doi:10.1109/TIP.2003.819861: a Gaussian of 1.5 pixels in a square of 11.
_SIGMA, _RADIUS = 1.5, 5
_K1, _K2 = 0.01, 0.03
# Xue et al. 2014, doi:10.1109/TIP.2013.2293423: for luminance of 0 to 255 at half the pixels.
_GMSD = 170.0
_PREWITT = np.array([[1, 0, -1]] * 3) / 3
# Structure finer than a Gaussian of so many pixels.
_FINE = 1.0


def scores(truth: np.ndarray, found: np.ndarray, *, shave: int) -> dict[str, float]:
    """Return PSNR (dB), MSE, SSIM, GMSD and detail of an image.

    PSNR and MSE punish a detail at the wrong place more than one that is missing. Two numbers see
    what they do not: GMSD, the spread of how like gradients are (0 is best; it too wants them in
    place), and `detail`, the energy of fine structure as a part of the truth's, which is 1 for as
    much of it, wherever it lies, and knows nothing of right and wrong.

    Args:
        truth: (y, x) luminance, 0 to 255.
        found: the same, restored; it is rounded to whole steps of 8 bit first.
        shave: rows and columns that are left out at each edge.

    Raises:
        ValueError: the shapes differ, or nothing is left inside.
    """
    if truth.shape != found.shape:
        raise ValueError(f"pictures of {truth.shape} and {found.shape} cannot be compared")
    inner = tuple(slice(shave, n - shave) for n in truth.shape)
    a = truth[inner].astype("float64")
    b = np.clip(np.rint(found[inner].astype("float64")), 0, PEAK)
    if min(a.shape) <= 2 * _RADIUS:
        raise ValueError(f"{a.shape} pixels without a rim of {shave} are too few to compare")
    mse = float(((a - b) ** 2).mean())
    psnr = 10 * np.log10(PEAK**2 / mse) if mse else float("inf")
    told = {"psnr": float(psnr), "mse": mse, "ssim": _ssim(a, b)}
    return {**told, "gmsd": _gmsd(a, b), "detail": _detail(a, b)}


def _ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean structural similarity over windows that lie wholly inside."""

    def mean(x: np.ndarray) -> np.ndarray:
        found = ndimage.gaussian_filter(x, _SIGMA, radius=_RADIUS)
        return np.asarray(found[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS])

    one, two = (_K1 * PEAK) ** 2, (_K2 * PEAK) ** 2
    ma, mb = mean(a), mean(b)
    va, vb, both = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    found = (2 * ma * mb + one) * (2 * both + two) / ((ma**2 + mb**2 + one) * (va + vb + two))
    return float(found.mean())


def _gmsd(a: np.ndarray, b: np.ndarray) -> float:
    """Return the standard deviation of the similarity of gradients, at half the pixels."""
    one, two = (
        np.hypot(*(ndimage.convolve(half, kernel) for kernel in (_PREWITT, _PREWITT.T)))
        for half in (ndimage.uniform_filter(x, 2)[::2, ::2] for x in (a, b))
    )
    return float(((2 * one * two + _GMSD) / (one**2 + two**2 + _GMSD)).std())


def _detail(a: np.ndarray, b: np.ndarray) -> float:
    """Return the energy of structure finer than a pixel or two; nan where the truth has none."""
    true, made = (((x - ndimage.gaussian_filter(x, _FINE)) ** 2).mean() for x in (a, b))
    return float(made / true) if true else float("nan")

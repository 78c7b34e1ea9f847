"""How near a restored picture comes to the true one: PSNR, MSE, SSIM."""

import numpy as np
from scipy import ndimage

PEAK = 255.0
# Wang et al. 2004, doi:10.1109/TIP.2003.819861: a Gaussian of 1.5 pixels in a square of 11.
_SIGMA, _RADIUS = 1.5, 5
_K1, _K2 = 0.01, 0.03


def scores(truth: np.ndarray, found: np.ndarray, *, shave: int) -> dict[str, float]:
    """Return PSNR (dB), MSE and SSIM of an image.

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
    return {"psnr": float(psnr), "mse": mse, "ssim": _ssim(a, b)}


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

"""Clouds found by s2cloudless, the gradient boosting that its own package ships."""

from importlib.metadata import version

import numpy as np
from scipy import ndimage

from aqgeo.processing import clouds

# Reflectance at the top of the atmosphere that the package takes, in its order.
BANDS = ("B01", "B02", "B04", "B05", "B08", "B8A", "B09", "B10", "B11", "B12")
# The package's default, and the disks of its documentation: 22 and 11 pixels of 10 m.
THRESHOLD = 0.4
AVERAGE_M, DILATION_M = 220.0, 110.0


def told() -> str:
    """Return name and version of the package."""
    return f"s2cloudless {version('s2cloudless')}"


def margin(pixel_m: float) -> int:
    """Return how many pixels around a pixel have a say in its class."""
    return sum(_disks(pixel_m))


def detect(values: np.ndarray, *, pixel_m: float) -> np.ndarray:
    """Return cloud class and confidence; the detector knows no thin cloud and no shadow.

    Args:
        values: (band, y, x) reflectance at the top of the atmosphere, 1, of BANDS in that order;
            NaN is no data.
        pixel_m: size of a pixel, m.

    Returns:
        (2, y, x) uint8: codes of `clouds.CLASSES` (clear and thick), and the chance of that class
        in percent; both 255 where a band has no data.
    """
    # An import of seconds, and BANDS is wanted without it.
    from s2cloudless.cloud_detector import S2PixelCloudDetector

    known = np.isfinite(values).all(axis=0)
    if not known.any():
        return np.full((2, *known.shape), clouds.NO_DATA, "uint8")
    average, dilation = _disks(pixel_m)
    detector = S2PixelCloudDetector(THRESHOLD, average_over=average, dilation_size=dilation)
    stack = np.where(known, values, 0).transpose(1, 2, 0)[None].astype("float64")
    # One thread: the workers share the cores.
    chance = detector.get_cloud_probability_maps(stack, num_threads=1)[0]
    chance = np.where(known, chance, np.float32(0))
    # What `get_mask_from_prob` does, threshold last, so that the chance is kept.
    mean = ndimage.convolve(chance, detector.conv_filter, mode="reflect")
    near = ndimage.grey_dilation(mean, footprint=detector.dilation_filter, mode="reflect")
    cloudy = near > THRESHOLD
    found = np.where(cloudy, clouds.THICK, clouds.CLEAR)
    percent = np.clip(np.rint(100 * np.where(cloudy, near, 1 - near)), 0, 100)
    return np.where(known, np.stack([found, percent]), clouds.NO_DATA).astype("uint8")


def _disks(pixel_m: float) -> tuple[int, int]:
    """Return the radii of averaging and widening in pixels; at least one."""
    average, dilation = (max(1, round(m / pixel_m)) for m in (AVERAGE_M, DILATION_M))
    return average, dilation

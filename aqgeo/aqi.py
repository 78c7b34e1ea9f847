"""Air quality indices: concentration to category, with the standard named."""

from dataclasses import dataclass

import numpy as np

NO_DATA = 0


@dataclass(frozen=True, slots=True)
class Standard:
    """The bands of one index for NO2."""

    name: str
    """Name of the index, with its edition."""
    averaging: str
    """Averaging time that the bands are meant for."""
    upper: tuple[float, ...]
    """Upper bounds of all bands but the last, µg m-3; a value on a bound is in the lower band."""
    labels: tuple[str, ...]
    """Names of the bands, best first; class codes start at 1, 0 is no data."""


STANDARDS = {
    # Bands of the revised European Air Quality Index, ETC HE Report 2024/17.
    "eaqi": Standard(
        name="European Air Quality Index, revised 2024",
        averaging="1 hour",
        upper=(10, 25, 60, 100, 150),
        labels=("Good", "Fair", "Moderate", "Poor", "Very poor", "Extremely poor"),
    ),
}


def category(concentration: np.ndarray, standard: str = "eaqi") -> np.ndarray:
    """Return class codes: 1 is the best band, 0 no data.

    Args:
        concentration: surface NO2 in µg m-3, any shape; NaN is no data.
        standard: key of STANDARDS.
    """
    bands = STANDARDS[standard]
    codes = np.searchsorted(np.asarray(bands.upper), concentration, side="left") + 1
    return np.where(np.isnan(concentration), NO_DATA, codes).astype("uint8")

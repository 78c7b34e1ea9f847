"""Distances between real and simulated samples, with plain verdicts."""

from dataclasses import dataclass, field

import numpy as np
import scipy.stats
from numpy.typing import NDArray

Values = NDArray[np.floating]
MOST = 200_000
"""A larger sample is thinned to about this many values, evenly."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One number that says how far the simulator is from reality."""

    part: str
    """What is compared: reflectance, clouds, columns, structure or stations."""
    name: str
    """Which quantity, for example `forest B08, L2A`."""
    real: float
    """The real side's number: a median, a share, an exponent."""
    simulated: float
    """The simulated side's number."""
    distance: float
    """How far apart they are, in the unit of the thresholds."""
    measure: str
    """What the distance is, for example `W1 / mean`."""
    close: float
    """Up to here the verdict is close."""
    fair: float
    """Up to here it is fair; beyond it is poor."""
    more: dict[str, float] = field(default_factory=dict)
    """Other numbers, by name: ks, shift, between_real_sites, counts."""

    @property
    def verdict(self) -> str:
        """Return close, fair, poor, or not compared where one side has no data."""
        if not np.isfinite(self.distance):
            return "not compared"
        if self.distance <= self.close:
            return "close"
        return "fair" if self.distance <= self.fair else "poor"


def wasserstein(a: Values, b: Values) -> float:
    """Return the area between two distribution functions, in the samples' unit; NaN if empty."""
    a, b = thinned(a), thinned(b)
    return float(scipy.stats.wasserstein_distance(a, b)) if a.size and b.size else np.nan


def kolmogorov(a: Values, b: Values) -> float:
    """Return the largest difference of two distribution functions, 0 to 1; NaN if empty."""
    a, b = np.sort(thinned(a)), np.sort(thinned(b))
    if not (a.size and b.size):
        return np.nan
    every = np.concatenate([a, b])
    below = (np.searchsorted(s, every, "right") / s.size for s in (a, b))
    return float(np.abs(np.subtract(*below)).max())


def samples(
    part: str,
    name: str,
    real: Values,
    simulated: Values,
    *,
    floor: float,
    bounds: tuple[float, float] = (0.25, 0.5),
    sites: list[Values] | None = None,
) -> Comparison:
    """Compare two samples by their Wasserstein distance over the real mean.

    Args:
        part: what is compared.
        name: which quantity.
        real: (n,) real values; NaN is left out.
        simulated: (m,) simulated values in the same unit.
        floor: smallest mean to divide by, so that values near 0 do not make any distance large.
        bounds: thresholds of the verdict.
        sites: the real values site by site; how far these lie apart says what to expect.
    """
    real, simulated = thinned(real), thinned(simulated)
    scale = max(float(np.abs(real).mean()), floor) if real.size else np.nan
    middle, ours = (float(np.median(s)) if s.size else np.nan for s in (real, simulated))
    distance = wasserstein(real, simulated)
    more = {
        "wasserstein": distance,
        "ks": kolmogorov(real, simulated),
        "shift": ours - middle,
        "n_real": real.size,
        "n_simulated": simulated.size,
    }
    if sites and len(sites) > 1:
        more["between_real_sites"] = _between(sites) / scale
    return Comparison(part, name, middle, ours, distance / scale, "W1 / mean", *bounds, more)


def numbers(
    part: str,
    name: str,
    real: float,
    simulated: float,
    *,
    bounds: tuple[float, float],
    relative: bool = False,
    more: dict[str, float] | None = None,
) -> Comparison:
    """Compare two numbers by their difference, or by that over the real one."""
    distance = abs(simulated - real) / (abs(real) if relative else 1.0)
    measure = "relative difference" if relative else "difference"
    return Comparison(part, name, real, simulated, distance, measure, *bounds, more or {})


def thinned(values: Values) -> Values:
    """Return the finite values, flat and not many more than MOST of them."""
    flat = np.asarray(values, "float64").ravel()
    flat = flat[np.isfinite(flat)]
    return np.asarray(flat[:: max(1, flat.size // MOST)])


def _between(sites: list[Values]) -> float:
    """Return the mean distance between real sites."""
    pairs = [
        wasserstein(a, b) for i, a in enumerate(sites) for b in sites[i + 1 :] if a.size and b.size
    ]
    return float(np.mean(pairs)) if pairs else np.nan

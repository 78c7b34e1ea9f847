"""Fields of values against the truth: errors, correlation, mass, and whether sigma holds."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class FieldScores:
    """How well estimates agree with the truth; NaN where a number is not defined."""

    n: int
    """Pairs without NaN."""
    r2: float
    """Coefficient of determination, 1 - error variance / true variance; below 0 is worse than the
    true mean."""
    r: float
    """Correlation coefficient of Pearson."""
    mae: float
    """Mean absolute error, in the unit of the field."""
    bias: float
    """Mean of estimate minus truth, in the unit of the field."""
    rmse: float
    """Root mean squared error, in the unit of the field."""
    mass: float
    """Sum of the estimates over sum of the truth."""


def compare(truth: np.ndarray, found: np.ndarray) -> FieldScores:
    """Compare two arrays of one shape and unit; pairs with NaN are left out."""
    kept = np.isfinite(truth) & np.isfinite(found)
    t, f = truth[kept].astype("float64"), found[kept].astype("float64")
    if not t.size:
        return FieldScores(0, *[np.nan] * 6)
    error = f - t
    spread, both = _spread(t), _spread(t) * _spread(f)
    covariance = ((t - t.mean()) * (f - f.mean())).mean()
    return FieldScores(
        n=t.size,
        r2=1 - float((error**2).mean()) / spread**2 if spread else np.nan,
        r=float(covariance / both) if both else np.nan,
        mae=float(np.abs(error).mean()),
        bias=float(error.mean()),
        rmse=float(np.sqrt((error**2).mean())),
        mass=float(f.sum() / t.sum()) if t.sum() else np.nan,
    )


def within_sigma(
    truth: np.ndarray, found: np.ndarray, sigma: np.ndarray
) -> tuple[int, float, float]:
    """Return the number of triples and the shares of errors within one and two sigma.

    Args:
        truth: of any shape.
        found: of the same shape and unit.
        sigma: one-sigma of `found`, as `found`; where it is NaN the triple is left out.
    """
    kept = np.isfinite(truth) & np.isfinite(found) & np.isfinite(sigma)
    if not kept.any():
        return 0, np.nan, np.nan
    off = np.abs(found[kept].astype("float64") - truth[kept])
    one, two = (float((off <= k * sigma[kept]).mean()) for k in (1, 2))
    return int(kept.sum()), one, two


def _spread(values: np.ndarray) -> float:
    """Return the standard deviation; 0 for what is constant but for rounding."""
    spread = float(values.std())
    return spread if spread > 1e-7 * float(np.abs(values).max()) else 0.0

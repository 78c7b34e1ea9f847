"""Surface NO2 from satellite covariates by a model fitted on stations."""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import BayesianRidge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from aqgeo.errors import EstimateError

# Fewer stations than this leave no room to hold some out.
MIN_STATIONS = 10


@dataclass(frozen=True, slots=True)
class Model:
    """A fitted model with its errors on held-out stations."""

    regression: Pipeline
    """Scaling, then Bayesian ridge regression."""
    sigma_factor: float
    """What the regression's own one-sigma is multiplied by to match held-out errors."""
    held_out: np.ndarray
    """(n,) prediction for each station by a model that never saw it, µg m-3."""
    held_out_sigma: np.ndarray
    """(n,) its one-sigma, by a factor that never saw the station, µg m-3."""

    def predict(self, covariates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return concentration and its one-sigma.

        Args:
            covariates: (n, k) in the order of the fit; a row with NaN gives NaN.

        Returns:
            Two (n,) float64 arrays, µg m-3.
        """
        known = np.isfinite(covariates).all(axis=1)
        mean, sigma = (np.full(len(covariates), np.nan) for _ in range(2))
        if known.any():
            mean[known], spread = self.regression.predict(covariates[known], return_std=True)
            sigma[known] = spread * self.sigma_factor
        return mean, sigma


def fit(covariates: np.ndarray, concentration: np.ndarray) -> Model:
    """Fit the model and measure its errors by leaving out one station at a time.

    Args:
        covariates: (n, k) at the stations, finite.
        concentration: (n,) mean of the period at the stations, µg m-3.

    Raises:
        EstimateError: there are too few stations.
    """
    count = len(concentration)
    if count < MIN_STATIONS:
        raise EstimateError(
            f"{count} stations with covariates are too few to fit and check a model: at least "
            f"{MIN_STATIONS} background stations inside the region are needed"
        )
    out = [_leave_out(covariates, concentration, i) for i in range(count)]
    held_out, own_sigma = np.array(out).T
    squares = ((concentration - held_out) / own_sigma) ** 2
    without = np.sqrt((squares.sum() - squares) / (count - 1))
    return Model(
        regression=_regression().fit(covariates, concentration),
        sigma_factor=float(np.sqrt(squares.mean())),
        held_out=held_out,
        held_out_sigma=own_sigma * without,
    )


def baselines(concentration: np.ndarray, at: np.ndarray) -> dict[str, np.ndarray]:
    """Return what simple rules say of each station from the others, by the rule's name.

    Args:
        concentration: (n,) at the stations, any unit.
        at: (n, 2) their places in a metric CRS.
    """
    count = len(concentration)
    others = (concentration.sum() - concentration) / (count - 1)
    distance = np.linalg.norm(at[:, None] - at[None], axis=-1)
    # Stations at one place count as 1 m apart; a station never counts for itself.
    weight = np.maximum(distance, 1.0) ** -2
    np.fill_diagonal(weight, 0)
    return {
        "mean of the other stations": others,
        "inverse squared distance": weight @ concentration / weight.sum(axis=1),
    }


def _leave_out(covariates: np.ndarray, concentration: np.ndarray, i: int) -> tuple[float, float]:
    rest = np.arange(len(concentration)) != i
    model = _regression().fit(covariates[rest], concentration[rest])
    mean, sigma = model.predict(covariates[i : i + 1], return_std=True)
    return float(mean[0]), float(sigma[0])


def _regression() -> Pipeline:
    return make_pipeline(StandardScaler(), BayesianRidge())

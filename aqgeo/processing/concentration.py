"""Surface NO2 from satellite covariates by a model fitted on stations."""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import BayesianRidge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from aqgeo.errors import EstimateError

# Fewer stations than this leave no room to hold some out.
MIN_STATIONS = 10
FOLDS = 10


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
    """Fit the model and measure its errors on stations held out in turn, a tenth at a time.

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
    mean, sigma = _held_out(covariates, concentration)
    for fold in _folds(count):
        # Nested: neither the model nor the factor of a fold has seen its stations.
        sigma[fold] *= _factor(covariates[~fold], concentration[~fold])
    return Model(
        regression=_regression().fit(covariates, concentration),
        sigma_factor=_factor(covariates, concentration),
        held_out=mean,
        held_out_sigma=sigma,
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


def _folds(count: int) -> list[np.ndarray]:
    """Return a mask for each of up to FOLDS parts, every station in one of them."""
    return [np.arange(count) % FOLDS == fold for fold in range(min(FOLDS, count))]


def _held_out(covariates: np.ndarray, concentration: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions and the regression's own one-sigma for stations it was not fitted on."""
    mean, sigma = np.empty((2, len(concentration)))
    for fold in _folds(len(concentration)):
        model = _regression().fit(covariates[~fold], concentration[~fold])
        mean[fold], sigma[fold] = model.predict(covariates[fold], return_std=True)
    return mean, sigma


def _factor(covariates: np.ndarray, concentration: np.ndarray) -> float:
    """Return what makes the mean squared held-out error equal to the squared one-sigma."""
    mean, sigma = _held_out(covariates, concentration)
    return float(np.sqrt(np.mean(((concentration - mean) / sigma) ** 2)))


def _regression() -> Pipeline:
    return make_pipeline(StandardScaler(), BayesianRidge())

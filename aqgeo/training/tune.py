"""Search for the settings of a cover network with Optuna, in a study that outlives its process."""

import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from aqgeo.errors import AqgeoError, EstimateError
from aqgeo.training.classification import Settings

log = logging.getLogger(__name__)
_NAME = "cover"
_MAGIC = b"SQLite format 3\0"
SPACE: dict[str, BaseDistribution] = {
    "optimiser": CategoricalDistribution(("adamw", "sgd")),
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "decay": FloatDistribution(1e-6, 1e-2, log=True),
    "strength": FloatDistribution(0.0, 1.0),
    "head": CategoricalDistribution((0, 64, 128, 256)),
    "dropout": FloatDistribution(0.0, 0.6),
}
"""What a study varies, by name of a field of Settings."""
LOGS = frozenset({"rate", "decay"})
"""Settings that span orders of magnitude."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial of a study."""

    number: int
    """Its number, from 0."""
    values: dict[str, Any]
    """Its settings; `network` if several are compared."""
    score: float | None
    """Macro F1 on validation; None where it failed."""
    why: str = ""
    """Why it failed."""


def open_study(path: Path, about: Mapping[str, Any]) -> optuna.Study:
    """Return the study in a SQLite file, a new one if there is none.

    A trial that was cut off is put in line again with the same settings.

    Args:
        path: the file.
        about: what all its trials share, such as data and bands.

    Raises:
        EstimateError: the file is no study, or one about something else.
    """
    look(path)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{path.absolute()}")
        study = optuna.create_study(
            storage=storage, study_name=_NAME, direction="maximize", load_if_exists=True
        )
    except (SQLAlchemyError, OptunaError, RuntimeError, OSError) as err:
        raise EstimateError(
            f"{path} cannot be used as a study: {str(err).splitlines()[0]}: name another file"
        ) from err
    before = study.user_attrs.get("about")
    if before is None:
        study.set_user_attr("about", dict(about))
    elif changed := sorted(k for k in {*before, *about} if before.get(k) != about.get(k)):
        first = changed[0]
        raise EstimateError(
            f"{path} is a study with {first} {before.get(first)!r}, now {about.get(first)!r} is "
            "asked for: name another file, or give what it began with"
        )
    for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.enqueue_trial(left.params)
        study.tell(left.number, state=TrialState.FAIL)
    return study


def search(
    study: optuna.Study,
    count: int,
    objective: Callable[[str, Settings], float],
    *,
    networks: Sequence[str],
    settings: Settings,
    done: Callable[[Trial], None] | None = None,
) -> None:
    """Run trials until a study has `count` of them; one that fails is noted and counts.

    Every trial's sampler is seeded by the trial's number, so that a study that was interrupted
    goes on as it would have gone.

    Args:
        study: as `open_study` gives.
        count: trials in all.
        objective: what trains a network and returns its macro F1 on validation.
        networks: names; with several, the name is one of the settings.
        settings: what is not varied.
        done: called after each trial.
    """
    space = {**SPACE, "network": CategoricalDistribution(tuple(networks))}
    while len(finished := trials(study)) < count:
        seed = settings.seed + len(finished)
        study.sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=max(3, min(10, count // 3))
        )
        trial = study.ask(space)
        told = {k: v for k, v in trial.params.items() if k != "network"}
        try:
            score = objective(trial.params["network"], replace(settings, **told))
        except (AqgeoError, RuntimeError, ValueError, MemoryError) as err:
            why = " ".join(str(err).split())[:300] or type(err).__name__
            log.warning("trial %d failed: %s", trial.number, why)
            trial.set_user_attr("why", why)
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, score)
        if done is not None:
            done(trials(study)[-1])


def trials(study: optuna.Study) -> list[Trial]:
    """Return the trials that came to an end, by number; those cut off are not among them."""
    return [_trial(t) for t in study.get_trials(deepcopy=False) if _ended(t)]


def best(study: optuna.Study, settings: Settings) -> tuple[str, Settings]:
    """Return network and settings of the best trial.

    Raises:
        EstimateError: no trial succeeded.
    """
    found = trials(study)
    good = [trial for trial in found if trial.score is not None]
    if not good:
        why = found[-1].why if found else "there is none"
        raise EstimateError(f"none of {len(found)} trials succeeded: {why}")
    first = max(good, key=lambda trial: (trial.score, -trial.number))
    told = dict(first.values)
    return told.pop("network"), replace(settings, **told)


def importance(study: optuna.Study) -> tuple[dict[str, float], str]:
    """Return the share of the score's variance that each setting explains, or why nobody knows.

    By functional ANOVA of a random forest: Hutter et al., ICML 2014.
    """
    good = [trial for trial in trials(study) if trial.score is not None]
    if len(good) < 4:
        return {}, f"{len(good)} trials succeeded: 4 are needed"
    if np.ptp([trial.score for trial in good if trial.score is not None]) == 0:
        return {}, "all trials have the same score"
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    varied = {n: len({trial.values[n] for trial in good}) > 1 for n in found}
    return {name: float(value) for name, value in found.items() if varied[name]}, ""


def _trial(trial: FrozenTrial) -> Trial:
    ok = trial.state == TrialState.COMPLETE
    why = "" if ok else str(trial.user_attrs.get("why", "not known"))
    return Trial(trial.number, dict(trial.params), trial.value if ok else None, why)


def _ended(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.COMPLETE or "why" in trial.user_attrs


def look(path: Path) -> None:
    """Refuse a file that is no study before Optuna would make tables in it.

    Raises:
        EstimateError: it is no SQLite database, or one of something else.
    """
    if not path.exists():
        if not path.parent.is_dir():
            raise EstimateError(f"{path.parent} is no folder: make it first")
        return
    try:
        with path.open("rb") as file:
            first = file.read(16)
        if first and first != _MAGIC:
            raise EstimateError(f"{path} is no SQLite database: name another file for the study")
        with closing(sqlite3.connect(path)) as base:
            tables = {row[0] for row in base.execute("SELECT name FROM sqlite_master")}
    except (OSError, sqlite3.Error) as err:
        raise EstimateError(f"{path} cannot be read as SQLite: {err}: name another file") from err
    if tables and "studies" not in tables:
        raise EstimateError(f"{path} is a database of something else: name another file")

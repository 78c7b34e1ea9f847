"""Studies: they outlive their process, note what fails, and refuse what is none."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

import aqgeo.models  # noqa: F401

optuna = pytest.importorskip("optuna")
from aqgeo.errors import EstimateError  # noqa: E402
from aqgeo.training import tune  # noqa: E402
from aqgeo.training.classification import Settings  # noqa: E402

ABOUT = {"bands": ["B02"], "size": 32}
BASE = Settings(epochs=1)
HOW: dict[str, Any] = {"networks": ("mobilenet", "resnet50"), "settings": BASE}


def objective(network: str, settings: Settings) -> float:
    return settings.dropout + (0.2 if network == "mobilenet" else 0.0)


def test_a_study_that_was_stopped_goes_on_as_it_would_have(tmp_path: Path) -> None:
    whole = tune.open_study(tmp_path / "whole.db", ABOUT)
    tune.search(whole, 6, objective, **HOW)

    def stop(network: str, settings: Settings) -> float:
        if len(tune.trials(study)) == 3:
            raise KeyboardInterrupt
        return objective(network, settings)

    study = tune.open_study(tmp_path / "cut.db", ABOUT)
    with pytest.raises(KeyboardInterrupt):
        tune.search(study, 6, stop, **HOW)
    study = tune.open_study(tmp_path / "cut.db", ABOUT)
    assert len(tune.trials(study)) == 3
    tune.search(study, 6, objective, **HOW)
    assert [(t.values, t.score) for t in tune.trials(study)] == [
        (t.values, t.score) for t in tune.trials(whole)
    ]
    assert tune.best(study, BASE) == tune.best(whole, BASE)
    shares, why = tune.importance(study)
    assert not why and sum(shares.values()) == pytest.approx(1)
    assert max(shares, key=lambda name: shares[name]) in ("dropout", "network")


def test_a_study_that_is_whole_is_not_gone_on_with(tmp_path: Path) -> None:
    study = tune.open_study(tmp_path / "study.db", ABOUT)
    tune.search(study, 2, objective, **HOW)

    def never(*_: Any) -> float:
        raise AssertionError("no trial is left")

    tune.search(tune.open_study(tmp_path / "study.db", ABOUT), 2, never, **HOW)


def test_a_trial_that_fails_is_noted_and_counts(tmp_path: Path) -> None:
    study = tune.open_study(tmp_path / "study.db", ABOUT)

    def fail(network: str, settings: Settings) -> float:
        if not tune.trials(study):
            raise EstimateError("the loss is nan")
        return 0.5

    tune.search(study, 3, fail, **HOW)
    first, *others = tune.trials(study)
    assert (first.score, first.why) == (None, "the loss is nan")
    assert [trial.score for trial in others] == [0.5, 0.5]
    assert tune.importance(study) == ({}, "2 trials succeeded: 4 are needed")


def test_no_trial_that_succeeded_is_an_error_with_the_reason(tmp_path: Path) -> None:
    study = tune.open_study(tmp_path / "study.db", ABOUT)

    def fail(*_: Any) -> float:
        raise MemoryError("too large")

    tune.search(study, 2, fail, **HOW)
    with pytest.raises(EstimateError, match="none of 2 trials succeeded: too large"):
        tune.best(study, BASE)


def test_what_is_no_study_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    text = tmp_path / "notes.db"
    text.write_text("no database, but longer than a header of sixteen bytes")
    with pytest.raises(EstimateError, match="no SQLite database"):
        tune.open_study(text, ABOUT)
    assert text.read_text().startswith("no database")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as base:
        base.execute("CREATE TABLE birds (name TEXT)")
    base.close()
    before = other.read_bytes()
    with pytest.raises(EstimateError, match="of something else"):
        tune.open_study(other, ABOUT)
    assert other.read_bytes() == before
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"SQLite format 3\0" + b"\xff" * 200)
    with pytest.raises(EstimateError, match=r"broken\.db"):
        tune.open_study(broken, ABOUT)
    with pytest.raises(EstimateError, match="no folder"):
        tune.open_study(tmp_path / "nowhere" / "study.db", ABOUT)


def test_a_study_about_something_else_is_refused(tmp_path: Path) -> None:
    tune.open_study(tmp_path / "study.db", ABOUT)
    with pytest.raises(EstimateError, match=r"with size 32, now 64 is asked for"):
        tune.open_study(tmp_path / "study.db", {**ABOUT, "size": 64})

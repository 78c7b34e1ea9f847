"""Scores of cover classes: against scikit-learn, and where they are not defined."""

import numpy as np
import pytest
from sklearn import metrics

from aqgeo.cover import NAMES, class_of
from aqgeo.scoring import cover as scoring


def test_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    cover, said = rng.random((2, 200)) * 100
    truth, found = class_of(cover), class_of(said)
    told = scoring.scores(truth, found, cover, said)
    how = {"average": "macro", "zero_division": 0}
    assert told["accuracy"] == pytest.approx(metrics.accuracy_score(truth, found))
    assert told["precision"] == pytest.approx(metrics.precision_score(truth, found, **how))
    assert told["recall"] == pytest.approx(metrics.recall_score(truth, found, **how))
    assert told["f1"] == pytest.approx(metrics.f1_score(truth, found, **how))
    assert told["mae"] == pytest.approx(np.abs(said - cover).mean())
    np.testing.assert_array_equal(
        scoring.confusion(truth, found), metrics.confusion_matrix(truth, found)
    )


def test_areas_are_those_of_scikit_learn_with_equal_ranks_too() -> None:
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 4, 150)
    ranks = rng.random((150, 4)).round(1) + 0.4 * np.eye(4)[truth]
    told = scoring.roc(truth, ranks)
    areas = [metrics.roc_auc_score(truth == i, ranks[:, i]) for i in range(4)]
    np.testing.assert_allclose([told[name]["auc"] for name in NAMES], areas)
    assert told["mean"]["auc"] == pytest.approx(np.mean(areas))
    for curve in told.values():
        assert (curve["false"][0], curve["hits"][0]) == (0, 0)
        assert (curve["false"][-1], curve["hits"][-1]) == pytest.approx((1, 1))
        assert (np.diff(curve["hits"]) >= -1e-12).all()


def test_one_class_only_has_no_curve_and_says_why() -> None:
    truth = np.zeros(5, int)
    told = scoring.roc(truth, np.random.default_rng(0).random((5, 4)))
    assert told["mean"]["auc"] is None and told["mean"]["why"]
    assert told[NAMES[0]]["why"] == "every image is of this class"
    assert told[NAMES[3]]["why"] == "no image is of this class"
    scores = scoring.scores(truth, truth, np.full(5, 3.0), np.full(5, 4.0))
    assert (scores["f1"], scores["mae"], scores["bias"]) == (1.0, 1.0, 1.0)
    assert scores["classes"][NAMES[1]] == {"n": 0, "precision": None, "recall": None, "f1": None}


def test_a_class_that_is_there_and_never_told_counts_as_zero() -> None:
    truth, found = np.array([0, 0, 3, 3]), np.array([0, 0, 0, 0])
    scores = scoring.scores(truth, found, truth * 30.0, found * 30.0)
    assert scores["f1"] == pytest.approx((2 / 3 + 0) / 2)
    assert scores["far"] == 0.5


def test_cover_alone_ranks_each_class_first_in_its_middle_or_at_its_end() -> None:
    ranks = scoring.nearness(np.array([0, 37.5, 62.5, 100]))
    np.testing.assert_array_equal(ranks.argmax(0), [0, 1, 2, 3])

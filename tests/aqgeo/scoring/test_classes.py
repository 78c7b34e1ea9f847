"""Scores of class maps on confusions that are known by hand."""

import numpy as np
import pytest

from aqgeo.scoring import classes


def test_a_known_confusion_gives_the_known_scores() -> None:
    truth = np.repeat([0, 0, 1, 1], [50, 10, 5, 35])
    found = np.repeat([0, 1, 0, 1], [50, 10, 5, 35])
    counts = classes.confusion(truth, found, [0, 1])
    assert counts.tolist() == [[50, 10], [5, 35]]
    zero, one = classes.per_class(counts)
    assert (zero.n, one.n) == (60, 40)
    assert one.iou == pytest.approx(35 / 50)
    assert one.f1 == pytest.approx(70 / 85)
    assert (one.producer, one.user) == pytest.approx((35 / 40, 35 / 45))
    assert classes.balanced_accuracy(counts) == pytest.approx((50 / 60 + 35 / 40) / 2)


def test_codes_that_are_no_class_are_left_out_and_classes_merge() -> None:
    truth, found = np.array([0, 1, 2, 3, 3, 255]), np.array([0, 2, 2, 255, 1, 0])
    counts = classes.confusion(truth, found, [0, 1, 2, 3])
    assert counts.sum() == 4
    cloud = classes.merge(counts, [[0, 3], [1, 2]])
    assert cloud.tolist() == [[1, 1], [0, 2]]
    assert cloud.sum() == counts.sum()


def test_what_the_truth_lacks_cannot_be_known() -> None:
    counts = classes.confusion(np.zeros(9, int), np.zeros(9, int), [0, 1])
    zero, one = classes.per_class(counts)
    assert (zero.iou, zero.f1, zero.producer, zero.user) == (1, 1, 1, 1)
    assert np.isnan([one.iou, one.f1, one.producer, one.user]).all()
    assert np.isnan(classes.balanced_accuracy(counts))


def test_ordered_classes_are_right_within_steps() -> None:
    truth, found = np.array([1, 2, 3, 6, 0, 1]), np.array([1, 3, 1, 6, 4, 0])
    assert classes.share_within(truth, found, 0) == 0.5
    assert classes.share_within(truth, found, 1) == 0.75
    assert classes.share_within(truth, found, 2) == 1
    assert np.isnan(classes.share_within(np.zeros(3, int), found[:3], 1))

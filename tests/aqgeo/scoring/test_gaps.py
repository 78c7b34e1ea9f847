"""Gaps by size, and the laws of similarity and spectral angle."""

import numpy as np
import pytest

from aqgeo.scoring import gaps

RNG = np.random.default_rng(3)
IMAGE = RNG.uniform(0, 0.4, (60, 70))
INSIDE = RNG.random((60, 70)) < 0.6


def test_gaps_that_touch_are_one_and_have_the_class_of_their_area() -> None:
    holes = np.zeros((100, 100), bool)
    holes[0, 0] = holes[1, 1] = True  # touch at a corner: 2 pixels
    holes[10:20, 10:20] = True  # 100 pixels
    holes[40:, 40:] = True  # 3600 pixels
    codes = gaps.size_classes(holes, 0.06)
    assert (codes > 0).tolist() == holes.tolist()
    assert (codes[0, 0], codes[1, 1], codes[15, 15], codes[99, 99]) == (2, 2, 3, 4)
    assert (gaps.size_classes(holes, 0.0036)[[0, 15, 99], [0, 15, 99]] == [1, 2, 4]).all()
    assert not gaps.size_classes(np.zeros((3, 3), bool), 1).any()


def test_similarity_is_one_of_an_image_with_itself_and_symmetric() -> None:
    assert gaps.similarity(IMAGE, [IMAGE], INSIDE)[0] == pytest.approx(1)
    other = np.clip(IMAGE + RNG.normal(0, 0.05, IMAGE.shape), 0, 1)
    one, two = (gaps.similarity(a, [b], INSIDE)[0] for a, b in ((IMAGE, other), (other, IMAGE)))
    assert one == pytest.approx(two)
    assert one.max() < 1
    worse = np.clip(IMAGE + RNG.normal(0, 0.2, IMAGE.shape), 0, 1)
    assert gaps.similarity(IMAGE, [worse], INSIDE)[0].mean() < one.mean()


def test_similarity_sees_nothing_outside_the_gaps() -> None:
    other = IMAGE * 0.8
    before = gaps.similarity(IMAGE, [other], INSIDE)[0]
    changed = np.where(INSIDE, other, np.nan)
    assert gaps.similarity(IMAGE, [changed], INSIDE)[0].tolist() == before.tolist()
    assert before.size == INSIDE.sum()


def test_the_spectral_angle_sees_colour_and_not_brightness() -> None:
    spectra = RNG.uniform(0.01, 0.6, (4, 500))
    assert gaps.spectral_angle(spectra, 0.3 * spectra) == pytest.approx(0, abs=1e-5)
    other = RNG.uniform(0.01, 0.6, (4, 500))
    angle = gaps.spectral_angle(spectra, other)
    assert angle == pytest.approx(gaps.spectral_angle(7 * other, spectra))
    right = gaps.spectral_angle(np.array([[1.0], [0]]), np.array([[0.0], [2]]))
    assert right == pytest.approx(90)
    assert np.isnan(gaps.spectral_angle(np.zeros((4, 1)), np.ones((4, 1))))

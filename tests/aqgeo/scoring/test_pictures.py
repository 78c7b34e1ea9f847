"""Scores of pictures: known errors, identity, what the rim does."""

import numpy as np
import pytest
from scipy import ndimage

from aqgeo.scoring import pictures


def noise(seed: int, shape: tuple[int, int] = (60, 50)) -> np.ndarray:
    return np.random.default_rng(seed).integers(40, 200, shape).astype("float64")


def test_an_error_of_one_step_is_48_decibels() -> None:
    truth = noise(0)
    told = pictures.scores(truth, truth + 1, shave=3)
    assert told["mse"] == 1 and told["psnr"] == pytest.approx(20 * np.log10(255))


def test_the_same_picture_is_perfect_and_noise_is_not() -> None:
    truth = noise(0)
    wanted = {"psnr": np.inf, "mse": 0, "ssim": 1, "gmsd": 0, "detail": 1}
    assert pictures.scores(truth, truth, shave=2) == wanted
    assert abs(pictures.scores(truth, noise(1), shave=2)["ssim"]) < 0.05


def test_structure_is_compared_beside_brightness() -> None:
    truth = noise(0)
    brighter = pictures.scores(truth, truth + 10, shave=0)
    rough = pictures.scores(truth, truth + 10 * np.sign(noise(1) - 119.5), shave=0)
    assert brighter["mse"] == rough["mse"] and brighter["ssim"] > rough["ssim"] + 0.01


def test_a_blurred_picture_lacks_detail_and_false_detail_is_still_false() -> None:
    truth = ndimage.gaussian_filter(noise(0), 0.7)
    soft = pictures.scores(truth, ndimage.gaussian_filter(truth, 1), shave=2)
    false = pictures.scores(truth, ndimage.gaussian_filter(noise(1), 0.7), shave=2)
    assert soft["detail"] < 0.3 and soft["gmsd"] > 0.02
    assert 0.8 < false["detail"] < 1.25 and false["gmsd"] > 2 * soft["gmsd"]


def test_the_rim_is_left_out_and_values_are_clipped_to_8_bit() -> None:
    truth = np.full((40, 40), 255.0)
    found = np.full((40, 40), 300.2)
    found[0], found[:, -1] = 0, 0
    assert pictures.scores(truth, found, shave=1)["mse"] == 0
    assert pictures.scores(truth, found, shave=0)["mse"] > 0


def test_what_cannot_be_compared_is_told() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        pictures.scores(noise(0), noise(0, (60, 51)), shave=0)
    with pytest.raises(ValueError, match="too few"):
        pictures.scores(noise(0, (12, 60)), noise(0, (12, 60)), shave=1)

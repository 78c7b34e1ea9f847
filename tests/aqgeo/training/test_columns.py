"""Training on columns: scenes drawn by seed, turned with their wind, sigma that holds."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from aqgeo.datasets.column_scenes import Scene
from aqgeo.models import conserve
from aqgeo.models.column_srcnn import ColumnSRCNN, ColumnSRCNNArguments, Covariate
from aqgeo.training import columns
from tests.standins import column_scenes as standin

SMALL = columns.Settings(cells=6, batch=2, steps=3)


def network(*covariates: Covariate) -> ColumnSRCNN:
    torch.manual_seed(0)
    told = ColumnSRCNNArguments(factor=4, covariates=covariates, kernels=(5, 3), channels=(16,))
    return ColumnSRCNN(told)


def test_item_n_of_an_epoch_is_the_same_whoever_reads_it_and_another_in_the_next() -> None:
    scenes = [standin.made(n, "train") for n in range(3)]
    one, two = (columns.Patches(scenes, network(standin.ROADS), SMALL, 5) for _ in range(2))
    [one[n] for n in range(3)]
    for a, b in zip(one[4], two[4], strict=True):
        torch.testing.assert_close(a, b, equal_nan=True)
    two.epoch = 1
    assert not torch.equal(one[4][1].nan_to_num(), two[4][1].nan_to_num())


def test_patches_of_truth_and_cells_belong_together() -> None:
    scenes = [standin.made(n, "train", gaps=0) for n in range(3)]
    patches = columns.Patches(scenes, network(standin.ROADS), SMALL, 0)
    for number in range(6):
        given, cells, truth = patches[number]
        box = conserve.block_mean(truth[None], 4)[0]
        assert (box - cells).abs().max() < 12e-6  # noise of 2e-6
        torch.testing.assert_close(
            1e6 * conserve.block_mean(given[None, 0], 4)[0], 1e6 * cells, rtol=1e-4, atol=1e-3
        )


def test_the_wind_turns_with_the_field() -> None:
    """A plume that lies downwind of its source still does."""
    side = 16
    rows, cols = np.indices((side, side))
    plume = np.where(cols >= 8, np.exp(-np.abs(rows - 8.0)), 0).astype("float32")
    wind = {"wind_u": np.full((side, side), 3.0, "float32")}
    wind["wind_v"] = np.zeros((side, side), "float32")
    cells = np.ones((4, 4), "float32")
    for seed in range(12):
        scene = columns._turned(Scene(cells, cells, plume, wind), np.random.default_rng(seed))
        u, v = scene.covariates["wind_u"][0, 0], scene.covariates["wind_v"][0, 0]
        weight = scene.truth / scene.truth.sum()
        east = (weight * (cols - 7.5)).sum()
        north = -(weight * (rows - 7.5)).sum()
        assert u * east + v * north > 0.9 * 3 * np.hypot(east, north)


def test_box_means_take_the_truth_for_what_was_measured() -> None:
    scene = columns.judged(standin.made(0, "train", gaps=0))[0]
    boxed = columns._boxed(scene, np.random.default_rng(0))
    box = scene.truth.reshape(8, 4, 8, 4).mean((1, 3))
    assert np.std(boxed.column - box) < 3 * np.nanmean(scene.sigma)


def test_sigma_is_scaled_to_hold_two_thirds_of_the_errors() -> None:
    task = columns.Downscaling(network(standin.ROADS), SMALL)
    scenes = [standin.made(n, "validation") for n in range(4)]
    columns.calibrate(task, scenes)
    within = count = 0
    for given, cells, truth in DataLoader(columns.Whole(scenes, task.network, known=False), 1):
        found, sigma = task.estimate(given, cells)
        ratio = ((found - 1e6 * truth).abs() / sigma)[torch.isfinite(found)]
        within, count = within + int((ratio < 1).sum()), count + ratio.numel()
    assert within / count == pytest.approx(0.68, abs=0.02)


def test_a_guess_at_the_column_keeps_its_cells_before_the_network_sees_it() -> None:
    scene = columns.judged(standin.made(1, "train", gaps=0))[0]
    scene.covariates["past_mean"] = 3 * scene.truth
    net = network(Covariate("past_mean", "mol m-2"))
    given, cells = columns.arrays(scene, net)
    mean = given[2].reshape(8, 4, 8, 4).mean((1, 3))
    np.testing.assert_allclose(mean, cells, rtol=1e-4)

"""Columns by a network: means kept, the same bytes however it is cut, and a gate that is honest."""

from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from aqgeo.errors import ModelError
from aqgeo.models import conserve
from aqgeo.processing import predict, superres
from tests.standins import cloud_network, column_scenes


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return column_scenes.network(tmp_path_factory.mktemp("weights") / "columns.safetensors")


def cells(seed: int = 0, side: int = 24) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = rng.normal(3e-5, 3e-5, (side, side)).astype("float32")
    found[rng.random(found.shape) < 0.2] = np.nan
    return found


def roads(side: int = 96) -> np.ndarray:
    return np.random.default_rng(1).exponential(2e3, (side, side)).astype("float32")


def run(weights: Path, *, chunk: int = 24, patch: int = 1024, **how: str) -> list[np.ndarray]:
    column = da.from_array(cells(), chunks=chunk)
    sigma = da.from_array(np.full((24, 24), 3e-6, "float32"), chunks=chunk)
    known = {"roads": da.from_array(roads())}
    made = superres.estimate(column, sigma, known, weights, settings=predict.Settings(patch=patch))
    return list(da.compute(*made, **how))


def test_every_cell_keeps_its_mean_to_a_millionth_and_gaps_stay(weights: Path) -> None:
    fine, sigma = run(weights)
    mean = fine.astype("float64").reshape(24, 4, 24, 4).mean((1, 3))
    coarse = cells()
    np.testing.assert_array_equal(np.isnan(mean), np.isnan(coarse))
    known = np.isfinite(coarse)
    off = np.abs(mean - coarse)[known] / np.abs(coarse[known])
    assert off.max() < 1e-6
    np.testing.assert_array_equal(np.isnan(sigma), np.isnan(fine))
    assert (sigma[np.isfinite(sigma)] > 0).all()
    least = np.minimum(coarse, 0).repeat(4, 0).repeat(4, 1)
    assert (fine >= least - 1e-11)[np.isfinite(fine)].all()


def test_the_network_is_felt_and_does_not_move_what_was_measured(weights: Path) -> None:
    smooth = superres.refine(cells(), 4)
    off = run(weights)[0] - smooth
    assert np.nanstd(off) > 0.02 * np.nanstd(smooth)


def test_threads_and_processes_of_any_number_give_the_same_bits(weights: Path) -> None:
    one = run(weights, scheduler="synchronous")
    for other in (run(weights, scheduler="threads"), run(weights, scheduler="threads")):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_however_the_field_is_cut_it_is_the_same(weights: Path) -> None:
    whole = run(weights)
    for other in (run(weights, chunk=8), run(weights, patch=48)):
        for a, b in zip(whole, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-10)


def test_chunks_smaller_than_the_reach_are_joined() -> None:
    assert conserve.REACH > 2
    found = superres.interpolated(da.from_array(cells(), chunks=2), 4).compute()
    np.testing.assert_allclose(found, superres.refine(cells(), 4), rtol=1e-12, atol=1e-16)


def test_a_grid_of_one_cell_is_refined_too(weights: Path) -> None:
    made = superres.estimate(da.from_array(np.array([[4e-5]], "float32")), None, {}, weights)
    fine, sigma = da.compute(*made)
    assert fine.shape == sigma.shape == (4, 4)
    assert fine.mean() == pytest.approx(4e-5, rel=1e-6)


def test_a_single_cell_and_one_without_data() -> None:
    np.testing.assert_allclose(superres.refine(np.array([[4e-5]]), 8), 4e-5)
    none = np.full((3, 3), np.nan)
    assert np.isnan(superres.refine(none, 2)).all() and np.isnan(superres.bicubic(none, 2)).all()


def test_bicubic_is_exact_for_planes_inside_and_keeps_gaps() -> None:
    rows, cols = np.indices((12, 12)).astype("float64")
    plane = 2 * rows + 3 * cols
    fine = superres.bicubic(plane, 3)
    at = (np.arange(36) + 0.5) / 3 - 0.5
    expected = 2 * at[:, None] + 3 * at
    np.testing.assert_allclose(fine[6:-6, 6:-6], expected[6:-6, 6:-6], atol=1e-9)
    plane[4, 5] = np.nan
    assert np.isnan(superres.bicubic(plane, 3)).sum() == 9


@pytest.mark.parametrize(
    "claim, why",
    [
        (5.0, ""),
        (6.5, "not below the 6.00 of bicubic"),
        (float("nan"), "error of nan umol m-2 is not below the 6.00"),
    ],
)
def test_the_gate_opens_only_for_what_was_better(claim: float, why: str, tmp_path: Path) -> None:
    path = column_scenes.network(tmp_path / "w.safetensors", rmse=claim)
    told = superres.gate(path, 4, set())
    assert (why in told) if why else not told


def test_the_gate_refuses_another_factor_and_what_was_never_judged(tmp_path: Path) -> None:
    path = column_scenes.network(tmp_path / "w.safetensors")
    assert "4 times finer, not 2" in superres.gate(path, 2, set())


def test_weights_for_something_else_and_covariates_it_does_not_know(
    weights: Path, tmp_path: Path
) -> None:
    clouds = cloud_network.write(tmp_path / "clouds.safetensors", ("B02", "B03"))
    with pytest.raises(ModelError, match="for 'clouds': weights for 'columns' are needed"):
        superres.gate(clouds, 4, set())
    column = da.from_array(cells())
    with pytest.raises(ModelError, match="knows no noise: it takes no2_column"):
        superres.estimate(column, None, {"noise": da.from_array(roads())}, weights)

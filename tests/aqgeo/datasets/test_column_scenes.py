"""Scenes of columns: written and read alike, averaged as satellites' means are."""

from pathlib import Path

import numpy as np
import pytest

from aqgeo.datasets import column_scenes
from aqgeo.errors import SourceError
from tests.standins import column_scenes as standin


def test_what_is_written_is_read(tmp_path: Path) -> None:
    scenes = standin.made(0, "train")
    column_scenes.write(tmp_path / "a.nc", scenes)
    found = column_scenes.read(tmp_path / "a.nc")
    assert (found.place, found.split, found.simulated, found.factor) == (
        "place 0",
        "train",
        True,
        4,
    )
    for name in ("column", "weight", "noisy", "truth"):
        np.testing.assert_array_equal(getattr(found, name), getattr(scenes, name))
    assert set(found.covariates) == set(scenes.covariates)


def test_a_mean_weighs_overpasses_by_what_they_saw() -> None:
    scenes = standin.made(1, "train", gaps=0)
    scenes.weight[:] = np.array([1, 0.5, 0], "float32")[:, None, None]
    found = column_scenes.mean(scenes, np.arange(3))
    expected = (scenes.column[0] + 0.5 * scenes.column[1]) / 1.5
    np.testing.assert_allclose(found.column, expected, rtol=1e-5)
    np.testing.assert_allclose(
        found.truth, (scenes.truth[0] + 0.5 * scenes.truth[1]) / 1.5, rtol=1e-5
    )


def test_sigma_is_the_standard_error_and_unknown_for_one_overpass() -> None:
    scenes = standin.made(2, "train", gaps=0, times=20)
    scenes.weight[:] = 1
    found = column_scenes.mean(scenes, np.arange(20))
    expected = scenes.column.std(0, ddof=1) / np.sqrt(20)
    np.testing.assert_allclose(found.sigma, expected, rtol=1e-3)
    assert np.isnan(column_scenes.mean(scenes, np.array([4])).sigma).all()


def test_a_cell_that_nobody_saw_stays_missing_and_so_does_its_truth() -> None:
    scenes = standin.made(3, "train", gaps=0)
    scenes.column[:, 2, 3] = np.nan
    found = column_scenes.mean(scenes, np.arange(3))
    assert np.isnan(found.column[2, 3])
    assert np.isnan(found.truth[8:12, 12:16]).all()
    assert np.isnan(found.truth).sum() == 16


def test_a_cut_holds_the_same_numbers() -> None:
    scenes = standin.made(4, "train")
    part = column_scenes.cut(scenes, (2, 3), 4)
    np.testing.assert_array_equal(part.column, scenes.column[:, 2:6, 3:7])
    np.testing.assert_array_equal(part.truth, scenes.truth[:, 8:24, 12:28])
    np.testing.assert_array_equal(part.covariates["roads"], scenes.covariates["roads"][8:24, 12:28])


@pytest.mark.parametrize("content", [b"", b"no file of ours", None])
def test_what_is_no_scene_is_told_in_one_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "bad.nc"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match="holds no scenes of columns"):
        column_scenes.read(path)
    if content is None:
        with pytest.raises(SourceError, match="aqgeo datasets columns"):
            column_scenes.find(tmp_path)

"""Super-resolution of NO2 columns from scenes to maps: data sets, training, judging, the stage."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo import catalog, cube
from aqgeo.datasets import column_scenes
from aqgeo.errors import CatalogError, SourceError
from aqgeo.models import checkpoint
from aqgeo.period import Period
from pipelines import column_scenes as sets
from pipelines import enhance, evaluate_columns, train_columns, workspace
from pipelines.covariates import PRIOR
from pipelines.workspace import Workspace, read_provenance
from tests.standins import column_scenes as standin

PERIOD = Period.parse("2024-06-03/2024-06-06")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folder of scenes, and weights of a short training on them."""
    folder = tmp_path_factory.mktemp("scenes")
    standin.write(folder, count=20)
    recipe = catalog.Recipe(
        name="tiny", title="Tiny", task="columns", level="any",
        network={
            "factor": 4, "kernels": (5, 3, 3), "channels": (24, 16),
            "covariates": [{"name": "roads", "unit": "km-1 day-1", "log": True}],
        },
        patches={"cells": 8, "batch": 4, "steps": 40, "absent": 0.1, "learning_rate": 3e-3},
        run={"epochs": 6},
    )  # fmt: skip
    out = tmp_path_factory.mktemp("run")
    return folder, train_columns.train_columns(out, recipe, data=[folder])


def test_a_short_training_beats_interpolation_on_places_it_never_saw(
    trained: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, weights = trained
    tables = evaluate_columns.evaluate_columns(tmp_path, data=[folder], weights=[weights])
    assert [table.name.partition(", ")[2] for table in tables] == [
        "mean of the days, as retrieved",
        "mean of the days, noise alone",
        "single overpasses, noise alone",
    ]
    rows = {row.method: row.values for row in tables[0].rows}
    ours, blind = rows["weights"], rows["weights, without covariates"]
    for rival in ("bicubic", "conservative", "cells repeated"):
        assert ours["RMSE"] < 0.9 * rows[rival]["RMSE"]
    assert ours["RMSE"] < blind["RMSE"]
    assert ours["detail R"] > rows["conservative"]["detail R"]
    assert 0.4 < ours["within 1 sigma"] < 0.95
    assert ours["conservation"] < 1e-6
    assert rows["bicubic"]["conservation"] > 1e-3
    assert "simulated" in (tmp_path / "columns.html").read_text("utf-8")


def test_the_file_tells_how_it_was_judged_and_what_it_is_made_of(
    trained: tuple[Path, Path],
) -> None:
    _, card = checkpoint.read(trained[1], task="columns")
    assert card.simulated and card.units == "mol m-2"
    assert card.split == "16 train, 2 validation, 2 test"
    held_out = {tuple(one["covariates"]): one["rmse"] for one in card.scores["held_out"]}
    assert set(held_out) == {("roads",), ()}
    assert held_out["roads",]["network"] < held_out["roads",]["conservative"]


def test_a_run_that_has_ended_is_not_run_again(trained: tuple[Path, Path], tmp_path: Path) -> None:
    recipe = catalog.Recipe(
        name="tiny", title="Tiny", task="columns", level="any",
        network={"factor": 4, "kernels": (3, 3), "channels": (4,)},
        patches={"cells": 4, "batch": 1, "steps": 2}, run={"epochs": 2},
    )  # fmt: skip
    content = []
    for _ in range(2):
        path = train_columns.train_columns(tmp_path, recipe, data=[trained[0]])
        content.append(path.read_bytes())
    assert content[0] == content[1]
    rows = json.loads((tmp_path / "metrics.json").read_text())
    assert [row["epoch"] for row in rows] == [0, 1]


def test_what_cannot_be_trained_is_told(trained: tuple[Path, Path], tmp_path: Path) -> None:
    def recipe(**network: Any) -> catalog.Recipe:
        return catalog.Recipe(
            name="r", title="R", task="columns", level="any", network=network,
            patches={"steps": 1}, run={"epochs": 1},
        )  # fmt: skip

    def run(**network: Any) -> None:
        train_columns.train_columns(tmp_path / "run", recipe(**network), data=[trained[0]])

    with pytest.raises(SourceError, match="no scenes 2 times finer for train, validation, test"):
        run(factor=2)
    with pytest.raises(SourceError, match="no scene has the covariate 'noise'"):
        run(factor=4, covariates=[{"name": "noise", "unit": "dB"}])
    with pytest.raises(CatalogError, match="kernels"):
        run(factor=4, kernels=(2, 2))


def test_a_simulated_place_has_pixels_of_a_real_orbit_and_a_finer_truth(tmp_path: Path) -> None:
    sets.simulate(tmp_path, count=1, cells_m=(4000, 8000), days=1, workers=1)
    four, eight = (
        column_scenes.read(tmp_path / f"SIMULATED_0_00000_{m}m.nc") for m in (4000, 8000)
    )
    assert (four.factor, eight.factor, four.split) == (4, 8, "train")
    assert four.column.shape[1:] == (18, 18) and four.truth.shape[1:] == (72, 72)
    np.testing.assert_array_equal(four.truth, eight.truth)
    assert set(four.covariates) >= {"roads", "population", "ndvi", "wind_u", PRIOR}
    box = four.truth.reshape(-1, 18, 4, 18, 4).mean((2, 4))
    known = np.isfinite(four.noisy)
    # Noise of a single overpass is some 8 umol m-2; fields of 20 and more are seen through it.
    assert np.corrcoef(four.noisy[known], box[known])[0, 1] > 0.4
    assert 0.5 < np.nanmean(four.noisy) / box[known].mean() < 1.5
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.nc")}
    sets.simulate(tmp_path, count=1, cells_m=(4000, 8000), days=1, workers=1)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.nc")} == before


def series(path: Path, *, days: int = 120, scale: float = 1e-5, size: int = 24) -> Path:
    """A series of fields whose pattern stays."""
    rng = np.random.default_rng(0)
    pattern = rng.gamma(2, 1, (size, size))
    values = scale * (pattern + 0.3 * rng.normal(size=(days, size, size)))
    values[rng.random(values.shape) < 0.1] = np.nan
    coords = {
        "time": np.datetime64("2021-01-01") + np.arange(days),
        "lat": np.linspace(30, 24.25, size),
        "lon": np.linspace(100, 105.75, size),
    }
    xr.Dataset({"no2": (("time", "lat", "lon"), values)}, coords=coords).to_netcdf(path)
    return path


def test_a_real_series_is_split_by_time_and_no_day_tells_of_itself(tmp_path: Path) -> None:
    path = series(tmp_path / "series.nc")
    sets.coarsen(path, tmp_path / "made", factor=4, test=0.3)
    found = [column_scenes.read(one) for one in column_scenes.find(tmp_path / "made")]
    days = {split: sum(len(s.column) for s in found if s.split == split) for split in
            ("train", "validation", "test")}  # fmt: skip
    assert days == {"train": 54, "validation": 30, "test": 36}
    fields = xr.open_dataset(path)["no2"].to_numpy()
    learnt = fields[:54]
    test = next(s for s in found if s.split == "test")
    np.testing.assert_allclose(test.covariates[sets.PAST], np.nanmean(learnt, 0), rtol=1e-5)
    january = next(s for s in found if s.split == "train" and s.place.endswith("2021-01"))
    np.testing.assert_allclose(january.covariates[sets.PAST], np.nanmean(learnt[31:], 0), rtol=1e-5)
    np.testing.assert_allclose(
        test.column, test.truth.reshape(-1, 6, 4, 6, 4).mean((2, 4)), rtol=1e-5
    )


@pytest.mark.parametrize(
    "how, factor, why",
    [
        ({"scale": 40.0}, 2, "they must be in mol m-2"),
        ({"size": 6}, 4, "cannot be made 4 times coarser"),
        ({"size": 1}, 2, "cannot be made 2 times coarser"),
    ],
)
def test_series_of_other_units_or_too_small_are_one_line(
    how: dict[str, Any], factor: int, why: str, tmp_path: Path, tell: Callable[..., Any]
) -> None:
    path = series(tmp_path / "series.nc", days=40, **how)
    told = tell("datasets", "columns", "coarsen", path, tmp_path / "made", "--factor", factor)
    assert told.code == 2 and len(told.err) == 1 and why in told.err[0]


def test_other_bad_words_are_one_line(tmp_path: Path, tell: Callable[..., Any]) -> None:
    bad = tmp_path / "bad.nc"
    bad.write_bytes(b"nothing")
    (tmp_path / "empty").mkdir()
    for words, why in (
        (("datasets", "columns", "coarsen", bad, tmp_path / "made"), "cannot be read as a series"),
        (("datasets", "columns", "simulate", tmp_path, "-n", 1, "--cell-m", 5000), "cells of 5000"),
        (("evaluate", "columns", "--data", tmp_path / "empty"), "holds no scenes of columns"),
        (("train", "columns", "--data", tmp_path / "none"), "holds no scenes of columns"),
        (("train", "columns", "--data", tmp_path, "--recipe", "clouds-l2a"), "is for clouds"),
    ):
        told = tell(*words)
        assert told.code == 2 and len(told.err) == 1 and why in told.err[0], told.err


def test_maps_use_the_network_keep_every_cell_and_say_what_it_is_worth(small: Any) -> None:
    folder = small.results["enhance"]
    told = read_provenance(folder)["parameters"]
    assert "network" in told["column_held_out_rmse_umol_m2"][0]
    assert {"roads", "population", PRIOR} <= set(told["column_covariates"])
    fine = cube.open(folder / "composite.zarr")
    coarse = cube.open(small.results["ingest-sentinel-5p-l2-no2"] / "composite.zarr")
    values, cells = (ds["no2_column"].isel(time=0).to_numpy() for ds in (fine, coarse))
    rows, cols = cells.shape
    mean = values.astype("float64").reshape(rows, 4, cols, 4).mean((1, 3))
    np.testing.assert_allclose(mean, cells, rtol=1e-6)
    assert (fine["no2_column_sigma"].to_numpy()[0][np.isfinite(values)] > 0).all()


@pytest.fixture
def alone(small: Any, tmp_path: Path, copy: Callable[..., Path]) -> Workspace:
    """A workspace with the columns of small, and nothing that was made of them."""
    span = "ingest-sentinel-5p-l2-no2"
    work = Workspace(tmp_path / "work", catalogs=small.work.catalogs)
    copy(small.results[span], work.stage("small", PERIOD, span))
    return work


def run(work: Workspace, cluster: Any, **how: Any) -> dict[str, Any]:
    path = enhance.enhance(work, "small", str(PERIOD), cluster=cluster, **how)
    return {**read_provenance(path), "cube": cube.open(path / "composite.zarr")}


def test_without_covariates_or_a_network_the_column_is_finer_all_the_same(
    alone: Workspace, cluster: Any
) -> None:
    plain = run(alone, cluster, method="interpolation")
    assert plain["parameters"]["refined_by"].startswith("linear")
    assert "no2_column_sigma" not in plain["cube"]
    blind = run(alone, cluster)
    note = [one for one in blind["notes"] if "the finer column is interpolated" in one]
    assert note or blind["parameters"]["column_covariates"] == ["none"]


def test_a_network_that_is_no_better_is_not_used_and_the_run_says_so(
    alone: Workspace, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = catalog.models(alone.catalogs)[enhance.MODEL]
    weights = standin.network(tmp_path / entry.file, rmse=9.0)
    monkeypatch.setattr(workspace, "WEIGHTS", tmp_path)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    monkeypatch.setattr(Workspace, "weights", lambda self, name: (weights, digest))
    told = run(alone, cluster)
    (note,) = [one for one in told["notes"] if "finer column" in one]
    assert "error of 9.00 umol m-2 is not below the 6.00 of bicubic interpolation" in note
    assert told["parameters"]["refined_by"].startswith("linear")
    assert "no2_column_sigma" not in told["cube"]


@pytest.mark.parametrize("pixel", [500, 2000])
def test_pixels_of_sizes_that_it_never_saw_are_interpolated(pixel: int) -> None:
    weights, checksum = Workspace(Path()).weights(enhance.MODEL)
    where = GeoBox((8, 8), Affine(pixel, 0, 4e5, 0, -pixel, 4.4e6), "EPSG:32633")
    why = enhance._refused("network", weights, checksum, where, set())
    assert f"judged on pixels of 1000 m, these have {pixel} m" in why


def raster(path: Path, *, bands: int = 1, crs: str | None = "EPSG:32633") -> None:
    placed = Affine(500, 0, 380_000, 0, -500, 4_400_000) if crs else Affine.identity()
    how = {"driver": "GTiff", "width": 50, "height": 60, "count": bands, "dtype": "float32"}
    with rasterio.open(path, "w", **how, crs=crs, transform=placed) as target:
        target.write(np.ones((bands, 60, 50), "float32"))


@pytest.mark.parametrize(
    "name, how, why",
    [
        ("roads", {"bands": 2}, "2 bands and a georeference"),
        ("roads", None, "cannot be read as a GeoTIFF"),
        ("noise", {}, "knows no noise: it takes no2_column"),
    ],
)
def test_covariates_that_cannot_be_used_are_told(
    name: str, how: dict[str, Any] | None, why: str, alone: Workspace, cluster: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "covariates"
    folder.mkdir()
    if how is None:
        (folder / f"{name}.tif").write_bytes(b"no picture")
    else:
        raster(folder / f"{name}.tif", **how)
    with pytest.raises(Exception, match=why):
        run(alone, cluster, covariates=folder)


def test_a_word_that_is_no_method_is_refused_before_any_work(
    tmp_path: Path, tell: Callable[..., Any]
) -> None:
    told = tell(
        "map", "demo", "--period", "2024-06", "--refine", "magic", "--out", tmp_path / "out"
    )
    assert told.code == 2 and "choose one of" in told.err[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["map", "enhance"])
def test_a_folder_of_covariates_that_is_not_there_is_told(
    verb: str, tmp_path: Path, tell: Callable[..., Any]
) -> None:
    told = tell(
        *(verb, "demo", "--period", "2024-06"),
        *("--covariates", tmp_path / "none", "--out", tmp_path / "out"),
    )
    assert told.code == 2 and len(told.err) == 1 and "does not exist" in told.err[0]
    assert not (tmp_path / "out").exists()


def test_a_flow_that_names_no_folder_is_refused_before_any_work(small: Any, cluster: Any) -> None:
    from pipelines import chain

    with pytest.raises(SourceError, match="is no folder: name one of GeoTIFFs"):
        chain.steps(small.work, "small", str(PERIOD), covariates=Path("nowhere"), cluster=cluster)

"""Super-resolution from the command line: training, judging, finer pictures and rasters."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from PIL import Image

from aqgeo import catalog
from aqgeo.errors import CatalogError, SourceError
from aqgeo.models import checkpoint
from aqgeo.models.srcnn import SRCNN, SRCNNArguments
from pipelines import train_superres, upscale

FACTOR = 3


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that returns its input: the middle of each kernel is 1."""
    told = SRCNNArguments(factor=FACTOR, kernels=(3, 1, 3), channels=(2, 2))
    network = SRCNN(told)
    with torch.no_grad():
        for layer in network.layers:
            layer.weight.zero_()
            layer.bias.zero_()
            layer.weight[0, 0, layer.weight.shape[2] // 2, layer.weight.shape[3] // 2] = 1
    path = tmp_path_factory.mktemp("weights") / "same.safetensors"
    checkpoint.write(path, network, checkpoint.Card("srcnn", asdict(told), "superres", "any"))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen pictures of bright bars on dark ground."""
    found = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(16):
        values = np.full((64, 61, 3), rng.integers(0, 120, 3), "uint8")
        for _ in range(6):
            row, col = rng.integers(0, 50, 2)
            values[row : row + 12, col : col + 5] = rng.integers(130, 256, 3)
        Image.fromarray(values).save(found / f"bars_{number:02}.png")
    return found


def test_a_network_that_adds_nothing_scores_as_bicubic(
    weights: Path, folder: Path, tmp_path: Path, aqgeo: Callable[..., Any]
) -> None:
    told = aqgeo(
        *("evaluate", "superres", "--set", folder, "--weights", weights),
        *("--out", tmp_path, "--json", tmp_path / "told.json"),
    )
    assert told.code == 0, told.err
    (table,) = json.loads((tmp_path / "told.json").read_text())["tables"]
    mean, ours = table["rows"][:2]
    assert (mean["method"], ours["method"], mean["n"]) == ("bicubic", "same", 16)
    assert ours["values"] == pytest.approx(mean["values"], rel=1e-3)
    assert 15 < mean["values"]["PSNR"] < 40 and 0.4 < mean["values"]["SSIM"] < 1
    assert "PSNR" in (tmp_path / "superres.html").read_text()


def test_a_short_training_beats_bicubic_on_other_pictures(folder: Path, tmp_path: Path) -> None:
    recipe = catalog.Recipe(
        name="tiny", title="Tiny", task="superres", level="any",
        network={"factor": 2, "kernels": (5, 1, 3), "channels": (16, 8)},
        patches={"crop": 32, "batch": 8, "steps": 60, "sizes": (1.0,)},
        run={"epochs": 4},
    )  # fmt: skip
    path = train_superres.train_superres(tmp_path / "run", recipe, data=[folder])
    _, card = checkpoint.read(path, task="superres")
    assert card.arguments["factor"] == 2 and "15 pictures to train on, 1" in card.split
    rows = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert rows[-1]["psnr"] > rows[0]["psnr"] and card.scores["validation"]["psnr"] > 20
    again = train_superres.train_superres(tmp_path / "again", recipe, data=[folder])
    assert again.read_bytes() == path.read_bytes()


def test_a_recipe_for_something_else_is_refused(folder: Path, tmp_path: Path, root: Path) -> None:
    clouds = catalog.recipes(root / "catalogs")["clouds-l2a"]
    with pytest.raises(CatalogError, match=r"'clouds-l2a' is for clouds.*aqgeo train clouds"):
        train_superres.train_superres(tmp_path, clouds, data=[folder])


def test_a_picture_keeps_its_colours(weights: Path, folder: Path, tmp_path: Path) -> None:
    path = next(folder.iterdir())
    (made,) = upscale.upscale([path], tmp_path, weights)
    rgb, fine = (np.asarray(Image.open(p)).astype("float64") for p in (path, made))
    assert made.name.endswith("_x3.png") and fine.shape == (192, 183, 3)
    small = fine.reshape(64, 3, 61, 3, 3).mean(axis=(1, 3))
    assert np.abs(small - rgb).mean() < 3


def test_a_raster_keeps_its_units_its_ground_and_its_holes(weights: Path, tmp_path: Path) -> None:
    values = (1e-4 * (1 + np.add.outer(np.arange(20), np.arange(30)) / 50)).astype("float32")
    values[4:7, 10:12] = np.nan
    path = tmp_path / "no2.tif"
    how = {"width": 30, "height": 20, "count": 1, "dtype": "float32", "nodata": float("nan")}
    place = Affine(5000, 0, 400_000, 0, -5000, 5_200_000)
    with rasterio.open(path, "w", "GTiff", crs=32633, transform=place, **how) as file:
        file.write(values, 1)
    (made,) = upscale.upscale([path], tmp_path / "out", weights)
    with rasterio.open(made) as src:
        fine, bounds, crs = src.read(1), src.bounds, src.crs
    assert fine.shape == (60, 90) and crs.to_epsg() == 32633
    assert bounds == pytest.approx((400_000, 5_100_000, 550_000, 5_200_000))
    np.testing.assert_array_equal(np.isnan(fine), np.kron(np.isnan(values), np.ones((3, 3))) > 0)
    inner = fine[30:45, 45:75].reshape(5, 3, 10, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(inner, values[10:15, 15:25], rtol=1e-3)


def test_what_cannot_be_made_finer_is_told(
    weights: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    aqgeo: Callable[..., Any],
) -> None:  # fmt: skip
    told = aqgeo("upscale", tmp_path / "none.png", "--weights", weights, "--out", tmp_path)
    assert told.code == 2 and len(told.err) == 1 and "cannot be read" in told.err[0]
    monkeypatch.setattr(upscale, "_LARGEST", 100)
    with pytest.raises(SourceError, match="at most 100 are made"):
        upscale.upscale([next(folder.iterdir())], tmp_path, weights)

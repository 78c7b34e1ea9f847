"""Super-resolution from the command line: training, judging, finer pictures and rasters."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from PIL import Image

from aqgeo import catalog
from aqgeo.errors import AqgeoError, CatalogError, SourceError
from aqgeo.models import checkpoint
from aqgeo.models.srcnn import SRCNN, SRCNNArguments
from aqgeo.models.srresnet import SRResNet, SRResNetArguments
from aqgeo.processing import predict, sharpen
from pipelines import evaluate_superres, finer, train_superres, upscale

FACTOR = 3
SET5 = Path(__file__).resolve().parents[3] / "shared/data/sr_set5"


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


def _none(path: Path) -> Path:
    return path / "none.png"


def _broken(path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40)).astype("uint8")
    Image.fromarray(noise).save(path / "broken.png")
    (path / "broken.png").write_bytes((path / "broken.png").read_bytes()[:600])
    return path / "broken.png"


def _sixteen_bit(path: Path) -> Path:
    Image.fromarray(np.zeros((8, 8), "uint16")).save(path / "deep.png")
    return path / "deep.png"


def _no_data(path: Path) -> Path:
    how = {"width": 9, "height": 9, "count": 2, "dtype": "float32", "nodata": -1, "crs": 32633}
    with rasterio.open(path / "lost.tif", "w", transform=Affine(10, 0, 0, 0, -10, 0), **how) as f:
        f.write(np.full((2, 9, 9), -1, "float32"))
    return path / "lost.tif"


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (_none, "cannot be read"),
        (_broken, "cannot be read"),
        (_sixteen_bit, "pictures of 8 bit"),
        (_no_data, "holds no data in any band"),
    ],
)
def test_what_cannot_be_made_finer_is_told_in_one_line(
    make: Callable[[Path], Path], wanted: str, weights: Path, tmp_path: Path
) -> None:
    with pytest.raises(AqgeoError, match=wanted) as told:
        upscale.upscale([make(tmp_path)], tmp_path / "out", weights)
    assert "\n" not in str(told.value)


def test_the_command_line_tells_a_slip_in_one_line(
    weights: Path, folder: Path, tmp_path: Path, aqgeo: Callable[..., Any]
) -> None:
    words = ("--factor", 2, "--weights", weights, "--out", tmp_path)
    told = aqgeo("upscale", next(folder.iterdir()), *words)
    assert told.code == 2 and len(told.err) == 1 and "3 times finer, not 2" in told.err[0]


def test_weights_that_do_not_fit_are_told(weights: Path, root: Path) -> None:
    clouds = root / "aqgeo/models/weights/clouds-l2a.safetensors"
    for factor, path, wanted in (
        (5, None, "factor 5: weights are shipped for 2, 3, 4"),
        (None, None, "choose one by --factor"),
        (2, weights, "3 times finer, not 2"),
        (None, clouds, "is for 'clouds'"),
    ):
        with pytest.raises(AqgeoError, match=wanted):
            finer.choose(factor, path)
    assert finer.choose(3, weights) == weights


def test_sets_that_cannot_be_judged_are_told(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no picture"):
        evaluate_superres.evaluate_superres(tmp_path, sets=[tmp_path], weights=[weights])
    Image.fromarray(np.zeros((1, 1), "uint8")).save(tmp_path / "pixel.png")
    with pytest.raises(SourceError, match="fewer pixels"):
        evaluate_superres.evaluate_superres(tmp_path, sets=[tmp_path], weights=[weights])


def test_a_single_pixel_can_be_made_finer(weights: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((1, 1, 3), 90, "uint8")).save(tmp_path / "pixel.png")
    (made,) = upscale.upscale([tmp_path / "pixel.png"], tmp_path / "out", weights)
    np.testing.assert_allclose(np.asarray(Image.open(made)), 90, atol=1)


@pytest.mark.parametrize(
    ("network", "patches", "wanted"),
    [
        ({"factor": 4, "architecture": "vdsr"}, {}, "architecture 'vdsr': choose one of srcnn"),
        ({"factor": 3, "architecture": "srresnet"}, {}, "factor 3 is none of 2, 4, 8"),
        ({"factor": 4, "architecture": "srresnet"}, {"crop": 50}, "crop 50 is no multiple of 4"),
        ({"factor": 2}, {"crop": 500}, "no picture has 502 pixels a side"),
        ({"factor": 2}, {"adversarial": 1e-3}, "give --start"),
    ],
)
def test_recipes_that_cannot_be_trained_are_told(
    network: dict, patches: dict, wanted: str, folder: Path, tmp_path: Path
) -> None:
    recipe = catalog.Recipe("r", "R", "superres", "any", network, {"crop": 32, **patches})
    with pytest.raises(AqgeoError, match=wanted):
        train_superres.train_superres(tmp_path / "run", recipe, data=[folder])


def test_a_network_begins_with_another_s_smaller_kernels(folder: Path, tmp_path: Path) -> None:
    def recipe(kernels: tuple[int, ...]) -> catalog.Recipe:
        network = {"factor": 2, "kernels": kernels, "channels": (4, 4)}
        patches = {"crop": 32, "batch": 4, "steps": 4, "sizes": (1.0,), "learning_rate": 1e-12}
        return catalog.Recipe("r", "R", "superres", "any", network, patches, {"epochs": 1})

    small = train_superres.train_superres(tmp_path / "a", recipe((5, 1, 3)), data=[folder])
    large = train_superres.train_superres(
        tmp_path / "b", recipe((7, 3, 3)), data=[folder], start=small
    )
    x = torch.rand(1, 1, 20, 20)
    inner = (..., slice(4, -4), slice(4, -4))
    with torch.inference_mode():
        one, other = (checkpoint.read(path)[0](x)[inner] for path in (small, large))
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    with pytest.raises(AqgeoError, match="is of another size at"):
        train_superres.train_superres(tmp_path / "c", recipe((5, 1, 3)), data=[folder], start=large)


def test_a_network_that_enlarges_meets_without_a_seam(tmp_path: Path) -> None:
    torch.manual_seed(0)
    told = SRResNetArguments(4, 1, 8)
    network = SRResNet(told).eval()
    torch.nn.init.normal_(network.last.weight, std=0.5)
    path = tmp_path / "w.safetensors"
    checkpoint.write(path, network, checkpoint.Card("srresnet", asdict(told), "superres", "any"))
    small = np.random.default_rng(0).random((70, 53)).astype("float32")

    def made(patch: int, threads: int) -> np.ndarray:
        with dask.config.set(num_workers=threads):
            return sharpen.sharpen(small, path, settings=predict.Settings("cpu", patch=patch))

    tiled, again, whole = made(24, 1), made(24, 3), made(128, 1)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(small)[None, None])[0, 0].numpy()
    assert tiled.shape == (280, 212) and tiled.tobytes() == again.tobytes()
    np.testing.assert_allclose(tiled, whole, atol=1e-4)
    np.testing.assert_allclose(whole, wanted, atol=1e-5)


@pytest.mark.skipif(not SET5.is_dir(), reason=f"no real data: {SET5} is absent")
def test_bicubic_interpolation_scores_on_set5_as_published_and_ours_higher(tmp_path: Path) -> None:
    ours = finer.choose(FACTOR, None)
    (table,) = evaluate_superres.evaluate_superres(tmp_path, sets=[SET5], weights=[ours])
    bicubic, mean = (row.values for row in table.rows[:2])
    assert bicubic["PSNR"] == pytest.approx(30.39, abs=0.02)
    assert bicubic["SSIM"] == pytest.approx(0.8682, abs=0.001)
    assert mean["PSNR"] > bicubic["PSNR"] + 1 and mean["GMSD"] < bicubic["GMSD"]


def test_shipped_weights_have_cards_and_each_factor_a_default() -> None:
    assert all(path.with_suffix(".md").is_file() for path in finer.shipped())
    for factor in finer.DEFAULTS:
        assert sharpen.steps_of(finer.choose(factor, None)).factor == factor


def test_a_result_that_would_be_huge_is_refused(
    weights: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upscale, "_LARGEST", 100)
    with pytest.raises(SourceError, match="at most 100 are made"):
        upscale.upscale([next(folder.iterdir())], tmp_path, weights)

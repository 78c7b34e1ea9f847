"""Cloud detectors on tiny images: what they find, what they need, that they can be repeated."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from aqgeo.errors import EstimateError, ModelError
from aqgeo.models import checkpoint
from aqgeo.models.unet import CloudUNet, UNetArguments
from aqgeo.processing import contenders, contenders_fitted, s2cloudless_mask

BANDS = ("B02", "B03", "B04", "B08")
TEN = s2cloudless_mask.BANDS


def scene(seed: int = 0, size: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Return (band, y, x) reflectance with a bright square of cloud, and its (y, x) classes."""
    rng = np.random.default_rng(seed)
    ground = np.array([0.05, 0.08, 0.06, 0.35])[:, None, None]
    label = np.zeros((size, size), "uint8")
    label[8:30, 8:30] = 1
    values = np.where(label == 1, 0.6, ground) * rng.uniform(0.8, 1.2, (4, size, size))
    return values.astype("float32"), label


def sample() -> contenders_fitted.Sample:
    values, label = contenders_fitted.draw(*scene(1), count=2000, seed=0)
    return contenders_fitted.Sample(values, label, BANDS)


@pytest.mark.parametrize("fit", [contenders_fitted.threshold, contenders_fitted.trees])
def test_what_is_fitted_finds_the_cloud_of_another_scene(fit: object) -> None:
    values, label = scene(2)
    detector = fit(sample())  # type: ignore[operator]
    assert detector.lacks(BANDS, "L2A") == ""
    assert "B04" in detector.lacks(("B02", "B03", "B08"), "L2A")
    found = detector.find(values[::-1], BANDS[::-1], 10.0)
    assert (found.classes == label).mean() > 0.98
    again = fit(sample()).find(values, BANDS, 10.0)  # type: ignore[operator]
    np.testing.assert_array_equal(found.classes, again.classes)


def test_nothing_is_fitted_where_all_is_cloud() -> None:
    values, label = contenders_fitted.draw(*scene(), count=2000, seed=0)
    cloudy = contenders_fitted.Sample(values, np.ones_like(label), BANDS)
    for fit in (contenders_fitted.threshold, contenders_fitted.trees):
        with pytest.raises(EstimateError, match="give more training images"):
            fit(cloudy)
    with pytest.raises(EstimateError, match="B02"):
        contenders_fitted.threshold(contenders_fitted.Sample(values[:, 1:], label, BANDS[1:]))


def test_pixels_are_drawn_with_their_own_label() -> None:
    values, label = scene()
    label[:4] = 255
    values[:, 4:6] = np.nan
    pixels, classes = contenders_fitted.draw(values, label, count=10**6, seed=0)
    assert len(pixels) == 48 * 42
    assert ((pixels[:, 0] > 0.3) == (classes == 1)).all()
    few, _ = contenders_fitted.draw(values, label, count=100, seed=0)
    assert len(few) == 100


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    told = UNetArguments(bands=(*BANDS, "B11"), mean=(0.2,) * 5, std=(0.2,) * 5)
    path = tmp_path / "weights.safetensors"
    card = checkpoint.Card("cloud-unet", asdict(told), "clouds", "L2A")
    checkpoint.write(path, CloudUNet(told), card)
    return path


def test_our_network_takes_any_size_and_order_of_bands(weights: Path) -> None:
    network = contenders.network(weights)
    values, _ = scene(size=45)
    found = network.find(values, BANDS, 10.0)
    assert found.classes.shape == (45, 45)
    assert found.cloud is not None
    assert ((found.cloud >= 0) & (found.cloud <= 1)).all()
    turned = network.find(values[::-1], BANDS[::-1], 10.0)
    np.testing.assert_array_equal(found.classes, turned.classes)
    assert network.lacks(BANDS, "L2A") == ""
    assert "weights for L1C are needed" in network.lacks(BANDS, "L1C")
    assert network.lacks(("B04", "B12"), "L2A") == "needs B02, B08 as well"


def test_weights_for_another_task_are_refused(weights: Path, tmp_path: Path) -> None:
    network, card = checkpoint.read(weights)
    other = tmp_path / "other.safetensors"
    checkpoint.write(other, network, checkpoint.Card(**{**asdict(card), "task": "cover"}))
    with pytest.raises(ModelError, match="is for 'cover'"):
        contenders.network(other)


def test_s2cloudless_needs_its_ten_bands_at_the_top_of_the_atmosphere() -> None:
    detector = contenders.S2Cloudless()
    assert detector.lacks(TEN, "L2A") == "takes L1C only"
    assert "B10" in detector.lacks([band for band in TEN if band != "B10"], "L1C")
    assert detector.lacks(TEN, "L1C") == ""
    bright, label = scene()
    values = np.stack([*bright[[0, 0, 2, 2, 3, 3, 3]], bright[0] / 30, bright[0], bright[0]])
    found = detector.find(values, TEN, 10.0)
    assert found.cloud is not None
    assert set(np.unique(found.classes)) <= {0, 1}
    assert found.cloud[label == 1].mean() > found.cloud[label == 0].mean()


def test_csmask_runs_at_thirty_metres_and_keeps_the_shape() -> None:
    pytest.importorskip("ukis_csmask", reason="ukis-csmask is not installed")
    detector = contenders.CSMask("L2A")
    assert "B08" in detector.lacks(BANDS[:3], "L2A")
    values, label = scene(size=200)
    found = detector.find(values, BANDS, 10.0)
    assert found.classes.shape == label.shape
    assert set(np.unique(found.classes)) <= {0, 1, 3}


def test_scene_classes_are_cloud_or_shadow_or_clear() -> None:
    codes = np.arange(12)[None]
    found = contenders.of_scene_classes(codes).classes[0]
    assert found.tolist() == [0, 0, 0, 3, 0, 0, 0, 0, 1, 1, 2, 0]

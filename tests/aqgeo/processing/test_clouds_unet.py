"""Clouds by a network: bands by name, level and task are checked, classes and percent come out."""

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import torch

from aqgeo.errors import ModelError
from aqgeo.processing import clouds, clouds_unet
from aqgeo.processing.predict import Settings
from tests.standins import cloud_network

BANDS = ("B01", "B02", "B03", "B04", "B08", "B11")
HERE = Settings(device="cpu", patch=64)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cloud_network.write(tmp_path_factory.mktemp("weights") / "clouds.safetensors", BANDS)


def values(bands: int) -> np.ndarray:
    y, x = np.mgrid[:70, :90]
    rng = np.random.default_rng(0)
    base = 0.3 + 0.3 * np.sin(y / 9) * np.cos(x / 12)
    found = base + rng.normal(0, 0.05, (1, bands, 70, 90))
    found[:, :, :7] = np.nan
    return found.astype("float32")


def detect(
    image: np.ndarray, bands: tuple[str, ...], weights: Path, level: str = "L2A"
) -> tuple[np.ndarray, np.ndarray]:
    lazy = clouds_unet.detect(da.from_array(image), bands, weights, level=level, settings=HERE)
    found = [one.compute(scheduler="synchronous") for one in lazy]
    return found[0], found[1]


def test_every_pixel_with_data_has_a_class_and_its_percent(weights: Path) -> None:
    code, percent = detect(values(6), BANDS, weights)
    assert code.shape == percent.shape == (1, 70, 90)
    assert code.dtype == percent.dtype == "uint8"
    known = np.isfinite(values(6)).any(axis=1)
    assert set(np.unique(code[known])) <= set(clouds.CLASSES) and len(np.unique(code[known])) > 1
    assert percent[known].min() > 16 and percent[known].max() <= 100
    assert (code[~known] == clouds.NO_DATA).all() and (percent[~known] == clouds.NO_DATA).all()


@pytest.mark.parametrize(
    ("chances", "wanted"),
    [
        ((0.4, 0.3, 0.3, 0.0), 1),  # more likely hidden than not
        ((0.4, 0.2, 0.3, 0.1), 2),
        ((0.4, 0.2, 0.15, 0.25), 0),
        ((0.2, 0.15, 0.2, 0.45), 3),
        ((0.1, 0.7, 0.1, 0.1), 1),
    ],
)
def test_cloud_is_told_from_the_rest_before_thick_from_thin(
    chances: tuple[float, ...], wanted: int
) -> None:
    logits = torch.log(torch.tensor(chances) + 1e-9)[None, :, None, None]
    found = clouds_unet.classes(logits).flatten().tolist()
    assert found == [wanted, round(100 * chances[wanted])]


def test_bands_travel_by_name_and_those_not_given_are_no_data(weights: Path) -> None:
    image = values(6)
    given = ("B08", "B02", "B04")
    code, percent = detect(image[:, [BANDS.index(b) for b in given]], given, weights)
    image[:, [n for n, band in enumerate(BANDS) if band not in given]] = np.nan
    wanted, wanted_percent = detect(image, BANDS, weights)
    assert (code == wanted).mean() > 0.999
    assert np.abs(percent.astype(int) - wanted_percent).max() <= 1


@pytest.mark.parametrize(
    ("bands", "level", "says"),
    [
        (("B02", "B03", "B04"), "L2A", r"band B08 is missing .* at least B02, B04, B08"),
        (("B02", "B04", "B08", "B02"), "L2A", r"B02 is named twice"),
        (("B02", "B04", "B08", "red"), "L2A", r"knows no band red.* it has B01"),
        (("B02", "B04", "B08"), "L1C", r"takes L2A images, these are L1C"),
    ],
)
def test_what_does_not_fit_the_weights_is_told_before_any_work(
    bands: tuple[str, ...], level: str, says: str, weights: Path
) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        detect(values(len(bands)), bands, weights, level)
    assert "\n" not in str(caught.value)


def test_weights_for_another_task_are_refused(tmp_path: Path) -> None:
    other = cloud_network.write(tmp_path / "cover.safetensors", BANDS, task="cover")
    with pytest.raises(ModelError, match="is for 'cover'"):
        detect(values(6), BANDS, other)


def test_weights_for_any_level_take_both(tmp_path: Path) -> None:
    either = cloud_network.write(tmp_path / "any.safetensors", BANDS, level="any")
    for level in ("L1C", "L2A"):
        detect(values(6), BANDS, either, level)

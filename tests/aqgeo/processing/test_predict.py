"""The engine: blocks without seams, no data, the same bytes anywhere, want of memory."""

import logging
from pathlib import Path
from typing import Any, NoReturn

import dask.array as da
import numpy as np
import pytest
import torch

from aqgeo.errors import ModelError
from aqgeo.models import checkpoint
from aqgeo.processing import predict
from tests.standins import cloud_network

BANDS = ("B02", "B03", "B04", "B08")
PATCH = 64


def probabilities(logits: torch.Tensor) -> torch.Tensor:
    return logits.softmax(1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with random weights; its margin is 192 pixels."""
    return cloud_network.write(tmp_path_factory.mktemp("weights") / "clouds.safetensors", BANDS)


def job(weights: Path, **how: Any) -> predict.Job:
    settings = predict.Settings(device="cpu", **{"patch": PATCH, **how})
    return predict.Job(weights, BANDS, probabilities, 4, "float32", np.nan, settings)


def series(rows: int, cols: int, dates: int = 1) -> np.ndarray:
    """Return smooth fields with details, and a corner without data."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:rows, :cols]
    waves = [np.sin(y / s + p) * np.cos(x / s - p) for s, p in ((7, 0.0), (31, 1.0), (90, 2.0))]
    values = 0.3 + 0.1 * sum(waves) + rng.normal(0, 0.02, (dates, len(BANDS), rows, cols))
    values[:, 1, 30:50, 40:90] = np.nan
    values[:, :, :20, -33:] = np.nan
    return values.astype("float32")


def computed(lazy: da.Array) -> np.ndarray:
    return np.asarray(lazy.compute(scheduler="synchronous"))


@pytest.fixture(scope="module")
def whole(weights: Path) -> np.ndarray:
    return computed(predict.predict(da.from_array(series(450, 510)), job(weights, patch=1024)))


@pytest.mark.parametrize("patch", [64, 256, 480])
def test_blocks_meet_without_a_seam(weights: Path, whole: np.ndarray, patch: int) -> None:
    values = da.from_array(series(450, 510), chunks=(1, 2, 100, 130))
    found = predict.predict(values, job(weights, patch=patch))
    assert found.chunksize[2] <= patch + 192 and found.dtype == "float32"
    assert np.ptp(whole[np.isfinite(whole)]) > 0.1
    np.testing.assert_allclose(computed(found), whole, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (5, 70), (64, 64), (97, 33)])
def test_ragged_and_tiny_images_keep_their_shape(weights: Path, shape: tuple[int, int]) -> None:
    values = np.full((1, len(BANDS), *shape), 0.3, "float32")
    found = computed(predict.predict(da.from_array(values), job(weights)))
    assert found.shape == (1, 4, *shape)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_an_image_goes_on_beyond_its_ragged_edge(weights: Path) -> None:
    values = series(90, 75)
    even = np.pad(values, ((0, 0), (0, 0), (0, 6), (0, 21)), mode="edge")
    found, wanted = (
        computed(predict.predict(da.from_array(x), job(weights))) for x in (values, even)
    )
    np.testing.assert_allclose(found, wanted[:, :, :90, :75], atol=1e-5)


def test_only_pixels_without_any_band_are_no_data(weights: Path, whole: np.ndarray) -> None:
    lost = np.isnan(series(450, 510)).all(axis=1)
    assert (np.isnan(whole) == lost[:, None]).all() and lost.any()


def test_a_block_without_data_never_meets_the_network(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("computed")

    monkeypatch.setattr(predict, "_forward", refuse)
    values = np.full((2, len(BANDS), 70, 70), np.nan, "float32")
    assert np.isnan(computed(predict.predict(da.from_array(values), job(weights)))).all()


def test_infinite_values_are_no_data(weights: Path) -> None:
    values = series(64, 64)
    lost = values.copy()
    lost[:, 0, 5, 5], values[:, 0, 5, 5] = np.nan, -np.inf
    found = [computed(predict.predict(da.from_array(v), job(weights))) for v in (values, lost)]
    np.testing.assert_array_equal(*found)


def test_bytes_do_not_depend_on_workers_threads_or_batches(weights: Path) -> None:
    values = da.from_array(series(64, 130, dates=2), chunks=(1, 4, 50, 50))
    lazy = predict.predict(values, job(weights))
    wanted = computed(lazy)
    threads = torch.get_num_threads()
    for workers in (1, 3):
        found = lazy.compute(scheduler="threads", num_workers=workers)
        np.testing.assert_array_equal(found, wanted)
    torch.set_num_threads(2)
    np.testing.assert_array_equal(computed(lazy), wanted)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    batched = computed(predict.predict(values, job(weights, batch=2)))
    np.testing.assert_allclose(batched, wanted, atol=1e-5)


def test_bytes_do_not_depend_on_the_threads_that_load(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    shipped = next((Path(__file__).parents[3] / "aqgeo" / "models" / "weights").glob("*l2a.safe*"))
    bits = []
    for count in (1, 2):
        torch.set_num_threads(count)
        path = tmp_path / f"{count}.safetensors"
        path.write_bytes(shipped.read_bytes())
        network = predict.network_of(predict.Job(path, BANDS, probabilities, 4, "f4", 0), "cpu")
        bits.append([value.numpy().tobytes() for value in network.state_dict().values()])
    torch.set_num_threads(threads)
    assert bits[0] == bits[1]


def test_nothing_is_read_before_it_is_computed(weights: Path) -> None:
    def refuse(_: np.ndarray) -> NoReturn:
        raise AssertionError("read")

    source = da.zeros((4, len(BANDS), 20000, 20000), chunks=(1, 4, 512, 512), dtype="float32")
    lazy = predict.predict(source.map_blocks(refuse, dtype="float32"), job(weights, patch=1024))
    assert lazy.shape == (4, 4, 20000, 20000)
    with pytest.raises(AssertionError, match="read"):
        lazy[0, 0, 0, 0].compute(scheduler="synchronous")


class Small:
    """A network for whose memory one date is all that fits."""

    stride, margin = 32, 32

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def __call__(self, x: torch.Tensor, wanted: tuple[slice, slice]) -> torch.Tensor:
        if len(x) > self.limit:
            raise torch.OutOfMemoryError("out of memory")
        return x[..., *wanted]


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_a_batch_that_does_not_fit_is_halved_until_it_does(
    limit: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(predict, "_FITTED", {})
    monkeypatch.setattr(predict, "network_of", lambda *_: Small(limit))
    values = series(64, 64, dates=4)
    with caplog.at_level(logging.WARNING):
        found = predict.run(values, (slice(0, 64),) * 2, job(Path("small"), batch=4))
        again = predict.run(values, (slice(0, 64),) * 2, job(Path("small"), batch=4))
    assert len(caplog.records) == {1: 2, 2: 1, 4: 0}[limit]
    np.testing.assert_array_equal(found, again)
    assert np.isfinite(found).any()


def test_the_cpu_goes_on_where_a_gpu_is_too_small(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    used: list[str] = []

    def forward(values: np.ndarray, _: object, __: object, device: str) -> np.ndarray:
        used.append(device)
        if device == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return values

    monkeypatch.setattr(predict, "_FITTED", {})
    monkeypatch.setattr(predict, "device_of", lambda _: "cuda")
    monkeypatch.setattr(predict, "_forward", forward)
    with caplog.at_level(logging.WARNING):
        predict.run(series(64, 64), (slice(0, 64),) * 2, job(Path("gpu")))
    assert used == ["cuda", "cpu"] and "the CPU goes on" in caplog.text


def test_one_date_that_does_not_fit_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "network_of", lambda *_: Small(0))
    with pytest.raises(ModelError, match=r"64 x 64 pixels do not fit .* smaller patch"):
        predict.run(series(64, 64), (slice(0, 64),) * 2, job(Path("none")))


def test_other_errors_are_no_want_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> NoReturn:
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr(predict, "_forward", broken)
    with pytest.raises(RuntimeError, match="sizes do not match"):
        predict.run(series(64, 64), (slice(0, 64),) * 2, job(Path("broken")))


def test_a_gpu_that_is_not_there_is_told() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelError, match=r"'cuda'.*choose auto"):
        predict.device_of(predict.Settings(device="cuda"))


def test_half_precision_is_near_and_only_when_asked_for(weights: Path, whole: np.ndarray) -> None:
    values = da.from_array(series(450, 510))
    half = computed(predict.predict(values, job(weights, patch=1024, precision="bf16")))
    known = np.isfinite(whole)
    assert 0 < np.abs(half - whole)[known].max() < 0.1


def test_a_band_that_the_network_does_not_know_is_refused(weights: Path) -> None:
    other = predict.Job(weights, ("B02", "B99"), probabilities, 4, "float32", np.nan)
    with pytest.raises(ModelError, match=r"no band B99.*it has B02, B03, B04, B08"):
        predict.predict(da.zeros((1, 2, 9, 9), dtype="float32"), other)


def test_new_weights_under_an_old_name_are_loaded(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(weights.read_bytes())
    values = da.from_array(series(64, 64))
    before = computed(predict.predict(values, job(path)))
    network, card = checkpoint.read(path)
    with torch.no_grad():
        network.temperature.fill_(3.0)
    checkpoint.write(path, network, card)
    after = computed(predict.predict(values, job(path)))
    assert np.nanmax(np.abs(after - before)) > 1e-3


def test_values_of_other_bands_are_a_slip(weights: Path) -> None:
    with pytest.raises(ValueError, match="4 bands"):
        predict.predict(da.zeros((1, 3, 9, 9), dtype="float32"), job(weights))

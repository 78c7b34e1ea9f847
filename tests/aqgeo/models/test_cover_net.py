"""Cover networks: every one builds, learns a step, and comes back from its checkpoint."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import ValidationError

import aqgeo.models  # noqa: F401
from aqgeo.errors import ModelError

torch = pytest.importorskip("torch")
from safetensors.torch import save_file  # noqa: E402

from aqgeo.models import checkpoint  # noqa: E402
from aqgeo.models.cover import (  # noqa: E402
    CoverArguments,
    CoverNet,
    Network,
    adopt,
    predict,
    smallest,
)

BANDS = ("B02", "B04")


def arguments(network: Any = "mobilenet", **how: Any) -> CoverArguments:
    told = {"bands": BANDS, "mean": (0.2, 0.3), "std": (0.1, 0.2), "head": 4, "size": 75}
    return CoverArguments(network, **{**told, **how})


@pytest.mark.parametrize("network", get_args(Network))
def test_a_network_learns_a_step_and_comes_back_from_its_file(network: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    told = arguments(network, size=smallest(network))
    net = CoverNet(told).train()
    x = torch.rand(2, 2, told.size, told.size)
    x[0, 1] = float("nan")
    logits, share = net(x)
    assert logits.shape == (2, 4) and share.shape == (2,)
    assert 0 < float(share.detach().min()) and float(share.detach().max()) < 1
    (logits.square().sum() + share.sum()).backward()
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    assert all(bool(torch.isfinite(g).all()) for g in gradients) and len(gradients) > 5
    card = checkpoint.Card("cover-net", told.__dict__, task="cover", level="L2A")
    path = tmp_path / "cover.safetensors"
    checkpoint.write(path, net, card)
    again, read = checkpoint.read(path, task="cover")
    assert (read.task, read.arguments["network"]) == ("cover", network)
    for mine, its in zip(predict(net, x.numpy()), predict(again, x.numpy()), strict=True):
        np.testing.assert_array_equal(mine, its)
    with pytest.raises(ModelError, match="weights for 'clouds' are needed"):
        checkpoint.read(path, task="clouds")


def test_a_missing_value_is_as_good_as_any_other_place_for_it() -> None:
    """A band that is no data everywhere gives the same, whatever lies below."""
    net = CoverNet(arguments())
    x = np.random.default_rng(0).random((3, 2, 75, 75), dtype="float32")
    x[:, 1] = np.nan
    probabilities, cover = predict(net, x)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    assert np.isfinite(cover).all() and ((cover >= 0) & (cover <= 100)).all()


@pytest.mark.parametrize(
    "how",
    [
        {"network": "alexnet"},
        {"head": 10**9},
        {"dropout": 1.0},
        {"size": 4096},
        {"size": 8},
        {"network": "inception_v3", "size": 64},
        {"bands": ("B02", "B02")},
        {"mean": (0.2,)},
        {"std": (0.1, 0.0)},
        {"classes": 10**6},
    ],
)
def test_arguments_of_a_hostile_file_are_refused(how: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        arguments(**{"network": "mobilenet", **how})


def test_weights_of_imagenet_are_adapted_to_the_bands(tmp_path: Path) -> None:
    """The same grey image gives the same features in three colours and in six bands."""
    torch.manual_seed(1)
    six = arguments(bands=tuple("abcdef"), mean=(0.0,) * 6, std=(1.0,) * 6)
    colours = CoverNet(arguments(bands=tuple("rgb"), mean=(0.0,) * 3, std=(1.0,) * 3)).eval()
    save_file(colours.net.state_dict(), tmp_path / "mobilenet.safetensors")
    net = CoverNet(six).eval()
    adopt(net, six, tmp_path / "mobilenet.safetensors")
    grey = torch.rand(1, 1, 75, 75)
    with torch.inference_mode():
        mine = net.net.forward_features(grey.expand(1, 6, 75, 75))
        its = colours.net.forward_features(grey.expand(1, 3, 75, 75))
    torch.testing.assert_close(mine, its, rtol=1e-3, atol=1e-4)


def test_weights_of_another_network_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.safetensors"
    save_file({"conv1.weight": torch.zeros(4, 3, 3, 3)}, path)
    net = CoverNet(arguments())
    with pytest.raises(ModelError, match="weights of another network") as caught:
        adopt(net, arguments(), path)
    assert "\n" not in str(caught.value)
    path.write_bytes(b"\x80\x04no tensors")
    with pytest.raises(ModelError, match="no safetensors file"):
        adopt(net, arguments(), path)

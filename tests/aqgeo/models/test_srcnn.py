"""SRCNN begins as the identity; windows, squares and bf16 change nothing that can be seen."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from aqgeo.models.srcnn import SRCNN, SRCNNArguments

SIZES = [((9, 1, 5), (8, 4)), ((5, 3, 3), (4, 4)), ((9, 5, 5), (6, 3))]


def trained(kernels: tuple[int, ...] = (9, 1, 5), channels: tuple[int, ...] = (8, 4)) -> SRCNN:
    """Return a network whose layers all matter."""
    torch.manual_seed(0)
    network = SRCNN(SRCNNArguments(factor=3, kernels=kernels, channels=channels)).eval()
    with torch.no_grad():
        for layer in network.layers:
            layer.weight += 0.05 * torch.randn_like(layer.weight)
            layer.bias += 0.1 * torch.randn_like(layer.bias)
    return network


def image(rows: int = 40, cols: int = 37) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.rand(2, 1, rows, cols)


@pytest.mark.parametrize(("kernels", "channels"), SIZES)
def test_a_network_begins_as_the_identity(kernels: tuple, channels: tuple) -> None:
    network = SRCNN(SRCNNArguments(factor=2, kernels=kernels, channels=channels))
    with torch.inference_mode():
        torch.testing.assert_close(network(image()), image())


def test_the_other_channels_begin_with_details_that_can_be_learnt_from() -> None:
    network = SRCNN(SRCNNArguments(factor=2))
    (network(image()) - image().roll(1, -1)).square().mean().backward()
    assert network.layers[2].weight.grad[0].abs().sum((1, 2)).min() > 0


@pytest.mark.parametrize(("kernels", "channels"), SIZES)
def test_the_result_is_that_of_three_plain_convolutions(kernels: tuple, channels: tuple) -> None:
    network = trained(kernels, channels)
    x = nn.functional.pad(image(), (network.margin,) * 4, mode="replicate")
    with torch.inference_mode():
        for layer in network.layers[:-1]:
            x = torch.relu(layer(x))
        torch.testing.assert_close(network(image()), network.layers[-1](x), atol=1e-5, rtol=0)
    # In training the same, by faster sums.
    torch.testing.assert_close(network(image()), network.layers[-1](x.clone()), atol=1e-5, rtol=0)


@pytest.mark.parametrize("window", [(0, 40, 0, 37), (3, 20, 8, 30), (30, 40, 0, 1)])
def test_a_window_is_cut_from_the_whole(window: tuple[int, int, int, int]) -> None:
    top, bottom, left, right = window
    network = trained()
    with torch.inference_mode():
        found = network(image(), (slice(top, bottom), slice(left, right)))
        wanted = network(image())[..., top:bottom, left:right]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_bf16_loses_less_than_in_plain_layers() -> None:
    network = trained()
    bright = 0.7 + 0.1 * image()
    with torch.inference_mode():
        wanted = network(bright)
        with torch.autocast("cpu", torch.bfloat16):
            found = network(bright)
            x = nn.functional.pad(bright, (network.margin,) * 4, mode="replicate")
            for layer in network.layers[:-1]:
                x = torch.relu(layer(x))
            plain = network.layers[-1](x)
    assert found.dtype == torch.float32
    ours, theirs = (float((y - wanted).square().mean().sqrt()) for y in (found, plain))
    assert 0 < ours < 0.5 * theirs


@pytest.mark.parametrize(
    "told", [{"kernels": (9, 1)}, {"kernels": (9, 2, 5)}, {"factor": 1}, {"channels": (64, 999)}]
)
def test_arguments_that_do_not_fit_are_refused(told: dict) -> None:
    with pytest.raises(ValidationError):
        SRCNNArguments(**{"factor": 3, **told})

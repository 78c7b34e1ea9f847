"""The U-Net by parts: fewer bands, folded layers and windows give what the whole gives."""

from typing import get_args

import numpy as np
import pytest
import torch

from aqgeo.models import ready, unet, unet_window
from aqgeo.models.unet import CloudUNet, UNetArguments

BANDS = ("B02", "B03", "B04", "B08", "B11")
ENCODERS = get_args(unet.Encoder)


def network(
    encoder: unet.Encoder = "tu-mobilenetv2_050", bands: tuple[str, ...] = BANDS
) -> CloudUNet:
    """Return a network with random weights, in double precision."""
    torch.manual_seed(0)
    many = (0.2,) * len(bands)
    made = CloudUNet(UNetArguments(bands=bands, mean=many, std=many, encoder=encoder))
    torch.nn.init.normal_(made.absent)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return made.double().eval()


def image(rows: int, cols: int) -> torch.Tensor:
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 0.8, (1, len(BANDS), rows, cols))
    values[:, 1:3, 10:40, 20:50] = np.nan
    values[:, :, 50:60] = np.nan
    return torch.from_numpy(values)


@pytest.mark.parametrize("encoder", ENCODERS)
@torch.inference_mode()
def test_a_folded_network_for_some_bands_gives_what_planes_of_no_data_give(
    encoder: unet.Encoder,
) -> None:
    x = image(96, 128)
    given = ("B04", "B02", "B08")
    x[:, [n for n, band in enumerate(BANDS) if band not in given]] = torch.nan
    wanted = network(encoder)(x)
    part = ready.ready(network(encoder), given)
    # A ResNet's first one follows a sequence of convolutions.
    assert len([m for m in part.modules() if isinstance(m, torch.nn.BatchNorm2d)]) <= 1
    ready.suit_one_thread(part)
    found = part(x[:, [BANDS.index(band) for band in given]].clone())
    torch.testing.assert_close(found, wanted, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("wanted", [(64, 96, 64, 128), (0, 32, 32, 160), (128, 192, 0, 60)])
@torch.inference_mode()
def test_a_window_of_the_output_is_that_of_the_whole(wanted: tuple[int, int, int, int]) -> None:
    top, bottom, left, right = wanted
    x, net = image(192, 160), network()
    window = slice(top, bottom), slice(left, right)
    torch.testing.assert_close(net(x, window), net(x)[..., *window], atol=1e-9, rtol=1e-9)


def test_a_result_by_few_rows_is_that_of_all_at_once() -> None:
    x, net = image(2 * unet_window._ROWS + 64, 64), network()
    whole = net(x).detach()  # with gradients, all rows are computed at once
    with torch.inference_mode():
        found = ready.ready(net, BANDS)
        ready.suit_one_thread(found)
        torch.testing.assert_close(found(x), whole, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("encoder", ENCODERS)
@torch.inference_mode()
def test_nothing_beyond_the_margin_reaches_a_pixel(encoder: unet.Encoder) -> None:
    """NaN spreads through every layer as far as there is any way."""
    net = network(encoder, ("B02",)).float()
    first, last = 512, 543  # rows of the window, whole cells of the stride
    for row in (first - net.margin - 1, last + net.margin + 1):
        x = torch.zeros(1, 1, 1056, 32)
        x[:, :, row] = torch.nan
        reached = unet_window.logits(net.net, x, x, None).isnan().any(1)[0].any(1)
        assert reached.any() and not reached[first : last + 1].any()
    x = torch.zeros(1, 1, 1056, 32)
    x[:, :, first - net.margin + net.stride - 1] = torch.nan
    assert (
        unet_window.logits(net.net, x, x, None).isnan().any(1)[0].any(1)[first : last + 1].any()
    ), "the margin is too wide"

"""SRResNet begins as bicubic interpolation; its margin is as wide as it must be."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from aqgeo.datasets import pictures
from aqgeo.models.srresnet import SRResNet, SRResNetArguments


def network(factor: int = 4, blocks: int = 1, *, trained: bool = True) -> SRResNet:
    torch.manual_seed(0)
    found = SRResNet(SRResNetArguments(factor, blocks, 4)).eval()
    if trained:
        torch.nn.init.normal_(found.last.weight, std=3.0)
    return found


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_network_begins_as_bicubic_interpolation(factor: int) -> None:
    small = np.random.default_rng(0).random((9, 7)).astype("float32")
    with torch.inference_mode():
        found = network(factor, trained=False)(torch.from_numpy(small)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(found, pictures.resize(small, (9 * factor, 7 * factor)), atol=1e-5)


@pytest.mark.parametrize(("factor", "blocks"), [(2, 1), (4, 1), (4, 3), (8, 1)])
def test_no_pixel_beyond_the_margin_changes_a_result(factor: int, blocks: int) -> None:
    one = network(factor, blocks)
    side, middle = 2 * one.margin + 9, one.margin + 4
    x = torch.rand(1, 1, side, side, dtype=torch.float64)
    other = x.clone()
    other[..., middle, middle] += 1
    with torch.inference_mode():
        changed = (one.double()(x) - one(other)).abs()[0, 0] > 0
    reach = torch.nonzero(changed)[:, 0]
    first, last = int(reach.min()) // factor, int(reach.max()) // factor
    assert middle - one.margin <= first and last <= middle + one.margin
    assert one.margin - (middle - first) <= 1, "the margin is wider than need be"


def test_a_window_is_cut_from_the_whole() -> None:
    one, x = network(), torch.rand(1, 1, 12, 15)
    with torch.inference_mode():
        found = one(x, (slice(2, 7), slice(4, 15)))
        torch.testing.assert_close(found, one(x)[..., 8:28, 16:60])


@pytest.mark.parametrize("told", [{"factor": 3}, {"blocks": 0}, {"channels": 4096}])
def test_arguments_that_do_not_fit_are_refused(told: dict) -> None:
    with pytest.raises(ValidationError):
        SRResNetArguments(**told)

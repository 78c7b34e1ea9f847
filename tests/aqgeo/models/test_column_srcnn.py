"""The network for columns: begins as the interpolation, no unit of its own, blind if need be."""

import pytest
import torch

from aqgeo.models.column_srcnn import ColumnSRCNN, ColumnSRCNNArguments, Covariate

ROADS = Covariate("roads", "km-1 day-1", mean=4.0, std=3.0, log=True)
PAST = Covariate("past_mean", "mol m-2")


def network(*covariates: Covariate, trained: bool = True) -> ColumnSRCNN:
    torch.manual_seed(0)
    net = ColumnSRCNN(ColumnSRCNNArguments(factor=4, covariates=covariates))
    if trained:
        torch.nn.init.normal_(net.layers[-1].weight, std=0.05)  # type: ignore[arg-type]
    return net.eval()


def given(bands: int = 3, size: int = 64) -> torch.Tensor:
    x = torch.rand(1, bands, size, size, generator=torch.Generator().manual_seed(1))
    x[:, 0] = 3e-5 + 2e-5 * x[:, 0]
    x[:, 1] *= 3e-6
    x[:, 2:] *= 1e4
    return x


def test_without_training_it_is_the_interpolation_it_was_given() -> None:
    x = given()
    found = network(ROADS, trained=False)(x)
    torch.testing.assert_close(found[:, 0], x[:, 0], rtol=1e-5, atol=1e-12)
    assert (found[:, 1] > 0).all()


def test_what_is_not_known_and_what_is_left_out_are_the_same() -> None:
    net, x = network(ROADS), given()
    blind = x.clone()
    blind[:, 2] = torch.nan
    torch.testing.assert_close(1e6 * net.only(net.bands[:2])(x[:, :2]), 1e6 * net(blind))
    assert not torch.allclose(1e6 * net(x)[:, 0], 1e6 * net(blind)[:, 0], rtol=1e-3)


def test_a_guess_that_is_the_interpolation_itself_adds_nothing() -> None:
    """Guesses count by how they differ from the interpolation, in parts of its spread."""
    net, x = network(PAST), given()
    x[:, 2] = x[:, 0]
    more = x.clone()
    more[:, [0, 2]] *= 1.5
    assert net.guesses == {"past_mean"}
    scaled = net._scaled(PAST, more[:, 2:], 1e6 * more[:, :1], torch.ones(1))
    torch.testing.assert_close(scaled, torch.zeros_like(scaled))


def test_beyond_the_margin_a_cut_is_not_felt() -> None:
    net, x = network(ROADS), given(size=96)
    whole, part = 1e6 * net(x), 1e6 * net(x[..., :72])
    kept = 72 - net.margin
    torch.testing.assert_close(part[..., :kept], whole[..., :kept], rtol=1e-5, atol=1e-4)
    assert not torch.allclose(part, whole[..., :72], rtol=1e-5, atol=1e-3)
    wanted = slice(3, 40), slice(5, 50)
    torch.testing.assert_close(1e6 * net(x, wanted), whole[..., wanted[0], wanted[1]])


@pytest.mark.parametrize(
    "wrong", [{"kernels": (4, 3)}, {"kernels": (3, 3, 3)}, {"factor": 1}, {"factor": 9}]
)
def test_what_does_not_fit_together_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        ColumnSRCNNArguments(**{"factor": 4, "kernels": (3, 3), "channels": (4,), **wrong})  # type: ignore[arg-type]

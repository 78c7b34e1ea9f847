"""The loss falls towards the truth, and labels that tell less ask for less."""

import pytest
import torch

from aqgeo.training.losses import EITHER, IGNORED, NEITHER, CloudLoss, extended

LABEL = torch.tensor([[[0, 1, 2, 3]] * 4])
TRUST = torch.ones(1)


def logits(sure: float, label: torch.Tensor = LABEL) -> torch.Tensor:
    return sure * torch.nn.functional.one_hot(label, 4).permute(0, 3, 1, 2).float()


def test_the_loss_falls_as_the_truth_becomes_likely() -> None:
    found = [float(CloudLoss()(logits(s), LABEL, TRUST)) for s in (-2.0, 0.0, 2.0, 20.0)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.01


@pytest.mark.parametrize(("told", "right", "wrong"), [(EITHER, (1, 2), 0), (NEITHER, (0, 3), 1)])
def test_classes_are_alike_where_the_label_does_not_tell_them_apart(
    told: int, right: tuple[int, int], wrong: int
) -> None:
    label, loss = torch.full((1, 4, 4), told), CloudLoss()
    one, two, other = (
        loss(logits(4.0, torch.full_like(label, code)), label, TRUST) for code in (*right, wrong)
    )
    torch.testing.assert_close(one, two)
    assert one < other


def test_pixels_without_a_label_do_not_count() -> None:
    label, wrong = LABEL.clone(), logits(3.0)
    label[:, 2:], wrong[:, :, 2:] = IGNORED, 100 * torch.randn(1, 4, 2, 4)
    loss = CloudLoss()
    torch.testing.assert_close(loss(wrong, label, TRUST), loss(logits(3.0), label, TRUST))


def test_a_label_that_is_trusted_less_weighs_less() -> None:
    both = torch.cat([logits(3.0), logits(-3.0)])
    label = torch.cat([LABEL, LABEL])
    loss = CloudLoss()
    assert loss(both, label, torch.tensor([1.0, 0.2])) < loss(both, label, torch.tensor([1.0, 1.0]))


def test_cloud_is_as_likely_as_thick_and_thin_together() -> None:
    p = extended(torch.randn(2, 4, 3, 3)).exp()
    torch.testing.assert_close(p[:, EITHER], p[:, 1] + p[:, 2])
    torch.testing.assert_close(p[:, NEITHER], p[:, 0] + p[:, 3])
    torch.testing.assert_close(p[:, :4].sum(1), torch.ones(2, 3, 3))

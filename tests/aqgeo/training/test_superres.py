"""Training of super-resolution: patches that do not depend on who reads them, losses that fall."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from aqgeo.datasets import pictures
from aqgeo.models.perception import Derivatives
from aqgeo.models.srcnn import SRCNN, SRCNNArguments
from aqgeo.models.srresnet import SRResNet, SRResNetArguments
from aqgeo.training import fit, superres, superres_gan


def bars(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = np.full((64, 61), 60.0)
    for _ in range(8):
        row, col = rng.integers(0, 50, 2)
        values[row : row + 12, col : col + 5] = rng.integers(120, 236)
    return values


def settings(**told: object) -> superres.Settings:
    return superres.Settings(**{"crop": 32, "batch": 4, "steps": 20, "sizes": (1.0,), **told})


@pytest.mark.parametrize(("factor", "scale"), [(3, 1), (4, 4)])
def test_a_patch_is_the_degraded_one_of_what_is_wanted(factor: int, scale: int) -> None:
    values = bars(0)
    data = superres.Patches([values], factor, settings(), seed=0, scale=scale)
    given, fine = data[5]
    again, _ = superres.Patches([values], factor, settings(), seed=0, scale=scale)[5]
    assert given.shape == (1, 32 // scale, 32 // scale) and fine.shape == (1, 32, 32)
    torch.testing.assert_close(given, again)
    data.epoch = 1
    assert not torch.equal(data[5][0], given)
    small = pictures.resize(fine[0].numpy(), given.shape[1:])
    inner = (slice(2, -2),) * 2
    # Interpolation enlarged what a network that does not enlarge is given.
    error = np.abs(small - given[0].numpy())[inner]
    assert error.max() < 1e-3 if scale > 1 else np.median(error) < 0.1


def networks() -> list[torch.nn.Module]:
    torch.manual_seed(0)
    return [
        SRCNN(SRCNNArguments(factor=4, kernels=(5, 1, 3), channels=(8, 4))),
        SRResNet(SRResNetArguments(factor=4, blocks=1, channels=8)),
    ]


class Stopped(superres.SuperResolution):
    """Is stopped at the start of its second epoch."""

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        if self.current_epoch == 1:
            raise RuntimeError("stopped")


@pytest.mark.parametrize("network", networks(), ids=["srcnn", "srresnet"])
def test_losses_fall_and_a_stopped_run_goes_on(network: torch.nn.Module, tmp_path: Path) -> None:
    how, other = settings(), copy.deepcopy(network)
    batches = superres.loaders([bars(n) for n in range(4)], [bars(9)], network, how)
    run = fit.Settings(epochs=3)
    with pytest.raises(RuntimeError, match="stopped"):
        fit.fit(Stopped(network, how), *batches, tmp_path / "a", run, watch=superres.WATCH)
    task = superres.SuperResolution(network, how)
    found = fit.fit(task, *batches, tmp_path / "a", run, watch=superres.WATCH)
    task = superres.SuperResolution(other, how)
    at_once = fit.fit(task, *batches, tmp_path / "b", run, watch=superres.WATCH)
    rows = json.loads((tmp_path / "a" / fit.METRICS).read_text())
    assert [row["epoch"] for row in rows] == [0, 1, 2] and found == at_once
    assert rows[2]["psnr"] > rows[0]["psnr"] > 10


def test_a_critic_and_a_generator_learn_in_turn(tmp_path: Path) -> None:
    network = networks()[1]
    how = settings(perceptual=1.0, adversarial=1e-3, learning_rate=1e-3, batch=8)
    batches = superres.loaders([bars(n) for n in range(4)], [bars(9)], network, how)
    task = superres_gan.Adversarial(network, Derivatives(), how)
    start = [p.detach().clone() for p in task.critic.parameters()]
    given, fine = next(iter(batches[1]))
    with torch.inference_mode():
        before = -float((task.features(network(given)) - task.features(fine)).abs().mean())
    best = fit.fit(task, *batches, tmp_path, fit.Settings(epochs=2), watch=superres_gan.WATCH)
    assert best["likeness"] > before
    assert all((a != b).any() for a, b in zip(start, task.critic.parameters(), strict=True))

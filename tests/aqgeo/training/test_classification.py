"""Training of cover networks: it learns, it is repeatable, and a killed run goes on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aqgeo.models  # noqa: F401

torch = pytest.importorskip("torch")
from aqgeo.datasets.cover import Samples  # noqa: E402
from aqgeo.errors import EstimateError  # noqa: E402
from aqgeo.training import classification  # noqa: E402
from aqgeo.training.classification import Settings, fit  # noqa: E402

SETTINGS = Settings(epochs=3, batch=8, head=4, rate=3e-3, dropout=0.1)


def samples(count: int, seed: int) -> Samples:
    """Grey squares; the brighter, the more cloud."""
    rng = np.random.default_rng(seed)
    cover = rng.choice([5, 30, 60, 95], count).astype("float32")
    values = rng.normal(0, 0.02, (count, 1, 32, 32)) + cover[:, None, None, None] / 100
    return Samples(values.astype("float16"), cover, tuple(map(str, range(count))))


class Small(torch.nn.Module):  # type: ignore[misc,name-defined]
    """As a cover network from outside, and quick."""

    bands = ("B02",)

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Conv2d(1, 8, 4, stride=4)
        self.norm = torch.nn.BatchNorm2d(8)
        self.head = torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(8, 5))

    def forward(self, x: Any) -> Any:
        told = self.head(self.norm(self.net(x)).relu().mean((2, 3)))
        return told[:, :-1], torch.sigmoid(told[:, -1])


def network(seed: int = 0) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Small()


TRAIN, JUDGE = samples(24, 0), samples(12, 1)


def state(net: Any) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_same_seed_gives_the_same_weights_and_leaves_others_draws_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, second, third = network(), network(), network()
    rows = fit(first, TRAIN, JUDGE, SETTINGS)
    assert torch.equal(torch.rand(3), expected)
    assert rows == fit(second, TRAIN, JUDGE, SETTINGS)
    assert same(state(first), state(second))
    fit(third, TRAIN, JUDGE, replace(SETTINGS, seed=1))
    assert not same(state(first), state(third))


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_run_that_was_killed_ends_as_if_it_had_not_been(optimiser: Any, tmp_path: Path) -> None:
    settings = replace(SETTINGS, optimiser=optimiser, rate=1e-2)
    whole = network()
    expected = fit(whole, TRAIN, JUDGE, settings)

    class Killed(Exception):
        pass

    def kill(epoch: int, score: float) -> None:
        if epoch == 2:
            raise Killed

    keep = tmp_path / "run.safetensors"
    with pytest.raises(Killed):
        fit(network(), TRAIN, JUDGE, settings, keep=keep, report=kill)
    taken_up = network(seed=5)
    assert fit(taken_up, TRAIN, JUDGE, settings, keep=keep) == expected
    assert same(state(taken_up), state(whole))
    with pytest.raises(EstimateError, match="other settings"):
        fit(network(), TRAIN, JUDGE, replace(settings, rate=0.5), keep=keep)
    keep.write_bytes(b"nothing")
    with pytest.raises(EstimateError, match="no state of a run"):
        fit(network(), TRAIN, JUDGE, settings, keep=keep)


def test_training_stops_early_and_keeps_the_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.2, 0.9, 0.5, 0.4, 0.3])
    seen: list[dict[str, Any]] = []

    def judge(net: Any, *_: Any) -> dict[str, float]:
        seen.append(state(net))
        return {"validation_loss": 1.0, "f1": next(scores), "mae": 0.0}

    monkeypatch.setattr(classification, "_judge", judge)
    net = network()
    rows = fit(net, TRAIN, JUDGE, replace(SETTINGS, epochs=5, patience=2))
    assert [row["f1"] for row in rows] == [0.2, 0.9, 0.5, 0.4]
    assert same(state(net), seen[1])


def test_it_learns_what_a_child_sees() -> None:
    net = network()
    settings = replace(SETTINGS, epochs=25, patience=25, strength=0.1, rate=3e-2)
    rows = fit(net, samples(64, 2), JUDGE, settings)
    assert max(row["f1"] for row in rows) > 0.6
    assert min(row["mae"] for row in rows) < 15


def test_a_loss_that_is_not_finite_stops_with_a_word() -> None:
    broken = network()
    with torch.no_grad():
        broken.head[1].weight.fill_(float("nan"))
    with pytest.raises(EstimateError, match="lower the learning rate"):
        fit(broken, TRAIN, JUDGE, SETTINGS)


def test_rare_classes_weigh_more_and_absent_ones_nothing() -> None:
    weights = classification._class_weights(np.array([0] * 16 + [1] * 4 + [3]))
    assert weights[2] == 0
    assert weights[3] / weights[0] == pytest.approx(4)
    assert weights[1] / weights[0] == pytest.approx(2)

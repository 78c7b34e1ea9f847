"""A training run: it goes on where it was stopped, and ends with its best epoch."""

import json
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from aqgeo.training import fit

BATCHES: DataLoader[Any] = DataLoader(TensorDataset(torch.ones(4, 1)), batch_size=2)


class Counter(lightning.LightningModule):
    """Its weight counts the epochs that it has learned in; scores are told beforehand."""

    def __init__(self, scores: list[float], stop: int | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.scores, self.stop, self.begun = scores, stop, []

    def on_train_epoch_start(self) -> None:
        if self.current_epoch == self.stop:
            raise RuntimeError("stopped")
        self.begun.append(self.current_epoch)

    def training_step(self, batch: Any, number: int) -> torch.Tensor:
        return -self.weight / len(BATCHES)

    def validation_step(self, batch: Any, number: int) -> None:
        self.log("score", self.scores[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1.0)


def run(folder: Path, module: Counter, **told: Any) -> dict[str, float]:
    settings = fit.Settings(epochs=len(module.scores), **told)
    return fit.fit(module, BATCHES, BATCHES, folder, settings, watch="score")


def test_a_stopped_run_goes_on_after_its_last_epoch_though_an_earlier_one_was_better(
    tmp_path: Path,
) -> None:
    scores = [0.9, 0.2, 0.3, 0.1, 0.4]
    with pytest.raises(RuntimeError, match="stopped"):
        run(tmp_path, Counter(scores, stop=3))
    again = Counter(scores)
    best = run(tmp_path, again)
    assert again.begun == [3, 4]
    assert (best["epoch"], best["score"]) == (0, pytest.approx(0.9))
    assert float(again.weight.detach()) == 1, "the weights of the first epoch"
    rows = json.loads((tmp_path / fit.METRICS).read_text("utf-8"))
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("patience", "epochs"), [(None, 5), (2, 3)])
def test_a_run_stops_early_only_if_asked(patience: int | None, epochs: int, tmp_path: Path) -> None:
    module = Counter([0.9, 0.2, 0.3, 0.1, 0.95])
    run(tmp_path, module, patience=patience)
    assert len(module.begun) == epochs

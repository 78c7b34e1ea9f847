"""Training of cover networks: one plain loop that a killed run takes up where it was."""

import logging
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from sklearn.metrics import f1_score
from torch import Tensor, nn

from aqgeo import cover
from aqgeo.datasets.cover import Samples
from aqgeo.errors import EstimateError
from aqgeo.models.cover import CoverNet, predict
from aqgeo.training import classification_state as state

log = logging.getLogger(__name__)
_CLASSES = len(cover.NAMES)
# Weight of the cover's error (Huber's, of shares) beside the classes' cross entropy: with it, both
# are about as large after the first epochs.
_COVER_WEIGHT = 4.0
_LONGEST_STEP = 5.0


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Settings:
    """How a network is trained; what a study varies stands first."""

    optimiser: Literal["adamw", "sgd"] = "adamw"
    """Stochastic gradient descent has a momentum of 0.9."""
    rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """Learning rate at its highest."""
    decay: Annotated[float, Field(ge=0, le=1)] = 1e-4
    """Weight decay."""
    strength: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Strength of augmentation: gain, offset, noise; flips and turns are always made."""
    head: Annotated[int, Field(ge=0, le=2048)] = 128
    """Width of the network's layer before the last."""
    dropout: Annotated[float, Field(ge=0, le=0.9)] = 0.2
    """Share of the features left out."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 20
    """Epochs at most."""
    patience: Annotated[int, Field(ge=1)] = 6
    """Epochs without a better one after which training stops."""
    batch: Annotated[int, Field(ge=2, le=4096)] = 32
    """Samples of a step."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Another seed, other weights and order."""


def fit(
    network: CoverNet,
    train: Samples,
    validation: Samples,
    settings: Settings,
    *,
    keep: Path | None = None,
    report: Callable[[int, float], None] | None = None,
) -> list[dict[str, float]]:
    """Train a network in place; it ends with the weights of its best epoch.

    The best epoch has the highest macro F1 on validation, the mean over the classes that are there;
    of equals, the lowest loss. Classes count by the inverse root of their number.
    The same input and seed give the same weights on one machine with the same number of threads.

    Args:
        network: to be trained, of `settings.head` and `settings.dropout`.
        train: what it learns from.
        validation: what chooses the epoch.
        settings: how.
        keep: file of the run's state, written after every epoch; a run that finds one goes on.
        report: called after each epoch with its number and macro F1.

    Returns:
        A row for each epoch: `epoch`, `loss`, `validation_loss`, `f1`, `mae` (percent).

    Raises:
        EstimateError: the loss is not finite, or `keep` is of another run.
    """
    optimiser = _optimiser(network, settings)
    run = state.Run()
    about = {**asdict(settings), "samples": len(train.ids), "bands": list(network.bands)}
    if keep is not None and keep.is_file():
        run = state.load(keep, network, optimiser, about)
        log.info("%s: training goes on after epoch %d", keep, len(run.rows))
    weights = _class_weights(train.classes)
    with torch.random.fork_rng(devices=[]):
        for epoch in range(len(run.rows), settings.epochs):
            if run.stale >= settings.patience:
                break
            # From the seed and the epoch alone: a run that is taken up draws the same.
            torch.manual_seed(settings.seed * 100_003 + epoch)
            for group in optimiser.param_groups:
                group["lr"] = settings.rate * _share_of_rate(epoch, settings.epochs)
            loss = _epoch(network, optimiser, train, weights, settings)
            row = {"epoch": float(epoch), "loss": loss, **_judge(network, validation, weights)}
            run.add(row, network)
            if report is not None:
                report(epoch, row["f1"])
            if keep is not None:
                state.save(keep, network, optimiser, run, about)
    network.load_state_dict(run.best)
    network.eval()
    return run.rows


def _optimiser(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(
            network.parameters(), lr=settings.rate, weight_decay=settings.decay
        )
    return torch.optim.SGD(
        network.parameters(), lr=settings.rate, weight_decay=settings.decay, momentum=0.9
    )


def _share_of_rate(epoch: int, epochs: int) -> float:
    """Return 1 falling to nearly 0 along a cosine."""
    return 0.5 * (1 + math.cos(math.pi * epoch / epochs))


def _class_weights(classes: np.ndarray) -> Tensor:
    counts = np.bincount(classes, minlength=_CLASSES)
    weights = np.where(counts > 0, 1 / np.sqrt(np.maximum(counts, 1)), 0.0)
    return torch.from_numpy(weights * counts.sum() / (weights * counts).sum()).float()


def _epoch(
    network: CoverNet,
    optimiser: torch.optim.Optimizer,
    train: Samples,
    weights: Tensor,
    settings: Settings,
) -> float:
    network.train()
    order = torch.randperm(len(train.ids)).numpy()
    # A last step of one sample would leave batch normalisation without a variance.
    starts = [s for s in range(0, len(order), settings.batch) if len(order) - s > 1]
    total = 0.0
    for start in starts:
        here = order[start : start + settings.batch]
        x = _augment(torch.from_numpy(train.values[here]).float(), settings.strength)
        loss = _loss(network(x), train, here, weights)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), _LONGEST_STEP)
        optimiser.step()
        total += float(loss.detach())
    mean = total / max(len(starts), 1)
    if not starts or not math.isfinite(mean):
        raise EstimateError(
            f"the loss of {len(order)} samples is {mean}: lower the learning rate {settings.rate}, "
            "or give more samples"
        )
    return mean


def _loss(told: tuple[Tensor, Tensor], of: Samples, here: np.ndarray, weights: Tensor) -> Tensor:
    classes, shares = torch.from_numpy(of.classes[here]), torch.from_numpy(of.cover[here] / 100)
    entropy = nn.functional.cross_entropy(told[0], classes, weight=weights)
    return entropy + _COVER_WEIGHT * nn.functional.smooth_l1_loss(told[1], shares, beta=0.1)


def _augment(x: Tensor, strength: float) -> Tensor:
    """Return samples flipped, turned, and with another gain, offset and noise each."""
    b = len(x)
    if torch.rand(()) < 0.5:
        x = x.flip(3)
    x = torch.rot90(x, int(torch.randint(4, ())), (2, 3))
    if not strength:
        return x
    band = b, x.shape[1], 1, 1
    gain = 1 + strength * (0.2 * torch.randn(b, 1, 1, 1) + 0.05 * torch.randn(band))
    offset = strength * 0.02 * torch.randn(band)
    return x * gain + offset + strength * 0.01 * torch.randn_like(x)


def _judge(network: CoverNet, validation: Samples, weights: Tensor) -> dict[str, float]:
    probabilities, found = predict(network, validation.values)
    classes = validation.classes
    log_p = torch.from_numpy(np.log(np.maximum(probabilities, 1e-12))).float()
    loss = nn.functional.nll_loss(log_p, torch.from_numpy(classes), weight=weights)
    chosen = probabilities.argmax(1)
    present = np.unique(classes).tolist()
    f1 = f1_score(classes, chosen, labels=present, average="macro", zero_division=0)
    mae = np.abs(cover.within(found, chosen) - validation.cover).mean()
    return {"validation_loss": float(loss), "f1": float(f1), "mae": float(mae)}

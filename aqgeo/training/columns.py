"""Training of super-resolution on NO2 columns: scenes averaged, turned and half blindfolded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from aqgeo.datasets import column_scenes
from aqgeo.datasets.column_scenes import Scene, Scenes
from aqgeo.models import conserve

WATCH = "gain"
Batch = tuple[Tensor, Tensor, Tensor]
# One-sigma of a normal distribution.
_WITHIN = 0.6827


@dataclass(frozen=True, slots=True)
class Settings:
    """How scenes become batches, and batches a step."""

    cells: int = 18
    """Cells along one side of a patch."""
    batch: int = 8
    """Patches in a batch."""
    steps: int = 100
    """Batches in an epoch."""
    learning_rate: float = 1e-3
    """Largest learning rate of Adam."""
    absent: float = 0.25
    """Chance that a covariate is withheld; half as often all are."""
    scale_umol: float = 10.0
    """Errors count relative to a scene's spread and this, umol m-2."""
    conserve: bool = True
    """Whether every cell keeps its mean, in training and after."""
    kernel: Literal["footprint", "box"] = "footprint"
    """How cells are measured: as they were, or as block means of the truth with the same noise."""


def arrays(scene: Scene, network: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return what a network is given of a scene, and the cells: (band, Y, X) and (y, x).

    Args:
        scene: a scene.
        network: names its `bands` in order, of which the scene may lack some, and its `guesses`.
    """
    factor = scene.truth.shape[0] // scene.column.shape[0]
    cells = torch.from_numpy(np.stack([scene.column, scene.sigma]).astype("float64"))
    known = {
        "no2_column": conserve.interpolate(cells[:1], factor)[0].numpy(),
        "no2_column_sigma": conserve.repeat(cells[1:], factor)[0].numpy(),
        **scene.covariates,
    }
    for name in network.guesses & scene.covariates.keys():
        guess = torch.from_numpy(scene.covariates[name].astype("float64") * 1e6)[None]
        known[name] = conserve.guess(guess, 1e6 * cells[:1], factor)[0].numpy() / 1e6
    absent = np.full(scene.truth.shape, np.nan)
    given = [known.get(band, absent) for band in network.bands]
    return np.stack(given).astype("float32"), scene.column


class Patches(Dataset[Batch]):
    """Random patches of random means; item n of epoch e is the same whoever reads it."""

    def __init__(self, scenes: Sequence[Scenes], network: Any, settings: Settings, seed: int):
        """Keep the scenes."""
        self.scenes, self.network, self.settings = list(scenes), network, settings
        self.seed, self.epoch = seed, 0

    def __len__(self) -> int:
        """Return the patches of an epoch."""
        return self.settings.steps * self.settings.batch

    def __getitem__(self, number: int) -> Batch:
        """Return (band, Y, X) what is given, (y, x) cells, (Y, X) truth."""
        rng = np.random.default_rng([self.seed, self.epoch, number])
        while True:
            scenes = self.scenes[int(rng.integers(len(self.scenes)))]
            scene = _turned(_drawn(scenes, self.settings.cells, rng), rng)
            if np.isfinite(scene.column).mean() > 0.2:
                break
        if self.settings.kernel == "box":
            scene = _boxed(scene, rng)
        given, cells = arrays(_blindfolded(scene, self.settings.absent, rng), self.network)
        return torch.from_numpy(given), torch.from_numpy(cells), torch.from_numpy(scene.truth)


class Whole(Dataset[Batch]):
    """Scenes as they are judged: single overpasses of real series, else all of a place."""

    def __init__(self, scenes: Sequence[Scenes], network: Any, *, known: bool):
        """Average the scenes, of what is retrieved or of what is measured with noise alone."""
        self.scenes = [one for part in scenes for one in judged(part, known=known)]
        self.network = network

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self.scenes)

    def __getitem__(self, number: int) -> Batch:
        """Return (band, Y, X) what is given, (y, x) cells, (Y, X) truth."""
        given, cells = arrays(self.scenes[number], self.network)
        return (
            torch.from_numpy(given),
            torch.from_numpy(cells),
            torch.from_numpy(self.scenes[number].truth),
        )


def judged(scenes: Scenes, *, known: bool = False, single: bool = False) -> list[Scene]:
    """Return what networks are judged on: days of a real series; of a place the mean of all days.

    Args:
        scenes: of a place or of a part of a series.
        known: take what is measured with noise alone.
        single: every overpass of a place instead of their mean.
    """
    count = len(scenes.column)
    apart = single or not scenes.simulated
    chosen = [np.array([n]) for n in range(count)] if apart else [np.arange(count)]
    means = [column_scenes.mean(scenes, one, known=known) for one in chosen]
    return [one for one in means if np.isfinite(one.column).any()]


class Downscaling(lightning.LightningModule):
    """Owns loss and optimiser of a network that makes columns finer."""

    def __init__(self, network: Any, settings: Settings):
        """Take the network to train."""
        super().__init__()
        self.network, self.settings = network, settings
        self.losses: list[float] = []
        self.squares = np.zeros(2)

    def on_train_epoch_start(self) -> None:
        """Tell the data which epoch it is."""
        loader: Any = self.trainer.train_dataloader
        loader.dataset.epoch = self.current_epoch

    def estimate(self, given: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Return column and sigma (b, Y, X), umol m-2."""
        found, sigma = (1e6 * self.network(given)).unbind(1)
        if self.settings.conserve:
            found = conserve.conserve(found, 1e6 * cells, self.network.factor)
        return found, sigma

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the squared error relative to the scene's spread, with the likelihood of sigma."""
        given, cells, truth = batch
        found, sigma = self.estimate(given, cells)
        seen = torch.isfinite(found) & torch.isfinite(truth)
        true = torch.where(seen, truth * 1e6, 0)
        count = seen.sum((1, 2)).clamp(min=1)
        mean = true.sum((1, 2)) / count
        spread = ((true - mean[:, None, None]).square() * seen).sum((1, 2)) / count
        error = torch.where(seen, found - true, 0)
        relative = error.square() / (spread + self.settings.scale_umol**2)[:, None, None]
        doubt = (error.detach() / sigma).square() / 2 + sigma.log()
        loss: Tensor = relative.sum() / seen.sum() + 0.05 * (doubt * seen).sum() / seen.sum()
        self.losses.append(float(loss.detach()))
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Add up squared errors of the network and of the interpolation that it begins with."""
        given, cells, truth = batch
        for k, field in enumerate((self.estimate(given, cells)[0], given[:, 0] * 1e6)):
            off = (field - truth * 1e6)[torch.isfinite(field) & torch.isfinite(truth)]
            self.squares[k] += float(off.square().sum())

    def on_validation_epoch_end(self) -> None:
        """Log by which share the root mean squared error is below the interpolation's."""
        self.log(WATCH, float(1 - np.sqrt(self.squares[0] / self.squares[1])))
        self.squares[:] = 0
        if self.losses:
            self.log("loss", float(np.mean(self.losses)))
            self.losses.clear()

    def configure_optimizers(self) -> Any:
        """Return AdamW with one cycle of learning rates."""
        rate = self.settings.learning_rate
        optimiser = torch.optim.AdamW(self.network.parameters(), rate, weight_decay=1e-3)
        steps = int(self.trainer.estimated_stepping_batches)
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, rate, total_steps=steps, pct_start=0.1
        )
        return [optimiser], [{"scheduler": cycle, "interval": "step"}]


def loaders(
    learn: Sequence[Scenes],
    judge: Sequence[Scenes],
    network: Any,
    settings: Settings,
    *,
    seed: int = 0,
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Return the batches to learn from and to judge by.

    Args:
        learn: scenes to learn from.
        judge: others.
        network: whose input they are.
        settings: how scenes become batches.
        seed: of the draw.
    """
    patches = Patches(learn, network, settings, seed)
    return DataLoader(patches, settings.batch), DataLoader(Whole(judge, network, known=True), 1)


def calibrate(task: Downscaling, judge: Sequence[Scenes]) -> float:
    """Scale sigma so that 68 % of the errors on some scenes lie within it; return the scale.

    Columns are those retrieved, with all their errors: those are what sigma is asked for.
    """
    ratios = []
    with torch.inference_mode():
        for given, cells, truth in DataLoader(Whole(judge, task.network, known=False), 1):
            found, sigma = task.estimate(given, cells)
            ratio = (found - truth * 1e6).abs() / sigma
            ratios.append(ratio[torch.isfinite(ratio)])
    scale = torch.quantile(torch.cat(ratios)[:: max(1, sum(map(len, ratios)) // 2**23)], _WITHIN)
    task.network.temperature.mul_(scale)
    return float(scale)


def _drawn(scenes: Scenes, cells: int, rng: np.random.Generator) -> Scene:
    """Return the mean of some overpasses over a part; a real series has single days."""
    count = len(scenes.column)
    many = int(rng.integers(1, count + 1)) if scenes.simulated and rng.random() < 0.8 else 1
    shape = scenes.column.shape[1:]
    corner = [int(rng.integers(0, max(n - cells, 0) + 1)) for n in shape]
    part = column_scenes.cut(scenes, corner, cells)
    # Half with noise alone: errors of the air mass factor teach nothing of what is finer.
    known = rng.random() < 0.5
    return column_scenes.mean(part, rng.choice(count, many, replace=False), known=known)


def _turned(scene: Scene, rng: np.random.Generator) -> Scene:
    """Turn by quarters, mirror east and west; the wind turns along. Square patches alone turn."""
    square = scene.column.shape[0] == scene.column.shape[1]
    turns, mirrored = (int(rng.integers(4)) if square else 0), rng.random() < 0.5

    def moved(values: np.ndarray) -> np.ndarray:
        values = np.rot90(values, turns)
        return np.ascontiguousarray(values[:, ::-1] if mirrored else values)

    more = {name: moved(values) for name, values in scene.covariates.items()}
    if "wind_u" in more:
        u, v = more["wind_u"], more["wind_v"]
        for _ in range(turns):
            u, v = -v, u
        more |= {"wind_u": -u if mirrored else u, "wind_v": v}
    return Scene(moved(scene.column), moved(scene.sigma), moved(scene.truth), more)


def _boxed(scene: Scene, rng: np.random.Generator) -> Scene:
    """Return a scene whose cells are block means of the truth, with as much noise as is told."""
    factor = scene.truth.shape[0] // scene.column.shape[0]
    box = conserve.block_mean(torch.from_numpy(scene.truth)[None], factor)[0].numpy()
    noise = rng.normal(size=box.shape) * np.nan_to_num(scene.sigma, nan=8e-6)
    column = np.where(np.isfinite(scene.column), box + noise, np.nan).astype("float32")
    return Scene(column, scene.sigma, scene.truth, scene.covariates)


def _blindfolded(scene: Scene, absent: float, rng: np.random.Generator) -> Scene:
    """Return a scene without some of its covariates."""
    every = rng.random() < absent / 2
    kept = {n: v for n, v in scene.covariates.items() if not every and rng.random() >= absent}
    return Scene(scene.column, scene.sigma, scene.truth, kept)

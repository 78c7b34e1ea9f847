"""Training of super-resolution on pictures, made coarse by the protocol they are judged by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from aqgeo.datasets import pictures
from aqgeo.errors import SourceError

WATCH = "psnr"
# Pixels of the coarse picture along its shorter side, so that some lie off the edges.
_LEAST = 3


@dataclass(frozen=True, slots=True)
class Settings:
    """How pictures become batches, and batches a step."""

    crop: int = 96
    """Rows and columns of a patch."""
    batch: int = 16
    """Patches in a batch."""
    steps: int = 500
    """Batches in an epoch."""
    sizes: tuple[float, ...] = (1.0, 0.9, 0.8, 0.7, 0.6)
    """Sizes to which pictures are brought before they are degraded."""
    learning_rate: float = 1e-3
    """Largest learning rate of Adam."""
    perceptual: float = 0.0
    """Weight of features in the loss, beside a weight of 1 for pixels."""
    adversarial: float = 0.0
    """Weight of a critic in the loss; 0 trains without one."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture, and what the network is given of it."""

    given: np.ndarray
    """(y, x) float32 luminance, 0 to 1: degraded, `scale` times fewer rows and columns."""
    fine: np.ndarray
    """(y, x) float32 luminance, 0 to 1."""


def pair(luminance: np.ndarray, factor: int, scale: int = 1) -> Pair:
    """Return a picture with what a network is given of it.

    Args:
        luminance: (y, x), 0 to 255.
        factor: how many times coarser it is made.
        scale: how many times the network itself enlarges: 1, or the factor.

    Raises:
        SourceError: the picture is too small.
    """
    if min(luminance.shape) < _LEAST * factor:
        raise SourceError(
            f"a picture of {luminance.shape} pixels cannot be learnt from {factor} times coarser: "
            f"take it out, {_LEAST * factor} a side are needed"
        )
    fine = pictures.modcrop(luminance, factor) / 255
    make = pictures.degrade if scale == 1 else pictures.shrink
    return Pair(make(fine, factor).astype("float32"), fine.astype("float32"))


class Patches(Dataset[tuple[Tensor, Tensor]]):
    """Random patches, turned and mirrored: item n of epoch e is the same whoever reads it."""

    def __init__(
        self,
        luminances: Sequence[np.ndarray],
        factor: int,
        settings: Settings,
        *,
        seed: int,
        scale: int = 1,
    ):
        """Degrade each picture in each of its sizes.

        Raises:
            SourceError: none is large enough.
        """
        self.settings, self.seed, self.scale, self.epoch = settings, seed, scale, 0
        self.pairs = [
            pair(_sized(values, size), factor, scale)
            for values in luminances
            for size in settings.sizes
            if min(values.shape) * size >= settings.crop + factor
        ]
        if not self.pairs:
            raise SourceError(
                f"no picture has {settings.crop + factor} pixels a side: give larger ones, or a "
                "recipe with a smaller crop"
            )
        area = np.array([one.fine.size for one in self.pairs], "float64")
        self.shares = area / area.sum()

    def __len__(self) -> int:
        """Return the patches of an epoch."""
        return self.settings.steps * self.settings.batch

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Return (1, crop / scale, crop / scale) that is given, (1, crop, crop) that is wanted."""
        rng = np.random.default_rng([self.seed, self.epoch, number])
        one = self.pairs[int(rng.choice(len(self.pairs), p=self.shares))]
        size = self.settings.crop // self.scale
        top, left = (int(rng.integers(0, n - size + 1)) for n in one.given.shape)
        turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
        cut = []
        for values, n in ((one.given, 1), (one.fine, self.scale)):
            rows, cols = (slice(n * start, n * (start + size)) for start in (top, left))
            patch = np.rot90(values[rows, cols], turns)
            patch = patch[:, ::-1] if mirrored else patch
            cut.append(torch.from_numpy(np.ascontiguousarray(patch)[None]))
        return cut[0], cut[1]


class Whole(Dataset[tuple[Tensor, Tensor]]):
    """Whole pictures, for validation."""

    def __init__(self, luminances: Sequence[np.ndarray], factor: int, scale: int = 1):
        """Degrade each picture."""
        self.pairs = [pair(values, factor, scale) for values in luminances]

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.pairs)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Return (1, y / scale, x / scale) that is given, and (1, y, x) that is wanted."""
        one = self.pairs[number]
        return torch.from_numpy(one.given[None]), torch.from_numpy(one.fine[None])


class SuperResolution(lightning.LightningModule):
    """Owns loss and optimiser of a network that sharpens luminance."""

    def __init__(self, network: Any, settings: Settings):
        """Take the network to train."""
        super().__init__()
        # What convolutions on CPUs are fastest with.
        self.network = network.to(memory_format=torch.channels_last)
        self.settings = settings
        self.losses: list[float] = []

    def on_train_epoch_start(self) -> None:
        """Tell the data which epoch it is."""
        loader: Any = self.trainer.train_dataloader
        loader.dataset.epoch = self.current_epoch

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Return the mean squared error away from the patch's edge."""
        given, fine = batch
        inner = tuple(slice(self.network.rim, n - self.network.rim) for n in given.shape[2:])
        rim = self.network.rim * self.network.scale
        wanted = fine[..., rim : fine.shape[2] - rim, rim : fine.shape[3] - rim]
        loss = torch.nn.functional.mse_loss(self.network(given, inner), wanted)
        self.losses.append(float(loss.detach()))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Log the ratio of peak to error of one picture, dB."""
        given, fine = batch
        rim = self.network.factor
        error = (self.network(given).clamp(0, 1) - fine)[..., rim:-rim, rim:-rim]
        psnr = -10 * torch.log10(error.square().mean())
        self.log(WATCH, psnr, batch_size=1, on_epoch=True, sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Log the loss of the epoch before."""
        if self.losses:
            self.log("loss", float(np.mean(self.losses)))
            self.losses.clear()

    def configure_optimizers(self) -> Any:
        """Return Adam with one cycle of learning rates."""
        optimiser = torch.optim.Adam(self.network.parameters())
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            self.settings.learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=0.05,
        )
        return [optimiser], [{"scheduler": cycle, "interval": "step"}]


def loaders(
    train: Sequence[np.ndarray],
    validation: Sequence[np.ndarray],
    network: Any,
    settings: Settings,
    *,
    seed: int = 0,
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Return the batches to learn from and to judge by.

    Args:
        train: (y, x) luminance of pictures, 0 to 255.
        validation: the same of other pictures.
        network: whose `factor` says how many times coarser its input is.
        settings: how pictures become batches.
        seed: of the draw.
    """
    factor, scale = network.factor, network.scale
    patches = Patches(train, factor, settings, seed=seed, scale=scale)
    return DataLoader(patches, settings.batch), DataLoader(Whole(validation, factor, scale), 1)


def _sized(values: np.ndarray, size: float) -> np.ndarray:
    if size == 1:
        return values
    shape = round(values.shape[0] * size), round(values.shape[1] * size)
    return np.asarray(np.clip(np.rint(pictures.resize(values, shape)), 0, 255))

"""Training of the cloud network on images of any origin."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from aqgeo.datasets import labelled
from aqgeo.datasets.labelled import Image
from aqgeo.models.unet import CloudUNet
from aqgeo.training import augment
from aqgeo.training.losses import EITHER, IGNORED, NEITHER, CloudLoss, extended

CLASSES = ("clear", "thick", "thin", "shadow")
WATCH = "score"
# Weight of a batch in the mean that batch norms keep. Batches differ in their bands: with the usual
# .1 that mean follows the last few.
_MOMENTUM = 0.02
# Images that judge an epoch, evenly taken, so that judging is short beside learning.
_JUDGES = 36
# Large images that take long to decode and come in every epoch.
_REMEMBERED = 16


@dataclass(frozen=True, slots=True)
class Settings:
    """How images become batches, and batches a step."""

    crop: int = 256
    """Rows and columns of a training patch."""
    crops: int = 4
    """Patches of an image, once it is read."""
    images: int = 4
    """Images in a batch."""
    steps: int = 100
    """Batches in an epoch."""
    weak_share: float = 0.4
    """Share of weakly labelled images, where there are any and others too."""
    trust: dict[str, float] = field(
        default_factory=lambda: {"human": 1.0, "simulated": 1.0, "weak": 0.5}
    )
    """Weight of a label by who made it."""
    coarser: float = 0.3
    """Share of patches on pixels twice as large."""
    learning_rate: float = 2e-3
    """Largest learning rate of AdamW."""
    weight_decay: float = 0.02
    """Weight decay of AdamW."""
    strength: augment.Strength = field(default_factory=augment.Strength)
    """How far images are changed."""


class Patches(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Random patches: item n of epoch e is the same whoever reads it, in any order."""

    def __init__(
        self, images: Sequence[Image], bands: Sequence[str], settings: Settings, seed: int
    ):
        """Take the images to draw from."""
        self.images, self.bands, self.settings, self.seed = images, bands, settings, seed
        self.epoch = 0
        weak = np.array([image.kind == "weak" for image in images])
        share = settings.weak_share if weak.any() and not weak.all() else weak.mean()
        self.weights = np.where(
            weak, share / max(weak.sum(), 1), (1 - share) / max((~weak).sum(), 1)
        )

    def __len__(self) -> int:
        """Return the images of an epoch, not of the set."""
        return self.settings.steps * self.settings.images

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return (n, band, h, w) reflectance, (n, h, w) labels, (n,) trust of one image."""
        rng = np.random.default_rng([self.seed, self.epoch, number])
        image = self.images[int(rng.choice(len(self.images), p=self.weights))]
        values, label = _read(image, tuple(self.bands))
        told = self.settings
        cut = []
        for _ in range(told.crops):
            factor = 2 if rng.random() < told.coarser else 1
            patch, codes = augment.crop(values, label, told.crop, factor, rng)
            patch = augment.change(patch, self.bands, told.strength, rng)
            augment.drop_bands(patch, self.bands, rng)
            codes[np.isnan(patch).all(axis=0)] = IGNORED
            cut.append((patch, codes))
        trust = torch.full((len(cut),), told.trust[image.kind])
        patches = torch.from_numpy(np.stack([patch for patch, _ in cut]))
        labels = torch.from_numpy(np.stack([codes for _, codes in cut]).astype("int64"))
        return patches, labels, trust


class Whole(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Whole images, with all their bands and with four of them, for validation."""

    def __init__(self, images: Sequence[Image], bands: Sequence[str], size: int = 384):
        """Take some of the images; each is cut to its upper left square."""
        self.images = images[:: -(-len(images) // _JUDGES)]
        self.bands, self.size = bands, size

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return (2, band, h, w) reflectance, (2, h, w) labels, (2,) trust of one image."""
        image = self.images[number]
        values, label = _read(image, tuple(self.bands))
        values, label = values[:, : self.size, : self.size], label[: self.size, : self.size]
        short = [(0, self.size - n) for n in label.shape]
        values = np.pad(values, ((0, 0), *short), constant_values=np.nan)
        label = np.pad(label, short, constant_values=IGNORED)
        four = values.copy()
        four[[band not in augment.FOUR for band in self.bands]] = np.nan
        codes = torch.from_numpy(np.stack([label, label]).astype("int64"))
        return torch.from_numpy(np.stack([values, four])), codes, torch.ones(2)


class CloudTask(lightning.LightningModule):
    """Owns loss and optimiser of a cloud network."""

    def __init__(self, network: CloudUNet, settings: Settings):
        """Take the network to train."""
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for part in network.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.momentum = _MOMENTUM
        self.settings = settings
        self.loss = CloudLoss()
        self.losses: list[float] = []
        self.counts = np.zeros((4, 4), "int64")
        self.cloud = np.zeros((2, 2), "int64")

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> Tensor:
        """Return the loss of a batch."""
        values, label, trust = batch
        found: Tensor = self.loss(self.network(_last(values)), label, trust)
        self.losses.append(float(found.detach()))
        return found

    def on_train_epoch_start(self) -> None:
        """Tell the data which epoch it is."""
        loader: Any = self.trainer.train_dataloader
        loader.dataset.epoch = self.current_epoch

    def on_validation_epoch_start(self) -> None:
        """Begin to count."""
        self.counts[:], self.cloud[:] = 0, 0

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> None:
        """Count true and found classes."""
        values, label, trust = batch
        logits = self.network(_last(values))
        self.log("val_loss", self.loss(logits, label, trust), batch_size=len(values))
        p = extended(logits).exp()
        found, cloudy = p[:, :4].argmax(1), p[:, EITHER] > 0.5
        fine = label < 4
        self.counts += _count(label[fine], found[fine], 4)
        known = label != IGNORED
        true = (label == 1) | (label == 2) | (label == EITHER)
        self.cloud += _count(true[known].long(), cloudy[known].long(), 2)

    def on_validation_epoch_end(self) -> None:
        """Log intersection over union of each class and of cloud."""
        if self.losses:
            self.log("loss", float(np.mean(self.losses)))
            self.losses.clear()
        each = _iou(self._of_all(self.counts))
        for name, value in zip(CLASSES, each, strict=True):
            self.log(f"iou_{name}", float(value))
        cloud = float(_iou(self._of_all(self.cloud))[1])
        self.log("iou_cloud", cloud)
        self.log(WATCH, (float(np.nanmean(each)) + cloud) / 2)

    def _of_all(self, counts: np.ndarray) -> np.ndarray:
        """Return the sum of the counts of all processes."""
        every: Any = self.all_gather(torch.from_numpy(counts).to(self.device))
        return np.asarray(every.reshape(-1, *counts.shape).sum(0).cpu())

    def configure_optimizers(self) -> Any:
        """Return AdamW with one cycle of learning rates over the run (Smith 2018)."""
        told = self.settings
        optimiser = torch.optim.AdamW(
            self.network.parameters(), told.learning_rate, weight_decay=told.weight_decay
        )
        total = int(self.trainer.estimated_stepping_batches)
        rate = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, told.learning_rate, total_steps=total, pct_start=0.15
        )
        return [optimiser], [{"scheduler": rate, "interval": "step"}]


def loaders(
    train: Sequence[Image],
    validation: Sequence[Image],
    bands: Sequence[str],
    settings: Settings,
    *,
    seed: int = 0,
    workers: int = 0,
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Return the batches to learn from and to judge by.

    Args:
        train: images to draw patches from.
        validation: other images, of other places or days.
        bands: names, in the network's order.
        settings: how images become batches.
        seed: of the draw.
        workers: processes that read, besides this one.
    """
    patches = Patches(train, bands, settings, seed)
    return (
        DataLoader(patches, settings.images, num_workers=workers, collate_fn=_collate),
        DataLoader(Whole(validation, bands), 4, num_workers=workers, collate_fn=_collate),
    )


def calibrate(network: CloudUNet, batches: DataLoader[Any]) -> float:
    """Set the network's temperature to the one with the least cross-entropy, and return it.

    Guo et al. 2017, arXiv:1706.04599.
    """
    network.eval()
    # Logits are those at temperature 1; a sample of pixels is enough for one number.
    network.temperature.fill_(1.0)
    kept, labels = [], []
    rng = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        for values, label, _ in batches:
            logits = network(_last(values)).permute(0, 2, 3, 1)
            known = label < 4
            some = torch.randperm(int(known.sum()), generator=rng)[:20_000]
            kept.append(logits[known][some])
            labels.append(label[known][some])
    logits, label = torch.cat(kept), torch.cat(labels)
    tried = torch.linspace(0.5, 3.0, 126)
    entropy = torch.stack([torch.nn.functional.cross_entropy(logits / t, label) for t in tried])
    best = float(tried[int(entropy.argmin())])
    network.temperature.fill_(best)
    return best


def told(settings: Settings) -> dict[str, Any]:
    """Return settings as plain values."""
    return asdict(settings)


def _read(image: Image, bands: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    values, label = _kept(image, bands) if image.kind == "weak" else labelled.read(image, bands)
    if image.kind == "weak":
        # Sen2Cor tells cloud from none better than thick from thin, or shadow from clear.
        table = np.full(256, IGNORED, "uint8")
        table[:4] = NEITHER, EITHER, EITHER, NEITHER
        label = table[label]
    return values, label


class _Key:
    """An image as a key of the cache: items of STAC cannot be hashed."""

    def __init__(self, image: Image) -> None:
        self.image = image

    def __hash__(self) -> int:
        return hash(self.image.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.image.id == self.image.id


def _kept(image: Image, bands: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    return _decoded(_Key(image), bands)


@lru_cache(maxsize=_REMEMBERED)
def _decoded(key: _Key, bands: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    return labelled.read(key.image, bands)


def _collate(items: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return tuple(torch.cat(parts) for parts in zip(*items, strict=True))


def _last(values: Tensor) -> Tensor:
    """Return the same values with channels last in memory, which is faster."""
    return values.contiguous(memory_format=torch.channels_last)


def _count(true: Tensor, found: Tensor, classes: int) -> np.ndarray:
    counts = torch.bincount(true * classes + found, minlength=classes**2)
    return counts.reshape(classes, classes).cpu().numpy()


def _iou(counts: np.ndarray) -> np.ndarray:
    hit = np.diag(counts)
    union = counts.sum(0) + counts.sum(1) - hit
    return np.where(union > 0, hit / np.maximum(union, 1), np.nan)

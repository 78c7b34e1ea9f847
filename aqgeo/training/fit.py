"""A training run: Lightning's loop with resume, early stop, curves and a folder that tells all."""

import json
import logging
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    RichProgressBar,
)
from matplotlib.figure import Figure
from torch.utils.data import DataLoader

from aqgeo.datasets import disk

log = logging.getLogger(__name__)
# It greets, and recommends services.
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
METRICS, CURVES, CONFIG = "metrics.json", "curves.png", "config.json"
_BEST, _LAST = "best", "last"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run goes."""

    epochs: int = 30
    """Epochs at most."""
    patience: int | None = None
    """Epochs without a better validation before it stops; it never does if None. Learning rates
    fall to the end of a run, where most is gained."""
    devices: int = 1
    """Graphics cards, or processes on the CPU."""
    precision: str = "32-true"
    """Lightning's name: `32-true`, `bf16-mixed`, `16-mixed`."""
    seed: int = 0
    """Seed of weights and of the order of data."""


class _Record(Callback):
    """Keeps every epoch's numbers in a file that a stopped run goes on with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / METRICS
        self.rows: list[dict[str, float]] = (
            json.loads(path.read_text("utf-8")) if path.is_file() else []
        )

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        row = {k: round(float(v), 6) for k, v in trainer.callback_metrics.items()}
        epoch = trainer.current_epoch
        self.rows = [old for old in self.rows if old["epoch"] < epoch] + [{"epoch": epoch, **row}]
        disk.save(self.folder / METRICS, (json.dumps(self.rows, indent=1) + "\n").encode())
        log.info("epoch %d: %s", epoch, ", ".join(f"{k} {v:.4f}" for k, v in row.items()))
        _draw(self.rows, self.folder / CURVES)


def fit(
    module: lightning.LightningModule,
    train: DataLoader[Any],
    validation: DataLoader[Any],
    folder: Path,
    settings: Settings,
    *,
    watch: str,
) -> dict[str, float]:
    """Train a module in place and leave its best weights in it.

    A run that was stopped goes on where its last whole epoch ended.

    Args:
        module: logs `watch` in validation; the higher, the better.
        train: batches to learn from.
        validation: batches to judge by; not what results are reported on.
        folder: of the run: config.json, metrics.json, curves.png.
        settings: how it goes.
        watch: name of the number that decides which epoch is the best.

    Returns:
        The numbers of the best epoch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    disk.save(folder / CONFIG, disk.as_json({**asdict(settings), "watch": watch}))
    record = _Record(folder)
    callbacks = [
        record,
        ModelCheckpoint(folder, _BEST, monitor=watch, mode="max", enable_version_counter=False),
        # Of every epoch: `save_last` keeps the last of the best.
        ModelCheckpoint(folder, _LAST, enable_version_counter=False),
        # stdout carries paths alone.
        RichProgressBar(console_kwargs={"stderr": True}),
    ]
    if settings.patience is not None:
        callbacks.append(EarlyStopping(watch, patience=settings.patience, mode="max"))
    trainer = lightning.Trainer(
        accelerator="auto",
        devices=settings.devices,
        precision=settings.precision,  # type: ignore[arg-type]
        max_epochs=settings.epochs,
        callbacks=callbacks,
        logger=False,
        # Modules of several optimisers clip their own.
        gradient_clip_val=1.0 if module.automatic_optimization else None,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    last = folder / f"{_LAST}.ckpt"
    resumed = str(last) if last.is_file() else None
    with warnings.catch_warnings():
        # It advises on workers and on folders that exist, which are the user's own choice.
        warnings.filterwarnings("ignore", module="lightning|torch")
        # A file of our own run; still, nothing but tensors and plain values is read from it.
        trainer.fit(module, train, validation, ckpt_path=resumed, weights_only=True)
    best = torch.load(folder / f"{_BEST}.ckpt", map_location="cpu", weights_only=True)
    module.load_state_dict(best["state_dict"])
    return max(record.rows, key=lambda row: row[watch])


def _draw(rows: list[dict[str, float]], path: Path) -> None:
    """Draw each number against the epoch, losses apart from scores."""
    names = [name for name in rows[-1] if name != "epoch"]
    losses = [name for name in names if "loss" in name]
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    for ax, shown, title in (
        (axes[0], losses, "Loss"),
        (axes[1], [n for n in names if n not in losses], "Validation"),
    ):
        for name in shown:
            ax.plot([r["epoch"] for r in rows], [r.get(name) for r in rows], label=name)
        ax.set(title=title, xlabel="epoch")
        ax.grid(alpha=0.3)
        if shown:
            ax.legend(frameon=False)
    aside = path.with_suffix(".part.png")
    figure.savefig(aside, dpi=100)
    aside.rename(path)

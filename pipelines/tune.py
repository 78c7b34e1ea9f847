"""Cover networks: settings searched for in a study, the best one trained and saved."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from aqgeo import cover
from aqgeo.datasets import disk
from aqgeo.datasets.cover import Samples, gather
from aqgeo.datasets.labelled import Image
from aqgeo.errors import EstimateError, ModelError, SourceError
from pipelines import cover_images, cover_network, cover_weights
from pipelines.cluster import report_bar
from pipelines.cover_images import Parts
from pipelines.cover_network import Asked
from pipelines.workspace import lock

log = logging.getLogger(__name__)
WEIGHTS, SUMMARY = "cover.safetensors", "study.json"
FIGURES = ("history.png", "importance.png", "slice.png", "contour.png")
_SCORE = "macro F1 on validation"
_STATE = ".run.safetensors"


def tune_cover(
    study: Path,
    data: Sequence[Path],
    asked: Asked,
    *,
    hold_out: Sequence[str] = (),
    validation: Sequence[str] = (),
    pretrained: str | None = None,
    out: Path | None = None,
) -> Path:
    """Search for settings, train with the best, and return the folder of results.

    A study that was stopped goes on; trials that it has count. The folder holds the four pictures
    of FIGURES, SUMMARY, and the checkpoint WEIGHTS.

    Args:
        study: SQLite file.
        data: folders in CloudSEN12's layout, or static STAC catalogs of Sentinel-2 L2A.
        asked: what the study is about.
        hold_out: `tile:33TWM` or `date:2023-08-10`, kept for testing.
        validation: the same for validation.
        pretrained: ImageNet weights to begin with, see `cover_weights.imagenet`.
        out: folder of results; beside the study if None.

    Raises:
        SourceError: there is nothing to train on or to validate with.
        ModelError: there is no such network, or the weights to begin with are of another.
        EstimateError: the file is no study or another one, or no trial succeeded.
    """
    _check(asked)
    out = out or study.with_name(f"{study.stem}-results")
    parts = cover_images.parts(data, asked.level, hold_out=hold_out, validation=validation)
    if not parts.train or not parts.validation:
        raise SourceError(
            f"{len(parts.train)} images to train on and {len(parts.validation)} to validate with "
            f"in {', '.join(map(str, data))}: give more folders, or name some by --validation"
        )
    with lock(study.absolute()):
        starts = {
            name: cover_weights.imagenet(pretrained, name, out / ".cache")
            for name in asked.networks
        }
        return _tuned(study, out, asked, parts, starts)


def summary(folder: Path) -> dict[str, Any]:
    """Return what a study's folder says of itself."""
    return dict(json.loads((folder / SUMMARY).read_text("utf-8")))


def _tuned(
    path: Path, out: Path, asked: Asked, parts: Parts, starts: dict[str, Path | None]
) -> Path:
    from aqgeo.training import tune
    from aqgeo.training.classification import Settings

    about = {
        **{k: v for k, v in asdict(asked).items() if k not in ("trials", "epochs")},
        "images": cover_images.digest([*parts.train, *parts.validation]),
        "pretrained": {name: start is not None for name, start in starts.items()},
    }
    tune.look(path)
    learn, judge = _samples(parts.train, asked, overlap=True), _samples(parts.validation, asked)
    log.info("%d samples to learn from, %d to validate with", len(learn.ids), len(judge.ids))
    base = Settings(epochs=asked.trial_epochs, batch=asked.batch, seed=asked.seed)
    for name in asked.networks:
        # Weights that do not fit are told before hours of trials.
        cover_network.build(name, base, asked, learn, starts)
    study = tune.open_study(path, json.loads(json.dumps(about)))

    def objective(name: str, settings: Settings) -> float:
        _, rows = cover_network.train(name, settings, asked, (learn, judge), starts)
        return max(row["f1"] for row in rows)

    with report_bar("Trials") as report:

        def done(trial: tune.Trial) -> None:
            told = "failed" if trial.score is None else f"{_SCORE} {trial.score:.3f}"
            log.info("trial %d: %s", trial.number, told)
            report(len(tune.trials(study)), asked.trials)

        tune.search(
            study, asked.trials, objective, networks=asked.networks, settings=base, done=done
        )
    out.mkdir(parents=True, exist_ok=True)
    _draw(study, out)
    name, settings = tune.best(study, base)
    settings = replace(settings, epochs=asked.epochs, patience=max(6, asked.epochs // 3))
    log.info("the best of %d trials is trained for %d epochs", asked.trials, asked.epochs)
    network, rows = cover_network.train(
        name, settings, asked, (learn, judge), starts, keep=out / f"{name}{_STATE}"
    )
    scores = max(rows, key=lambda row: (row["f1"], -row["validation_loss"]))
    cover_network.write(out / WEIGHTS, network, (name, settings), asked, parts, learn, scores)
    told = {
        "study": str(path.name),
        "about": about,
        "score": _SCORE,
        "trials": [asdict(trial) for trial in tune.trials(study)],
        "importance": tune.importance(study)[0],
        "best": {"network": name, **asdict(settings)},
        "epochs": rows,
        "samples": {
            "train": _counts(learn),
            "validation": _counts(judge),
            "images held out": len(parts.test),
        },
    }
    disk.save(out / SUMMARY, disk.as_json(told))
    (out / f"{name}{_STATE}").unlink(missing_ok=True)
    return out


def _samples(images: Sequence[Image], asked: Asked, *, overlap: bool = False) -> Samples:
    return gather(images, asked.bands, size=asked.size, cut=asked.cut, overlap=overlap)


def _draw(study: Any, out: Path) -> None:
    from aqgeo.products import study_figures as figures
    from aqgeo.training import tune

    points = [figures.Point(t.number, t.values, t.score) for t in tune.trials(study)]
    shares, why = tune.importance(study)
    drawn = {
        "history.png": figures.history(points, _SCORE),
        "importance.png": figures.importance(shares, why),
        "slice.png": figures.slices(points, _SCORE, tune.LOGS),
        "contour.png": figures.contour(points, _pair(shares), _SCORE, tune.LOGS),
    }
    for name, png in drawn.items():
        disk.save(out / name, png)


def _pair(shares: dict[str, float]) -> tuple[str, str]:
    """Return the two most important settings that are numbers."""
    numbers = [name for name in shares if name not in ("optimiser", "network", "head")]
    both = [*numbers, *(name for name in ("rate", "dropout") if name not in numbers)]
    return both[0], both[1]


def _counts(samples: Samples) -> dict[str, Any]:
    counts = np.bincount(samples.classes, minlength=len(cover.NAMES)).tolist()
    by_class = dict(zip(cover.NAMES, counts, strict=True))
    return {"n": len(samples.ids), "classes": by_class, "skipped": samples.skipped}


def _check(asked: Asked) -> None:
    """Refuse, before anything is read, what no training could be made of."""
    from aqgeo.models.cover import Network

    known = get_args(Network)
    if wrong := [name for name in asked.networks if name not in known]:
        raise ModelError(f"there is no network {wrong[0]!r}: choose of {', '.join(known)}")
    if asked.trials < 1:
        raise EstimateError(f"{asked.trials} trials: ask for at least one")

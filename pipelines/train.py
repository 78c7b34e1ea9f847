"""Training of networks from recipes: images in, a run folder with weights and scores out."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from aqgeo.catalog import Recipe
from aqgeo.datasets import disk, labelled
from aqgeo.datasets.cloudsen12_record import BANDS
from aqgeo.datasets.labelled import Image
from aqgeo.errors import CatalogError, ModelError, SourceError
from pipelines import labelled_sets
from pipelines.workspace import lock

log = logging.getLogger(__name__)
WEIGHTS, SCORES = "weights.safetensors", "scores.json"
# Images that statistics are taken from.
_SAMPLE = 120
_SIMULATED = "simulated by this project"
_WEAK = "contains modified Copernicus Sentinel data; weak labels: Sen2Cor's scene classification"
_HUMAN = "CloudSEN12 layout, human labels: licence as its publisher states"


def train_clouds(
    folder: Path,
    recipe: Recipe,
    *,
    data: Sequence[Path],
    hold_out: Sequence[str] = (),
    start: Path | None = None,
    run: dict[str, Any] | None = None,
    workers: int = 0,
) -> Path:
    """Train a cloud network and return its weights; a run that was stopped goes on.

    Images of the split `validation` decide which epoch is the best and how logits are scaled; those
    of `test`, and what is held out, are never looked at.

    Args:
        folder: of the run: config.json, metrics.json, curves.png, weights.safetensors, scores.json.
        recipe: what is trained, and how.
        data: folders of labelled images.
        hold_out: `tile:NAME` or `date:YYYY-MM-DD`, kept from training.
        start: weights to begin with; bands that it knows keep what it has learned.
        run: settings of the run that differ from the recipe's.
        workers: processes that read images, besides this one.

    Raises:
        SourceError: there is nothing to train on or to validate with.
        CatalogError: the recipe breaks its rules.
    """
    from aqgeo.models import checkpoint
    from aqgeo.training import fit, segmentation

    check_task(recipe, "clouds")
    how = checked(fit.Settings, {**recipe.run, **(run or {})}, recipe)
    patches = checked(segmentation.Settings, recipe.patches, recipe)
    found, _ = labelled_sets.split_off(labelled_sets.images(data, recipe.level), hold_out)
    learn = [image for image in found if image.split in ("train", "")]
    judge = [image for image in found if image.split == "validation"]
    if not learn or not judge:
        raise SourceError(
            f"{len(learn)} images to train on and {len(judge)} to validate with in "
            f"{', '.join(map(str, data))}: give folders that hold both"
        )
    bands = tuple(
        band
        for band in BANDS["L1C" if recipe.level == "L1C" else "L2A"]
        if band not in ("AOT", "WVP")
    )
    arguments = _arguments(recipe, bands, learn)
    import torch

    torch.manual_seed(how.seed)
    network = checkpoint.MODELS["cloud-unet"](arguments)
    if start is not None:
        log.info("%d tensors begin as in %s", _begin(network, start), start)
    with lock(folder.absolute()):
        task = segmentation.CloudTask(network, patches)
        batches = segmentation.loaders(learn, judge, bands, patches, seed=how.seed, workers=workers)
        best = fit.fit(task, *batches, folder, how, watch=segmentation.WATCH)
        temperature = segmentation.calibrate(network, batches[1])
        card = checkpoint.Card(
            architecture="cloud-unet",
            arguments=TypeAdapter(type(arguments)).dump_python(arguments),
            task=recipe.task,
            level=recipe.level,
            simulated=any(image.kind == "simulated" for image in learn),
            data=_told(learn),
            split=_split(learn, judge, hold_out),
            scores={"validation": best, "temperature": temperature},
            training={
                "recipe": recipe.name,
                "patches": asdict(patches),
                "run": asdict(how),
                **_seen(learn),
                "start": None if start is None else checkpoint.read_card(start).training,
            },
        )
        checkpoint.write(folder / WEIGHTS, network, card)
        disk.save(folder / SCORES, disk.as_json(card.scores))
    return folder / WEIGHTS


def scores(weights: Path) -> dict[str, Any]:
    """Return what a run measured on its validation."""
    return dict(json.loads((weights.parent / SCORES).read_text("utf-8")))


def check_task(recipe: Recipe, task: str) -> None:
    """Refuse a recipe for something else.

    Raises:
        CatalogError: it is one.
    """
    if recipe.task != task:
        raise CatalogError(
            f"recipe {recipe.name!r} is for {recipe.task}: choose one for {task}, or run "
            f"`aqgeo train {recipe.task}`"
        )


def checked(kind: Any, told: Any, recipe: Recipe) -> Any:
    """Return a part of a recipe as a checked record of that kind.

    Raises:
        CatalogError: it breaks the record's rules.
    """
    try:
        return TypeAdapter(kind).validate_python(dict(told))
    except ValidationError as err:
        slip = err.errors(include_url=False)[0]
        name = ".".join(map(str, slip["loc"]))
        raise CatalogError(
            f"recipe {recipe.name!r}: {name} {slip['input']!r}: {slip['msg']}"
        ) from err


def _arguments(recipe: Recipe, bands: tuple[str, ...], learn: Sequence[Image]) -> Any:
    """Return the network's arguments, with mean and spread of each band over some images."""
    from aqgeo.models.unet import UNetArguments

    step = max(len(learn) // _SAMPLE, 1)
    sums = np.zeros((3, len(bands)))
    for image in learn[::step]:
        values = labelled.read(image, bands)[0][:, ::8, ::8].astype("float64")
        known = np.isfinite(values)
        values[~known] = 0
        sums += [known.sum((1, 2)), values.sum((1, 2)), (values**2).sum((1, 2))]
    if (sums[0] == 0).any():
        lost = [band for band, n in zip(bands, sums[0], strict=True) if not n]
        raise SourceError(f"no image has the band {', '.join(lost)}: add images that have it")
    mean = sums[1] / sums[0]
    std = np.sqrt(np.maximum(sums[2] / sums[0] - mean**2, 1e-6))
    told = {"bands": bands, "mean": tuple(mean.round(4)), "std": tuple(std.round(4))}
    return checked(UNetArguments, {**recipe.network, **told}, recipe)


def _begin(network: Any, start: Path) -> int:
    """Copy what fits from other weights, bands by name; return the number of tensors copied."""
    from aqgeo.models import checkpoint

    other, _ = checkpoint.read(start, task="clouds")
    state, old = network.state_dict(), other.state_dict()
    shared = [band for band in network.bands if band in other.bands]
    own, its = ([bands.index(band) for band in shared] for bands in (network.bands, other.bands))
    # What belongs to a band: what stands for a missing value, and the first convolutions.
    first = {name for name, tensor in state.items() if name == "absent" or _takes(tensor, network)}
    copied = 0
    for name, tensor in state.items():
        if name in ("mean", "std", "temperature"):
            continue
        if name in first:
            tensor[:, own] = old[name][:, its]
        elif name in old and old[name].shape == tensor.shape:
            tensor.copy_(old[name])
        else:
            raise ModelError(f"{start} is of another size at {name}: choose weights of the recipe")
        copied += 1
    return copied


def _takes(tensor: Any, network: Any) -> bool:
    """Tell whether a tensor holds weights of a convolution over all bands."""
    return bool(tensor.ndim == 4 and tensor.shape[0] > 1 and tensor.shape[1] == len(network.bands))


def _seen(learn: Sequence[Image]) -> dict[str, list[str]]:
    """Return what a network must not be judged on."""
    real = [image for image in learn if image.kind != "simulated"]
    return {
        "places": sorted({image.place for image in real}),
        "days": sorted({image.day for image in real}),
        "seeds": sorted({i.place.split("_")[1] for i in learn if i.kind == "simulated"}),
    }


def _told(learn: Sequence[Image]) -> tuple[str, ...]:
    names = {"simulated": _SIMULATED, "weak": _WEAK, "human": _HUMAN}
    kinds = [image.kind for image in learn]
    return tuple(f"{kinds.count(k)} images: {names[k]}" for k in names if k in kinds)


def _split(learn: Sequence[Image], judge: Sequence[Image], rules: Sequence[str]) -> str:
    away = f"; held out: {', '.join(rules)}" if rules else ""
    return f"{len(learn)} images to train on, {len(judge)} of other places to validate with{away}"

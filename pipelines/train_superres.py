"""Training of super-resolution from recipes: pictures in, a run folder with weights out."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from aqgeo.catalog import Recipe
from aqgeo.datasets import disk, pictures
from aqgeo.errors import CatalogError, ModelError, SourceError
from pipelines.train import SCORES, WEIGHTS, check_task, checked
from pipelines.workspace import lock

if TYPE_CHECKING:
    from aqgeo.training.superres import Settings

_NETWORKS = ("srcnn", "srresnet")
# Of so many pictures in a row, the last judges epochs.
_JUDGED = 15


def train_superres(
    folder: Path,
    recipe: Recipe,
    *,
    data: Sequence[Path],
    start: Path | None = None,
    vgg: Path | None = None,
    run: dict[str, Any] | None = None,
) -> Path:
    """Train a network that makes pictures finer, and return its weights; a stopped run goes on.

    Every 15th picture judges epochs, and no other set is looked at.

    Args:
        folder: of the run: config.json, metrics.json, curves.png, weights.safetensors, scores.json.
        recipe: what is trained, and how; its network says which `architecture`.
        data: folders of pictures.
        start: weights to begin with, of the same architecture.
        vgg: weights of VGG19, whose features an adversarial recipe compares; without them, edges.
        run: settings of the run that differ from the recipe's.

    Raises:
        SourceError: there are too few pictures.
        CatalogError: the recipe breaks its rules.
        ModelError: weights to begin with, or of VGG19, do not fit.
    """
    import torch

    from aqgeo.models import checkpoint
    from aqgeo.training import fit, superres

    check_task(recipe, "superres")
    how = checked(fit.Settings, {**recipe.run, **(run or {})}, recipe)
    patches = checked(superres.Settings, recipe.patches, recipe)
    paths, judge = _pictures(data)
    torch.manual_seed(how.seed)
    architecture, told = _arguments(recipe)
    network = checkpoint.MODELS[architecture](told)
    if patches.crop % network.scale:
        raise CatalogError(
            f"recipe {recipe.name!r}: crop {patches.crop} is no multiple of {network.scale}, by "
            "which the network enlarges: choose one"
        )
    if start is not None:
        _begin(network, architecture, start)
    with lock(folder.absolute()):
        learn = [path for path in paths if path not in judge]
        batches = superres.loaders(
            _luminances(learn), _luminances(judge), network, patches, seed=how.seed
        )
        task, watch = _task(network, patches, recipe, start, vgg)
        best = fit.fit(task, *batches, folder, how, watch=watch)
        card = checkpoint.Card(
            architecture=architecture,
            arguments=TypeAdapter(type(told)).dump_python(told),
            task=recipe.task,
            level=recipe.level,
            units="luminance, 0 to 1",
            simulated=False,
            data=tuple(f"{one.resolve().name}: {len(pictures.find(one))} pictures" for one in data),
            split=f"{len(learn)} pictures to train on, {len(judge)} others to validate with",
            scores={"validation": best},
            training={
                "recipe": recipe.name,
                "patches": asdict(patches),
                "run": asdict(how),
                "start": None if start is None else checkpoint.read_card(start).training,
                "vgg": vgg is not None,
            },
        )
        checkpoint.write(folder / WEIGHTS, network, card)
        disk.save(folder / SCORES, disk.as_json(card.scores))
    return folder / WEIGHTS


def _pictures(data: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return all pictures, and those of them that judge epochs."""
    paths = [path for one in data for path in pictures.find(one)]
    judge = paths[_JUDGED - 1 :: _JUDGED]
    if not judge:
        raise SourceError(f"{len(paths)} pictures: at least {_JUDGED} are needed, one to judge by")
    return paths, judge


def _luminances(paths: Sequence[Path]) -> list[np.ndarray]:
    return [pictures.luminance(pictures.read(path)) for path in paths]


def _arguments(recipe: Recipe) -> tuple[str, Any]:
    """Return the name of a recipe's architecture, and its checked arguments."""
    from aqgeo.models import checkpoint

    told = dict(recipe.network)
    architecture = told.pop("architecture", "srcnn")
    if architecture not in _NETWORKS:
        raise CatalogError(
            f"recipe {recipe.name!r}: architecture {architecture!r}: choose one of "
            f"{', '.join(_NETWORKS)}"
        )
    return architecture, checked(checkpoint.MODELS[architecture].arguments, told, recipe)


def _begin(network: Any, architecture: str, start: Path) -> None:
    """Copy other weights; a smaller kernel lies in the middle of a larger one."""
    from aqgeo.models import checkpoint

    other, card = checkpoint.read(start, task="superres")
    state, old = network.state_dict(), other.state_dict()
    if card.architecture != architecture or set(state) != set(old):
        raise ModelError(f"{start} holds another network than the recipe's: choose one of its kind")
    for name, tensor in state.items():
        rims = [(n - m) // 2 for n, m in zip(tensor.shape[2:], old[name].shape[2:], strict=True)]
        if tensor.shape[:2] != old[name].shape[:2] or min(rims, default=0) < 0:
            raise ModelError(f"{start} is of another size at {name}: choose one of fewer pixels")
        tensor.zero_()
        inner = [slice(rim, n - rim) for rim, n in zip(rims, tensor.shape[2:], strict=True)]
        tensor[..., *inner].copy_(old[name])


def _task(
    network: Any, patches: "Settings", recipe: Recipe, start: Path | None, vgg: Path | None
) -> tuple[Any, str]:
    """Return what is trained, and the number that judges epochs."""
    from aqgeo.models import perception
    from aqgeo.training import superres, superres_gan

    if not patches.adversarial:
        return superres.SuperResolution(network, patches), superres.WATCH
    if start is None:
        raise SourceError(f"recipe {recipe.name!r} needs a network trained by pixels: give --start")
    features = perception.Derivatives() if vgg is None else perception.VGG19(vgg)
    return superres_gan.Adversarial(network, features, patches), superres_gan.WATCH

"""Training of super-resolution from recipes: pictures in, a run folder with weights out."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from aqgeo.catalog import Recipe
from aqgeo.datasets import disk
from aqgeo.errors import SourceError
from pipelines.train import SCORES, WEIGHTS, check_task, checked
from pipelines.workspace import lock

# Of so many pictures in a row, the last judges epochs.
_JUDGED = 15


def train_superres(
    folder: Path, recipe: Recipe, *, data: Sequence[Path], run: dict[str, Any] | None = None
) -> Path:
    """Train a network that sharpens pictures, and return its weights; a stopped run goes on.

    Every 15th picture judges epochs, and no other set is looked at.

    Args:
        folder: of the run: config.json, metrics.json, curves.png, weights.safetensors, scores.json.
        recipe: what is trained, and how.
        data: folders of pictures.
        run: settings of the run that differ from the recipe's.

    Raises:
        SourceError: there are too few pictures.
        CatalogError: the recipe breaks its rules.
    """
    import torch

    from aqgeo.datasets import pictures
    from aqgeo.models import checkpoint
    from aqgeo.models.srcnn import SRCNNArguments
    from aqgeo.training import fit, superres

    check_task(recipe, "superres")
    how = checked(fit.Settings, {**recipe.run, **(run or {})}, recipe)
    patches = checked(superres.Settings, recipe.patches, recipe)
    told = checked(SRCNNArguments, recipe.network, recipe)
    paths = [path for one in data for path in pictures.find(one)]
    judge = paths[_JUDGED - 1 :: _JUDGED]
    learn = [path for path in paths if path not in judge]
    if not learn or not judge:
        raise SourceError(f"{len(paths)} pictures: at least {_JUDGED} are needed, one to judge by")
    torch.manual_seed(how.seed)
    network = checkpoint.MODELS["srcnn"](told)
    with lock(folder.absolute()):
        fine, judged = (
            [pictures.luminance(pictures.read(p)) for p in own] for own in (learn, judge)
        )
        batches = superres.loaders(fine, judged, told.factor, patches, seed=how.seed)
        task = superres.SuperResolution(network, patches)
        best = fit.fit(task, *batches, folder, how, watch=superres.WATCH)
        card = checkpoint.Card(
            architecture="srcnn",
            arguments=TypeAdapter(type(told)).dump_python(told),
            task=recipe.task,
            level=recipe.level,
            units="luminance, 0 to 1",
            simulated=False,
            data=tuple(f"{one.resolve().name}: {len(pictures.find(one))} pictures" for one in data),
            split=f"{len(learn)} pictures to train on, {len(judge)} others to validate with",
            scores={"validation": best},
            training={"recipe": recipe.name, "patches": asdict(patches), "run": asdict(how)},
        )
        checkpoint.write(folder / WEIGHTS, network, card)
        disk.save(folder / SCORES, disk.as_json(card.scores))
    return folder / WEIGHTS

"""Networks that make pictures finer: which are shipped, and what each is given."""

from pathlib import Path

import numpy as np

from aqgeo import catalog
from aqgeo.datasets import pictures
from aqgeo.errors import CatalogError, ModelError
from aqgeo.models import checkpoint
from aqgeo.processing import sharpen
from pipelines.workspace import CHECKOUT, WEIGHTS

# Of the shipped networks, the one with the highest PSNR in validation: docs/superres.md.
DEFAULTS = {2: "srcnn-915-x2", 3: "srcnn-955-x3", 4: "srresnet-x4"}


def shipped() -> list[Path]:
    """Return the weights for pictures that come with the package, by name.

    Raises:
        ModelError: a file is missing, or is not what the catalog says.
    """
    entries = catalog.models(CHECKOUT / "catalogs").values()
    return [_checked(entry) for entry in entries if entry.task == sharpen.TASK]


def choose(factor: int | None, weights: Path | None) -> Path:
    """Return the weights that are meant.

    Args:
        factor: how many times finer; as the weights say if None.
        weights: a file; the shipped one for the factor if None.

    Raises:
        CatalogError: no weights of that factor are shipped, or neither is told.
        ModelError: the weights are for another factor, or cannot be used.
    """
    if weights is None:
        if factor not in DEFAULTS:
            known = ", ".join(map(str, DEFAULTS))
            raise CatalogError(
                f"factor {factor}: weights are shipped for {known}: choose one by --factor, or "
                "name a file by --weights"
            )
        entries = catalog.models(CHECKOUT / "catalogs")
        return _checked(catalog.pick(entries, DEFAULTS[factor], "model"))
    found = sharpen.steps_of(weights).factor
    if factor not in (None, found):
        raise ModelError(
            f"{weights} makes pictures {found} times finer, not {factor}: leave --factor out, or "
            "name other weights"
        )
    return weights


def given(luminance: np.ndarray, steps: sharpen.Steps) -> np.ndarray:
    """Return what a network is given of luminance (y, x), 0 to 1: itself, or enlarged."""
    if steps.scale == 1:
        shape = steps.factor * luminance.shape[0], steps.factor * luminance.shape[1]
        luminance = pictures.resize(luminance, shape)
    return np.asarray(np.clip(luminance, 0, 1), "float32")


def _checked(entry: catalog.Model) -> Path:
    path = WEIGHTS / entry.file
    checkpoint.read_card(path, sha256=entry.sha256)
    return path

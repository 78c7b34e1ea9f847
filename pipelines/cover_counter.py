"""The U-Net by whose mask cover is counted."""

from pathlib import Path
from typing import TYPE_CHECKING

from aqgeo.errors import CatalogError, ModelError
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from aqgeo.processing.contenders import Network


def find(level: str, weights: Path | None = None) -> "Network | None":
    """Return the U-Net for a level; None if none is named and aqgeo brings none.

    Args:
        level: L1C or L2A.
        weights: checkpoint for `clouds`; that which aqgeo brings if None.

    Raises:
        ModelError: the weights are for something else, or for the other level.
    """
    sha256 = None
    if weights is None:
        try:
            weights, sha256 = Workspace(Path()).model("clouds", level)
        except CatalogError:
            return None
    from aqgeo.processing import contenders

    network = contenders.network(weights, sha256=sha256)
    if network.card.level not in (level, "any"):
        raise ModelError(
            f"{weights} takes {network.card.level}, the images are {level}: choose other weights"
        )
    return network

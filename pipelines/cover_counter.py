"""The U-Net by whose mask cover is counted."""

from pathlib import Path
from typing import Any

import aqgeo
from aqgeo.errors import ModelError

# Weights that aqgeo brings, by level.
_SHIPPED = Path(aqgeo.__file__).parent / "models" / "weights"


def find(level: str, weights: Path | None = None) -> Any:
    """Return the U-Net for a level; None if none is named and aqgeo brings none.

    Args:
        level: L1C or L2A.
        weights: checkpoint for `clouds`; that which aqgeo brings if None.

    Raises:
        ModelError: the weights are for something else, or for the other level.
    """
    path = weights or _SHIPPED / f"clouds-{level.lower()}.safetensors"
    if weights is None and not path.is_file():
        return None
    from aqgeo.models import checkpoint

    network, card = checkpoint.read(path, task="clouds")
    if card.level not in (level, "any"):
        raise ModelError(f"{path} takes {card.level}, the images are {level}: choose other weights")
    return network

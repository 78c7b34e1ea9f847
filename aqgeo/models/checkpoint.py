"""Checkpoints: one safetensors file that rebuilds its network alone. No pickle is ever loaded."""

import hashlib
import os
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from aqgeo.errors import ModelError
from aqgeo.models import column_srcnn, cover, srcnn, srresnet, unet

MODELS: dict[str, type[Any]] = {
    "cloud-unet": unet.CloudUNet,
    "cover-net": cover.CoverNet,
    "srcnn": srcnn.SRCNN,
    "column-srcnn": column_srcnn.ColumnSRCNN,
    "srresnet": srresnet.SRResNet,
}
"""Network by name of its architecture; each names its `arguments`, a checked record."""
_KEY = "aqgeo"
# The JSON before the tensors; ours take some 40 KiB.
_LARGEST_HEADER = 2**20
_LARGEST_FILE = 2**30
# First bytes of files that hold pickles: torch's ZIP archives and bare pickles.
_PICKLES = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Card:
    """What a checkpoint says of itself."""

    architecture: str
    """Key of MODELS."""
    arguments: dict[str, Any]
    """What rebuilds the network."""
    task: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    """What it is for: `clouds`, `cover`, `superres`."""
    level: Literal["L1C", "L2A", "any"]
    """Processing level of the images that it takes."""
    units: str = "1"
    """Unit of the input."""
    simulated: bool = True
    """Whether simulated data took part in the training."""
    data: tuple[str, ...] = ()
    """Sets that it was trained on, with their licences."""
    split: str = ""
    """What was held out, and how."""
    scores: dict[str, Any] = field(default_factory=dict)
    """Measured on what was held out."""
    training: dict[str, Any] = field(default_factory=dict)
    """Recipe and its settings."""


def write(path: Path, network: nn.Module, card: Card) -> None:
    """Write a network with its card, whole or not at all."""
    state = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    told = TypeAdapter(Card).dump_json(card).decode()
    aside = path.with_name(f".{path.name}.part")
    with aside.open("wb") as file:
        file.write(save(state, {_KEY: told}))
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)


def read_card(path: Path, *, sha256: str | None = None) -> Card:
    """Return what a checkpoint says of itself; no tensor is read.

    Args:
        path: a safetensors file of this project.
        sha256: checksum that the file must have, hexadecimal; any if None.

    Raises:
        ModelError: the file is missing, a pickle, broken, or not what the checksum says.
    """
    _look(path)
    if sha256 is not None and (found := hashlib.sha256(path.read_bytes()).hexdigest()) != sha256:
        raise ModelError(
            f"{path} has the checksum {found[:12]}..., the catalog says {sha256[:12]}...: "
            "fetch it again"
        )
    try:
        with safe_open(str(path), "pt") as file:
            told = (file.metadata() or {}).get(_KEY)
        if told is None:
            raise ModelError(f"{path} says nothing of its architecture: it is no aqgeo checkpoint")
        card = TypeAdapter(Card).validate_json(told)
    except (SafetensorError, OSError) as err:
        raise ModelError(f"{path} is no safetensors file: {err}: fetch it again") from err
    except ValidationError as err:
        raise ModelError(f"{path}: {_slip(err)}: it is of another version or broken") from err
    if card.architecture not in MODELS:
        raise ModelError(
            f"{path} holds a {card.architecture!r}: this version knows {', '.join(sorted(MODELS))}"
        )
    return card


def read(path: Path, *, task: str | None = None, sha256: str | None = None) -> tuple[Any, Card]:
    """Return a network, ready for use, and its card.

    Args:
        path: a safetensors file of this project.
        task: what it must be for; anything if None.
        sha256: checksum that the file must have, hexadecimal; any if None.

    Raises:
        ModelError: as `read_card`; or it is for another task, or its tensors are not its network's.
    """
    card = read_card(path, sha256=sha256)
    if task is not None and card.task != task:
        raise ModelError(f"{path} is for {card.task!r}: weights for {task!r} are needed")
    kind = MODELS[card.architecture]
    try:
        network = kind(TypeAdapter(kind.arguments).validate_python(card.arguments))
    except ValidationError as err:
        raise ModelError(f"{path}: arguments, {_slip(err)}: it is of another version") from err
    wanted = network.state_dict()
    with safe_open(str(path), "pt") as file:
        names = set(file.keys())
        wrong = names ^ set(wanted)
        wrong |= {
            name
            for name in names & set(wanted)
            if tuple(file.get_slice(name).get_shape()) != tuple(wanted[name].shape)
        }
        if wrong:
            raise ModelError(
                f"{path}: {len(wrong)} of {len(wanted)} tensors, as {min(wrong)}, do not fit a "
                f"{card.architecture!r}: it holds weights of another architecture"
            )
        network.load_state_dict({name: file.get_tensor(name) for name in names})
    bad = [
        name for name, tensor in network.state_dict().items() if not torch.isfinite(tensor).all()
    ]
    if bad:
        raise ModelError(f"{path}: {bad[0]} holds values that are not finite: train it again")
    return network.eval(), card


def _look(path: Path) -> None:
    """Refuse what is no safetensors file before any library opens it."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            first = file.read(8)
    except OSError as err:
        raise ModelError(
            f"{path} cannot be read: {err.strerror}: name a .safetensors file"
        ) from err
    if first.startswith(_PICKLES):
        raise ModelError(
            f"{path} is a pickle, which can run any code when loaded: only safetensors files are"
        )
    header = int.from_bytes(first, "little")
    if len(first) < 8 or header > _LARGEST_HEADER or header + 8 > size or size > _LARGEST_FILE:
        raise ModelError(
            f"{path} is no safetensors file of ours: {size} bytes with a header of {header}; at "
            f"most {_LARGEST_FILE} and {_LARGEST_HEADER} are read"
        )


def _slip(err: ValidationError) -> str:
    slip = err.errors(include_url=False)[0]
    return f"{'.'.join(map(str, slip['loc']))} {str(slip.get('input'))[:60]!r}: {slip['msg']}"

"""Checkpoints rebuild themselves alone, and nothing hostile is loaded."""

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from aqgeo.errors import ModelError
from aqgeo.models import checkpoint
from aqgeo.models.checkpoint import Card
from aqgeo.models.unet import CloudUNet, UNetArguments

BANDS = ("B02", "B03", "B04", "B08")


def told(**changes: object) -> dict:
    return {
        "bands": BANDS,
        "mean": (0.2,) * 4,
        "std": (0.1,) * 4,
        "decoder": (16, 8, 8, 8, 8),
        **changes,
    }


@pytest.fixture(scope="module")
def network() -> CloudUNet:
    torch.manual_seed(0)
    return CloudUNet(UNetArguments(**told())).eval()


@pytest.fixture
def path(network: CloudUNet, tmp_path: Path) -> Path:
    card = Card(architecture="cloud-unet", arguments=told(), task="clouds", level="L2A")
    checkpoint.write(tmp_path / "w.safetensors", network, card)
    return tmp_path / "w.safetensors"


def rewritten(path: Path, **changes: object) -> Path:
    """Return the file with other values in the card."""
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + size])
    card = {**json.loads(header["__metadata__"]["aqgeo"]), **changes}
    header["__metadata__"]["aqgeo"] = json.dumps(card)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + size :])
    return path


def test_what_is_read_computes_what_was_written(network: CloudUNet, path: Path) -> None:
    found, card = checkpoint.read(path, task="clouds")
    image = torch.rand(1, 4, 64, 64)
    image[:, 1, :20] = torch.nan
    with torch.inference_mode():
        assert torch.equal(found(image), network(image))
    assert (card.level, found.bands, found.training) == ("L2A", BANDS, False)
    assert list(path.parent.iterdir()) == [path]


def test_the_same_network_gives_the_same_bytes(network: CloudUNet, path: Path) -> None:
    again = path.with_name("again.safetensors")
    checkpoint.write(again, network, checkpoint.read_card(path))
    assert again.read_bytes() == path.read_bytes()


def test_a_missing_band_is_told_from_a_dark_one(network: CloudUNet) -> None:
    dark, missing = torch.zeros(1, 4, 64, 64), torch.zeros(1, 4, 64, 64)
    missing[:, 3] = torch.nan
    with torch.inference_mode():
        assert torch.isfinite(network(missing)).all()
        assert not torch.equal(network(dark), network(missing))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"a": 1}), "is a pickle"),
        (b"PK\x03\x04" + b"0" * 100, "is a pickle"),
        (struct.pack("<Q", 2**62) + b"{}", "no safetensors file of ours"),
        (struct.pack("<Q", 2**21) + b" " * 2**22, "no safetensors file of ours"),
        (b"", "no safetensors file of ours"),
        (struct.pack("<Q", 10) + b"not json!!" + b"0" * 50, "no safetensors file"),
    ],
)
def test_hostile_files_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        checkpoint.read(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "resnet"}, "this version knows cloud-unet"),
        ({"task": "cover"}, "is for 'cover'"),
        ({"level": "L9"}, "level 'L9'"),
        ({"extra": 1}, "extra"),
        ({"arguments": told(decoder=(32, 8, 8, 8, 8))}, "another architecture"),
        ({"arguments": told(decoder=(10**9,) * 5)}, "decoder"),
        ({"arguments": told(encoder="os.system")}, "encoder"),
        ({"arguments": told(mean=(0.1,))}, "differ in length"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(changes: dict, message: str, path: Path) -> None:
    with pytest.raises(ModelError, match=message) as error:
        checkpoint.read(rewritten(path, **changes), task="clouds")
    assert "\n" not in str(error.value)


def test_a_wrong_checksum_is_refused(path: Path) -> None:
    with pytest.raises(ModelError, match="checksum"):
        checkpoint.read(path, sha256="0" * 64)


def test_weights_that_are_not_finite_are_refused(network: CloudUNet, path: Path) -> None:
    broken = CloudUNet(UNetArguments(**told()))
    broken.load_state_dict(network.state_dict())
    with torch.no_grad():
        broken.absent[0, 0] = np.inf
    checkpoint.write(path, broken, checkpoint.read_card(path))
    with pytest.raises(ModelError, match="not finite"):
        checkpoint.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.safetensors cannot be read"):
        checkpoint.read(tmp_path / "none.safetensors")

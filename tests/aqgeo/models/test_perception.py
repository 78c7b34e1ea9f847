"""What pictures are compared by: texture more than its place; VGG19 from a file of the user."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from aqgeo.errors import ModelError
from aqgeo.models import perception


def stripes(shift: int = 0, strength: float = 0.4) -> torch.Tensor:
    lines = 0.5 + strength * (((torch.arange(64) + shift) // 2) % 2 - 0.5)
    return lines.expand(1, 1, 64, 64)


def test_edges_see_lost_texture_where_pixels_see_moved_texture() -> None:
    features, true = perception.Derivatives(), stripes()
    moved, lost = stripes(shift=2), torch.full((1, 1, 64, 64), 0.5)
    inner = (..., slice(4, -4), slice(4, -4))

    def apart(found: torch.Tensor) -> float:
        return float((features(found)[inner] - features(true)[inner]).abs().mean())

    assert (moved - true).square().mean() > (lost - true).square().mean()
    assert apart(moved) < 0.1 * apart(lost)
    assert apart(true) == 0


def test_edges_are_told_by_direction_and_size() -> None:
    found = perception.Derivatives()(stripes())[0, :, 10, 10]
    along, across = found[2], found[0]
    assert found.shape == (12,) and across > 5 * along


def test_vgg19_is_read_by_its_public_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perception, "_VGG19", (4, 0, 8))
    shapes = {"features.0": (4, 3, 3, 3), "features.3": (8, 4, 3, 3)}
    tensors = {f"{name}.weight": torch.rand(shape) for name, shape in shapes.items()}
    tensors |= {f"{name}.bias": torch.rand(shape[0]) for name, shape in shapes.items()}
    save_file({**tensors, "classifier.0.weight": torch.rand(2, 2)}, tmp_path / "vgg.safetensors")
    features = perception.VGG19(tmp_path / "vgg.safetensors")
    assert features(stripes()).shape == (1, 8, 32, 32)
    assert not any(p.requires_grad for p in features.parameters())


def test_a_file_that_is_no_vgg19_is_told(tmp_path: Path) -> None:
    save_file({"a": torch.rand(2)}, tmp_path / "other.safetensors")
    for name in ("other", "none"):
        with pytest.raises(ModelError, match=r"holds no VGG19.*torchvision"):
            perception.VGG19(tmp_path / f"{name}.safetensors")


def test_a_critic_judges_patches() -> None:
    assert perception.Critic(8)(torch.rand(2, 1, 32, 48)).shape == (2, 1, 4, 6)

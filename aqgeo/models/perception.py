"""What two pictures are compared by where pixels cannot be the same: features and their critic."""

import math
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from aqgeo.errors import ModelError

# Convolutions of VGG19 up to the last before its fifth pooling, the VGG54 of Ledig et al. 2017;
# 0 is a pooling.
_VGG19 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512)
# Mean and spread of ImageNet's three channels, which torchvision's weights expect.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Features are divided by it, so that their loss is of the size of the pixels': Ledig et al. 2017.
_VGG_SCALE = 12.75


class Derivatives(nn.Module):
    """Strength of edges in four directions at three scales: what stands in for VGG19 without it.

    Derivatives of Gaussians, as the first layers of trained networks come to hold; their strengths
    are averaged over a few pixels, so that texture counts more than where each of its lines lies.
    """

    def __init__(self) -> None:
        """Build the bank; nothing of it learns."""
        super().__init__()
        self.sides = []
        for number, sigma in enumerate((0.7, 1.4, 2.8)):
            bank = _derivatives(sigma)
            self.sides.append(bank.shape[-1])
            self.register_buffer(f"bank_{number}", bank)

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, 12, h / 2, w / 2) edge strengths of luminance (b, 1, h, w), 0 to 1."""
        found = []
        for number, side in enumerate(self.sides):
            wide = nn.functional.pad(x, (side // 2,) * 4, mode="replicate")
            edges = nn.functional.conv2d(wide, self.get_buffer(f"bank_{number}"))
            found.append(nn.functional.avg_pool2d((edges.square() + 1e-6).sqrt(), 4, 2, 1))
        return torch.cat(found, 1)


class VGG19(nn.Module):
    """Features of an image network that was trained elsewhere, from a file that the user has."""

    def __init__(self, weights: Path) -> None:
        """Read the weights of its convolutions.

        Args:
            weights: safetensors with torchvision's or timm's names, `features.0.weight` and on.

        Raises:
            ModelError: the file cannot be read, or holds other tensors.
        """
        super().__init__()
        layers: list[nn.Module] = []
        inside = 3
        for outside in _VGG19:
            if outside:
                layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU()]
                inside = outside
            else:
                layers.append(nn.MaxPool2d(2))
        # The features are those before the last rectifier.
        self.features = nn.Sequential(*layers[:-1])
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(_STD)[:, None, None], persistent=False)
        try:
            told = load_file(str(weights))
            self.load_state_dict({name: told[name] for name in self.state_dict()})
        except (SafetensorError, OSError, KeyError, RuntimeError) as err:
            reason = " ".join(str(err).split())[:120]
            raise ModelError(
                f"{weights} holds no VGG19: {reason}: give safetensors with torchvision's names"
            ) from err
        self.requires_grad_(requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, 512, h / 16, w / 16) features of luminance (b, 1, h, w), 0 to 1."""
        colours = (x.expand(-1, 3, -1, -1) - self.get_buffer("mean")) / self.get_buffer("std")
        found: Tensor = self.features(colours) / _VGG_SCALE
        return found


class Critic(nn.Module):
    """Tells true luminance from made one: the discriminator of Ledig et al. 2017, smaller."""

    def __init__(self, channels: int = 24) -> None:
        """Build a network without training.

        Args:
            channels: of the first layer; they double with each halving of the image.
        """
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, channels, 3, padding=1), nn.LeakyReLU(0.2)]
        for _ in range(3):
            layers += [nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1)]
            layers += [nn.GroupNorm(4, 2 * channels), nn.LeakyReLU(0.2)]
            channels *= 2
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, 1, h / 8, w / 8) logits, high where luminance (b, 1, h, w) looks true."""
        found: Tensor = self.layers(x)
        return found


def _derivatives(sigma: float) -> Tensor:
    """Return (4, 1, side, side) derivatives of a Gaussian along four directions."""
    radius = math.ceil(2.5 * sigma)
    along = torch.arange(-radius, radius + 1, dtype=torch.float32)
    y, x = torch.meshgrid(along, along, indexing="ij")
    bell = torch.exp(-(x**2 + y**2) / (2 * sigma**2))
    angles = [n * math.pi / 4 for n in range(4)]
    bank = torch.stack([bell * (x * math.cos(a) + y * math.sin(a)) for a in angles])
    return (bank / bank.abs().sum((1, 2), keepdim=True))[:, None]

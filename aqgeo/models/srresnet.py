"""SRResNet: residual blocks on the small image, and pixels that are shuffled into a larger one."""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

Rows = tuple[slice, slice]
# Sides of the first and the last convolution, Ledig et al. 2017.
_SIDE = 9
_STEP = 2
# Details are so small beside features: the last layer's many weights would throw the image about in
# the first steps of training otherwise.
_SMALL = 1 / 32
# Pixels that bicubic interpolation reaches.
_BICUBIC = 2


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SRResNetArguments:
    """What rebuilds a network; bounded, since it may come from a hostile file.

    The published one has 16 blocks of 64 channels: Ledig et al. 2017, doi:10.1109/CVPR.2017.19.
    """

    factor: Annotated[int, Field(ge=2, le=8)] = 4
    """How many times finer the result is: 2, 4 or 8."""
    blocks: Annotated[int, Field(ge=1, le=32)] = 16
    """Residual blocks."""
    channels: Annotated[int, Field(ge=1, le=128)] = 64
    """Channels of all layers."""

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if self.factor not in (2, 4, 8):
            raise ValueError(f"factor {self.factor} is none of 2, 4, 8")


class SRResNet(nn.Module):
    """Luminance in 0 to 1 in; the same with more pixels out.

    It differs from the published network in two ways: it adds to bicubic interpolation, so that it
    begins where SRCNN does, and has no batch norms, which Lim et al. 2017 (EDSR,
    doi:10.1109/CVPRW.2017.151) left out with gain.
    """

    arguments = SRResNetArguments
    bands = ("Y",)
    """What the input's one plane is called."""
    stride = 1
    """Rows and columns of an input are multiples of it."""
    rim = 0
    """Pixels from a patch's edge that are not learnt from."""
    scale: int
    """How many times more rows and columns its result has than its input."""
    margin: int
    """Pixels from an input's edge within which the result depends on where the image was cut."""

    def __init__(self, told: SRResNetArguments) -> None:
        """Build a network without training; it interpolates.

        Args:
            told: what it is to be.
        """
        super().__init__()
        self.factor = self.scale = told.factor
        self.margin = _reach(told)
        self.head = nn.Sequential(_conv(1, told.channels, _SIDE), nn.PReLU())
        self.body = nn.Sequential(*(Residual(told.channels) for _ in range(told.blocks)))
        self.join = _conv(told.channels, told.channels, 3)
        self.rise = nn.Sequential(
            *(Rise(told.channels) for _ in range(told.factor.bit_length() - 1))
        )
        self.last = _conv(told.channels, 1, _SIDE)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor, wanted: Rows | None = None) -> Tensor:
        """Return (b, 1, factor h, factor w) of (b, 1, h, w), or the wanted window of it.

        Args:
            x: luminance, 0 to 1.
            wanted: rows and columns of the input.
        """
        first = self.head(x)
        details = self.last(self.rise(self.join(self.body(first)) + first))
        found: Tensor = _larger(x, self.scale) + _SMALL * details
        if wanted is None:
            return found
        rows, cols = (slice(self.scale * w.start, self.scale * w.stop) for w in wanted)
        return found[..., rows, cols]

    def only(self, bands: Sequence[str]) -> nn.Module:
        """Return the network itself: there is one plane."""
        return self


class Residual(nn.Module):
    """Adds details to its input."""

    def __init__(self, channels: int) -> None:
        """Build two convolutions with an activation between them."""
        super().__init__()
        last = _conv(channels, channels, 3)
        self.layers = nn.Sequential(_conv(channels, channels, 3), nn.PReLU(), last)
        with torch.no_grad():
            # Each block begins by adding little, so that many do not outweigh the first features.
            last.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, c, h, w) of the same."""
        found: Tensor = x + self.layers(x)
        return found


class Rise(nn.Sequential):
    """Twice as many rows and columns: (b, c, 2 h, 2 w) of (b, c, h, w)."""

    def __init__(self, channels: int) -> None:
        """Build a convolution whose channels become pixels."""
        super().__init__(
            _conv(channels, channels * _STEP**2, 3), nn.PixelShuffle(_STEP), nn.PReLU()
        )


def _conv(inside: int, outside: int, side: int) -> nn.Conv2d:
    layer = nn.Conv2d(inside, outside, side, padding=side // 2)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _larger(x: Tensor, scale: int) -> Tensor:
    """Return an image enlarged by bicubic interpolation, as `datasets/pictures.resize` does."""
    return nn.functional.interpolate(x.float(), scale_factor=scale, mode="bicubic", antialias=True)


def _reach(told: SRResNetArguments) -> int:
    """Return how many pixels of the input away a pixel can change a result."""
    reach = float(_SIDE // 2 + 2 * told.blocks + 1)
    side = 1
    for _ in range(told.factor.bit_length() - 1):
        reach += 1 / side
        side *= _STEP
    reach += (_SIDE // 2) / side
    return max(-int(-reach // 1), _BICUBIC)

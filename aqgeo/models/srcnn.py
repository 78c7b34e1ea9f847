"""SRCNN: three convolutions that sharpen an image already brought to its final size."""

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

Rows = tuple[slice, slice]
_GREY = 0.5
# Side of the squares by which the last layer makes its pixels: 16 fill a vector of AVX-512.
_SQUARE = 4


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SRCNNArguments:
    """What rebuilds a network; bounded, since it may come from a hostile file.

    The published ones are 9-1-5, 9-3-5 and 9-5-5 of 64 and 32 channels: Dong et al. 2016,
    doi:10.1109/TPAMI.2015.2439281.
    """

    factor: Annotated[int, Field(ge=2, le=8)]
    """How many times finer the result is than what the image was enlarged from."""
    kernels: Annotated[tuple[Annotated[int, Field(ge=1, le=15)], ...], Field(max_length=3)] = (
        *(9, 1, 5),
    )
    """Sides of the three convolutions, odd."""
    channels: Annotated[tuple[Annotated[int, Field(ge=1, le=256)], ...], Field(max_length=2)] = (
        *(64, 32),
    )
    """Channels of the first two."""

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if len(self.kernels) != 3 or len(self.channels) != 2:
            raise ValueError("three kernels and two numbers of channels are needed")
        if any(side % 2 == 0 for side in self.kernels):
            raise ValueError(f"kernels {self.kernels} must be odd")


class SRCNN(nn.Module):
    """Luminance in 0 to 1, enlarged by bicubic interpolation, in; the same, sharper, out."""

    arguments = SRCNNArguments
    bands = ("Y",)
    """What the input's one plane is called."""
    stride = 1
    """Rows and columns of an input are multiples of it."""
    scale = 1
    """How many times more rows and columns its result has than its input."""
    margin: int
    """Pixels from an input's edge within which the result depends on where the image was cut."""
    rim: int
    """Pixels from a patch's edge that are not learnt from."""

    def __init__(self, told: SRCNNArguments) -> None:
        """Build a network without training; it returns what it is given.

        Args:
            told: what it is to be.
        """
        super().__init__()
        self.factor = told.factor
        self.margin = self.rim = sum(side // 2 for side in told.kernels)
        sizes = (1, *told.channels, 1)
        self.layers: Any = nn.ModuleList(
            nn.Conv2d(sizes[n], sizes[n + 1], side) for n, side in enumerate(told.kernels)
        )
        self._begin()

    def forward(self, x: Tensor, wanted: Rows | None = None) -> Tensor:
        """Return (b, 1, h, w) of (b, 1, h, w), or the wanted rows and columns of it."""
        x = _around(x, wanted or (slice(0, x.shape[2]), slice(0, x.shape[3])), self.margin)
        x = x - _GREY
        level = x.new_full((1,), _GREY)
        for layer in self.layers[:-1]:
            x, level = _above_grey(x, layer, level)
        last = self.layers[-1]
        return _by_squares(x, last.weight).float() + _flat(last, level)

    def only(self, bands: Sequence[str]) -> nn.Module:
        """Return the network itself: there is one plane."""
        return self

    @torch.no_grad()
    def _begin(self) -> None:
        """Carry the image through the first channels, and random details of it through the others.

        Luminance is never negative, so that it passes the rectifiers. The last layer begins without
        the details: what it learns first is what bicubic interpolation lacks.
        """
        first, middle, last = self.layers
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        first.weight -= first.weight.mean(dim=(2, 3), keepdim=True)
        middle.weight[:, 0] = 0
        last.weight.zero_()
        for layer in self.layers:
            layer.weight[0] = 0
            layer.weight[0, 0, layer.kernel_size[0] // 2, layer.kernel_size[1] // 2] = 1


def _above_grey(x: Tensor, layer: Any, level: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a convolution and its rectifier give, as a difference from an image all grey.

    With the level of each channel for such an image, whose difference the input is as well. Steps
    of bf16 are finest about zero: bright pixels would lose half a step of 8 bit at every layer.
    """
    flat = _flat(layer, level)
    above = flat.detach().relu()
    learning = torch.is_grad_enabled()
    if learning and not torch.is_autocast_enabled(x.device.type):
        # From black the rectifier is faster to learn through, and any level gives the same sums.
        above = torch.zeros_like(above)
        return torch.relu_(nn.functional.conv2d(x, layer.weight, flat)), above
    x = nn.functional.conv2d(x, layer.weight, flat - above)
    floor = -above[:, None, None].to(x.dtype)
    return (x.clamp(min=floor) if learning else x.clamp_(min=floor)), above


def _flat(layer: Any, level: Tensor) -> Tensor:
    """Return what a convolution gives of an image that is of one level."""
    with torch.autocast(level.device.type, enabled=False):
        found: Tensor = layer.bias + layer.weight.sum((2, 3)) @ level
        return found


def _by_squares(x: Tensor, weight: Tensor) -> Tensor:
    """Return what a convolution to one channel gives: (b, 1, h, w).

    Libraries leave most of a vector idle when they compute one channel. A square of pixels is
    computed as so many channels instead, by a kernel that moves from square to square: more
    products, mostly with zeros, in a sixth of the time.
    """
    side = weight.shape[-1]
    rows, cols = (n - side + 1 for n in x.shape[2:])
    wide = torch.stack(
        [
            nn.functional.pad(weight[0], (left, _SQUARE - 1 - left, top, _SQUARE - 1 - top))
            for top in range(_SQUARE)
            for left in range(_SQUARE)
        ]
    ).contiguous(memory_format=torch.channels_last)
    lack = (0, -cols % _SQUARE, 0, -rows % _SQUARE)
    x = nn.functional.pad(x, lack) if any(lack) else x
    found = nn.functional.conv2d(x, wide, stride=_SQUARE)
    return nn.functional.pixel_shuffle(found, _SQUARE)[..., :rows, :cols]


def _around(x: Tensor, wanted: Rows, margin: int) -> Tensor:
    """Return the wanted window with a margin; beyond the image its edge is repeated.

    Zeros would draw a dark frame.
    """
    spans, lacks = [], []
    for part, length in zip(wanted, x.shape[2:], strict=True):
        start, stop = part.start - margin, part.stop + margin
        spans.append(slice(max(start, 0), min(stop, length)))
        lacks.append((max(-start, 0), max(stop - length, 0)))
    rows, cols = lacks
    inner = x[..., spans[0], spans[1]]
    lack = (*cols, *rows)
    return nn.functional.pad(inner, lack, mode="replicate") if any(lack) else inner

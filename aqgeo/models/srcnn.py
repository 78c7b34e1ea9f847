"""SRCNN: three convolutions that sharpen an image already brought to its final size."""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

Rows = tuple[slice, slice]


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
    margin: int
    """Pixels from an input's edge within which the result depends on where the image was cut."""

    def __init__(self, told: SRCNNArguments) -> None:
        """Build a network without training.

        Args:
            told: what it is to be.
        """
        super().__init__()
        self.factor = told.factor
        self.margin = sum(side // 2 for side in told.kernels)
        sizes = (1, *told.channels, 1)
        self.layers = nn.ModuleList()
        for n, side in enumerate(told.kernels):
            # Edges are repeated: zeros would draw a dark frame.
            layer = nn.Conv2d(
                sizes[n], sizes[n + 1], side, padding=side // 2, padding_mode="replicate"
            )
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            self.layers.append(layer)

    def forward(self, x: Tensor, wanted: Rows | None = None) -> Tensor:
        """Return (b, 1, h, w) of (b, 1, h, w), or the wanted rows and columns of it."""
        for layer in self.layers[:-1]:
            x = torch.relu_(layer(x))
        x = self.layers[-1](x)
        return x if wanted is None else x[..., wanted[0], wanted[1]]

    def only(self, bands: Sequence[str]) -> nn.Module:
        """Return the network itself: there is one plane."""
        return self

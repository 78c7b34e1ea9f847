"""A trained U-Net for images of some of its bands, scaling inside its first convolution."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from aqgeo.models import unet_window
from aqgeo.models.unet_window import Window

# Rows and columns of the first convolution's output that may differ from those within.
_RIM = 4


class UNetPart(nn.Module):
    """Gives the same result as the whole network does with planes of no data, from less work."""

    fill: Tensor

    def __init__(self, whole: Any, bands: Sequence[str], brightest: float) -> None:
        """Build it from a trained network.

        Args:
            whole: a `CloudUNet`.
            bands: names of the bands of images, in their order.
            brightest: reflectance beyond which nothing more is told.
        """
        super().__init__()
        self.brightest = brightest
        self.net = copy.deepcopy(whole.net)
        given = [list(whole.bands).index(band) for band in bands]
        mean, std, absent = (x.detach() for x in (whole.mean, whole.std, whole.absent))
        self.register_buffer("fill", (mean + absent * std)[:, given])
        # Scaled values are x / std plus what is constant; planes without data are constant too.
        constant = absent.clone()
        constant[:, given] = -(mean / std)[:, given]
        dark = torch.log((mean + absent * std).clamp(min=0) + unet_window.DARK)
        dark[:, given] = 0
        for part, plane, factor in (
            (self.net.encoder, constant, 1 / std),
            (self.net.pixels, dark, torch.ones_like(std)),
        ):
            name, first = next((n, m) for n, m in part.named_modules() if isinstance(m, nn.Conv2d))
            part.set_submodule(name, _First(first, plane, factor, given))
        for tensor in self.net.segmentation_head[-1].parameters():
            tensor.data.div_(whole.temperature)

    def forward(self, x: Tensor, wanted: Window | None = None) -> Tensor:
        """Return logits (b, class, h, w) of reflectance (b, band, h, w); NaN is no data.

        The input is overwritten: large images fill the memory.
        """
        x.clamp_(max=self.brightest)
        if (lost := x.isnan()).any():
            torch.where(lost, self.fill, x, out=x)
        del lost
        return unet_window.logits(self.net, x, x, wanted)


class _First(nn.Module):
    """A first convolution of planes of which some are constant."""

    rim: Tensor

    def __init__(self, conv: nn.Conv2d, constant: Tensor, factor: Tensor, given: list[int]) -> None:
        super().__init__()
        size = 16 * _RIM
        with torch.no_grad():
            known = conv(constant.expand(-1, -1, size, size))
            middle = known[..., known.shape[2] // 2, known.shape[3] // 2]
            self.conv = copy.deepcopy(conv)
            self.conv.in_channels = len(given)
            self.conv.weight = nn.Parameter((conv.weight * factor)[:, given])
            # What `conv` adds itself is in `middle`.
            self.conv.bias = nn.Parameter(middle[0])
            # Beyond the image's edge planes are zero: near it they count less.
            self.register_buffer("rim", known - middle[..., None, None])
            self.padded = any(conv.padding)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if not self.padded:
            return x
        rows, cols = (self._at(n, x.device) for n in x.shape[2:])
        for part in (slice(0, _RIM), slice(-_RIM, None)):
            x[:, :, part] += self.rim[:, :, rows[part]][..., cols]
            x[:, :, _RIM:-_RIM, part] += self.rim[:, :, rows[_RIM:-_RIM]][..., cols[part]]
        return x

    def _at(self, length: int, device: torch.device) -> Tensor:
        """Return where each row of the output is in the rim."""
        last = self.rim.shape[2]
        at = torch.full((length,), last // 2, device=device)
        at[:_RIM] = torch.arange(_RIM, device=device)
        at[-_RIM:] = torch.arange(last - _RIM, last, device=device)
        return at

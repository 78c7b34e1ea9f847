"""U-Net that sees clouds in any subset of Sentinel-2's bands."""

from collections.abc import Sequence
from typing import Annotated, Literal

import segmentation_models_pytorch as smp
import torch
from pydantic import ConfigDict, Field, FiniteFloat
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from aqgeo.models import unet_window
from aqgeo.models.unet_part import UNetPart
from aqgeo.models.unet_window import Window

# Encoders by name of segmentation_models_pytorch. MobileNetV2 at half its width is the default: on
# two cores it runs twice as fast as the whole one; no global pooling, so that a pixel's class does
# not depend on how far away the image ends.
Encoder = Literal["tu-mobilenetv2_050", "tu-mobilenetv2_100", "tu-resnet10t", "tu-resnet18"]
# How far a pixel's result reaches by all layers; a test measures it.
_MARGINS: dict[Encoder, int] = {
    "tu-mobilenetv2_050": 320,
    "tu-mobilenetv2_100": 320,
    "tu-resnet10t": 192,
    "tu-resnet18": 288,
}
# Channels of what is made of each pixel alone, and of the head. The finest features of the encoder
# lie on pixels twice as large: without these, a cloud of one pixel, common where pixels are large,
# is not seen, and spectra that boosted trees tell apart are not told apart.
_PIXEL = 24, 16
_HEAD = 16
# Reflectance beyond which nothing more is told: bright cloud.
_BRIGHTEST = 1.6


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class UNetArguments:
    """What rebuilds a network; bounded, since it may come from a hostile file."""

    bands: Annotated[tuple[str, ...], Field(min_length=1, max_length=32)]
    """Names of the input's bands in order."""
    mean: Annotated[tuple[FiniteFloat, ...], Field(max_length=32)]
    """Mean of each band, reflectance."""
    std: Annotated[tuple[Annotated[FiniteFloat, Field(gt=0)], ...], Field(max_length=32)]
    """Standard deviation of each band, reflectance."""
    encoder: Encoder = "tu-mobilenetv2_050"
    """Name of the encoder."""
    decoder: tuple[Annotated[int, Field(ge=4, le=512)], ...] = (96, 48, 32, 16, 8)
    """Channels of the decoder's five stages."""
    classes: Annotated[int, Field(ge=2, le=32)] = 4
    """Number of classes."""

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if not len(self.bands) == len(self.mean) == len(self.std):
            raise ValueError("bands, mean and std differ in length")
        if len(set(self.bands)) < len(self.bands):
            raise ValueError("a band is named twice")
        if len(self.decoder) != 5:
            raise ValueError(f"decoder has {len(self.decoder)} stages: 5 are needed")


class CloudUNet(nn.Module):
    """U-Net over reflectance by band name; a band or pixel that is not there is NaN."""

    arguments = UNetArguments
    stride = 32
    """Rows and columns of an input are multiples of it."""
    margin: int
    """Pixels from an input's edge within which the result depends on where the image was cut."""
    temperature: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, told: UNetArguments) -> None:
        """Build a network without training.

        Args:
            told: what it is to be.
        """
        super().__init__()
        self.bands: Sequence[str] = told.bands
        self.margin = _MARGINS[told.encoder]
        self.net = smp.Unet(
            told.encoder,
            encoder_weights=None,
            in_channels=len(told.bands),
            classes=told.classes,
            decoder_channels=told.decoder,
        )
        self.net.pixels = nn.Sequential(
            _by_pixel(len(told.bands), _PIXEL[0]), _by_pixel(_PIXEL[0], _PIXEL[1])
        )
        self.net.segmentation_head = nn.Sequential(
            _by_pixel(told.decoder[-1] + _PIXEL[1], _HEAD), nn.Conv2d(_HEAD, told.classes, 1)
        )
        shape = 1, len(told.bands), 1, 1
        self.register_buffer("mean", torch.tensor(told.mean).reshape(shape))
        self.register_buffer("std", torch.tensor(told.std).reshape(shape))
        # What stands for a missing value, learned by band.
        self.absent = nn.Parameter(torch.zeros(shape))
        # Logits are divided by it: calibrated on validation.
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, x: Tensor, wanted: Window | None = None) -> Tensor:
        """Return logits (b, class, h, w) of reflectance (b, band, h, w); NaN is no data.

        Args:
            x: the bands in order.
            wanted: rows and columns to return, which begin at multiples of the stride; all if None.
        """
        absent = self.mean + self.absent * self.std
        image = torch.where(torch.isnan(x), absent, x.clamp(max=_BRIGHTEST))
        scaled = (image - self.mean) / self.std
        return unet_window.logits(self.net, scaled, image, wanted) / self.temperature

    def only(self, bands: Sequence[str]) -> nn.Module:
        """Return a network for use alone, of the same result for images without the other bands.

        It overwrites its input.

        Args:
            bands: names of some of the network's bands, in the images' order.
        """
        return UNetPart(self, bands, _BRIGHTEST)


def _by_pixel(channels: int, wanted: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, wanted, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(wanted), nn.ReLU())

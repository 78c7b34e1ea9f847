"""Networks that tell how much of an image lies under cloud, without saying where."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import timm
import torch
from pydantic import ConfigDict, Field, FiniteFloat
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from aqgeo.errors import ModelError

Network = Literal["resnet50", "mobilenet", "vgg16", "inception_v3"]
# Name in timm and the least rows and columns that its strides allow.
_TIMM: dict[Network, tuple[str, int]] = {
    "resnet50": ("resnet50", 32),
    "mobilenet": ("mobilenetv2_100", 32),
    "vgg16": ("vgg16", 32),
    "inception_v3": ("inception_v3", 75),
}
# Reflectance beyond which nothing more is told: bright cloud.
_BRIGHTEST = 1.6


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class CoverArguments:
    """What rebuilds a network; bounded, since it may come from a hostile file."""

    network: Network
    """Which one."""
    bands: Annotated[tuple[str, ...], Field(min_length=1, max_length=32)]
    """Names of the input's bands in order."""
    mean: Annotated[tuple[FiniteFloat, ...], Field(max_length=32)]
    """Mean of each band, reflectance."""
    std: Annotated[tuple[Annotated[FiniteFloat, Field(gt=0)], ...], Field(max_length=32)]
    """Standard deviation of each band, reflectance."""
    size: Annotated[int, Field(ge=32, le=512)] = 128
    """Rows and columns that an image is brought to."""
    head: Annotated[int, Field(ge=0, le=2048)] = 128
    """Width of the layer before the last; none if 0."""
    dropout: Annotated[float, Field(ge=0, le=0.9)] = 0.2
    """Share of the features that training leaves out."""
    classes: Annotated[int, Field(ge=2, le=32)] = 4
    """Number of classes."""

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if not len(self.bands) == len(self.mean) == len(self.std):
            raise ValueError("bands, mean and std differ in length")
        if len(set(self.bands)) < len(self.bands):
            raise ValueError("a band is named twice")
        if self.size < smallest(self.network):
            raise ValueError(f"{self.network} needs at least {smallest(self.network)} pixels")


class CoverNet(nn.Module):
    """Class and cover of an image by one of timm's networks; a value that is not there is NaN."""

    arguments = CoverArguments
    mean: Tensor
    std: Tensor

    def __init__(self, told: CoverArguments) -> None:
        """Build a network without training.

        Args:
            told: what it is to be.
        """
        super().__init__()
        self.bands: Sequence[str] = told.bands
        self.size = told.size
        net: Any = timm.create_model(
            _TIMM[told.network][0], pretrained=False, in_chans=len(told.bands), num_classes=0
        )
        if told.network == "vgg16":
            # Its two layers of 4096 hold 120 of 134 million weights; a mean over the image, as the
            # other networks take, does without.
            net.pre_logits = nn.Identity()
        self.net: Any = net
        shape = 1, len(told.bands), 1, 1
        self.register_buffer("mean", torch.tensor(told.mean).reshape(shape))
        self.register_buffer("std", torch.tensor(told.std).reshape(shape))
        # What stands for a missing value, learned by band.
        self.absent = nn.Parameter(torch.zeros(shape))
        features: int = net.num_features
        layers: list[nn.Module] = [nn.Dropout(told.dropout)]
        if told.head:
            layers += [nn.Linear(features, told.head), nn.ReLU(), nn.Dropout(told.dropout)]
        self.head = nn.Sequential(*layers, nn.Linear(told.head or features, told.classes + 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits (b, class) and cover (b,), 0 to 1, of reflectance (b, band, h, w)."""
        scaled = (x.clamp(max=_BRIGHTEST) - self.mean) / self.std
        known = torch.where(torch.isnan(x), self.absent, scaled)
        told = self.head(self.net.forward_features(known).mean(dim=(2, 3)))
        return told[:, :-1], torch.sigmoid(told[:, -1])


def smallest(network: Network) -> int:
    """Return the least rows and columns of a network's input."""
    return _TIMM[network][1]


def imagenet(network: Network) -> str:
    """Return the name, on the hub of timm, of a network's weights from ImageNet."""
    return str(_about(network).hf_hub_id)


def adopt(network: CoverNet, told: CoverArguments, path: Path) -> None:
    """Start a network from weights of ImageNet; its first layer is adapted to the bands.

    timm's rule: weights of the three colours are repeated over the bands and scaled by three over
    their number, so that the sum over the input stays about what it was.

    Args:
        network: without training.
        told: what it was built from.
        path: timm's own safetensors file of that network.

    Raises:
        ModelError: the file is none, or of another network.
    """
    name = _TIMM[told.network][0]
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as err:
        raise ModelError(f"{path} is no safetensors file: {err}: fetch it again") from err
    first = f"{_about(told.network).first_conv}.weight"
    wanted = network.net.state_dict()
    if first in state and state[first].ndim == 4:
        state[first] = timm.models.adapt_input_conv(len(told.bands), state[first])
    # Counters of batch normalisation are in newer files only.
    needed = {key for key in wanted if not key.endswith("num_batches_tracked")}
    wrong = {k for k in needed if k not in state or state[k].shape != wanted[k].shape}
    if wrong:
        raise ModelError(
            f"{path}: {len(wrong)} of {len(needed)} tensors, as {min(wrong)}, do not fit "
            f"{name}: it holds weights of another network"
        )
    network.net.load_state_dict({k: v for k, v in state.items() if k in wanted}, strict=False)


def predict(network: CoverNet, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, class) probabilities and (n,) cover, percent, of samples (n, band, h, w)."""
    network.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(values), 64):
            logits, shares = network(torch.from_numpy(values[start : start + 64]).float())
            found.append(torch.cat([torch.softmax(logits, 1), shares[:, None]], 1))
    told = torch.cat(found).double().numpy()
    return told[:, :-1], 100.0 * told[:, -1]


def _about(network: Network) -> Any:
    """Return what timm says of its weights."""
    return timm.get_pretrained_cfg(_TIMM[network][0])

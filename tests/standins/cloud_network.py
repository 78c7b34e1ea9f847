"""A small cloud network without training whose four classes all occur."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from aqgeo.models import checkpoint
from aqgeo.models.unet import CloudUNet, UNetArguments


def write(path: Path, bands: Sequence[str], *, task: str = "clouds", level: Any = "L2A") -> Path:
    """Write a checkpoint; the network's margin is 192 pixels."""
    torch.manual_seed(1)
    many = (0.3,) * len(bands)
    told: dict[str, Any] = {"bands": tuple(bands), "mean": many, "std": many}
    told |= {"encoder": "tu-resnet10t", "decoder": (32, 16, 8, 8, 4)}
    network = CloudUNet(UNetArguments(**told)).eval()
    torch.nn.init.normal_(network.absent)
    with torch.no_grad():
        # Without training, logits are nearly alike.
        y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
        image = 0.3 + 0.25 * torch.sin(y / 19) * torch.cos(x / 32)
        image = image + 0.03 * torch.randn(1, len(bands), 256, 256)
        # As images of fewer bands are.
        image[:, 0] = torch.nan
        logits = network(image)
        network.net.segmentation_head[-1].bias -= logits.mean(dim=(0, 2, 3))
        network.temperature.fill_(float(logits.std(dim=(0, 2, 3)).mean()) / 3)
    checkpoint.write(path, network, checkpoint.Card("cloud-unet", told, task, level))
    return path

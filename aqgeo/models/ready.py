"""Networks made ready for use: the same result from fewer operations."""

from collections.abc import Sequence
from typing import Any

import torch
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# Rows of the output of a block that are computed at once on a CPU.
_ROWS = 16


def ready(network: Any, bands: Sequence[str]) -> nn.Module:
    """Return a trained network for images of some of its bands, in their order.

    Args:
        network: in evaluation mode, with `only`; it is changed, and not to be used again.
        bands: names of the images' bands.
    """
    fold(network)
    return network.only(bands).eval()  # type: ignore[no-any-return]


def fold(network: nn.Module) -> nn.Module:
    """Put every batch norm that follows a convolution into its weights; a fifth of a U-Net's time.

    Children of a module must be named in the order in which they run, as they are in timm and
    segmentation_models_pytorch.
    """
    before: tuple[str, nn.Module] | None = None
    for name, child in list(network.named_children()):
        if isinstance(child, nn.BatchNorm2d) and before and isinstance(before[1], nn.Conv2d):
            setattr(network, before[0], fuse_conv_bn_eval(before[1], child))
            # timm's batch norms hold the activation as well.
            setattr(network, name, getattr(child, "act", nn.Identity()))
        else:
            fold(child)
        before = name, child
    return network


def suit_one_thread(network: nn.Module) -> None:
    """Let oneDNN compute convolutions of single pixels, and blocks that widen by few rows.

    On one thread torch takes a path of its own for such convolutions, as long as they are not
    dilated; a kernel of one pixel is the same with any dilation. By few rows, what a block makes
    six times as wide stays in caches. Both make a U-Net faster in float32, the first by a quarter.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == module.stride == (1, 1):
            module.dilation = (2, 2)
    for name, module in list(network.named_modules()):
        if isinstance(module, DepthwiseSeparableConv | InvertedResidual):
            network.set_submodule(name, _ByRows(module))


class _ByRows(nn.Module):
    """Gives the same result as a block whose only kernel beyond a pixel reaches one row."""

    def __init__(self, block: DepthwiseSeparableConv | InvertedResidual) -> None:
        super().__init__()
        self.block, self.stride = block, block.conv_dw.stride[0]

    def forward(self, x: Tensor) -> Tensor:
        height = -(-x.shape[2] // self.stride)
        strips = []
        for top in range(0, height, _ROWS):
            bottom = min(top + _ROWS, height)
            first, last = max(top - 1, 0), min(bottom + 1, height)
            wide = self.block(x[:, :, first * self.stride : last * self.stride])
            strips.append(wide[:, :, top - first : bottom - first])
        return torch.cat(strips, 2)

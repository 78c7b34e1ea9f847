"""A U-Net's output for a window of its input, without computing all of it."""

from typing import Any

import torch
from torch import Tensor

Window = tuple[slice, slice]
# Cells round the wanted part with which a block of the decoder is computed: both its convolutions
# reach two, and the next block wants four of its own, half as large.
_AROUND = 4
_ROWS = 32
DARK = 0.03
"""Reflectance that is added before the logarithm, some times a dark pixel's error."""


def logits(net: Any, x: Tensor, image: Tensor, wanted: Window | None) -> Tensor:
    """Return a network's output (b, class, h, w) for the wanted rows and columns of its input.

    The encoder sees the whole input; the decoder, which is most of the work, only what the wanted
    part depends on. The result is that of the whole, cut.

    Args:
        net: `segmentation_models_pytorch.Unet` of five stages, whose head also takes what `pixels`
            makes of each pixel alone.
        x: (b, channel, h, w) with h and w multiples of 32.
        image: reflectance (b, band, h, w), without holes, of which `pixels` is made.
        wanted: rows and columns that begin at multiples of 32; all if None.
    """
    shape = x.shape[-2:]
    wanted = wanted or _whole(shape)
    features = net.encoder(x)[1:]
    x = net.decoder.center(features.pop())
    at = _whole(shape)
    for number, block in enumerate(net.decoder.blocks):
        stride = 2 ** (len(net.decoder.blocks) - 1 - number)
        part = _widened(wanted, stride, shape)
        x = _cut(x, part, at, 2 * stride)
        skip = _cut(features.pop(), part, _whole(shape), stride) if features else None
        x = block(x, *(_length(p) // stride for p in part), skip)
        at = part
    image = _cut(image, at, _whole(shape), 1)
    # Each pixel for itself: by few rows, what lies between needs little memory and stays in caches.
    step = x.shape[-2] if torch.is_grad_enabled() else _ROWS
    strips = [
        _head(net, x[..., top : top + step, :], image[..., top : top + step, :])
        for top in range(0, x.shape[-2], step)
    ]
    return _cut(torch.cat(strips, 2), wanted, at, 1)


def _head(net: Any, x: Tensor, image: Tensor) -> Tensor:
    # What a shadow takes away is a factor: in logarithms a sum, and in the dark as plain to see as
    # in the bright.
    pixels = net.pixels(torch.log(image.clamp(min=0) + DARK))
    found: Tensor = net.segmentation_head(torch.cat([x, pixels], 1))
    return found


def _whole(shape: torch.Size) -> Window:
    return slice(0, shape[0]), slice(0, shape[1])


def _widened(wanted: Window, stride: int, shape: torch.Size) -> Window:
    """Return the pixels that a block is computed for, whole cells of the block before."""
    around, cell = _AROUND * stride, 2 * stride
    rows, cols = (
        slice(max(part.start - around, 0), min(-(-(part.stop + around) // cell) * cell, length))
        for part, length in zip(wanted, shape, strict=True)
    )
    return rows, cols


def _cut(x: Tensor, part: Window, at: Window, stride: int) -> Tensor:
    """Cut features that cover the pixels `at`, so that they cover those of `part`."""
    rows, cols = (
        slice((p.start - a.start) // stride, (p.stop - a.start) // stride)
        for p, a in zip(part, at, strict=True)
    )
    return x[..., rows, cols]


def _length(part: slice) -> int:
    return int(part.stop - part.start)

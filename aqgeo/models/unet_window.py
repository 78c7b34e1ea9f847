"""A U-Net's output for a window of its input, without computing all of it."""

from typing import Any

import torch
from torch import Tensor

Window = tuple[slice, slice]
# Cells round the wanted part with which a block of the decoder is computed: both its convolutions
# reach two, and the next block wants four of its own, half as large.
_AROUND = 4
# Rows that the decoder is computed for at once on a CPU, a multiple of the stride: what lies
# between its layers then stays in caches, and needs little memory.
_ROWS = 192
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
    rows, cols = wanted or _whole(shape)
    features = net.encoder(x)[1:]
    features.append(net.decoder.center(features.pop()))
    step = rows.stop - rows.start if torch.is_grad_enabled() or x.is_cuda else _ROWS
    strips = [
        _decoded(net, features, image, (slice(top, min(top + step, rows.stop)), cols))
        for top in range(rows.start, rows.stop, step)
    ]
    return torch.cat(strips, 2)


def _decoded(net: Any, features: list[Tensor], image: Tensor, wanted: Window) -> Tensor:
    shape = image.shape[-2:]
    *skips, x = features
    at = _whole(shape)
    for number, block in enumerate(net.decoder.blocks):
        stride = 2 ** (len(net.decoder.blocks) - 1 - number)
        part = _widened(wanted, stride, shape)
        x = _cut(x, part, at, 2 * stride)
        skip = _cut(skips.pop(), part, _whole(shape), stride) if skips else None
        x = block(x, *(_length(p) // stride for p in part), skip)
        at = part
    return _cut(_head(net, x, _cut(image, at, _whole(shape), 1)), wanted, at, 1)


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

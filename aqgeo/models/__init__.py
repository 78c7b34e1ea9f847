"""Networks: `forward` only. This file is the door of every room that uses torch.

A torch without CUDA beside the index's torchvision: torchvision cannot find two operators of its
own, and all that imports it fails. Nothing here calls them; it is enough that they are declared.
"""

import importlib
import os
import sys

# Large pages for tensors, read by torch at its first one: with small ones, a third of a network's
# time on large images goes into page faults.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import torch


def _open() -> "torch.library.Library | None":
    """Import torchvision; declare its operators first where its build lacks them."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError as err:
        if "torchvision::nms" not in str(err):
            raise
    else:
        return None
    declared = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        shape = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        declared.define(shape)  # type: ignore[no-untyped-call]
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    importlib.import_module("torchvision")
    return declared


# Kept alive: with it the declarations would go.
_DECLARED = _open()

"""State of a training run in one safetensors file, so that a killed run goes on."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as as_bytes
from torch import Tensor, nn

from aqgeo.datasets import disk
from aqgeo.errors import EstimateError

_KEY = "aqgeo-run"


@dataclass(slots=True)
class Run:
    """How far a run has come."""

    rows: list[dict[str, float]] = field(default_factory=list)
    """What was measured after each epoch."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the best epoch."""
    stale: int = 0
    """Epochs since the best one."""

    def add(self, row: dict[str, float], network: nn.Module) -> None:
        """Note an epoch; keep its weights if it is the best."""
        before = [(r["f1"], -r["validation_loss"]) for r in self.rows]
        self.rows.append(row)
        self.stale += 1
        if not before or (row["f1"], -row["validation_loss"]) > max(before):
            self.best = {k: v.detach().clone() for k, v in network.state_dict().items()}
            self.stale = 0


def save(
    path: Path, network: nn.Module, optimiser: torch.optim.Optimizer, run: Run, about: Any
) -> None:
    """Write a run's state, whole or not at all."""
    tensors = {f"now.{k}": v.contiguous() for k, v in network.state_dict().items()}
    tensors |= {f"best.{k}": v.contiguous() for k, v in run.best.items()}
    for number, values in optimiser.state_dict()["state"].items():
        tensors |= {
            f"optimiser.{number}.{k}": v.contiguous().clone()
            for k, v in values.items()
            if isinstance(v, Tensor)
        }
    told = json.dumps({"rows": run.rows, "stale": run.stale, "about": about})
    disk.save(path, as_bytes(tensors, {_KEY: told}))


def load(path: Path, network: nn.Module, optimiser: torch.optim.Optimizer, about: Any) -> Run:
    """Bring a network and its optimiser to where a run was left; return the run.

    Raises:
        EstimateError: the file is broken, or of a run with other settings or data.
    """
    try:
        with safe_open(str(path), "pt") as file:
            told = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if told["about"] != json.loads(json.dumps(about)):
            raise EstimateError(f"{path} is of a run with other settings or data: remove it")
        network.load_state_dict(_of(tensors, "now."))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _of(tensors, "optimiser.").items():
            number, _, key = name.partition(".")
            moments.setdefault(int(number), {})[key] = tensor
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": moments, "param_groups": groups})
        return Run(told["rows"], _of(tensors, "best."), told["stale"])
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, RuntimeError) as err:
        raise EstimateError(f"{path} is no state of a run ({err}): remove it") from err


def _of(tensors: dict[str, Tensor], start: str) -> dict[str, Tensor]:
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}

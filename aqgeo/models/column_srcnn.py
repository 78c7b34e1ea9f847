"""SRCNN for columns: what interpolation lacks on a finer grid, and how sure that is."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as nnf
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

Rows = tuple[slice, slice]
COLUMN, SIGMA, UNIT = "no2_column", "no2_column_sigma", "mol m-2"
_MICRO = 1e6
# Pixels around one from which its level and spread are taken.
_AROUND = 12
# Spread below which differences are noise, umol m-2.
_LEAST = 3.0


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Covariate:
    """Something that is known on the fine grid."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
    """Its name."""
    unit: Annotated[str, Field(max_length=40)]
    """Its unit. What is in mol m-2 is a guess at the column: it must keep the means of cells."""
    mean: float = 0.0
    """Of values to learn from, after `log`."""
    std: Annotated[float, Field(gt=0)] = 1.0
    """The same."""
    log: bool = False
    """Whether log(1 + value) is used; values are 0 or more."""

    @property
    def is_column(self) -> bool:
        """Whether it is a guess at the column itself."""
        return self.unit == UNIT


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ColumnSRCNNArguments:
    """What rebuilds a network; bounded, since it may come from a hostile file."""

    factor: Annotated[int, Field(ge=2, le=8)]
    """Fine pixels along one side of a cell, as it was trained."""
    covariates: Annotated[tuple[Covariate, ...], Field(max_length=32)] = ()
    """In the order of the input; any may be absent."""
    kernels: Annotated[tuple[Annotated[int, Field(ge=1, le=15)], ...], Field(max_length=8)] = (
        *(9, 3, 3, 5),
    )
    """Sides of the convolutions, odd."""
    channels: Annotated[tuple[Annotated[int, Field(ge=1, le=256)], ...], Field(max_length=7)] = (
        *(64, 48, 48),
    )
    """Channels of all but the last."""
    kernel: Literal["footprint", "box"] = "footprint"
    """How cells that it learnt from were measured: by satellite pixels, or as means of blocks."""

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if len(self.kernels) != len(self.channels) + 1 or any(k % 2 == 0 for k in self.kernels):
            raise ValueError(f"kernels {self.kernels} must be odd, one more than channels")


class ColumnSRCNN(nn.Module):
    """A column interpolated to its final grid in; the column and its sigma out, mol m-2.

    Channels of the input are `bands`, in physical units; NaN is what is not known. All columns are
    taken relative to level and spread of their neighbourhood, so that one network serves clean and
    polluted air. Dong et al. 2016, doi:10.1109/TPAMI.2015.2439281, with more inputs and a residual.
    """

    arguments = ColumnSRCNNArguments
    stride = 1
    """Rows and columns of an input are multiples of it."""

    def __init__(self, told: ColumnSRCNNArguments) -> None:
        """Build a network without training; it begins as the interpolation.

        Args:
            told: what it is to be.
        """
        super().__init__()
        self.factor, self.told = told.factor, told
        self.bands = (COLUMN, SIGMA, *(one.name for one in told.covariates))
        self.guesses = frozenset(one.name for one in told.covariates if one.is_column)
        # The spread is taken about levels, which have surroundings of their own.
        self.margin = sum(side // 2 for side in told.kernels) + 2 * _AROUND
        sizes = (3 + 2 + 2 * len(told.covariates), *told.channels, 2)
        layers = [
            nn.Conv2d(a, b, side, padding=side // 2, padding_mode="replicate")
            for (a, b), side in zip(pairwise(sizes), told.kernels, strict=True)
        ]
        for layer in layers[:-1]:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layers[-1].weight)
        if layers[-1].bias is not None:
            nn.init.zeros_(layers[-1].bias)
        self.layers = nn.ModuleList(layers)
        self.temperature: Tensor
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, x: Tensor, wanted: Rows | None = None) -> Tensor:
        """Return (b, 2, h, w) column and one-sigma, mol m-2, or the wanted rows and columns.

        Args:
            x: (b, band, h, w) in physical units; NaN is what is not known.
            wanted: rows and columns of the result; all if None.
        """
        column = x[:, :1] * _MICRO
        level, spread = _surroundings(column)
        known = torch.isfinite(column)
        column = torch.where(known, column, level)
        sigma = x[:, 1:2] * (_MICRO / spread)
        parts = [(column - level) / spread, spread.log() - 2, level / 50]
        parts += [sigma.nan_to_num(0.0), torch.isfinite(sigma).to(x.dtype)]
        for number, one in enumerate(self.told.covariates, 2):
            scaled = self._scaled(one, x[:, number : number + 1], column, spread)
            parts += [scaled.nan_to_num(0.0).clamp(-20, 20), torch.isfinite(scaled).to(x.dtype)]
        hidden = torch.cat(parts, 1)
        for layer in self.layers[:-1]:
            hidden = torch.relu(layer(hidden))
        change, doubt = self.layers[-1](hidden).split(1, 1)
        sure = nnf.softplus(doubt) * spread * self.temperature
        found = torch.cat([column + change * spread, sure], 1) / _MICRO
        return found if wanted is None else found[..., wanted[0], wanted[1]]

    def only(self, bands: Sequence[str]) -> nn.Module:
        """Return a network of the same weights for inputs of some bands, in their order."""
        return self if tuple(bands) == self.bands else _Some(self, bands)

    @staticmethod
    def _scaled(one: Covariate, values: Tensor, column: Tensor, spread: Tensor) -> Tensor:
        if one.is_column:
            return (values * _MICRO - column) / spread
        values = values.clamp(min=0).log1p() if one.log else values
        return (values - one.mean) / one.std


class _Some(nn.Module):
    """A network that is given some of its bands; the others are not known."""

    def __init__(self, whole: ColumnSRCNN, bands: Sequence[str]) -> None:
        super().__init__()
        self.whole, self.at = whole, [whole.bands.index(band) for band in bands]

    def forward(self, x: Tensor, wanted: Rows | None = None) -> Tensor:
        every = x.new_full((x.shape[0], len(self.whole.bands), *x.shape[2:]), torch.nan)
        every[:, self.at] = x
        return self.whole(every, wanted)  # type: ignore[no-any-return]


def _surroundings(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and spread of what is known around each pixel; 0 where nothing is."""
    known = torch.isfinite(values)
    held = torch.where(known, values, 0)
    share, mean = _box(known.to(values.dtype)), _box(held)
    mean = mean / share.clamp(min=1e-6)
    off = torch.where(known, held - mean, 0)
    return mean, (_box(off.square()) / share.clamp(min=1e-6)).sqrt() + _LEAST


def _box(values: Tensor) -> Tensor:
    """Return the mean over a square; beyond the edge nothing is counted."""
    side = 2 * _AROUND + 1
    rows = nnf.avg_pool2d(values, (side, 1), 1, (_AROUND, 0), count_include_pad=True)
    return nnf.avg_pool2d(rows, (1, side), 1, (0, _AROUND), count_include_pad=True)

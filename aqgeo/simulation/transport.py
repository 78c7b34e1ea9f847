"""Transport and decay in two layers of air, an hour at a time."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from aqgeo.simulation.noise import FloatArray

HOUR_S = 3600.0
LOW = ("traffic", "homes", "industry")
"""Sources in the layer at the ground."""
HIGH = ("stacks", "fires")
"""Sources whose plumes rise above it at first."""
RIM_M = 16_000
"""Width that is emptied every hour; two of them are wider than an hour's way of the wind."""
_RAMP_M = 4_000  # from the rim to where nothing is taken
_MIXING_M = 25.0  # K = .1 u dx, dx 250 m (simulation-facts, section 5; recalled)
_WORKERS = 2  # threads of the transform, whose result does not depend on them

Spectrum = NDArray[np.complex64]
Complex = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class Budget:
    """NOx in mol: before + emitted = after + decayed + blown_out."""

    before: float
    """Held by the grid when the hour began."""
    emitted: float
    """Given off during the hour."""
    decayed: float
    """Lost to chemistry, by the lifetime."""
    blown_out: float
    """Taken away by the rim."""
    after: float
    """Held when the hour ended."""


class Flow:
    """Carries what the sources of one grid give off."""

    def __init__(self, grid: GeoBox, sources: Mapping[str, FloatArray]) -> None:
        """Prepare the transforms.

        Args:
            grid: north-up, square pixels, a margin of 40 km in which the rim lies.
            sources: (y, x) mol m-2 s-1 by name, names of LOW and HIGH; one that lacks is 0.
        """
        self._shape, pixel = grid.shape.yx, float(grid.affine.a)
        self._area = pixel**2
        self._padded = tuple(scipy.fft.next_fast_len(n, real=True) for n in self._shape)
        # Rows run southward.
        self._east = math.tau * scipy.fft.rfftfreq(self._padded[1], pixel)
        self._north = -math.tau * scipy.fft.fftfreq(self._padded[0], pixel)
        inner, outer = _frame(self._shape, pixel)
        self._keep = inner
        kept = {name: np.asarray(field * outer, "float32") for name, field in sources.items()}
        self._totals = {n: float(f.sum(dtype="float64")) * self._area for n, f in kept.items()}
        # Smoothed by one pixel, so that points do not ring.
        blur = np.exp(-0.5 * pixel**2 * (self._north[:, None] ** 2 + self._east[None, :] ** 2))
        blur = blur.astype("float32")
        self._spectra = {name: self._forward(field) * blur for name, field in kept.items()}

    def calm(self) -> FloatArray:
        """Return (2, y, x) air without any NOx, mol m-2: the layer at the ground, that above."""
        return np.zeros((2, *self._shape), "float32")

    def step(
        self, air: FloatArray, activity: Mapping[str, float], wind: tuple[float, float], loss: float
    ) -> tuple[FloatArray, Budget]:
        """Return the air an hour later, and where its NOx went.

        dV/dt + u.grad V = K lap V + E - loss V has an exact solution in Fourier space, for
        wind, loss and emission that are constant during the hour.

        Args:
            air: (2, y, x) NOx in mol m-2.
            activity: factors on the sources.
            wind: eastward and northward, m/s.
            loss: rate in s-1.
        """
        diffusion = _MIXING_M * max(math.hypot(*wind), 1.0)
        along = diffusion * self._east**2 + 1j * wind[0] * self._east
        across = diffusion * self._north**2 + 1j * wind[1] * self._north + loss
        decay = _outer(np.multiply, np.exp(-HOUR_S * across), np.exp(-HOUR_S * along))
        gain = (1 - decay) / _outer(np.add, across, along)
        spectrum = self._forward(air)
        spectrum *= decay
        for layer, names in enumerate((LOW, HIGH)):
            spectrum[layer] += gain * self._emission(names, activity)
        found = scipy.fft.irfft2(spectrum, s=self._padded, workers=_WORKERS, overwrite_x=True)
        after = found[:, : self._shape[0], : self._shape[1]] * self._keep
        emitted = HOUR_S * sum(self._totals[n] * activity[n] for n in self._totals)
        held = self._held(air)
        left = aged(held, loss) + grown(emitted / HOUR_S, loss)
        budget = Budget(
            before=held,
            emitted=emitted,
            decayed=held + emitted - left,
            blown_out=self._held(found) - self._held(after),
            after=self._held(after),
        )
        return after, budget

    def _emission(self, names: tuple[str, ...], activity: Mapping[str, float]) -> Spectrum:
        total = np.zeros((self._padded[0], self._padded[1] // 2 + 1), "complex64")
        for name in names:
            if name in self._spectra:
                total += np.float32(activity[name]) * self._spectra[name]
        return total

    def _forward(self, fields: FloatArray) -> Spectrum:
        return scipy.fft.rfft2(fields, s=self._padded, workers=_WORKERS)  # type: ignore[no-any-return]

    def _held(self, air: FloatArray) -> float:
        return float(air.sum(dtype="float64")) * self._area


def aged(amount: float, loss: float) -> float:
    """Return what an hour leaves of an amount."""
    return amount * math.exp(-HOUR_S * loss)


def grown(source: float, loss: float) -> float:
    """Return what an hour leaves of what a source (per second) gives off during it."""
    return -source * math.expm1(-HOUR_S * loss) / loss


def _outer(operation: np.ufunc, rows: Complex, cols: Complex) -> Spectrum:
    found: Spectrum = operation.outer(rows.astype("complex64"), cols.astype("complex64"))
    return found


def _frame(shape: tuple[int, int], pixel: float) -> tuple[FloatArray, FloatArray]:
    """Return what is kept each hour, 0 in the rim to 1 inside, and where sources count, 0 or 1."""
    distance = [pixel * np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5) for n in shape]
    kept = [np.clip((d - RIM_M) / _RAMP_M, 0, 1) for d in distance]
    counts = [d >= RIM_M for d in distance]
    return (
        np.multiply.outer(*kept).astype("float32"),
        np.multiply.outer(*counts).astype("float32"),
    )

"""Errors of TROPOMI that belong to a place and time, or to orbit, line and pixel."""

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqgeo.simulation import noise
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.swath import PIXELS, Swath

_EARTH_KM, _WAVES = 6371.0, 48
_BLOCK = 64  # lines of places at a time, which stay in the processor's cache
_NOISE_BLOCK = 32  # scanlines that share a random stream
_STRIPE_ORBITS = 100  # over which stripes change (slow in time: facts, section 4; recalled)


def smooth(
    places: NDArray[np.float64],
    when: datetime,
    seed: int,
    purpose: str,
    *,
    km: float,
    days: float = math.inf,
) -> FloatArray:
    """Return a Gaussian field (n, ...) of mean 0 and deviation 1, alike over km and days.

    A sum of plane waves through the globe: the value depends on place and time alone, and falls to
    .61 of itself over km or days.

    Args:
        places: (n, ..., 2) lon and lat in degrees.
        when: the time.
        seed: seed of the world.
        purpose: name of the field.
        km: length.
        days: time.
    """
    rng = noise.stream(seed, purpose)
    waves = rng.standard_normal((_WAVES, 3)) * _EARTH_KM / km
    speeds, phases = rng.standard_normal(_WAVES) / days, rng.uniform(0, math.tau, _WAVES)
    phases = (phases + speeds * (when.timestamp() / 86_400 % 36_525)) % math.tau
    found = np.zeros(places.shape[:-1], "float32")
    for at in range(0, len(found), _BLOCK):
        lon, lat = np.radians(np.moveaxis(places[at : at + _BLOCK], -1, 0))
        xyz = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
        x, y, z = xyz.astype("float32")
        for (a, b, c), phase in zip(waves.astype("float32"), phases, strict=True):
            found[at : at + _BLOCK] += np.cos(a * x + b * y + (c * z + np.float32(phase)))
    return np.asarray(found * np.float32(math.sqrt(2 / _WAVES)))


def stripes(swath: Swath, seed: int) -> FloatArray:
    """Return offsets (p,) of deviation 1, the same along an orbit and slow in time."""
    knot, part = divmod(swath.orbit, _STRIPE_ORBITS)
    turn = math.pi / 2 * part / _STRIPE_ORBITS
    rows = [noise.stream(seed, "stripes", k).standard_normal(PIXELS) for k in (knot, knot + 1)]
    both = math.cos(turn) * rows[0] + math.sin(turn) * rows[1]
    return np.asarray(_across(swath, both), "float32")


def normal(swath: Swath, seed: int) -> FloatArray:
    """Return standard normal numbers (s, p) that belong to orbit, line and pixel."""
    size = (_NOISE_BLOCK, PIXELS)
    blocks = [rng.standard_normal(size, "f4") for rng in _streams(swath, seed, "slant")]
    return _along(swath, np.concatenate(blocks))


def uniform(swath: Swath, seed: int, purpose: str) -> FloatArray:
    """Return numbers (s, p) evenly from 0 to 1 that belong to orbit, line and pixel."""
    blocks = [r.random((_NOISE_BLOCK, PIXELS), "f4") for r in _streams(swath, seed, purpose)]
    return _along(swath, np.concatenate(blocks))


def _streams(swath: Swath, seed: int, purpose: str) -> Iterator[np.random.Generator]:
    last = swath.first_line + swath.shape[0] - 1
    for block in range(swath.first_line // _NOISE_BLOCK, last // _NOISE_BLOCK + 1):
        yield noise.stream(seed, purpose, swath.orbit, block)


def _along(swath: Swath, values: FloatArray) -> FloatArray:
    skipped = swath.first_line % _NOISE_BLOCK
    return _across(swath, values[skipped : skipped + swath.shape[0]])


def _across(swath: Swath, values: NDArray[Any]) -> NDArray[Any]:
    return values[..., swath.first_pixel : swath.first_pixel + swath.shape[1]]

"""Monitors of NO2 at stations: what their readings make of the truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

CODE = -999.0
"""Written instead of a value by networks whose monitor reports an error."""
# What a place differs from its surroundings: residual sigma 5-8 at background stations, 10-12 at
# traffic ug m-3 (simulation-facts, section 6; recalled) at means of about 20 and 35, halved, since
# those residuals hold the error of a map too. By hour: illustrative.
_SITING = {"background": 0.15, "industrial": 0.15, "traffic": 0.18}
_HOURLY, _HOURLY_MEMORY = 0.2, 0.6
# Reference instrument (simulation-facts, section 6; recalled): hourly noise .5-1 ug m-3 and 2-3 %,
# zero drift up to 5 ppb (9.6 ug m-3) and span 5 % in three months, reset after 1-4 weeks.
_NOISE, _NOISE_SHARE = 0.8, 0.025
_ZERO_PER_DAY, _SPAN_PER_DAY = 0.05, 0.0003
_RESET_DAYS = (7, 28)
# Molybdenum converters read NOz as NO2: +2-5 % at traffic, +10-30 % on rural summer afternoons
# (same place; recalled); how many monitors have one is illustrative.
_CONVERTERS = {"rural": (0.5, 0.28), "suburban": (0.35, 0.15), "urban": (0.2, 0.08)}
_LIMIT, _LIMITED = 1.0, 1 / 3  # ug m-3; share of monitors that report half of it below
_CALIBRATION_HOURS = (0, 1, 2)  # begins of the daily lost hour (same place; recalled)
_OUTAGE_RATE = 1 / 400  # per hour, Pareto with median 3 h; valid hours 90-97 % (recalled)
_LONGEST_OUTAGE_H = 240.0


@dataclass(frozen=True, slots=True)
class Faults:
    """How often a monitor reports nonsense, times per hour; all illustrative."""

    spikes: float = 5e-4
    """A value several times too high."""
    stuck: float = 3e-4
    """One value repeated for some hours."""
    negatives: float = 1e-3
    """A value below zero by more than noise."""
    codes: float = 3e-3
    """CODE instead of a value."""


USUAL = Faults()


def readings(
    truth: Reals, hours: Reals, noz: Reals, kind: tuple[str, str], rng: np.random.Generator,
    faults: Faults = USUAL,
) -> Reals:  # fmt: skip
    """Return the values of one monitor, (hour,) ug m-3; NaN where there is none.

    Args:
        truth: (hour,) concentration in the surroundings, ug m-3.
        hours: (hour,) begins, counted from any local midnight.
        noz: (hour,) 0 to 1, how much aged nitrogen the air holds.
        kind: type and area of the station.
        rng: random numbers of this monitor.
        faults: rates of nonsense.
    """
    local = truth * _surroundings(truth.size, kind[0], rng)
    values = local * (1 + _converter(noz, kind, rng))
    zero, span = _drift(hours, rng)
    noise = rng.normal(0, 1, truth.size) * np.hypot(_NOISE, _NOISE_SHARE * local)
    values = values * (1 + span) + zero + noise
    if rng.random() < _LIMITED:
        values[values < _LIMIT] = _LIMIT / 2
    values = np.round(_spoil(values, rng, faults), 2)
    values[_lost(hours, rng)] = np.nan
    return values


def _surroundings(count: int, kind: str, rng: np.random.Generator) -> Reals:
    """Return the inlet's share of the concentration around it: a fixed one and one that wanders."""
    siting = rng.normal(0, _SITING[kind])
    steps = rng.normal(0, _HOURLY * np.sqrt(1 - _HOURLY_MEMORY**2), count)
    wander = np.empty(count)
    state = rng.normal(0, _HOURLY)
    for i, step in enumerate(steps):
        state = _HOURLY_MEMORY * state + step
        wander[i] = state
    variance = _SITING[kind] ** 2 + _HOURLY**2
    return np.asarray(np.exp(siting + wander - variance / 2))


def _converter(noz: Reals, kind: tuple[str, str], rng: np.random.Generator) -> Reals:
    share, most = _CONVERTERS[kind[1]]
    has, strength = rng.random() < share, rng.uniform(0.6, 1.1)
    if kind[0] == "traffic":
        most = 0.04
    return has * strength * (0.02 + (most - 0.02) * noz)


def _drift(hours: Reals, rng: np.random.Generator) -> tuple[Reals, Reals]:
    """Return offset in ug m-3 and relative error, which grow until the next calibration."""
    days = rng.uniform(*_RESET_DAYS)
    since = (hours / 24 + rng.uniform(0, days)) % days
    return since * rng.normal(0, _ZERO_PER_DAY), since * rng.normal(0, _SPAN_PER_DAY)


def _spoil(values: Reals, rng: np.random.Generator, faults: Faults) -> Reals:
    values = values.copy()
    spikes = rng.random(values.size) < faults.spikes
    values[spikes] = 30 + values[spikes] * rng.uniform(4, 12, int(spikes.sum()))
    for begin in np.nonzero(rng.random(values.size) < faults.stuck)[0]:
        values[begin : begin + int(rng.integers(4, 30))] = values[begin]
    negatives = rng.random(values.size) < faults.negatives
    values[negatives] = -rng.uniform(1, 9, int(negatives.sum()))
    values[rng.random(values.size) < faults.codes] = CODE
    return values


def _lost(hours: Reals, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return the hours of calibrations and outages."""
    lost = np.asarray(hours % 24 == rng.choice(_CALIBRATION_HOURS))
    for begin in np.nonzero(rng.random(lost.size) < _OUTAGE_RATE)[0]:
        # Pareto with shape 1 has its median at twice its scale of 1.5 h.
        length = min(1.5 * (1 + rng.pareto(1.0)), _LONGEST_OUTAGE_H)
        lost[begin : begin + round(length)] = True
    return lost

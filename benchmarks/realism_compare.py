"""The comparisons of the report, part by part, from samples of both sides."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks import realism_clouds as clouds
from benchmarks import realism_columns as columns
from benchmarks import realism_stations as stations
from benchmarks.realism_chips import CLASSES, L1C, Pixels
from benchmarks.realism_clouds import Masks
from benchmarks.realism_distances import Comparison, Values, numbers, samples, thinned

_EACH = 4000
"""Values that one site gives at most, so that no site outweighs the others."""
_DARK, _FAINT = 0.03, 0.003
"""Reflectance below which distances are relative to this: the error of L2A is near .01; in B10,
which sees no ground, clear pixels differ by .001 to .003."""


def reflectance(real: Sequence[Pixels], simulated: Sequence[Pixels]) -> list[Comparison]:
    """Compare each band of each class and level that the real side has."""
    found = []
    for level, kind in groups(real):
        for band in L1C:
            sites, ours = (values(side, level, kind, band) for side in (real, simulated))
            if sites:
                found.append(
                    samples(
                        "reflectance", f"{kind} {band}, {level}", joined(sites), joined(ours),
                        floor=_FAINT if band == "B10" else _DARK, sites=sites,
                    )
                )  # fmt: skip
    return found


def groups(pixels: Sequence[Pixels]) -> list[tuple[str, str]]:
    """Return the (level, class) pairs that occur, in the order of classes."""
    pairs = {(p.level, p.kind) for p in pixels}
    return sorted(pairs, key=lambda pair: (pair[0], CLASSES.index(pair[1])))


def values(pixels: Sequence[Pixels], level: str, kind: str, band: str) -> list[Values]:
    """Return one sample a site, none larger than _EACH."""
    by_site: dict[str, list[Values]] = {}
    for p in pixels:
        if (p.level, p.kind) == (level, kind) and band in p.bands:
            by_site.setdefault(p.site, []).append(thinned(p.bands[band]))
    sites = [np.concatenate(own) for own in by_site.values()]
    return [v[:: max(1, v.size // _EACH)] for v in sites if v.size]


def joined(parts: Sequence[Values]) -> Values:
    """Return the parts as one sample."""
    return np.concatenate(parts) if parts else np.empty(0)


def cover(name: str, real: Masks, simulated: Masks) -> list[Comparison]:
    """Compare fractions, and the shapes of regions where windows are large enough to hold some.

    Args:
        name: the real set.
        real: its windows.
        simulated: windows of the same size and pixel.
    """
    found = []
    for what in ("cloud", "gap"):
        a, b = getattr(real, what), getattr(simulated, what)
        if what == "gap" and real.gap is real.cloud:
            continue
        found.append(_fractions(f"{what} fraction, {name}", a, b))
        if a[0].shape[0] < clouds.TILE_WINDOW:
            continue
        shape = clouds.shapes(a), clouds.shapes(b)
        counts = {"n_real": float(shape[0].areas.size), "n_simulated": float(shape[1].areas.size)}
        for quantity, bounds in (("exponent", (0.15, 0.3)), ("dimension", (0.06, 0.12))):
            pair = (getattr(s, quantity) for s in shape)
            label = f"{what} size {quantity}, {name}"
            found.append(numbers("clouds", label, *pair, bounds=bounds, more=counts))
        # Sizes span four decades and most regions are single pixels: compare weighed by area.
        large = [np.log10(_weighed(s.areas)) for s in shape]
        found.append(
            samples("clouds", f"{what} size by area [log10 pixels], {name}", *large,
                    floor=1.0, bounds=(0.1, 0.2))
        )  # fmt: skip
    return found


def of_cities(
    cities: pd.DataFrame, november: pd.DataFrame, clean: pd.DataFrame
) -> list[Comparison]:
    """Compare histograms of columns, negatives, noise.

    Args:
        cities: real pixels of three cities.
        november: simulated pixels of the same days.
        clean: simulated pixels that hold clean air too.
    """
    sites = [group["column"].to_numpy() for _, group in cities.groupby("site")]
    sites = [v[:: max(1, v.size // 1700)] for v in sites]
    ours, clean = november[november["qa"] > 0.75], clean[clean["qa"] > 0.75]
    values = joined(sites), ours["column"].dropna().to_numpy()
    return [
        samples("columns", "column [mol m-2], cities", *values, floor=1e-5, sites=sites),
        samples("columns", "column / median, cities", *(v / np.median(v) for v in values),
                floor=0.1, sites=[v / np.median(v) for v in sites]),
        numbers("columns", "share of negatives, cities", (values[0] < 0).mean(),
                (values[1] < 0).mean(), bounds=(0.003, 0.008)),
        numbers("columns", "noise of clean neighbours [mol m-2], cities", columns.noise(cities),
                columns.noise(clean), bounds=(0.25, 0.5), relative=True),
    ]  # fmt: skip


def of_delhi(delhi: pd.DataFrame, overpasses: pd.DataFrame) -> list[Comparison]:
    """Compare columns, precision, air mass factor and quality of pixels, real and simulated."""
    clear = [table[table["qa"] > 0.75] for table in (delhi, overpasses)]
    column, amf = ([table[name].to_numpy() for table in clear] for name in ("column", "amf"))
    shares = columns.qa_shares(delhi), columns.qa_shares(overpasses)
    fits = columns.precision_fit(delhi), columns.precision_fit(overpasses)
    names = "precision at no column [mol m-2], Delhi", "precision over column, Delhi"
    return [
        samples("columns", "column [mol m-2], Delhi", *column, floor=1e-5),
        *(numbers("columns", name, a, b, bounds=(0.25, 0.5), relative=True)
          for name, a, b in zip(names, *fits, strict=True)),
        samples("columns", "air mass factor, clear, Delhi", *amf,
                floor=0.1, bounds=(0.1, 0.25)),
        *(numbers("columns", f"share of {k} pixels, Delhi", shares[0][k], shares[1][k],
                  bounds=(0.05, 0.12)) for k in shares[0]),
    ]  # fmt: skip


def structure(
    cities: pd.DataFrame, november: pd.DataFrame, far: columns.Variogram, coarse: columns.Variogram
) -> list[Comparison]:
    """Compare how columns vary with distance.

    Args:
        cities: real pixels.
        november: simulated pixels.
        far: of the real daily fields.
        coarse: of simulated fields on cells as large.
    """
    near = [columns.variogram(t) for t in (cities, november[november["qa"] > 0.75])]
    sites = [columns.variogram(group).slope for _, group in cities.groupby("site")]
    spread = {"between_real_sites": float(np.ptp(sites))}
    label = "slope of variogram, {:.0f}-{:.0f} km"
    shared = columns.common_slopes(far, coarse)
    return [
        numbers("structure", f"{label.format(*columns.FITTED_KM)}, cities", near[0].slope,
                near[1].slope, bounds=(0.15, 0.35), more=spread),
        numbers("structure", "share of variance below 5 km, cities", float(near[0].share[0]),
                float(near[1].share[0]), bounds=(0.1, 0.2)),
        numbers("structure", f"{label.format(*shared[2])}, daily fields", shared[0], shared[1],
                bounds=(0.15, 0.35)),
    ]  # fmt: skip


def at_stations(
    real: pd.DataFrame,
    ours: pd.DataFrame,
    rhythms: dict[str, pd.Series],
    our_rhythms: dict[str, pd.Series],
) -> list[Comparison]:
    """Compare means by type, and ratios of weekend to week and night to day."""
    found = []
    for area, kind in stations.KINDS:
        pair = (stations.kind_values(side, area, kind) for side in (real, ours))
        found.append(
            samples("stations", f"{area} {kind} [ug m-3]", *pair, floor=3.0, bounds=(0.2, 0.4))
        )
    for name, ratio in rhythms.items():
        pair = (side.to_numpy() for side in (ratio, our_rhythms[name]))
        found.append(samples("stations", name, *pair, floor=0.1, bounds=(0.1, 0.2)))
    return found


def _fractions(name: str, real: list[clouds.Mask], simulated: list[clouds.Mask]) -> Comparison:
    a, b = (clouds.fractions(side) for side in (real, simulated))
    found = samples("clouds", name, a, b, floor=0.0)
    means = float(a.mean()), float(b.mean())
    distance = found.more["wasserstein"]
    return Comparison("clouds", name, *means, distance, "W1", 0.08, 0.16, found.more)


def _weighed(areas: Values) -> Values:
    """Return sizes at even steps of the cloudy area: the size of the region of a cloudy pixel."""
    order = np.sort(areas)
    steps = np.linspace(0, order.sum(), 500, endpoint=False) if order.size else np.empty(0)
    return order[np.searchsorted(np.cumsum(order), steps, "right")].astype("float64")

"""Cloud classes and filled gaps of a Sentinel-2 series against the truth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from aqgeo import cube, scores
from aqgeo.scores import ESTIMATE, Row, Table, View
from aqgeo.scoring import classes, cloud_masks, fields, gaps, matching, rules
from aqgeo.scoring.cloud_masks import CLEAR, NAMES, THICK, THIN

# Scenes of one day lie seconds apart; those of two satellites a day or more.
_SAME_SCENE = np.timedelta64(6, "h")
CLOUDS = Table(
    "clouds",
    "Cloud classes",
    dict.fromkeys(("IoU", "F1", "producer", "user", "BOA"), "1"),
    note="Pixels of all dates. producer: share of the true pixels that are found; user: share of "
    "the found ones that are true; BOA: balanced overall accuracy, the mean of the classes' "
    "producer's accuracies.",
)
CONFUSION = Table(
    "confusion",
    "Cloud classes, true by row, found by column",
    dict.fromkeys(NAMES.values(), "1"),
    note="Pixels of all dates.",
)
FILLING = Table(
    "filling",
    "Filled gaps",
    {"RMSE": "1", "SSIM": "1", "SAM": "degrees"},
    note="Surface reflectance of all bands and dates, inside filled pixels only, against the "
    "clear-sky truth of that date. SSIM: structural similarity; SAM: spectral angle.",
)
COMPOSITE = Table(
    "composite",
    "Cloud-free composite",
    {"RMSE": "1", "bias": "1", "SAM": "degrees"},
    note="Reflectance of all bands, against the median of the clear-sky truth of its dates.",
)
TABLES = (CLOUDS, CONFUSION, FILLING, COMPOSITE)
"""Empty tables, in order, for a run without a cleaned series."""
_RULES = ("nearest clear date", "median of clear dates")


@dataclass(frozen=True, slots=True)
class _Pairs:
    """A series and its truth, date by date."""

    series: xr.Dataset
    truth: xr.Dataset
    dates: list[tuple[int, int]]
    """Index in the series and in the truth of each date that both have."""

    def classes(
        self, others: Mapping[str, xr.DataArray]
    ) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """Yield (y, x) true classes and those of each method, one date at a time."""
        layers = {ESTIMATE: self.series["cloud_class"], **others}
        for found, true in self.dates:
            yield (
                matching.onto(self.truth["cloud"].isel(time=true), self.where, how="mode"),
                {name: layer.isel(time=found).to_numpy() for name, layer in layers.items()},
            )

    @property
    def where(self) -> GeoBox:
        return cube.geobox(self.series)

    @property
    def bands(self) -> list[str]:
        shared = set(map(str, self.series.data_vars)) & set(map(str, self.truth.data_vars))
        return sorted(name for name in shared if self.series[name].dtype == "float32")

    def day(self, number: int) -> str:
        return str(self.series["time"].values[self.dates[number][0]].astype("datetime64[D]"))


def score(
    series: xr.Dataset,
    composite: xr.Dataset,
    truth: xr.Dataset,
    *,
    method: str = "",
    others: Mapping[str, xr.DataArray] | None = None,
) -> tuple[list[Table], list[View]]:
    """Return tables and views of a cleaned series.

    Args:
        series: cube with bands in reflectance, `cloud_class`, `valid` and `filled`.
        composite: cube of one time with the same bands.
        truth: cube with the clear-sky bands and `cloud`, CloudSEN12's codes.
        method: name for people of what has found the classes.
        others: (time, y, x) classes of simpler methods by their name, of the same dates and pixels.
    """
    matched = matching.nearest_times(series.time.values, truth.time.values, _SAME_SCENE)
    pairs = _Pairs(series, truth, [(i, j) for i, j in enumerate(matched) if j >= 0])
    if not pairs.dates:
        why = "no date of the series is a date of the truth"
        return [scores.missing(table, why) for table in TABLES], []
    clouds, cloud_view = _clouds(pairs, method, others or {})
    filling, fill_view = _filling(pairs, composite)
    tables = [*clouds, filling, _composite(pairs, composite)]
    return tables, [view for view in (cloud_view, fill_view) if view is not None]


def _clouds(
    pairs: _Pairs, method: str, others: Mapping[str, xr.DataArray]
) -> tuple[list[Table], View]:
    counts = {name: np.zeros((len(NAMES),) * 2, "int64") for name in (ESTIMATE, *others)}
    best, shown = -1.0, (0, np.empty((0, 0)), np.empty((0, 0)))
    for number, (true, found) in enumerate(pairs.classes(others)):
        for name, layer in found.items():
            counts[name] += classes.confusion(true, layer, list(NAMES))
        clear = float((true == CLEAR).mean())
        if clear * (1 - clear) > best:
            best, shown = clear * (1 - clear), (number, true, found[ESTIMATE])
    number, true, layer = shown
    by = f" by {method}" if method else ""
    view = View(
        name="clouds",
        title=f"Cloud classes{by}, {pairs.day(number)}",
        unit="1",
        truth=true,
        found=layer,
        error=cloud_masks.mistakes(true, layer),
        pixel_m=abs(pairs.where.affine.a),
        classes=cloud_masks.LEGEND,
        errors=cloud_masks.MISTAKES,
        caption="The date on which clear and other ground are most evenly matched.",
    )
    rows = [row for name, own in counts.items() for row in _class_rows(name, own)]
    tables = scores.filled(CLOUDS, rows), _confusion(counts[ESTIMATE])
    return [replace(table, title=f"{table.title}{by}") for table in tables], view


def _class_rows(method: str, counts: np.ndarray) -> Iterator[Row]:
    for name, one in zip(NAMES.values(), classes.per_class(counts), strict=True):
        why = "" if one.n else "the truth has no pixel of this class"
        yield scores.row(name, method, one.n, _ratios(one), why=why)
    for name, inside in {"cloud, yes or no": (THICK, THIN), "usable, yes or no": (CLEAR,)}.items():
        outside = [code for code in NAMES if code not in inside]
        two = classes.merge(counts, [outside, list(inside)])
        yield _balanced(name, method, two, _ratios(classes.per_class(two)[1]))
    yield _balanced("all four classes", method, counts, {})


def _ratios(one: classes.ClassScores) -> dict[str, float]:
    return {"IoU": one.iou, "F1": one.f1, "producer": one.producer, "user": one.user}


def _balanced(name: str, method: str, counts: np.ndarray, ratios: dict[str, float]) -> Row:
    values = {**ratios, "BOA": classes.balanced_accuracy(counts)}
    why = "" if np.isfinite(values["BOA"]) else "the truth lacks a class"
    shown = not name.startswith("usable")
    return scores.row(name, method, int(counts.sum()), values, why=why, headline=shown)


def _confusion(counts: np.ndarray) -> Table:
    rows = []
    for name, line in zip(NAMES.values(), counts, strict=True):
        found = dict(zip(NAMES.values(), line.tolist(), strict=True))
        rows.append(scores.row(name, ESTIMATE, int(line.sum()), found))
    return scores.filled(CONFUSION, rows)


class _GapSums:
    """Sums of squared errors, similarity and angles by method and gap size class."""

    def __init__(self, methods: tuple[str, ...]) -> None:
        size = (len(methods), len(gaps.SIZE_NAMES) + 1)
        self.methods = methods
        self.pixels = np.zeros(size[1])
        self.empty = 0
        self.squares, self.similar, self.angles, self.angled = np.zeros((4, *size))

    def add(self, codes: np.ndarray, truth: np.ndarray, found: list[np.ndarray]) -> None:
        """Add one date: (y, x) size codes, (band, y, x) truth and each method's estimate."""
        both = np.isfinite(truth).all(axis=0) & (codes > 0)
        for estimate in found:
            both &= np.isfinite(estimate).all(axis=0)
        if not both.any():
            return
        chosen, size = codes[both], self.pixels.size
        self.pixels += np.bincount(chosen, minlength=size)
        bands = [gaps.similarity(t, f, both) for t, *f in zip(truth, *found, strict=True)]
        for m, estimate in enumerate(found):
            squares = ((estimate - truth)[:, both].astype("float64") ** 2).mean(axis=0)
            similar = np.mean([band[m] for band in bands], axis=0)
            angles = gaps.spectral_angle(estimate[:, both], truth[:, both])
            known = np.isfinite(angles)
            self.squares[m] += np.bincount(chosen, squares, size)
            self.similar[m] += np.bincount(chosen, similar, size)
            self.angles[m] += np.bincount(chosen[known], angles[known], size)
            self.angled[m] += np.bincount(chosen[known], minlength=size)

    def rows(self) -> Iterator[Row]:
        """Yield the rows of all gaps, then of each size class."""
        kinds = {"all gaps": list(gaps.SIZE_NAMES)}
        kinds |= {name: [code] for code, name in gaps.SIZE_NAMES.items()}
        for what, codes in kinds.items():
            n = int(self.pixels[codes].sum())
            for m, method in enumerate(self.methods):
                values = {
                    "RMSE": _mean(self.squares[m, codes], n) ** 0.5,
                    "SSIM": _mean(self.similar[m, codes], n),
                    "SAM": _mean(self.angles[m, codes], self.angled[m, codes].sum()),
                }
                why = "" if n else "no filled pixel lies in such a gap"
                first = what == "all gaps"
                yield scores.row(what, method, n, values, why=why, headline=first)


def _filling(pairs: _Pairs, composite: xr.Dataset) -> tuple[Table, View | None]:
    series, where, bands = pairs.series, pairs.where, pairs.bands
    valid, days = series["valid"].to_numpy(), _days(series)
    pixel_km2 = abs(where.affine.determinant) / 1e6
    sums = _GapSums((ESTIMATE, *_RULES))
    median = _stack(composite, bands, 0)
    most, shown = 0, None
    for number, (date, true_date) in enumerate(pairs.dates):
        filled = series["filled"].isel(time=date).to_numpy()
        if not filled.any():
            continue
        layers = [pairs.truth[band].isel(time=true_date) for band in bands]
        truth = np.stack([matching.onto(layer, where) for layer in layers])
        near = [rules.nearest_date(list(series[band]), valid, days, date) for band in bands]
        found = _stack(series, bands, date)
        codes = np.where(filled, gaps.size_classes(~valid[date], pixel_km2), 0)
        sums.add(codes, truth, [found, np.stack(near), median])
        if filled.sum() > most:
            most, shown = int(filled.sum()), (number, truth[-1], found[-1], filled)
    if shown is None:
        return scores.missing(FILLING, "no pixel was filled"), None
    return scores.filled(FILLING, sums.rows()), _fill_view(pairs, *shown)


def _fill_view(
    pairs: _Pairs, number: int, truth: np.ndarray, found: np.ndarray, filled: np.ndarray
) -> View:
    return View(
        name="filling",
        title=f"Reflectance of {pairs.bands[-1]} with filled gaps, {pairs.day(number)}",
        unit="1",
        truth=truth,
        found=found,
        error=np.where(filled, found - truth, np.nan),
        pixel_m=abs(pairs.where.affine.a),
        caption="The date with most filled pixels; the error is shown where pixels were filled.",
    )


def _days(ds: xr.Dataset) -> np.ndarray:
    return np.asarray(ds.time.values.astype("datetime64[s]").astype("float64") / 86400)


def _stack(ds: xr.Dataset, bands: list[str], date: int) -> np.ndarray:
    """Return (band, y, x) of one date."""
    return np.stack([ds[band].isel(time=date).to_numpy() for band in bands])


def _composite(pairs: _Pairs, composite: xr.Dataset) -> Table:
    truth, found = [], []
    for band in pairs.bands:
        layers = [
            matching.onto(pairs.truth[band].isel(time=t), pairs.where) for _, t in pairs.dates
        ]
        truth.append(np.median(layers, axis=0))
        found.append(composite[band].isel(time=0).to_numpy())
    one = fields.compare(np.stack(truth), np.stack(found))
    angles = gaps.spectral_angle(np.stack(found), np.stack(truth))
    known = angles[np.isfinite(angles)]
    values = {"RMSE": one.rmse, "bias": one.bias, "SAM": _mean(known, known.size)}
    row = scores.row("all pixels", ESTIMATE, one.n // len(truth), values, headline=True)
    return scores.filled(COMPOSITE, [row])


def _mean(values: np.ndarray, n: float) -> float:
    return float(values.sum() / n) if n else np.nan

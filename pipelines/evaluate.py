"""Cloud detectors compared on the same held-out images, and the report on them."""

import heapq
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aqgeo.datasets import disk, labelled
from aqgeo.datasets.labelled import Image
from aqgeo.errors import SourceError
from aqgeo.processing.contenders import Found, Network
from aqgeo.products import masks, reliability, scorecard
from aqgeo.products.masks import Panels
from aqgeo.scores import ESTIMATE, Table
from aqgeo.scoring import cloud_masks, ground
from aqgeo.sources import stac
from pipelines import evaluate_methods, evaluate_tables, labelled_sets
from pipelines.cluster import track
from pipelines.evaluate_methods import METHODS, Method
from pipelines.evaluate_tables import Record
from pipelines.labelled_sets import Set

log = logging.getLogger(__name__)
PAGE, CONTENT = "clouds.html", "clouds.json"
GROW = (0, 1, 2)
"""Pixels by which found clouds and shadows are dilated, each scored for itself."""
WORST = 3
"""Images of each set that are shown."""
_SIMULATED = "SIMULATED DATA among the sets: made-up scenes, compared with their own truth"


@dataclass(slots=True)
class Gallery:
    """The images of each set on which one detector errs most."""

    method: str
    """Name of the detector."""
    kept: dict[str, list[tuple[float, str, Panels]]] = field(default_factory=dict)
    """Share of wrong pixels, image and its panels, by set."""

    def offer(
        self, name: str, image: Image, layers: tuple[np.ndarray, np.ndarray, np.ndarray], told: Any
    ) -> None:
        """Keep an image's panels if it is among the worst of its set.

        Args:
            name: of the set.
            image: the image.
            layers: (y, x, 3) true colour, (y, x) truth and found classes.
            told: groups of classes that label and detector tell apart.
        """
        colour, *codes = (masks.thin(layer) for layer in layers)
        truth, found = (cloud_masks.simplified(code, told) for code in codes)
        error = cloud_masks.mistakes(truth, found)
        known = error != cloud_masks.NO_DATA
        share = float((error[known] > 0).mean()) if known.any() else 0.0
        legend = {
            group[0]: ("cloud" if set(group) == {1, 2} else name, colour)
            for group in told
            for name, colour in (cloud_masks.LEGEND[group[0]],)
        }
        title = f"{name}: {image.id}, {share:.1%} wrong by {self.method}"
        panels = Panels(title, colour, truth, found, error, legend, cloud_masks.MISTAKES)
        worst = self.kept.setdefault(name, [])
        heapq.heappush(worst, (share, image.id, panels))
        if len(worst) > WORST:
            heapq.heappop(worst)

    def panels(self) -> Iterator[Panels]:
        """Yield the panels of each set, the worst first."""
        for worst in self.kept.values():
            yield from (panels for _, _, panels in sorted(worst, key=lambda one: -one[0]))


def evaluate_clouds(
    out: Path,
    *,
    sets: Sequence[Set],
    weights: Mapping[str, Network],
    methods: Sequence[str] = METHODS,
    seed: int = 0,
) -> Path:
    """Judge detectors on held-out images, write page, pictures and numbers; return the page.

    Args:
        out: folder to write into; it is made if need be.
        sets: labelled images in folds.
        weights: our network by name of a fold, or by level for all other folds.
        methods: which detectors, of METHODS.
        seed: of the pixels that trees and threshold are fitted on.

    Raises:
        SourceError: an image cannot be read, two sets bear one name, or a method is unknown.
    """
    if odd := set(methods) - set(METHODS):
        raise SourceError(f"method {sorted(odd)[0]!r} is none: choose of {', '.join(METHODS)}")
    names = [one.name for one in sets]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(f"two sets are called {twice[0]!r}: rename one of the folders")
    shown = ESTIMATE if ESTIMATE in methods and weights else next(iter(methods))
    gallery, told = Gallery(shown), dict[str, str]()
    records: list[Record] = []
    for one in sets:
        for fold in one.folds:
            how = {"weights": weights, "names": methods, "seed": seed}
            able = evaluate_methods.of_fold(one, fold, sets, **how)  # type: ignore[arg-type]
            told |= {f"{one.name}, {fold.name}, {m.name}": m.about for m in able if m.about}
            for image in track(fold.judged, f"{one.name}, {fold.name}"):
                records += _image(one, fold.name, image, able, gallery)
    _write(out, sets, records, told, gallery)
    return out / PAGE


def text(content: Mapping[str, Any]) -> str:
    """Return the tables of a report's JSON for a terminal."""
    found = [evaluate_tables.from_json(entry) for entry in content["tables"].values()]
    return "\n".join("\n".join((*scorecard.lines(table), "")) for table in found)


def _image(
    one: Set, fold: str, image: Image, methods: Sequence[Method], gallery: Gallery
) -> Iterator[Record]:
    """Yield what each detector found in one image, once for each kind of its pixels."""
    values, truths = labelled_sets.labels(image, image.bands)
    kinds = ground.kinds(values, image.bands)
    size, lost = labelled.pixel_m(image), np.isnan(values).all(axis=0)
    for method in methods:
        found, tells, why = method.find(image, values, image.bands, size)
        groups = cloud_masks.common(labelled.tells(image), tells)
        for which, truth in truths.items():
            name = f"{one.name}, {which}" if which else one.name
            tally = _tally(truth, found, kinds)
            if found is not None and method.name == gallery.method:
                colour = masks.true_colour(values, image.bands)
                shown = np.where(lost, cloud_masks.NO_DATA, found.classes).astype("uint8")
                gallery.offer(name, image, (colour, truth, shown), groups)
            about = (name, fold, image.id, image.place, image.day, size, method.name, groups)
            yield Record(*about, method.seen(image), why, tally)


def _tally(
    truth: np.ndarray, found: Found | None, kinds: Mapping[str, np.ndarray]
) -> cloud_masks.Tally | None:
    if found is None:
        return None
    return cloud_masks.tally(truth, found.classes, cloud=found.cloud, ground=kinds, grow=GROW)


def _write(
    out: Path,
    sets: Sequence[Set],
    records: Sequence[Record],
    told: Mapping[str, str],
    gallery: Gallery,
) -> None:
    tables = evaluate_tables.tables(records)
    pictures = dict(_pictures(records, gallery))
    for name, figure in pictures.items():
        disk.save(out / name, figure.png)
    facts = [f"{one.name}: {one.about}" for one in sets]
    facts += [f"{where}: {what}" for where, what in told.items()]
    simulated = any(image.kind == "simulated" for one in sets for image in one.images)
    page = scorecard.page(
        "Cloud detectors",
        "Cloud detectors on held-out images",
        facts=[*facts, *_credits(sets)],
        tables=tables,
        figures=pictures.values(),
        banner=_SIMULATED if simulated else "",
    )
    disk.save(out / CONTENT, disk.as_json(_content(sets, records, tables, told)))
    disk.save(out / PAGE, page.encode())


def _pictures(
    records: Sequence[Record], gallery: Gallery
) -> Iterator[tuple[str, scorecard.Figure]]:
    """Yield name and picture of the calibration of each set, and of the worst images."""
    for number, (name, curves) in enumerate(evaluate_tables.curves(records).items(), 1):
        png = reliability.picture(curves, f"Calibration, {name}")
        words = "Above the line: more cloud than the probability says."
        yield (
            f"clouds_calibration_{number}.png",
            scorecard.Figure(f"Calibration, {name}", png, words),
        )
    for number, panels in enumerate(gallery.panels(), 1):
        words = f"Of its set an image on which {gallery.method} errs most; grey has no label."
        yield (
            f"clouds_worst_{number}.png",
            scorecard.Figure(panels.title, masks.picture(panels), words),
        )


def _credits(sets: Sequence[Set]) -> list[str]:
    days = [i.day for one in sets for i in one.images if i.kind == "weak" and i.day]
    if not days:
        return []
    return [stac.copernicus([int(day[:4]) for day in days])]


def _content(
    sets: Sequence[Set],
    records: Sequence[Record],
    tables: Sequence[Table],
    told: Mapping[str, str],
) -> dict[str, Any]:
    return {
        "sets": {
            one.name: {
                "about": one.about,
                "level": one.level,
                "folds": {fold.name: len(fold.judged) for fold in one.folds},
            }
            for one in sets
        },
        "detectors": dict(told),
        "tables": {table.name: asdict(table) for table in tables},
        "images": [evaluate_tables.as_json(record) for record in records],
    }

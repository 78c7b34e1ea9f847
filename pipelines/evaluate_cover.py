"""Evaluation of cover classes: a network and simple rules on the same held-out images."""

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aqgeo import cover
from aqgeo.datasets import disk
from aqgeo.datasets.cover import Piece, pieces
from aqgeo.datasets.labelled import Image
from aqgeo.errors import SourceError
from aqgeo.products import scorecard
from aqgeo.scores import Row, Table
from aqgeo.scoring import cover as scoring
from pipelines import cover_counter, cover_images
from pipelines.cluster import track

log = logging.getLogger(__name__)
SCORES, PAGE, FIGURES = "cover.json", "index.html", ("roc.png", "confusion.png")
NETWORK, COUNT = "cover network", "counted from the U-Net's mask"
BRIGHT, MAJORITY = "counted above a brightness", "most frequent class"
_SETS = {"weak": "real, SCL labels", "simulated": "simulated", "human": "human labels"}
_ALL = "all"
_Rule = Callable[[Piece], tuple[float, int, np.ndarray]]
"""Cover in percent, class, and ranks of the classes for one piece."""


def evaluate_cover(
    weights: Path,
    data: Sequence[Path],
    out: Path,
    *,
    hold_out: Sequence[str] = (),
    unet: Path | None = None,
) -> Path:
    """Compare a cover network with counting and simple rules; return the folder of results.

    Images of the split `test`, and those named by `hold_out`, are judged; where there are none of
    either, all are. SCORES holds the numbers, PAGE all of it for people, FIGURES the pictures.

    Args:
        weights: checkpoint for `cover`.
        data: folders in CloudSEN12's layout, or static STAC catalogs of Sentinel-2 L2A.
        out: folder of results.
        hold_out: `tile:33TWM` or `date:2023-08-10`.
        unet: U-Net's weights; those that aqgeo brings if None, and none if it brings none.

    Raises:
        SourceError: no piece can be judged.
        ModelError: weights are for something else.
    """
    from aqgeo.models import checkpoint

    network, card = checkpoint.read(weights, task="cover")
    images = _judged(data, card.level, hold_out)
    counter = cover_counter.find(card.level, unet)
    bands = tuple(dict.fromkeys([*network.bands, *(counter.bands if counter else ())]))
    rules, lost = _rules(network, card, counter, bands)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    skipped = 0
    for image in track(images, "Evaluate"):
        for piece in pieces(image, bands, cut=int(card.training.get("cut", 128))):
            if np.isnan(piece.cover):
                skipped += 1
                continue
            answers = {name: rule(piece) for name, rule in rules.items()}
            found[image.kind].append({"id": piece.id, "cover": piece.cover, "told": answers})
    if not found:
        raise SourceError(
            f"none of {len(images)} images has a piece of which half is labelled: give others"
        )
    sets = {_SETS[kind]: rows for kind, rows in sorted(found.items())}
    if len(sets) > 1:
        sets[_ALL] = [row for rows in sets.values() for row in rows]
    tables = {name: _scored(rows, list(rules)) for name, rows in sets.items()}
    told = {
        "weights": weights.name,
        "network": dict(card.arguments),
        "trained on": list(card.data),
        "split": card.split,
        "counted by": "nothing" if counter is None else unet.name if unet else "aqgeo's own U-Net",
        "images": len(images),
        "pieces without enough labels": skipped,
        "sets": tables,
        "not compared": lost,
    }
    _publish(out, told, sets)
    return out


def scores(folder: Path) -> dict[str, Any]:
    """Return the numbers of an evaluation."""
    return dict(json.loads((folder / SCORES).read_text("utf-8")))


def table(told: dict[str, Any]) -> str:
    """Return an evaluation as text tables."""
    text = "\n".join("\n".join((*scorecard.lines(one), "")) for one in _tables(told))
    lost = [f"not compared: {name}: {why}\n" for name, why in told["not compared"].items()]
    return text + "".join(lost)


_NOTE = (
    "Error: mean absolute error of cover; bias: told minus true; 2+ off: share of the images told "
    "two or three classes off. Precision, recall and F1 are means over the classes that are there."
)
_ROC = "Each class against all others, and the mean of the curves at equal false alarms."
_CONFUSION = "Numbers of images; the colour is the share of the true class."
_SIMULATED = "SIMULATED DATA among the sets: made-up scenes, compared with their own truth"
_OF_CLASS = {"precision": "precision", "recall": "recall", "f1": "F1"}
_COLUMNS = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "macro F1",
    "mae": "error",
    "bias": "bias",
    "far": "2+ off",
    "auc": "mean AUC",
}


def _judged(data: Sequence[Path], level: str, hold_out: Sequence[str]) -> list[Image]:
    parts = cover_images.parts(data, level, hold_out=hold_out, validation=())
    if parts.test:
        return list(parts.test)
    log.warning("no image is for testing: all are judged, also those that may have been learnt")
    return [*parts.train, *parts.validation]


def _rules(
    network: Any, card: Any, counter: Any, bands: tuple[str, ...]
) -> tuple[dict[str, _Rule], dict[str, str]]:
    """Return what tells the cover of a piece, by name, and why others cannot."""
    from aqgeo.processing import cover as told

    own = [bands.index(band) for band in network.bands]
    learnt, lost = card.training.get("rules", {}), {}

    def by_network(piece: Piece) -> tuple[float, int, np.ndarray]:
        found = told.by_network(network, piece.values[own])
        return found.cover, found.klass, np.array(found.probabilities)

    rules: dict[str, _Rule] = {NETWORK: by_network}
    if counter is None:
        lost[COUNT] = "aqgeo brings no weights of a U-Net for this level: give --unet"
    else:
        its = [bands.index(band) for band in counter.bands]
        rules[COUNT] = lambda piece: _of_cover(told.by_mask(counter, piece.values[its]).cover)
    if (step := learnt.get("threshold")) is None:
        lost[BRIGHT] = "the checkpoint names no threshold: it sees no visible band"
    else:
        rules[BRIGHT] = lambda piece: _of_cover(told.by_brightness(piece.values, bands, step))
    most, median = learnt.get("majority", 0), learnt.get("median", 0.0)
    rules[MAJORITY] = lambda piece: (median, most, np.zeros(len(cover.NAMES)))
    return rules, lost


def _of_cover(percent: float) -> tuple[float, int, np.ndarray]:
    return percent, int(cover.class_of(percent)), scoring.nearness(np.array([percent]))[0]


def _scored(rows: Sequence[dict[str, Any]], methods: Sequence[str]) -> dict[str, Any]:
    truth_cover = np.array([row["cover"] for row in rows])
    truth = cover.class_of(truth_cover)
    found = {}
    for method in methods:
        said, klass, ranks = (np.array([row["told"][method][i] for row in rows]) for i in range(3))
        curves = scoring.roc(truth, ranks)
        areas = {name: curve["auc"] for name, curve in curves.items()}
        why = {name: curve["why"] for name, curve in curves.items() if "why" in curve}
        found[method] = {
            **scoring.scores(truth, klass, truth_cover, said),
            "auc": areas,
            "auc not defined": why,
            "confusion": scoring.confusion(truth, klass).tolist(),
        }
    return found


def _publish(out: Path, told: dict[str, Any], sets: dict[str, list[dict[str, Any]]]) -> None:
    from aqgeo.products import cover_figures

    # The last set is all of them, or the only one.
    name, rows = list(sets.items())[-1]
    methods = [m for m in (NETWORK, COUNT, BRIGHT) if m in rows[0]["told"]]
    truth = cover.class_of(np.array([row["cover"] for row in rows]))
    ranks = np.array([row["told"][NETWORK][2] for row in rows])
    roc = cover_figures.roc(scoring.roc(truth, ranks), f"{NETWORK}, {name} images")
    confusion = cover_figures.confusion(
        {m: np.array(told["sets"][name][m]["confusion"]) for m in methods}
    )
    figures = {
        "roc.png": scorecard.Figure("Receiver operating characteristic", roc, _ROC),
        "confusion.png": scorecard.Figure("Confusion", confusion, _CONFUSION),
    }
    for file, figure in figures.items():
        disk.save(out / file, figure.png)
    disk.save(out / SCORES, disk.as_json(told))
    page = scorecard.page(
        "Cover classes",
        "Cover classes: percent of an image under cloud",
        facts=_facts(told),
        tables=_tables(told),
        figures=figures.values(),
        banner=_SIMULATED if _SETS["simulated"] in told["sets"] else "",
    )
    disk.save(out / PAGE, page.encode())


def _facts(told: dict[str, Any]) -> list[str]:
    facts = [
        f"Network: {told['network']['network']}, bands {' '.join(told['network']['bands'])}",
        f"Trained on: {'; '.join(told['trained on'])}",
        f"Split: {told['split']}",
        f"Judged: {told['images']} images, {told['pieces without enough labels']} pieces without "
        "enough labels left out",
        f"Counted by: {told['counted by']}",
    ]
    facts += [f"Not compared: {name}: {why}" for name, why in told["not compared"].items()]
    weak = _SETS["weak"] in told["sets"]
    return [*facts, *(["Contains modified Copernicus Sentinel data."] if weak else [])]


def _tables(told: dict[str, Any]) -> Iterator[Table]:
    """Yield of each set the numbers of each method, then those of each class."""
    sets = told["sets"].items()
    units = {title: "%" if key in ("mae", "bias") else "1" for key, title in _COLUMNS.items()}
    for name, methods in sets:
        rows = []
        for method, found in methods.items():
            values = {title: _value(found, key) for key, title in _COLUMNS.items()}
            why = "; ".join(f"{n}: {reason}" for n, reason in found["auc not defined"].items())
            rows.append(Row(name, method, found["n"], values, why))
        yield Table(f"cover {name}", f"Cover of {name} images", units, tuple(rows), _NOTE)
    for name, methods in sets:
        rows = [
            Row(f"{title} %", method, row["n"], {**_of_class(row), "AUC": found["auc"][title]})
            for method, found in methods.items()
            for title, row in found["classes"].items()
        ]
        columns = dict.fromkeys([*_OF_CLASS.values(), "AUC"], "1")
        yield Table(f"classes {name}", f"Classes of {name} images", columns, tuple(rows))


def _of_class(row: dict[str, Any]) -> dict[str, float | None]:
    return {title: row[key] for key, title in _OF_CLASS.items()}


def _value(found: dict[str, Any], key: str) -> float | None:
    return found["auc"]["mean"] if key == "auc" else found[key]  # type: ignore[no-any-return]

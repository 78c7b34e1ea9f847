"""Scores of cover classes: which class, how far off in percent, how well ranked."""

from itertools import pairwise
from typing import Any

import numpy as np

from aqgeo.cover import BOUNDS, NAMES


def scores(
    truth: np.ndarray, found: np.ndarray, cover: np.ndarray, said: np.ndarray
) -> dict[str, Any]:
    """Return how well classes and cover agree.

    Args:
        truth: (n,) true classes.
        found: (n,) classes told.
        cover: (n,) true cover, percent.
        said: (n,) cover told, percent.

    Returns:
        `n`, `accuracy`, `precision`, `recall`, `f1` (means over the classes that are there, each
        counting the same), `mae` and `bias` of cover in percent, `far` (share of the images that
        are two or three classes off), `classes` (precision, recall, F1 and number of each).
    """
    table = confusion(truth, found)
    hits, there, told = table.diagonal(), table.sum(1), table.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / there
        # A class that is there and was never told has a precision of 0.
        precision = np.where(told > 0, hits / np.maximum(told, 1), 0.0)
        f1 = np.where(hits > 0, 2 * hits / np.maximum(there + told, 1), 0.0)
    present = there > 0
    off = said - cover
    return {
        "n": len(truth),
        "accuracy": float(hits.sum() / max(len(truth), 1)),
        "precision": float(precision[present].mean()),
        "recall": float(recall[present].mean()),
        "f1": float(f1[present].mean()),
        "mae": float(np.abs(off).mean()),
        "bias": float(off.mean()),
        "far": float((np.abs(truth - found) > 1).mean()),
        "classes": {
            name: {
                "n": int(there[i]),
                "precision": float(precision[i]) if present[i] else None,
                "recall": float(recall[i]) if present[i] else None,
                "f1": float(f1[i]) if present[i] else None,
            }
            for i, name in enumerate(NAMES)
        },
    }


def confusion(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return (class, class) numbers of images by true class, then by the class told."""
    k = len(NAMES)
    return np.bincount(truth * k + found, minlength=k * k).reshape(k, k)


def roc(truth: np.ndarray, ranks: np.ndarray) -> dict[str, Any]:
    """Return ROC curves of each class against all others, and their mean.

    The mean is that of the curves' hit rates at the same rate of false alarms (macro).

    Args:
        truth: (n,) true classes.
        ranks: (n, class) numbers that are larger the more likely a class is.

    Returns:
        For each class name and for `mean`: `false` and `hits` (rates of false alarms and hits, 0 to
        1) and `auc`; `auc` None and `why` where the curve is not defined.
    """
    told: dict[str, Any] = {}
    grid = np.linspace(0, 1, 201)
    curves = []
    for i, name in enumerate(NAMES):
        here = truth == i
        if here.all() or not here.any():
            what = "every image is of this class" if here.all() else "no image is of this class"
            told[name] = {"auc": None, "why": what, "false": [], "hits": []}
            continue
        false, hits = _curve(here, ranks[:, i])
        curves.append(np.interp(grid, false, hits))
        told[name] = {
            "auc": float(np.trapezoid(hits, false)),
            "false": false.tolist(),
            "hits": hits.tolist(),
        }
    if not curves:
        return {
            **told,
            "mean": {"auc": None, "why": "no curve is defined", "false": [], "hits": []},
        }
    areas = [c["auc"] for c in told.values() if c["auc"] is not None]
    mean = np.concatenate([[0.0], np.mean(curves, axis=0)])
    told["mean"] = {
        "auc": float(np.mean(areas)),
        "false": [0.0, *grid.tolist()],
        "hits": mean.tolist(),
    }
    return told


def nearness(cover: np.ndarray) -> np.ndarray:
    """Return (n, class) ranks for methods that tell cover only: how near it is to each class.

    The lowest class ranks by little cover, the highest by much, those between by the distance from
    their middle.
    """
    found = np.asarray(cover, "float64")
    middle = [-np.abs(found - (low + high) / 2) for low, high in pairwise(BOUNDS[1:])]
    return np.stack([-found, *middle, found], axis=1)


def _curve(here: np.ndarray, rank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rates of false alarms and hits at every threshold; equal ranks are one step."""
    order = np.argsort(-rank, kind="stable")
    sorted_rank, sorted_here = rank[order], here[order]
    last = np.append(np.flatnonzero(np.diff(sorted_rank)), len(rank) - 1)
    hits = np.cumsum(sorted_here)[last] / here.sum()
    false = np.cumsum(~sorted_here)[last] / (~here).sum()
    return np.append(0.0, false), np.append(0.0, hits)

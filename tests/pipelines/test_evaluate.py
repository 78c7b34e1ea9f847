"""Cloud detectors compared: sets and folds, the whole report of a small set, faults."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from aqgeo.datasets import labelled
from aqgeo.errors import SourceError
from pipelines import evaluate, evaluate_methods, evaluate_tables, labelled_sets
from tests.standins import cloudsen12 as standin

ARCHIVE = Path(__file__).resolve().parents[3] / "shared" / "data" / "stac"
real = pytest.mark.skipif(
    not (ARCHIVE / "catalog.json").is_file(), reason=f"no real data: {ARCHIVE} is absent"
)
BANDS = ("B02", "B03", "B04", "B08")


@dataclass(frozen=True)
class Sky(standin.Drawn):
    """A patch whose clouds are bright."""

    def image(self) -> np.ndarray:
        cloud = np.isin(self.label(), (1, 2))
        image = np.random.default_rng(self.number).integers(400, 1200, (13, *cloud.shape))
        image[:, cloud] += 5000
        image[:, :3, :3] = 0
        return image.astype("uint16")


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    splits = ("train", "train", "test", "test")
    drawn = [Sky(n, n, split) for n, split in enumerate(splits)]
    return standin.folders(drawn, tmp_path_factory.mktemp("set") / "sky")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network of four bands that says it has learnt from one of the places."""
    import torch

    from aqgeo.models import checkpoint
    from aqgeo.models.unet import CloudUNet, UNetArguments

    torch.manual_seed(0)
    told = UNetArguments(bands=BANDS, mean=(0.2,) * 4, std=(0.2,) * 4, decoder=(8, 8, 8, 8, 8))
    learnt = {"places": ["ROI_00000", "ROI_00003"]}
    card = checkpoint.Card("cloud-unet", asdict(told), "clouds", "L1C", training=learnt)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    checkpoint.write(path, CloudUNet(told), card)
    return path


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A folder with one labelled image of 40 x 50 pixels, half of it cloud."""
    label = np.zeros((40, 50), "uint8")
    label[:, 25:] = 1
    image = np.where(label == 1, 6000, 500).astype("uint16") * np.ones((4, 1, 1), "uint16")
    folder = tmp_path / "mine"
    folder.mkdir()
    about = {"driver": "GTiff", "height": 40, "width": 50, "crs": "EPSG:32633"}
    about["transform"] = Affine(10, 0, 5e5, 0, -10, 5e6)
    for name, data in (("a_refl", image), ("a_label", label[None])):
        size = {"count": len(data), "dtype": data.dtype}
        with rasterio.open(folder / f"{name}.tif", "w", **about, **size) as dst:
            dst.write(data)
    return folder


def test_the_report_is_whole_and_the_same_again(
    patches: Path, weights: Path, tell: Callable[..., Any], tmp_path: Path
) -> None:
    words = ["evaluate", "clouds", "--data", patches, "--weights", weights]
    words += [w for m in ("aqgeo", "SCL", "threshold") for w in ("--method", m)]
    told = tell(*words, "--out", tmp_path / "one", "--json", tmp_path / "told.json")
    assert told.code == 0
    assert [Path(line).resolve() for line in told.out] == [tmp_path / "one" / "clouds.html"]
    assert any(line.split()[:3] == ["sky", "L1C", "threshold"] for line in told.err)
    assert any("SCL: does not lie beside the image" in line for line in told.err)
    content = json.loads((tmp_path / "one" / "clouds.json").read_text("utf-8"))
    rows = {(r["what"], r["method"]): r["values"] for r in content["tables"]["cloud"]["rows"]}
    assert rows["sky L1C", "threshold"]["IoU"] > 0.99
    # One of the two places was in its training: the row must not pass for a held-out one.
    assert ("sky L1C", "aqgeo, seen in training") in rows
    seen = [r for r in content["images"] if r["method"] == "aqgeo"]
    assert sorted(r["seen_in_training"] for r in seen) == [False, True]
    assert json.loads((tmp_path / "told.json").read_text())["tables"] == content["tables"]
    page = (tmp_path / "one" / "clouds.html").read_text("utf-8")
    assert page.count("<img") == len(list((tmp_path / "one").glob("*.png"))) == 3
    assert "://" not in page
    tell(*words, "--out", tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert (tmp_path / "two" / path.name).read_bytes() == path.read_bytes(), path.name


def test_anybodys_images_are_judged_by_what_was_fitted_elsewhere(
    patches: Path, pair: Path, tell: Callable[..., Any], tmp_path: Path
) -> None:
    own = ["--images", pair, "--bands", "B02,B03,B04,B08", "--level", "L1C"]
    words = ["evaluate", "clouds", *own, "--method", "threshold", "--out", tmp_path / "out"]
    told = tell(*words)
    assert any("name a further set by --data" in line for line in told.err)
    told = tell(*words, "--data", patches)
    assert any(line.split()[:4] == ["mine", "threshold", "2000", "1"] for line in told.err)


def test_rows_tell_only_what_label_and_detector_tell_apart(pair: Path) -> None:
    how = {"bands": BANDS, "level": "L2A", "classes": {0: "clear", 1: "cloud"}}
    (image,) = labelled.of_pairs(pair, pair, **how)  # type: ignore[arg-type]
    values, truths = labelled_sets.labels(image, BANDS)
    method = evaluate_methods.Method("ukis-csmask", _Everywhere())
    one = labelled_sets.of_pairs("mine", [image])
    gallery = evaluate.Gallery("none")
    (record,) = evaluate._image(one, "test", image, [method], gallery)
    assert record.tells == ((0, 3), (1, 2))
    tables = {table.name: table for table in evaluate_tables.tables([record])}
    assert tables["cloud"].rows[0].values["producer"] == 1
    assert tables["cloud"].rows[0].values["user"] == 0.5
    assert not tables["classes"].rows
    assert tables["classes"].why
    assert {row.what for row in tables["dilation"].rows} == {
        *("mine: 0 pixels", "mine: 1 pixel", "mine: 2 pixels")
    }
    assert (values.shape, list(truths)) == ((4, 40, 50), [""])


class _Everywhere:
    """A detector that sees cloud and shadow, and cloud only."""

    tells = ((0,), (1, 2), (3,))

    def lacks(self, bands: Any, level: str) -> str:
        return ""

    def find(self, values: np.ndarray, bands: Any, pixel_m: float | None) -> Any:
        from aqgeo.processing.contenders import Found

        return Found(np.ones(values.shape[1:], "uint8"))


@real
def test_a_catalog_is_held_out_by_tile_or_by_date() -> None:
    (tiles,) = labelled_sets.of(ARCHIVE)
    assert [fold.name for fold in tiles.folds] == ["tile:33TWL", "tile:33TWM"]
    (dates,) = labelled_sets.of(ARCHIVE / "catalog.json", ["date:2023-08-10"])
    for fold in (*tiles.folds, *dates.folds):
        judged, fitted = ({image.id for image in part} for part in (fold.judged, fold.fitted))
        assert not judged & fitted
        assert len(judged | fitted) == 8
    assert {image.day for image in dates.folds[0].judged} == {"2023-08-10"}
    with pytest.raises(SourceError, match="meets no image: the set has 33TWL, 33TWM"):
        labelled_sets.of(ARCHIVE, ["tile:33UXX"])
    with pytest.raises(SourceError, match="write tile:33TWM or date"):
        labelled_sets.of(ARCHIVE, ["month:8"])
    with pytest.raises(SourceError, match="L2A only"):
        labelled_sets.of(ARCHIVE, [], "L1C")


@real
def test_weak_labels_are_judged_on_all_and_on_trusted_pixels() -> None:
    (one,) = labelled_sets.of(ARCHIVE)
    image = next(i for i in one.images if i.id == "S2B_33TWL_20230813_0_L2A")
    values, truths = labelled_sets.labels(image, BANDS)
    assert list(truths) == [labelled_sets.ALL, labelled_sets.TRUSTED]
    whole, trusted = truths.values()
    known = trusted != 255
    assert (whole[known] == trusted[known]).all()
    assert 0.005 < 1 - known.mean() < 0.2
    stored = labelled.scene_classes(image)
    assert stored is not None
    here = np.isfinite(values[0])
    assert ((whole != 255) == (here & ~np.isin(stored, (0, 1, 12)))).all()
    np.testing.assert_array_equal(np.isin(whole, (1, 2)), np.isin(stored, (8, 9, 10)) & here)


@pytest.mark.parametrize(
    ("told", "place", "day", "seen"),
    [
        ({}, "33TWL", "2023-08-10", False),
        ({"places": ["33TWL"]}, "33TWL", "2023-08-10", True),
        ({"places": ["33TWL"]}, "33TWM", "2023-08-10", False),
        ({"places": ["33TWL"], "days": ["2023-08-13"]}, "33TWL", "2023-08-10", False),
        ({"seeds": [7]}, "SIMULATED_7_00001_10m", "2023-08-10", True),
        ({"seeds": [8]}, "SIMULATED_7_00001_10m", "2023-08-10", False),
    ],
)
def test_the_card_tells_what_was_seen(
    told: dict[str, Any], place: str, day: str, seen: bool
) -> None:
    from aqgeo.models.checkpoint import Card
    from aqgeo.processing.contenders import Network

    network = Network(Path("w"), Card("cloud-unet", {}, "clouds", "L2A", training=told))
    kind = "simulated" if "SIM" in place else "weak"
    image = labelled.Image("a", place, day, "L2A", kind, "train", BANDS, None)  # type: ignore[arg-type]
    assert evaluate_methods.seen(network, image) is seen
    if kind == "simulated":
        assert not evaluate_methods.seen(network, replace(image, split="test"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to judge"),
        (["--data", "nowhere"], "neither a folder of patches nor a STAC catalog"),
        (["--data", "."], "holds no patches"),
        (["--images", "mine"], "--images needs --bands"),
        (["--images", "mine", "--bands", "B02,B03"], "has 4 bands, 2 are named"),
        (["--images", "mine", "--bands", "B02", "--classes", "0:clear"], "write codes of 0 to 255"),
        (["--images", "mine", "--bands", "B02", "--classes", "1=fog"], "class 'fog' is none"),
        (["--images", "mine", "--bands", "B02", "--level", "L3"], "level 'L3' is none"),
        (["--images", "mine", "--bands", "B02,B03,B04,B08", "--method", "x"], "method 'x' is none"),
        (["--images", "mine", "--bands", "B02", "--weights", "mine/a_refl.tif"], "safetensors"),
        (["--images", "mine", "--bands", "B02", "--weights", "none"], "cannot be read"),
    ],
)
def test_a_fault_is_one_line(
    words: list[str], message: str, pair: Path, tell: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(pair.parent)
    told = tell("evaluate", "clouds", "--out", "out", *words)
    assert told.code == 2
    assert len(told.err) == 1
    assert message in told.err[0]


def test_weights_of_a_fold_that_is_not_held_out_are_refused(
    pair: Path, weights: Path, tell: Callable[..., Any], tmp_path: Path
) -> None:
    own = ["--images", pair, "--bands", "B02,B03,B04,B08", "--out", tmp_path / "out"]
    told = tell("evaluate", "clouds", *own, "--weights", f"tile:33TWM={weights}")
    assert told.code == 2
    assert "nothing is held out as tile:33TWM" in told.err[0]
    told = tell("evaluate", "clouds", *own, "--weights", weights, "--method", "aqgeo")
    assert any("no weights for L2A: give --weights" in line for line in told.err)

"""Cover classes from the user's side: a study, its evaluation, and single images."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from aqgeo.errors import ModelError
from tests.standins import cloudsen12 as standin

BANDS = ("B02", "B03", "B04", "B08")
WORDS = ("--level", "L1C", "--size", 32, "--batch", 4, "--trial-epochs", 1, "--epochs", 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    splits = ["train"] * 4 + ["validation"] * 2 + ["test"] * 2
    drawn = [standin.Drawn(n, n, split) for n, split in enumerate(splits)]
    drawn.append(standin.Drawn(8, 8, "test", label_type="nolabel"))
    return standin.folders(drawn, tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints without training: a cover network and a U-Net that sees cloud everywhere."""
    import torch

    from aqgeo.models import checkpoint
    from aqgeo.models.cover import CoverArguments, CoverNet
    from aqgeo.models.unet import CloudUNet, UNetArguments

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    told = {"bands": BANDS, "mean": (0.2,) * 4, "std": (0.2,) * 4}
    cover = CoverArguments("mobilenet", size=32, head=4, **told)
    card = checkpoint.Card("cover-net", cover.__dict__, task="cover", level="L1C")
    checkpoint.write(folder / "cover.safetensors", CoverNet(cover), card)
    unet = UNetArguments(decoder=(8, 8, 8, 8, 8), **told)
    net = CloudUNet(unet)
    with torch.no_grad():
        head = net.net.segmentation_head[-1]
        head.weight.zero_()
        head.bias.copy_(torch.tensor([0.0, 4.0, 0.0, 0.0]))
    card = checkpoint.Card("cloud-unet", unet.__dict__, task="clouds", level="L1C")
    checkpoint.write(folder / "unet.safetensors", net, card)
    return {"cover": folder / "cover.safetensors", "unet": folder / "unet.safetensors"}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write(tmp_path / "image.tif", np.full((4, 70, 90), 3000, "uint16"))


def write(path: Path, values: np.ndarray, names: Any = ()) -> Path:
    how = {"driver": "GTiff", "count": values.shape[0], "dtype": values.dtype, "crs": "EPSG:32633"}
    with rasterio.open(
        path,
        "w",
        height=values.shape[1],
        width=values.shape[2],
        transform=Affine(10, 0, 5e5, 0, -10, 5e6),
        **how,
    ) as target:
        target.write(values)
        for number, name in enumerate(names, 1):
            target.set_band_description(number, name)
    return path


def test_a_study_makes_weights_and_pictures_and_they_are_judged(
    data: Path, weights: dict[str, Path], tmp_path: Path, tell: Callable[..., Any]
) -> None:
    study, out = tmp_path / "study.db", tmp_path / "results"
    words = ("tune", "cover", "--study", study, "--data", data, *WORDS, "--out", out)
    told = tell(*words, "--trials", 1)
    assert told.code == 0, told.err
    told = tell(*words, "--trials", 2, "--json", tmp_path / "told.json")
    assert told.code == 0, told.err
    assert [Path(line).name for line in told.out] == [
        *("cover.safetensors", "study.json"),
        *("history.png", "importance.png", "slice.png", "contour.png"),
    ]
    summary = json.loads((tmp_path / "told.json").read_text())["study"]
    assert [trial["number"] for trial in summary["trials"]] == [0, 1]
    assert summary["samples"]["train"]["n"] == 4 and summary["samples"]["images held out"] == 2
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in ("slice.png",))
    assert not list(out.glob("*.run.safetensors"))

    page = tmp_path / "judged"
    told = tell(
        *("evaluate", "cover", "--weights", out / "cover.safetensors", "--data", data),
        *("--out", page, "--unet", weights["unet"]),
    )
    assert told.code == 0, told.err
    found = json.loads((page / "cover.json").read_text())
    (methods,) = found["sets"].values()
    assert list(methods) == [
        *("cover network", "counted from the U-Net's mask"),
        *("counted above a brightness", "most frequent class"),
    ]
    truth = [drawn_cover(6), drawn_cover(7)]
    count = methods["counted from the U-Net's mask"]
    assert count["n"] == 2
    assert count["mae"] == pytest.approx(100 - np.mean(truth), abs=0.2)
    html = (page / "index.html").read_text()
    assert "<script" not in html and "counted from the U-Net" in html
    assert f"{count['mae']:#.3g}" in html
    assert (page / "roc.png").is_file() and (page / "confusion.png").is_file()


def drawn_cover(number: int) -> float:
    told = standin.Drawn(number, number).percentages()
    return told["thick_percentage"] + told["thin_percentage"]


def test_an_image_is_counted_unless_a_network_is_named(
    image: Path, weights: dict[str, Path], tmp_path: Path, tell: Callable[..., Any]
) -> None:
    words = ("classify-cover", image, "--bands", ",".join(BANDS), "--level", "L1C")
    told = tell(*words, "--unet", weights["unet"], "--json", tmp_path / "told.json")
    assert told.code == 0, told.err
    (row,) = json.loads((tmp_path / "told.json").read_text())["cover"]
    assert (row["cover"], row["class"], row["range"]) == (100.0, 3, "[75,100]")
    assert row["method"] == "counted from the U-Net's mask"
    assert row["confidence"] == pytest.approx((np.e**4 + 1) / (np.e**4 + 3), abs=1e-3)
    told = tell(*words, "--weights", weights["cover"], "--json", tmp_path / "told.json")
    (row,) = json.loads((tmp_path / "told.json").read_text())["cover"]
    assert row["method"] == "cover network mobilenet"
    low, high = ((0, 25), (25, 50), (50, 75), (75, 100.001))[row["class"]]
    assert low <= row["cover"] < high


def test_no_data_is_left_out_of_the_count_and_alone_is_refused(
    weights: dict[str, Path], tmp_path: Path, tell: Callable[..., Any]
) -> None:
    values = np.full((4, 40, 40), 3000, "uint16")
    values[:, :20] = 0
    half = write(tmp_path / "half.tif", values, BANDS)
    words = ("--level", "L1C", "--unet", weights["unet"])
    assert "100.0" in tell("classify-cover", half, *words).err[1]
    empty = write(tmp_path / "empty.tif", values * 0, BANDS)
    told = tell("classify-cover", empty, *words)
    assert told.code == 2 and "holds no data" in told.err[0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--bands", "B11,B12,B8A,B09"], "none of the bands B02, B03, B04, B08"),
        (["--bands", "B02"], "4 bands and 1 names"),
        ([], "does not name its bands"),
        (["--level", "L3"], "choose L1C or L2A"),
        (["--level", "L2A", "--bands", "B02,B03,B04,B08"], "takes L1C, the images are L2A"),
    ],
)
def test_an_image_that_cannot_be_told_is_one_line(
    words: list[str], says: str, image: Path, weights: dict[str, Path], tell: Callable[..., Any]
) -> None:
    level = [] if "--level" in words else ["--level", "L1C"]
    for option, name in (("--unet", "unet"), ("--weights", "cover")):
        told = tell("classify-cover", image, *words, *level, option, weights[name])
        assert told.code == 2 and len(told.err) == 1 and says in told.err[0], told.err


def test_weights_for_another_task_are_refused(
    image: Path, data: Path, weights: dict[str, Path], tell: Callable[..., Any]
) -> None:
    for words in (
        ("classify-cover", image, "--level", "L1C", "--weights", weights["unet"]),
        ("classify-cover", image, "--level", "L1C", "--unet", weights["cover"]),
        ("evaluate", "cover", "--weights", weights["unet"], "--data", data),
    ):
        told = tell(*words)
        assert told.code == 2 and "are needed" in told.err[0], told.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--network", "alexnet"], "no network 'alexnet'"),
        (["--bands", "B99"], "none of the bands B99"),
        (["--network", "inception_v3"], "needs at least 75 pixels"),
        (["--hold-out", "33TWM"], "write tile:33TWM"),
        (["--level", "L2A"], "holds no CloudSEN12 patches of L2A"),
    ],
)
def test_a_study_that_cannot_be_is_one_line(
    words: list[str], says: str, data: Path, tmp_path: Path, tell: Callable[..., Any]
) -> None:
    study = tmp_path / "study.db"
    told = tell("tune", "cover", "--study", study, "--data", data, *WORDS, *words)
    assert told.code == 2 and len(told.err) == 1 and says in told.err[0], told.err


def test_an_empty_folder_and_a_study_that_is_none_are_one_line(
    data: Path, weights: dict[str, Path], tmp_path: Path, tell: Callable[..., Any]
) -> None:
    empty, text = tmp_path / "empty", tmp_path / "text.db"
    empty.mkdir()
    text.write_text("this is a text and no database of any kind")
    for words, says in (
        (("tune", "cover", "--study", tmp_path / "s.db", "--data", empty), "holds no CloudSEN12"),
        (("tune", "cover", "--study", text, "--data", data, *WORDS), "no SQLite database"),
        (("evaluate", "cover", "--weights", weights["cover"], "--data", empty), "holds no"),
    ):
        told = tell(*words)
        assert told.code == 2 and len(told.err) == 1 and says in told.err[0], told.err


def test_weights_of_imagenet_that_cannot_be_had_are_one_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from aqgeo.remote.http import Client
    from pipelines.cover_weights import imagenet

    assert imagenet(None, "mobilenet", tmp_path) is None and not caplog.records
    assert imagenet(str(tmp_path / "none.safetensors"), "mobilenet", tmp_path) is None
    client = Client(["127.0.0.1"], attempts=1)
    assert imagenet("hub", "mobilenet", tmp_path, client=client) is None
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2 and all("training starts from nothing" in line for line in lines)
    (tmp_path / "vgg16.safetensors").write_bytes(b"")
    assert imagenet(str(tmp_path), "vgg16", tmp_path) == tmp_path / "vgg16.safetensors"


def test_splits_are_written_by_place(tmp_path: Path, tell: Callable[..., Any]) -> None:
    drawn = [standin.Drawn(0, 0), standin.Drawn(1, 0, "test"), standin.Drawn(2, 1, "validation")]
    folder = standin.folders(drawn, tmp_path / "set")
    told = tell("datasets", "cloudsen12", "split", folder, "--json", tmp_path / "told.json")
    assert told.code == 0, told.err
    rows = list(csv.DictReader((folder / "splits.csv").read_text().splitlines()))
    assert [(row["place"], row["split"], row["patches"], row["by"]) for row in rows] == [
        ("ROI_00000", "test", "2", "set, in several"),
        ("ROI_00001", "validation", "1", "set"),
    ]
    assert json.loads((tmp_path / "told.json").read_text())["cloudsen12"]["splits"]["test"] == {
        "places": 1,
        "patches": 2,
    }


def test_places_without_a_split_are_assigned_one_that_they_keep(
    tmp_path: Path, tell: Callable[..., Any]
) -> None:
    folder = standin.folders([standin.Drawn(n, n) for n in range(3)], tmp_path / "set")
    (folder / "cloudsen12_metadata.csv").unlink()
    assert "nothing tells the split" in tell("datasets", "cloudsen12", "describe", folder).err[0]
    assert tell("datasets", "cloudsen12", "split", folder).code == 0
    first = (folder / "splits.csv").read_text()
    assert first.count("assigned") == 3
    assert tell("datasets", "cloudsen12", "split", folder, "--seed", 99).code == 0
    assert (folder / "splits.csv").read_text() == first
    assert tell("datasets", "cloudsen12", "describe", folder).code == 0
    (folder / "splits.csv").write_text("place,split\nROI_00000,mine\n")
    told = tell("datasets", "cloudsen12", "describe", folder)
    assert told.code == 2 and "'mine'" in told.err[0]


def test_a_place_is_in_one_part_only(data: Path) -> None:
    from pipelines import cover_images

    parts = cover_images.parts([data], "L1C", hold_out=["tile:ROI_00001"], validation=[])
    places = [{image.place for image in part} for part in (parts.train, parts.validation)]
    assert not places[0] & places[1]
    assert "ROI_00001" in {image.place for image in parts.test}
    with pytest.raises(ModelError):
        from pipelines import cover_counter

        cover_counter.find("L1C", data / "none.safetensors")

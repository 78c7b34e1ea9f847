"""Masks of GeoTIFF files: a round trip, the same bytes, and every fault in one line."""

import hashlib
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from aqgeo.errors import CatalogError, ModelError, SourceError
from aqgeo.models import checkpoint
from aqgeo.models.unet import CloudUNet, UNetArguments
from aqgeo.processing.predict import Settings
from aqgeo.products import cog
from pipelines import mask_image
from pipelines.mask import Masking, mask
from pipelines.workspace import WEIGHTS, Workspace
from tests.standins import cloud_network

BANDS = ("B02", "B03", "B04", "B08")
WORDS = ("--bands", ",".join(BANDS), "--level", "L2A")
SMALL = Settings(device="cpu", patch=256)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bands = ("B01", *BANDS)
    return cloud_network.write(tmp_path_factory.mktemp("weights") / "clouds.safetensors", bands)


def reflectance(rows: int = 300, cols: int = 520) -> np.ndarray:
    y, x = np.mgrid[:rows, :cols]
    rng = np.random.default_rng(0)
    base = 0.3 + 0.25 * np.sin(y / 19) * np.cos(x / 32)
    return base + rng.normal(0, 0.03, (len(BANDS), rows, cols))


def integers() -> np.ndarray:
    """Return Sentinel-2's numbers with a corner of no data."""
    values = (reflectance() * 10000).clip(1, 30000).astype("uint16")
    values[:, :40, :100] = 0
    return values


def tif(path: Path, values: np.ndarray, **more: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    told = {"crs": "EPSG:32633", "transform": Affine(10, 0, 500000, 0, -10, 5000000), **more}
    count, height, width = values.shape
    size = {"count": count, "height": height, "width": width, "dtype": values.dtype.name}
    with rasterio.open(path, "w", "GTiff", **size, **told) as file:
        file.write(values)
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tif(tmp_path / "scene.tif", integers())


def run(image: Path, out: Path, weights: Path, work: Workspace | None = None, **how: Any) -> Path:
    settings = how.pop("settings", SMALL)
    told = Masking(BANDS, "L2A", weights=weights, settings=settings, **how)
    mask([image], out, told, work or Workspace(out))
    return out


def test_a_mask_lies_where_its_image_lies(image: Path, tmp_path: Path, weights: Path) -> None:
    out = run(image, tmp_path / "out", weights)
    names = ["scene_cloud.json", "scene_cloud.tif", "scene_confidence.tif"]
    assert sorted(p.name for p in out.iterdir()) == names
    lost = (integers() == 0).all(axis=0)
    with rasterio.open(image) as src:
        where = src.transform, src.crs, src.shape
    for name in names[1:]:
        with rasterio.open(out / name) as src:
            assert (src.transform, src.crs, src.shape) == where
            assert src.nodata == 255 and src.overviews(1) and src.dtypes == ("uint8",)
            values = src.read(1)
            np.testing.assert_array_equal(values == 255, lost)
        assert not [fault for fault in cog.check_cog(out / name) if "unit" not in fault]
    with rasterio.open(out / "scene_cloud.tif") as src:
        codes = src.read(1)
        assert src.colormap(1)[1] == (255, 255, 255, 255)
    assert set(np.unique(codes)) <= {0, 1, 2, 3, 255}
    about = json.loads((out / "scene_cloud.json").read_text("utf-8"))
    assert about["shares"]["no data"] == pytest.approx(100 * lost.mean(), abs=1e-3)
    assert about["shares"]["clear"] == pytest.approx(100 * (codes[~lost] == 0).mean(), abs=1e-3)
    assert about["weights"]["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert about["weights"]["trained_on_simulated"] is True and about["level"] == "L2A"


def test_bytes_do_not_depend_on_workers(image: Path, tmp_path: Path, weights: Path) -> None:
    one, three = (
        {
            p.name: p.read_bytes()
            for p in run(image, tmp_path / str(n), weights, workers=n).iterdir()
        }
        for n in (1, 3)
    )
    assert one == three


def test_integers_reflectance_and_scaled_numbers_give_the_same(
    image: Path, tmp_path: Path, weights: Path
) -> None:
    values = integers().astype("float32") * np.float32(1e-4)
    values[:, :40, :100] = np.nan
    shifted = np.where(integers() == 0, -9999, integers() + 1000).astype("int16")
    others = [
        (tif(tmp_path / "a" / "scene.tif", values), {}),
        (
            tif(tmp_path / "b" / "scene.tif", shifted, nodata=-9999),
            {"scale": 1e-4, "offset": -0.1},
        ),
    ]
    wanted = codes(run(image, tmp_path / "wanted", weights))
    for number, (path, how) in enumerate(others):
        found = codes(run(path, tmp_path / f"out{number}", weights, **how))
        np.testing.assert_array_equal(found == 255, wanted == 255)
        assert (found == wanted).mean() > 0.999


def codes(out: Path) -> np.ndarray:
    with rasterio.open(out / "scene_cloud.tif") as src:
        found: np.ndarray = src.read(1)
    return found


def test_clouds_grow_over_clear_ground_only(image: Path, tmp_path: Path, weights: Path) -> None:
    before = codes(run(image, tmp_path / "before", weights))
    after = codes(run(image, tmp_path / "after", weights, dilate_m=30))
    kept = before != 0
    np.testing.assert_array_equal(after[kept], before[kept])
    assert (after == 0).sum() < (before == 0).sum()


def test_growing_needs_metres(tmp_path: Path, weights: Path) -> None:
    path = tif(
        tmp_path / "s.tif", integers(), crs="EPSG:4326", transform=Affine(1e-4, 0, 9, 0, -1e-4, 50)
    )
    run(path, tmp_path / "plain", weights)
    with pytest.raises(SourceError, match="no north-up grid in metres"):
        run(path, tmp_path / "grown", weights, dilate_m=30)
    assert not list((tmp_path / "grown").iterdir())


def test_a_failure_midway_leaves_the_older_mask(
    image: Path, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = run(image, tmp_path / "out", weights)
    before = {p.name: p.read_bytes() for p in out.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cog, "optimize", full)
    with pytest.raises(OSError, match="No space"):
        run(image, out, weights, dilate_m=50)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_little_memory_means_fewer_workers_or_a_clear_line(
    image: Path, tmp_path: Path, weights: Path, tell: Callable[..., Any]
) -> None:
    told = tell("mask", image, *WORDS, "--weights", weights, "--out", tmp_path, "--memory", "1MiB")
    assert told.code == 2 and "memory 1MiB is too little" in told.err[0]
    told = tell("mask", image, *WORDS, "--weights", weights, "--memory", "much")
    assert told.code == 2 and "'much' is no size" in told.err[0]


def test_the_catalog_names_the_weights_and_their_checksum(
    image: Path, tmp_path: Path, weights: Path, catalogs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "catalogs" / "models"
    models.mkdir(parents=True)
    work = Workspace(tmp_path, catalogs=models.parent)
    with pytest.raises(CatalogError, match="no weights for 'clouds' of 'L2A'"):
        work.model("clouds", "L2A")
    monkeypatch.setattr("pipelines.workspace.WEIGHTS", weights.parent)
    entry = {"title": "Clouds", "task": "clouds", "level": "L2A", "file": weights.name}
    entry["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    write_toml(models / "clouds-l2a.toml", entry)
    how = Masking(BANDS, "L2A", settings=SMALL)
    assert mask([image], tmp_path / "out", how, work)
    write_toml(models / "clouds-l2a.toml", {**entry, "sha256": "0" * 64})
    with pytest.raises(ModelError, match=r"has the checksum .* the catalog says 000000000000"):
        mask([image], tmp_path / "out", how, work)
    write_toml(models / "clouds-l2a.toml", {**entry, "file": "../x.safetensors"})
    with pytest.raises(CatalogError, match="file"):
        work.model("clouds", "L2A")


def test_shipped_weights_are_those_of_the_catalog(root: Path) -> None:
    from aqgeo import catalog

    for entry in catalog.models(root / "catalogs").values():
        card = checkpoint.read_card(WEIGHTS / entry.file, sha256=entry.sha256)
        assert (card.task, card.level) == (entry.task, entry.level)


def write_toml(path: Path, entry: dict[str, str]) -> None:
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in entry.items()))


def pickled(folder: Path) -> Path:
    torch.save({"a": torch.ones(1)}, folder / "w.safetensors")
    return folder / "w.safetensors"


def huge_header(folder: Path) -> Path:
    (folder / "w.safetensors").write_bytes(struct.pack("<Q", 2**40) + b"{}")
    return folder / "w.safetensors"


def other_architecture(folder: Path) -> Path:
    told: dict[str, Any] = {"bands": BANDS, "mean": (0.3,) * 4, "std": (0.3,) * 4}
    network = CloudUNet(UNetArguments(**told, encoder="tu-resnet10t"))
    card = checkpoint.Card("cloud-unet", {**told, "encoder": "tu-resnet18"}, "clouds", "L2A")
    checkpoint.write(folder / "w.safetensors", network, card)
    return folder / "w.safetensors"


WRONG_WEIGHTS = {
    pickled: "is a pickle",
    huge_header: "is no safetensors file of ours",
    other_architecture: "holds weights of another architecture",
    lambda folder: folder / "none.safetensors": "cannot be read: No such file",
}


@pytest.mark.parametrize(("make", "says"), WRONG_WEIGHTS.items(), ids=list(WRONG_WEIGHTS.values()))
def test_weights_that_cannot_be_used_are_one_line(
    make: Callable[[Path], Path], says: str, image: Path, tmp_path: Path, tell: Callable[..., Any]
) -> None:
    refused(tell, tmp_path, says, image, *WORDS, "--weights", make(tmp_path))


def refused(tell: Callable[..., Any], folder: Path, says: str, *words: object) -> None:
    out = folder / "out"
    told = tell("mask", *words, "--out", out)
    assert told.code == 2 and told.out == [] and len(told.err) == 1, told.err
    assert told.err[0].startswith("aqgeo: ") and says in told.err[0], told.err
    assert not out.exists() or not list(out.iterdir())


WRONG_WORDS = {
    "a band too few": (("--bands", "B02,B03,B04"), "band B08 is missing"),
    "another count": (("--bands", "B02,B03,B04,B08,B01"), "has 4 bands, --bands names 5"),
    "unknown band": (("--bands", "B02,red,B04,B08"), "knows no band red"),
    "a band twice": (("--bands", "B02,B02,B04,B08"), "band B02 is named twice"),
    "wrong level": (("--level", "L1C"), "takes L2A images, these are L1C"),
    "no such level": (("--level", "L3"), "'L3': choose one of L1C, L2A"),
    "no such device": (("--device", "tpu"), "'tpu': choose one of auto"),
    "no such precision": (("--precision", "int8"), "'int8': choose one of float32"),
    "forgotten scale": (("--scale", "1"), "median reflectance of"),
    "scale twice": (("--scale", "1e-8"), "give the --scale"),
}


@pytest.mark.parametrize("name", WRONG_WORDS)
def test_a_wrong_word_is_one_line(
    name: str, image: Path, tmp_path: Path, weights: Path, tell: Callable[..., Any]
) -> None:
    words, says = WRONG_WORDS[name]
    refused(tell, tmp_path, says, image, *WORDS, "--weights", weights, *words)


def picture() -> np.ndarray:
    return (integers() // 40).astype("uint8")


WRONG_IMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "does not exist"),
    "text": (lambda path: path.write_text("no raster"), "cannot be read"),
    "cut short": (
        lambda path: os.truncate(tif(path, integers(), compress="deflate"), 300000),
        "cannot be read",
    ),
    "picture": (lambda path: tif(path, picture()), "holds uint8, a picture"),
    "all no data": (lambda path: tif(path, integers() * 0), "holds no data in any pixel"),
    "all NaN": (
        lambda path: tif(path, np.full((4, 300, 300), np.nan, "float32")),
        "holds no data in any pixel",
    ),
    "complex": (lambda path: tif(path, integers().astype("complex64")), "holds complex64"),
}


@pytest.mark.parametrize("name", WRONG_IMAGES)
def test_a_wrong_image_is_one_line(
    name: str, tmp_path: Path, weights: Path, tell: Callable[..., Any]
) -> None:
    make, says = WRONG_IMAGES[name]
    path = tmp_path / "wrong.tif"
    make(path)
    refused(tell, tmp_path, says, path, *WORDS, "--weights", weights)


def test_two_images_of_one_name_are_refused(
    image: Path, tmp_path: Path, weights: Path, tell: Callable[..., Any]
) -> None:
    twin = tmp_path / "twin" / "scene.tif"
    twin.parent.mkdir()
    tif(twin, integers())
    refused(tell, tmp_path, "same files", image, twin, *WORDS, "--weights", weights)


def test_a_folder_that_cannot_be_is_one_line(
    image: Path, tmp_path: Path, weights: Path, tell: Callable[..., Any]
) -> None:
    (tmp_path / "file").write_text("")
    words = (*WORDS, "--weights", weights, "--out", tmp_path / "file" / "below")
    told = tell("mask", image, *words)
    assert told.code == 2 and len(told.err) == 1 and "choose a folder for --out" in told.err[0]


def test_only_a_few_places_are_looked_at_before_the_work() -> None:
    seen = list(mask_image._looks((10980, 10980)))
    assert len(seen) == 16 and sum(w.width * w.height for w in seen) < 300_000
    assert [(w.width, w.height) for w in mask_image._looks((5, 40))] == [(40, 5)]

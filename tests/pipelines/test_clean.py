"""Laws of the cloud mask that clean makes, by every method, on a series made by hand."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo import cube
from aqgeo.errors import AqgeoError, GridError, ModelError, SourceError
from aqgeo.period import Period
from pipelines import workspace

REGION, SPAN = "demo", Period.parse("2024-06")
DAYS = np.array(["2024-06-03T10:00", "2024-06-08T10:00", "2024-06-13T10:00"], "datetime64[s]")
WHERE = GeoBox((64, 64), Affine(60, 0, 500_000, 0, -60, 4_400_000), "EPSG:32633")
BANDS = ("B02", "B03", "B04", "B08")
L1C = ("B01", "B02", "B04", "B05", "B08", "B8A", "B09", "B10", "B11", "B12")
L2A_STAGE, L1C_STAGE = "ingest-sentinel-2-l2a", "ingest-sentinel-2-l1c"
LOST = (slice(0, 8), slice(0, 64))
"""Rows without data on the first date."""


def name_weights(catalogs: Path, weights: Path, sha256: str = "") -> None:
    """Make a file the catalog's weights for clouds."""
    known = sha256 or hashlib.sha256(weights.read_bytes()).hexdigest()
    entry = {"title": "Untrained", "task": "clouds", "level": "L2A", "sha256": known}
    lines = [f'{name} = "{value}"\n' for name, value in {**entry, "file": weights.name}.items()]
    shutil.rmtree(catalogs / "models", ignore_errors=True)
    (catalogs / "models").mkdir()
    (catalogs / "models" / "clouds-l2a.toml").write_text("".join(lines), "utf-8")


class Here:
    """A cluster that is this process."""

    def run(self, lazy: Any, label: str) -> Any:
        return dask.compute(lazy, scheduler="synchronous")[0]


class Hand:
    """A workspace with an ingested series, and the stage run on it."""

    def __init__(self, root: Path, catalogs: Path) -> None:
        from aqgeo.sources.sentinel2_bands import SCL_CLASSES
        from pipelines.workspace import Workspace

        rng = np.random.default_rng(0)
        self.work = Workspace(root, catalogs=catalogs)
        self.values = rng.uniform(0.02, 0.2, (3, len(BANDS), 64, 64)).astype("float32")
        self.scl = np.full((3, 64, 64), 4, "uint8")
        self.scl[0, 20:40, 20:40] = 9
        self.scl[0, 44:50, 20:40] = 3
        self.scl[1] = 8  # overcast
        self.values[self.cloudy()] += 0.5
        self.values[0, :, *LOST] = np.nan
        layers = dict(zip(BANDS, self.values.transpose(1, 0, 2, 3), strict=True))
        bands = {name: cube.values(data, "1", long_name=name) for name, data in layers.items()}
        self.ingested(L2A_STAGE, {**bands, "SCL": cube.classes(self.scl, SCL_CLASSES)})

    def cloudy(self) -> tuple[Any, ...]:
        date, row, col = np.nonzero(self.scl >= 8)
        return date, slice(None), row, col

    def ingested(self, name: str, variables: dict[str, Any], days: np.ndarray = DAYS) -> None:
        with self.work.build(self.work.stage(REGION, SPAN, name), {"stage": name}) as build:
            assert build is not None
            build.provenance |= {"stage": name, "inputs": [f"{name} scene"], "notes": []}
            build.provenance |= {"simulated": True, "attribution": "By hand", "parameters": {}}
            cube.write(cube.make(variables, days, WHERE), build.path / "cube.zarr")

    def level1(self, dates: slice = slice(0, 3)) -> None:
        bright = self.scl[dates] >= 8
        layer = np.where(bright, 0.6, 0.08).astype("float32")
        # Cirrus and water vapour bands are dark over clear ground.
        dark = np.where(bright, 0.03, 0.001).astype("float32")
        bands = {b: cube.values(dark if b == "B10" else layer, "1") for b in L1C}
        self.ingested(L1C_STAGE, bands, DAYS[dates])

    def clean(self, method: str = "unet", **how: Any) -> Any:
        from pipelines.clean import clean

        path = clean(self.work, REGION, str(SPAN), method=method, **how, cluster=Here())  # type: ignore[arg-type]
        return cube.open(path / "cube.zarr").load()

    def told(self) -> dict[str, Any]:
        path = self.work.stage(REGION, SPAN, "clean") / "provenance.json"
        return dict(json.loads(path.read_text("utf-8")))

    def composite(self) -> Any:
        return cube.open(self.work.stage(REGION, SPAN, "clean") / "composite.zarr").load()


@pytest.fixture(scope="module")
def catalogs(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project's catalogs with weights that were never trained."""
    import aqgeo.models  # noqa: F401  the door
    from aqgeo.models import checkpoint, unet

    folder = tmp_path_factory.mktemp("catalogs") / "catalogs"
    shutil.copytree(root / "catalogs", folder)
    import torch

    torch.manual_seed(3)
    bands = ("B02", "B03", "B04", "B08", "B11")
    arguments = {"bands": bands, "mean": (0.2,) * 5, "std": (0.2,) * 5}
    network = unet.CloudUNet(unet.UNetArguments(**arguments))
    path = folder / "untrained.safetensors"
    how = {"architecture": "cloud-unet", "arguments": arguments, "task": "clouds"}
    checkpoint.write(path, network, checkpoint.Card(**how, level="L2A"))
    name_weights(folder, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workspace, "WEIGHTS", folder)
        yield folder


@pytest.fixture(scope="module")
def hand(catalogs: Path, tmp_path_factory: pytest.TempPathFactory) -> Hand:
    made = Hand(tmp_path_factory.mktemp("hand"), catalogs)
    made.level1()
    return made


@pytest.mark.parametrize("method", ["unet", "scl", "s2cloudless"])
def test_no_data_is_never_clear_and_shares_add_up(hand: Hand, method: str) -> None:
    series = hand.clean(method)
    codes, valid = series["cloud_class"].values, series["valid"].values
    assert (codes[0, *LOST] == 255).all()
    assert not valid[0, *LOST].any()
    assert set(np.unique(codes).tolist()) <= {0, 1, 2, 3, 255}
    assert ((codes == 0) == valid).all()
    told = hand.told()
    assert [scene["date"] for scene in told["scenes"]] == [str(d)[:10] for d in DAYS]
    for date, scene in enumerate(told["scenes"]):
        assert sum(scene["percent"].values()) == pytest.approx(100, abs=1e-9)
        clear = 100 * (codes[date] == 0).mean()
        assert scene["percent"]["clear"] == pytest.approx(clear, abs=0.1)


def test_confidence_is_there_where_a_method_has_it(hand: Hand) -> None:
    assert "cloud_confidence" not in hand.clean("scl")
    assert "cloud_confidence" not in hand.composite()
    for method in ("unet", "s2cloudless"):
        series = hand.clean(method)
        sure, codes = series["cloud_confidence"].values, series["cloud_class"].values
        assert series["cloud_confidence"].attrs["units"] == "%"
        assert (np.isfinite(sure) | (codes == 255)).all()
        assert np.isnan(sure[0, *LOST]).all()
        # The least: thick and thin by a sixth each, clear and shadow by nearly a third.
        assert np.nanmin(sure) >= 16 and np.nanmax(sure) <= 100
        mean = hand.composite()["cloud_confidence"].values[0]
        np.testing.assert_allclose(mean, np.nanmean(sure, axis=0), rtol=1e-6)


def test_sen2cors_classes_give_what_they_always_gave(hand: Hand) -> None:
    from aqgeo.processing import clouds, gaps

    series = hand.clean("scl")
    clear = (clouds.from_scl(hand.scl) == 0) & np.isfinite(hand.values[:, 0])
    np.testing.assert_array_equal(series["valid"].values, clear)
    days = DAYS.astype("int64") / 86400
    for number, band in enumerate(BANDS):
        values = hand.values[:, number]
        wanted = gaps.composite(values, clear)
        np.testing.assert_array_equal(hand.composite()[band].values[0], wanted)
        np.testing.assert_array_equal(series[band].values, gaps.fill(values, clear, days))


def test_the_share_of_dates_under_cloud_counts_dates_with_data(hand: Hand) -> None:
    hand.clean("scl")
    share = hand.composite()["cloud_share"].values[0]
    assert share[0, 0] == 0.5  # of two dates with data one is overcast
    assert share[30, 30] == np.float32(2 / 3)
    assert share[46, 30] == np.float32(1 / 3)  # a shadow is no cloud


@pytest.mark.parametrize("method", ["unet", "scl"])
def test_a_wider_mask_contains_the_mask(hand: Hand, method: str) -> None:
    before = hand.clean(method)["cloud_class"].values
    after = hand.clean(method, dilation_m=120.0)["cloud_class"].values
    assert (after[before != 0] == before[before != 0]).all()
    assert (after[before == 255] == 255).all()
    assert hand.told()["parameters"]["cloud_dilation_m"] == 120
    if method == "scl":
        assert after[0, 30, 18] != 0 and after[0, 30, 17] == 0  # two pixels of 60 m


def test_what_is_unusual_in_a_date_is_told(hand: Hand) -> None:
    hand.clean("scl")
    told = hand.told()
    reasons = [scene["reason"] for scene in told["scenes"]]
    assert reasons == ["", "100 % cloud, left no clear pixel", ""]
    assert told["notes"] == ["2024-06-08: 100 % cloud, left no clear pixel"]


def test_provenance_names_method_weights_and_level(hand: Hand, catalogs: Path) -> None:
    hand.clean("unet")
    weights = hashlib.sha256((catalogs / "untrained.safetensors").read_bytes()).hexdigest()
    parameters = hand.told()["parameters"]
    assert parameters["clouds"] == "U-Net"
    assert parameters["cloud_weights"] == f"untrained, SHA-256 {weights[:12]}"
    assert parameters["cloud_level"] == "L2A"
    hand.clean("s2cloudless")
    told = hand.told()
    assert told["parameters"]["clouds"].startswith("s2cloudless 1.")
    assert told["parameters"]["cloud_level"] == "L1C"
    assert told["inputs"] == [f"{L2A_STAGE} scene", f"{L1C_STAGE} scene"]


def test_method_weights_and_dilation_are_part_of_the_key(
    catalogs: Path, times: Callable[..., Any], tmp_path: Path
) -> None:
    made = Hand(tmp_path, catalogs)
    keys = []
    for how in ({}, {"dilation_m": 60.0}, {"method": "scl"}, {"method": "scl", "dilation_m": 60.0}):
        made.clean(**how)
        keys.append(made.told()["key"])
        before = times(made.work.root)
        made.clean(**how)
        assert times(made.work.root) == before
    assert len(set(keys)) == 4


def test_s2cloudless_gives_what_its_package_gives(hand: Hand) -> None:
    from s2cloudless import S2PixelCloudDetector
    from s2cloudless.utils import MODEL_BANDS

    from aqgeo.processing import s2cloudless_mask
    from pipelines.acquire import SCENES, SENTINEL_2_L1C

    assert tuple(MODEL_BANDS) == s2cloudless_mask.BANDS == SCENES[SENTINEL_2_L1C] == L1C
    series = hand.clean("s2cloudless")
    raw = cube.open(hand.work.stage(REGION, SPAN, L1C_STAGE) / "cube.zarr")
    stack = np.stack([raw[band].values for band in L1C], axis=-1).astype("float64")
    package = S2PixelCloudDetector(0.4, average_over=4, dilation_size=2)
    masks = package.get_cloud_masks(stack)
    codes = series["cloud_class"].values
    assert masks.any() and not masks.all()
    known = codes != 255
    np.testing.assert_array_equal(codes[known], masks[known])


def test_a_date_without_l1c_has_no_data(catalogs: Path, tmp_path: Path) -> None:
    made = Hand(tmp_path, catalogs)
    made.level1(slice(0, 2))
    series = made.clean("s2cloudless")
    assert (series["cloud_class"].values[2] == 255).all()
    assert not series["valid"].values[2].any()
    assert "has no L1C scene" in made.told()["scenes"][2]["reason"]


def test_without_any_l1c_of_the_dates_there_is_one_line(catalogs: Path, tmp_path: Path) -> None:
    made = Hand(tmp_path, catalogs)
    with pytest.raises(AqgeoError, match=r"ingest-sentinel-2-l1c does not exist: run"):
        made.clean("s2cloudless")
    bands = {b: cube.values(np.full((1, 64, 64), 0.1, "float32"), "1") for b in L1C}
    made.ingested(L1C_STAGE, bands, DAYS[:1] + np.timedelta64(1, "D"))
    with pytest.raises(SourceError, match="no L1C scene is of a date"):
        made.clean("s2cloudless")


def test_what_cannot_be_used_is_told_in_one_line(
    catalogs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = Hand(tmp_path / "work", catalogs)
    with pytest.raises(AqgeoError, match=r"'rainbow' is in no catalog: choose one of unet, scl"):
        made.clean("rainbow")
    for metres in (-1.0, 1e6, float("nan")):
        with pytest.raises(GridError, match="clouds cannot grow by"):
            made.clean("scl", dilation_m=metres)
    own = Path(shutil.copytree(catalogs, tmp_path / "catalogs"))
    broken = own / "untrained.safetensors"
    broken.write_bytes(broken.read_bytes()[:-4] + b"....")
    name_weights(own, broken, sha256="0" * 64)
    monkeypatch.setattr(workspace, "WEIGHTS", own)
    other = Hand(tmp_path / "other", own)
    with pytest.raises(ModelError, match=r"checksum"):
        other.clean("unet")
    assert not other.work.stage(REGION, SPAN, "clean").exists()
    other.clean("scl")  # needs no weights

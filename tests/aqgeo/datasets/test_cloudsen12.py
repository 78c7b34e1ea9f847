"""CloudSEN12 patches: both layouts are one, padding goes, nothing wrong passes for a label."""

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine

from aqgeo import cube
from aqgeo.datasets import cloudsen12, cloudsen12_folders
from aqgeo.datasets import cloudsen12_pixels as pixels
from aqgeo.datasets.cloudsen12_record import CLASSES, NO_LABEL, Patch, card
from aqgeo.errors import SourceError
from tests.standins import cloudsen12 as standin

ROI, S2 = "ROI_00001", "20200305T153021_20200301T153004_T18NXM"


@pytest.fixture
def one(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes one patch as a folder and returns the patch's folder."""

    def write(**what: Any) -> Path:
        drawn = standin.Drawn(4, 1, **what)
        standin.folders([drawn], tmp_path)
        return tmp_path / "high" / drawn.roi_id / drawn.s2_id

    return write


def only(root: Path, level: Any = "L1C") -> Patch:
    (patch,) = cloudsen12.patches(root, level)
    return patch


def nowhere(patch: Patch) -> Patch:
    return replace(patch, path=Path(), offset=0, length=0)


def test_both_layouts_hold_the_same_patches(made: Any) -> None:
    of_taco, of_folders = (cloudsen12.patches(folder) for folder in (made.taco, made.folders))
    assert [nowhere(p) for p in of_taco] == [nowhere(p) for p in of_folders]
    assert len(of_taco) == len(made.drawn)
    for one, other in zip(of_taco[::3], of_folders[::3], strict=True):
        xr_one, xr_other = pixels.read(one), pixels.read(other)
        assert xr_one.identical(xr_other)


def test_a_patch_is_what_was_drawn(made: Any) -> None:
    for patch, drawn in zip(cloudsen12.patches(made.taco)[:2], made.drawn, strict=False):
        ds = pixels.read(patch)
        assert cube.breaches(ds) == []
        assert patch.bands == standin.L1C == tuple(ds.data_vars)[:13]
        image = drawn.image().astype("float64")
        image[(image == 0) | (image == 65535)] = np.nan
        np.testing.assert_allclose(ds[list(patch.bands)].to_array()[:, 0], image * 1e-4, rtol=1e-6)
        label = np.where(drawn.label() == 99, NO_LABEL, drawn.label())
        np.testing.assert_array_equal(ds.label[0], label)
        assert cube.geobox(ds) == patch.grid
        assert patch.grid.affine == drawn.transform and str(patch.grid.crs) == standin.CRS
        assert (patch.split, patch.roi_id, patch.old_roi_id) == (
            *(drawn.split, drawn.roi_id, drawn.old_roi_id),
        )
        assert patch.time.isoformat() == f"2020-03-{drawn.number + 1:02d}T15:30:21+00:00"


def test_bands_come_by_name_in_the_order_asked_for(made: Any) -> None:
    patch = cloudsen12.patches(made.taco)[0]
    ds, whole = pixels.read(patch, ["B12", "B02"]), pixels.read(patch)
    assert list(ds.data_vars) == ["B12", "B02", "label"]
    assert ds.identical(whole[["B12", "B02", "label"]])
    with pytest.raises(SourceError, match=r"no band B99: choose of B01, "):
        pixels.read(patch, ["B02", "B99"])


def test_label_types_are_kept(made: Any) -> None:
    *_, scribble, none = cloudsen12.patches(made.folders)
    assert (scribble.label_type, none.label_type) == ("scribble", "nolabel")
    assert (pixels.read(scribble).label == NO_LABEL).mean() > 0.6
    assert "label" not in pixels.read(none) and pixels.read_label(none) is None


def test_level_2a_has_its_own_bands_and_units(tmp_path: Path) -> None:
    drawn = standin.Drawn(1, 1, level="L2A")
    standin.parts([drawn], tmp_path, "l2a", 1)
    ds = pixels.read(only(tmp_path, "L2A"))
    assert tuple(ds.data_vars) == (*standin.L2A, "label")
    assert ds.WVP.attrs["units"] == "cm"
    np.testing.assert_allclose(ds.WVP[0, 100, 100], drawn.image()[13, 100, 100] * 1e-3, rtol=1e-6)


def test_the_colour_picture_of_the_older_layout_is_left_out(one: Any, tmp_path: Path) -> None:
    drawn = standin.Drawn(4, 1, level="L2A")
    here = one(level="L2A")
    more = np.concatenate([drawn.image(), drawn.image()[:3]])
    (here / "S2L2A.tif").write_bytes(standin.geotiff(more, drawn.transform))
    assert tuple(pixels.read(only(tmp_path, "L2A")).data_vars) == (*standin.L2A, "label")


def test_patches_of_2000_pixels_lose_their_padding_too(tmp_path: Path) -> None:
    drawn = standin.Drawn(1, 1, size=2000)
    standin.parts([drawn], tmp_path, count=1)
    patch = only(tmp_path)
    ds = pixels.read(patch, ["B02"])
    assert ds.B02.shape == (1, 2000, 2000) and patch.size == 2000
    np.testing.assert_allclose(ds.B02[0, 1999, 1999], drawn.image()[1, -1, -1] * 1e-4, rtol=1e-6)
    assert cube.geobox(ds).affine == drawn.transform


def test_padding_elsewhere_is_refused(one: Any, tmp_path: Path) -> None:
    drawn, here = standin.Drawn(4, 1), one()
    right = np.pad(drawn.image(), ((0, 0), (3, 0), (0, 3)))
    (here / "S2L1C.tif").write_bytes(standin.geotiff(right, drawn.transform))
    with pytest.raises(SourceError, match="where padding should be"):
        pixels.read(only(tmp_path))


def test_swapped_classes_are_refused(one: Any, tmp_path: Path) -> None:
    drawn, here = standin.Drawn(4, 1), one()
    swapped = np.array([0, 2, 1, 3], "uint8")[np.minimum(drawn.label(), 3)]
    swapped[drawn.label() == 99] = 99
    label = here / "labels" / "manual_hq.tif"
    label.write_bytes(standin.geotiff(swapped[None], drawn.transform))
    with pytest.raises(SourceError, match="look swapped"):
        pixels.read_label(only(tmp_path))


def test_a_label_that_has_no_record_is_taken_as_it_is(one: Any, tmp_path: Path) -> None:
    one()
    table = pd.read_csv(tmp_path / "cloudsen12_metadata.csv")
    table.drop(columns="thin_percentage").to_csv(tmp_path / "cloudsen12_metadata.csv")
    found = pixels.read_label(only(tmp_path))
    assert found is not None and set(np.unique(found)) == {*CLASSES, NO_LABEL}


@pytest.mark.parametrize("code", [4, 98, 128, 254])
def test_unknown_codes_are_refused(one: Any, tmp_path: Path, code: int) -> None:
    drawn, here = standin.Drawn(4, 1), one()
    label = drawn.label()
    label[300, 300] = code
    (here / "labels" / "manual_hq.tif").write_bytes(standin.geotiff(label[None], drawn.transform))
    with pytest.raises(SourceError, match=f"has the codes {code}: known are 0, 1, 2, 3, 99, 255"):
        pixels.read(only(tmp_path))


def claiming(width: int, height: int, tile: int | None = None) -> bytes:
    """A TIFF of a few hundred bytes with 13 bands that claims any size."""
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (259, 3, 1, 8)]
    tags += [(262, 3, 1, 1), (277, 3, 1, 13), (284, 3, 1, 1)]
    if tile:
        tags += [(322, 4, 1, tile), (323, 4, 1, tile), (324, 4, 1, 8), (325, 4, 1, 8)]
    else:
        tags += [(273, 4, 1, 8), (278, 4, 1, height), (279, 4, 1, 8)]
    tags.sort()
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + body + bytes(4)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    "content",
    [
        claiming(2**31 - 1, 2**31 - 1),
        claiming(2**31 - 1, 1),
        claiming(509, 509, tile=2**20),
        b"<VRTDataset rasterXSize='509' rasterYSize='509'><SRS>EPSG:32618</SRS></VRTDataset>",
        b"",
        b"\x89PNG\r\n\x1a\n",
        standin.geotiff(np.ones((3, 509, 509), "uint16"), Affine(10, 0, 0, 0, -10, 0)),
        standin.geotiff(np.ones((13, 400, 400), "uint16"), Affine(10, 0, 0, 0, -10, 0)),
        standin.geotiff(np.ones((13, 509, 509), "float32"), Affine(10, 0, 0, 0, -10, 0)),
        standin.geotiff(np.ones((13, 509, 509), "uint16"), Affine(10, 0, 0, 0, -10, 0))[:5000],
    ],
    ids="2^31x2^31 2^31x1 tile vrt empty png bands size float cut".split(),
)
def test_what_is_no_image_is_one_line(made: Any, tmp_path: Path, content: bytes) -> None:
    patch = cloudsen12.patches(made.folders)[0]
    (tmp_path / "labels").mkdir()
    (tmp_path / "S2L1C.tif").write_bytes(content)
    (tmp_path / "labels" / "manual_hq.tif").write_bytes(b"")
    with pytest.raises(SourceError) as caught:
        pixels.read(replace(patch, path=tmp_path))
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_bands_in_another_order_are_refused(one: Any, tmp_path: Path) -> None:
    drawn, here = standin.Drawn(4, 1), one()
    content = standin.geotiff(drawn.image(), drawn.transform)
    (here / "S2L1C.tif").write_bytes(content)
    with rasterio.open(here / "S2L1C.tif", "r+") as target:
        target.descriptions = [b.replace("B0", "B") for b in standin.L1C]
    pixels.read(only(tmp_path))
    with rasterio.open(here / "S2L1C.tif", "r+") as target:
        target.descriptions = standin.L1C[::-1]
    with pytest.raises(SourceError, match="calls its bands B12, B11"):
        pixels.read(only(tmp_path))


def test_nothing_beside_an_image_changes_it(one: Any, tmp_path: Path) -> None:
    here = one()
    before = pixels.read(only(tmp_path))
    (here / "S2L1C.tif.aux.xml").write_text(
        "<PAMDataset><GeoTransform>0,1,0,0,0,-1</GeoTransform></PAMDataset>"
    )
    assert pixels.read(only(tmp_path)).identical(before)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("roi_id", "../../etc"),
        ("roi_id", ".hidden"),
        ("s2_id", "20200101T000000/.."),
        ("tortilla:id", "a\nb"),
        ("tortilla:data_split", "all"),
        ("label_type", "best"),
        ("stac:crs", "/vsicurl/http://example.org/x"),
        ("stac:geotransform", [1.0, 2.0]),
        ("stac:geotransform", [float("nan")] * 6),
        ("real_proj_shape", 100_000),
        ("thick_percentage", 140.0),
    ],
)
def test_a_row_that_breaks_the_rules_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    row = {**standin.row(standin.Drawn(1, 1)), key: value}
    content = standin.tortilla([row], [b"x" * 30], b"WX")
    (tmp_path / "cloudsen12-l1c.0000.part.taco").write_bytes(content)
    with pytest.raises(SourceError) as caught:
        cloudsen12.patches(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    content = standin.tortilla([{"tortilla:id": "a"}], [b"x" * 30], b"WX")
    (tmp_path / "cloudsen12-l1c.0000.part.taco").write_bytes(content)
    with pytest.raises(SourceError, match=r"has no label_type, .*stac:crs"):
        cloudsen12.patches(tmp_path)


def test_a_patch_twice_is_refused(made: Any, tmp_path: Path) -> None:
    for name in ("a-l1c.taco", "b-l1c.taco"):
        (tmp_path / name).write_bytes(standin.taco(made.drawn[:1]))
    with pytest.raises(SourceError, match=r"2 patches are called ROI_00000"):
        cloudsen12.patches(tmp_path)


def test_places_in_several_splits_are_told(made: Any) -> None:
    found = cloudsen12.patches(made.taco)
    assert cloudsen12.leaks(found) == {}
    moved = [replace(found[0], split="test"), *found[1:]]
    assert cloudsen12.leaks(moved) == {
        "roi_id ROI_00000": ["test", "train"],
        "old_roi_id ROI_5000": ["test", "train"],
    }
    renamed = [replace(found[0], split="test", roi_id="ROI_9"), *found[1:]]
    assert cloudsen12.leaks(renamed) == {"old_roi_id ROI_5000": ["test", "train"]}


@pytest.mark.parametrize(
    ("codes", "splits"),
    [([0, 1, 0], ["train", "test"]), ([0, 1, 2], ["train", "validation"])],
    ids=["version 1", "version 1.1"],
)
def test_the_column_test_means_what_its_version_means(
    tmp_path: Path, codes: list[int], splits: list[str]
) -> None:
    standin.folders([standin.Drawn(n, n) for n in range(2)], tmp_path)
    path = tmp_path / "cloudsen12_metadata.csv"
    table = pd.read_csv(path)
    elsewhere = table.iloc[:1].assign(roi_id="ROI_9")
    pd.concat([table, elsewhere]).assign(test=codes).to_csv(path)
    assert [patch.split for patch in cloudsen12.patches(tmp_path)] == splits


def test_without_a_table_a_folder_names_the_split(one: Any, tmp_path: Path) -> None:
    one()
    (tmp_path / "cloudsen12_metadata.csv").unlink()
    with pytest.raises(SourceError, match="nothing tells the split"):
        cloudsen12.patches(tmp_path)
    (tmp_path / "high").rename(tmp_path / "high_val")
    patch = only(tmp_path)
    assert (patch.split, patch.label_type, patch.thick) == ("validation", "high", None)


def test_a_folder_that_is_in_no_table_is_refused(one: Any, tmp_path: Path) -> None:
    here = one()
    here.rename(here.with_name("20200101T000000_x"))
    with pytest.raises(SourceError, match="is not in"):
        cloudsen12.patches(tmp_path)


def test_an_empty_folder_says_what_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no \*l1c\*\.taco and no S2L1C\.tif"):
        cloudsen12.patches(tmp_path)
    with pytest.raises(SourceError, match="is no folder"):
        cloudsen12.patches(tmp_path / "none")


def test_what_is_written_reads_back_the_same(made: Any, tmp_path: Path) -> None:
    patch = cloudsen12.patches(made.folders)[0]
    image, label = made.drawn[0].tiffs(pad=False)
    cloudsen12_folders.write(tmp_path, patch, image, label)
    found = only(tmp_path)
    assert nowhere(found) == nowhere(patch)
    assert pixels.read(found).identical(pixels.read(patch))


@pytest.mark.parametrize("label", [b"II*\0 no", None], ids=["broken", "none"])
def test_nothing_is_left_of_a_patch_that_is_broken(
    made: Any, tmp_path: Path, label: bytes | None
) -> None:
    patch = cloudsen12.patches(made.folders)[0]
    with pytest.raises(SourceError):
        cloudsen12_folders.write(tmp_path, patch, made.drawn[0].tiffs(pad=False)[0], label)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "change",
    [
        {"roi_id": "../elsewhere"},
        {"roi_id": "ROI_00002"},
        {"path": "/etc"},
        {"offset": 3, "length": 10},
        {"files": {"../../x": {}}},
        {"time": "yesterday"},
    ],
)
def test_a_record_cannot_lead_elsewhere(made: Any, tmp_path: Path, change: Any) -> None:
    patch = cloudsen12.patches(made.folders)[0]
    own = cloudsen12_folders.write(tmp_path, patch, *made.drawn[0].tiffs(pad=False))
    record = {"patch": {**card(patch), **change}}
    (own.path / "S2L1C.json").write_text(json.dumps(record))
    with pytest.raises(SourceError) as caught:
        cloudsen12.patches(tmp_path)
    assert str(own.path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"patch": 3}', "[" * 100_000])
def test_a_broken_record_is_one_line(made: Any, tmp_path: Path, content: str) -> None:
    patch = cloudsen12.patches(made.folders)[0]
    own = cloudsen12_folders.write(tmp_path, patch, *made.drawn[0].tiffs(pad=False))
    (own.path / "S2L1C.json").write_text(content)
    with pytest.raises(SourceError, match="is no record of a patch"):
        cloudsen12.patches(tmp_path)

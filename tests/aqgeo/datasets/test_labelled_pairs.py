"""Images and labels as pairs of GeoTIFFs: how they find each other, what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from aqgeo.datasets import labelled, labelled_pairs
from aqgeo.errors import SourceError

BANDS = ("B02", "B03", "B04", "B08")
HOW: dict[str, Any] = {"bands": BANDS, "level": "L2A", "classes": {0: "clear", 1: "cloud"}}
WHERE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, data: np.ndarray, **more: Any) -> Path:
        layers = np.atleast_3d(data.T).T
        about = {"crs": "EPSG:32633", "transform": WHERE} | more
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        count, height, width = layers.shape
        size = {"count": count, "height": height, "width": width, "dtype": layers.dtype}
        with rasterio.open(path, "w", driver="GTiff", **size, **about) as dst:
            dst.write(layers)
        return path

    return write


@pytest.fixture
def image() -> np.ndarray:
    return np.arange(4 * 6 * 7, dtype="uint16").reshape(4, 6, 7) * 10


@pytest.fixture
def label() -> np.ndarray:
    return (np.arange(42).reshape(6, 7) % 2).astype("uint8")


def test_a_pair_in_one_folder_is_read_as_reflectance_and_classes(
    write: Write, image: np.ndarray, label: np.ndarray, tmp_path: Path
) -> None:
    label[0, :3] = 255
    write("A_2020-04-24_refl.tif", image)
    write("A_2020-04-24_label.tif", label)
    (one,) = labelled.of_pairs(tmp_path, tmp_path, **HOW)
    assert (one.id, one.day, one.kind, one.level) == ("A_2020-04-24", "2020-04-24", "human", "L2A")
    assert labelled.tells(one) == ((0, 3), (1, 2))
    assert labelled.pixel_m(one) == 10
    values, found = labelled.read(one, ["B08", "B11", "B02"])
    np.testing.assert_allclose(values[0], image[3] * 1e-4, rtol=1e-6)
    assert np.isnan(values[1]).all()
    assert np.isnan(values[2, 0, 0])
    assert found[0, :3].tolist() == [255] * 3
    assert (found[1:] == label[1:]).all()


def test_two_folders_floats_and_files_without_a_place_do(
    write: Write, image: np.ndarray, label: np.ndarray, tmp_path: Path
) -> None:
    bare = {"crs": None, "transform": Affine.identity()}
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        write("i/a.tif", image.astype("float32") / 10_000, **bare)
        write("l/a_mask.tif", label + 3, **bare)
    classes = {3: "clear", 4: "shadow", 5: "thick", 6: "thin"}
    (one,) = labelled.of_pairs(tmp_path / "i", tmp_path / "l", **HOW | {"classes": classes})
    values, found = labelled.read(one, BANDS)
    np.testing.assert_allclose(values, image * 1e-4, rtol=1e-6)
    assert set(np.unique(found)) == {0, 3}
    assert labelled.pixel_m(one) is None
    assert labelled.tells(one) == ((0,), (1,), (2,), (3,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": np.zeros((6, 8), "uint8")}, "6 x 8 pixels, its image 6 x 7"),
        ({"label": np.zeros((2, 6, 7), "uint8")}, "2 bands of 6 x 7"),
        ({"label": np.full((6, 7), 7, "uint8")}, "has the code 7"),
        ({"label": np.full((6, 7), -1, "int16")}, "has the code -1"),
        ({"crs": "EPSG:32634"}, "lies elsewhere"),
        ({"transform": WHERE @ Affine.translation(3, 0)}, "lies elsewhere"),
        ({"bands": ("B02", "B03", "B04")}, "has 4 bands, 3 are named"),
        ({"scale": 1.0}, "no reflectance"),
    ],
)
def test_what_does_not_fit_is_named(
    change: dict[str, Any], message: str, write: Write, image: np.ndarray, label: np.ndarray,
    tmp_path: Path,
) -> None:  # fmt: skip
    write("a_img.tif", image)
    where = {key: change[key] for key in ("crs", "transform") if key in change}
    write("a_label.tif", change.get("label", label), **where)
    how = HOW | {key: change[key] for key in ("bands", "scale") if key in change}
    with pytest.raises(SourceError, match=message):
        labelled.read(labelled.of_pairs(tmp_path, tmp_path, **how)[0], how["bands"])


@pytest.mark.parametrize(
    ("names", "how", "message"),
    [
        (["a_img.tif"], {}, "a_img.tif has no label"),
        (["a.tif"], {}, "a.tif has no label"),
        (["a_img.tif", "a_label.tif", "b_mask.tif"], {}, "b_mask.tif has no image"),
        (["a_img.tif", "a_refl.tif", "a_mask.tif"], {}, "are one name"),
        ([], {}, "no GeoTIFF"),
        (["a.tif"], {"classes": {1: "fog"}}, "class 'fog' is none"),
        (["a.tif"], {"classes": {0: "clear"}}, "no code is named cloud"),
        (["a.tif"], {"bands": ("B02", "B02")}, "once"),
    ],
)
def test_partners_and_names_are_asked_for(
    names: list[str], how: dict[str, Any], message: str, write: Write, label: np.ndarray,
    tmp_path: Path,
) -> None:  # fmt: skip
    for name in names:
        write(name, label)
    with pytest.raises(SourceError, match=message):
        labelled.of_pairs(tmp_path, tmp_path, **HOW | how)


def test_a_file_that_is_no_geotiff_is_named(
    write: Write, label: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "a.tif").write_bytes(b"PK\x03\x04 no picture")
    write("a_label.tif", label)
    (one,) = labelled.of_pairs(tmp_path, tmp_path, **HOW)
    with pytest.raises(SourceError, match=r"a\.tif cannot be read as a GeoTIFF"):
        labelled.read(one, BANDS)
    with pytest.raises(SourceError, match="is no folder"):
        labelled_pairs.find(tmp_path / "none", tmp_path, bands=BANDS, classes={1: "cloud"})

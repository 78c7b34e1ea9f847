"""Cloud classes: every scene class of Sen2Cor has its place, everything else is no data."""

import numpy as np
import pytest

from aqgeo.processing import clouds
from aqgeo.sources.sentinel2_bands import SCL_CLASSES

# Sen2Cor's scene class -> cloud class of CloudSEN12.
WANTED = {
    0: 255,  # no data
    1: 255,  # saturated or defective
    2: 0,  # dark area
    3: 3,  # cloud shadow
    4: 0,  # vegetation
    5: 0,  # not vegetated
    6: 0,  # water
    7: 2,  # unclassified
    8: 1,  # cloud, medium probability
    9: 1,  # cloud, high probability
    10: 2,  # thin cirrus
    11: 0,  # snow or ice
}


@pytest.mark.parametrize(("scl", "wanted"), WANTED.items())
def test_a_scene_class_has_its_cloud_class(scl: int, wanted: int) -> None:
    assert clouds.from_scl(np.array([scl], "uint8")).tolist() == [wanted]


def test_codes_that_sen2cor_does_not_have_are_no_data() -> None:
    codes = np.array([c for c in range(256) if c not in SCL_CLASSES], "uint8")
    assert (clouds.from_scl(codes) == clouds.NO_DATA).all()


def test_all_cloud_classes_are_met_and_named() -> None:
    found = set(clouds.from_scl(np.arange(256, dtype="uint8")).tolist())
    assert found == {*clouds.CLASSES, clouds.NO_DATA}


def test_shape_is_kept_and_the_result_is_bytes() -> None:
    found = clouds.from_scl(np.full((2, 3, 4), 9, "uint8"))
    assert (found.shape, found.dtype) == ((2, 3, 4), np.dtype("uint8"))


def test_codes_beyond_a_byte_are_no_data() -> None:
    codes = np.array([300, -252, 4], "int16")
    assert clouds.from_scl(codes).tolist() == [clouds.NO_DATA, clouds.NO_DATA, clouds.CLEAR]


def scene() -> np.ndarray:
    """Return classes with a thick, a thin and a shadow pixel in clear ground, and no data."""
    classes = np.zeros((40, 50), "uint8")
    classes[10, 10], classes[10, 30], classes[30, 20] = clouds.THICK, clouds.THIN, clouds.SHADOW
    classes[:, 45:] = clouds.NO_DATA
    return classes


def disc(rows: int, cols: int, reach: float, step: tuple[float, float] = (1, 1)) -> np.ndarray:
    y, x = np.mgrid[:40, :50]
    return np.hypot((y - rows) * step[0], (x - cols) * step[1]) <= reach


def test_clouds_and_shadow_grow_by_discs_of_metres() -> None:
    grown = clouds.dilate(scene(), 60, 20)
    for code, at in ((clouds.THICK, (10, 10)), (clouds.THIN, (10, 30)), (clouds.SHADOW, (30, 20))):
        np.testing.assert_array_equal(grown == code, disc(*at, 3))
    assert grown[10, 13] == clouds.THICK and grown[13, 13] == clouds.CLEAR


def test_pixels_need_not_be_square() -> None:
    grown = clouds.dilate(scene(), 60, (10, 30))
    np.testing.assert_array_equal(grown == clouds.THICK, disc(10, 10, 60, (10, 30)))


@pytest.mark.parametrize("metres", [0, 5, 9.9])
def test_less_than_a_pixel_changes_nothing(metres: float) -> None:
    np.testing.assert_array_equal(clouds.dilate(scene(), metres, 10), scene())


def test_no_data_and_clouds_stay_and_thick_comes_before_thin_before_shadow() -> None:
    classes = scene()
    classes[20, 20], classes[20, 24], classes[24, 22] = clouds.THICK, clouds.THIN, clouds.SHADOW
    grown = clouds.dilate(classes, 200, 10)
    known = classes != clouds.CLEAR
    np.testing.assert_array_equal(grown[known], classes[known])
    assert (grown[:, :45] != clouds.CLEAR).any() and (grown[disc(20, 20, 20) & ~known] == 1).all()
    assert (grown[:, 45:] == clouds.NO_DATA).all()


def test_parts_that_are_wider_by_the_reach_grow_as_the_whole() -> None:
    rng = np.random.default_rng(0)
    classes = rng.choice([0, 0, 0, 0, 0, 0, 1, 2, 3], (2, 60, 60)).astype("uint8")
    classes[rng.random(classes.shape) < 0.7] = 0
    reach = clouds.reach(35, 10)
    assert reach == 4
    part = clouds.dilate(classes[:, 20 - reach : 40 + reach], 35, 10)[:, reach:-reach]
    np.testing.assert_array_equal(part, clouds.dilate(classes, 35, 10)[:, 20:40])


def test_shares_are_of_valid_pixels_and_counts_add_up() -> None:
    classes = np.array([[0, 0, 1, 2, 3, 255, 255, 255]], "uint8")
    counts = clouds.count(classes[:, :4]) + clouds.count(classes[:, 4:])
    assert clouds.shares(counts) == {
        "clear": 40.0,
        "thick cloud": 20.0,
        "thin cloud": 20.0,
        "cloud shadow": 20.0,
        "no data": 37.5,
    }
    assert clouds.shares(clouds.count(np.full((2, 2), 255, "uint8")))["no data"] == 100

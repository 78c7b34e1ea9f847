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

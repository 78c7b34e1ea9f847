"""Weak labels: doubtful codes beside cloud are unknown where codes were interpolated."""

import numpy as np

from aqgeo.datasets.scl_labels import weak


def test_every_code_has_its_class() -> None:
    scl = np.arange(13, dtype="uint8")[None]
    assert weak(scl, interpolated=False)[0].tolist() == (
        [255, 255, 0, 3, 0, 0, 0, 255, 1, 1, 2, 0, 255]
    )


def test_codes_between_vegetation_and_cloud_are_unknown_only_beside_cloud() -> None:
    scl = np.full((9, 9), 4, "uint8")
    scl[4, 4], scl[4, 6], scl[4, 8], scl[2, 4] = 9, 5, 5, 10
    found = weak(scl, interpolated=True)
    assert found[4, 6] == found[2, 4] == 255
    assert (found[4, 8], found[4, 4], found[4, 5]) == (0, 1, 0)
    assert weak(scl, interpolated=False)[4, 6] == 0

"""Simulated chips: true labels on the same pixels, the same from the same numbers."""

import numpy as np
import pytest

from aqgeo.simulation import chips
from aqgeo.simulation.spectra import BANDS_L1C, BANDS_L2A


@pytest.mark.parametrize("pixel_m", [10, 60])
def test_all_bands_lie_on_one_grid(pixel_m: int) -> None:
    chip = chips.draw(1, 7, pixel_m=pixel_m, size=61)
    assert (round(chip.grid.affine.a), tuple(chip.grid.shape)) == (pixel_m, (61, 61))
    assert list(chip.numbers["l1c"]) == list(BANDS_L1C)
    assert list(chip.numbers["l2a"]) == list(BANDS_L2A)
    every = [*chip.numbers["l1c"].values(), *chip.numbers["l2a"].values(), chip.scl, chip.labels]
    assert {band.shape for band in every} == {(61, 61)}
    assert set(np.unique(chip.labels)) <= {0, 1, 2, 3}


def test_a_chip_follows_from_seed_and_number() -> None:
    one, two, other = (chips.draw(1, n, pixel_m=20, size=60) for n in (3, 3, 4))
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_array_equal(one.numbers["l2a"]["B04"], two.numbers["l2a"]["B04"])
    assert (one.grid, one.time) == (two.grid, two.time)
    assert one.grid != other.grid


def test_thick_cloud_is_brighter_than_what_lies_below_clear_sky() -> None:
    found = []
    for number in range(10):
        chip = chips.draw(2, number, pixel_m=20, size=120)
        blue = chip.numbers["l1c"]["B02"].astype(float)
        if (chip.labels == 1).sum() > 30 and (chip.labels == 0).sum() > 30:
            found.append(blue[chip.labels == 1].mean() - blue[chip.labels == 0].mean())
    assert found and np.mean(found) > 500

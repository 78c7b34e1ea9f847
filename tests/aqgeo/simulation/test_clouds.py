"""Clouds: cover, shape, shadow, the same for every instrument and every window."""

import itertools
from datetime import UTC, datetime

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo.simulation import cloud_kinds, clouds, zoom
from aqgeo.simulation.clouds import SHADOW, THICK, THIN

NOON = datetime(2024, 6, 10, 10, 30, tzinfo=UTC)
SUN = (45.0, 135.0)


def box(side: int, pixel: int, *, left: int = 640_000, top: int = 5_312_000) -> GeoBox:
    return GeoBox((side, side), Affine(pixel, 0, left, 0, -pixel, top), "EPSG:32633")


def draw(grid: GeoBox, *, seed=1, when=NOON, cover=0.4, regime="cumulus", sun=SUN, **more):
    return clouds.draw(grid, seed, when, cover=cover, regime=regime, sun=sun, **more)


@pytest.mark.parametrize("regime", list(cloud_kinds.REGIMES))
def test_cover_is_as_asked_on_average(regime: str) -> None:
    for cover in (0.1, 0.5, 0.9):
        grids = [box(250, 1280, left=1_280_000 * i) for i in range(6)]
        skies = [draw(g, cover=cover, regime=regime, seed=i) for i, g in enumerate(grids)]
        found = np.mean([(s.water + s.ice > 0).mean() for s in skies])
        assert found == pytest.approx(cover, abs=0.05)


def test_no_cover_is_a_clear_sky_and_full_cover_hides_the_ground() -> None:
    clear, full = (draw(box(128, 640), cover=c, regime="overcast") for c in (0.0, 1.0))
    assert clear.water.max() == clear.ice.max() == 0
    assert (clear.sunlight == 1).all() and (clear.classes() == 0).all()
    assert (full.classes() == THICK).mean() > 0.8
    assert full.effective_fraction(0.7).mean() > 0.6


def test_a_window_of_a_larger_sky_is_the_same() -> None:
    large = draw(box(512, 20), view=(8.0, 103.0), drift=(4.0, -3.0))
    small = draw(
        box(200, 20, left=640_000 + 60 * 20, top=5_312_000 - 90 * 20),
        view=(8.0, 103.0),
        drift=(4.0, -3.0),
    )
    for name in ("water", "ice", "top_m", "sunlight", "haze"):
        np.testing.assert_array_equal(
            getattr(large, name)[90:290, 60:260], getattr(small, name), name
        )


def test_coarse_pixels_of_the_other_instrument_see_the_same_clouds() -> None:
    fine, coarse = draw(box(1024, 20)), draw(box(32, 640))
    a, b = zoom.shrink(fine.effective_fraction(0.7), 32), coarse.effective_fraction(0.7)
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.85


def test_wind_carries_clouds_by_its_speed_times_the_time() -> None:
    hours, drift = 3, (5.0, -2.0)
    later = datetime(2024, 6, 10, 13, 30, tzinfo=UTC)
    moved = [640 * round(hours * 3600 * s / 640) for s in drift]
    grid = box(200, 640)
    before = draw(grid, drift=drift)
    after = draw(zoom.shift(grid, *moved), when=later, drift=drift)
    # Each instant is rounded to the lattice on its own, so one pixel may lie between them.
    inner = np.s_[9:-9, 9:-9]
    best = max(
        np.corrcoef(before.water[inner].ravel(), np.roll(after.water, s, (0, 1))[inner].ravel())[
            0, 1
        ]
        for s in itertools.product((-1, 0, 1), repeat=2)
    )
    assert best > 0.999
    assert not np.allclose(before.water, draw(grid, when=later, drift=drift).water)


def test_shadow_and_image_lie_where_height_and_angles_put_them() -> None:
    east, north = clouds.displacement(1500, SUN)
    assert (east, north) == pytest.approx((-1060.66, 1060.66), abs=0.1)
    view = (8.0, 103.0)
    grid = box(600, 20)
    nadir, slanted = draw(grid), draw(grid, view=view)
    height = nadir.heights["cumulus"]
    east, north = clouds.displacement(height, view)
    shift = (-round(north / 20), round(east / 20))
    seen = np.roll(nadir.water, shift, (0, 1))[60:-60, 60:-60]
    assert np.corrcoef(seen.ravel(), slanted.water[60:-60, 60:-60].ravel())[0, 1] > 0.95
    np.testing.assert_array_equal(nadir.sunlight, slanted.sunlight)
    east, north = clouds.displacement(height, SUN)
    shade = np.roll(1 - nadir.sunlight, (round(north / 20), -round(east / 20)), (0, 1))
    where = np.s_[130:-130, 130:-130]
    dark = np.corrcoef(shade[where].ravel(), (nadir.water > 1)[where].ravel())[0, 1]
    here = np.corrcoef((1 - nadir.sunlight)[where].ravel(), (nadir.water > 1)[where].ravel())[0, 1]
    assert dark > 0.75 and dark > here + 0.3


def test_classes_follow_their_definition() -> None:
    sky = draw(box(512, 20), regime="cumulus", cover=0.5)
    found, depth = sky.classes(), sky.depth
    assert (depth[found == THICK] >= 0.3).all()
    assert ((depth[found == THIN] >= 0.02) & (depth[found == THIN] < 0.3)).all()
    assert ((sky.sunlight < 0.7) & (depth < 0.02))[found == SHADOW].all()
    assert {0, 1, 2, 3} == set(np.unique(found))


def test_two_streams_have_the_right_limits() -> None:
    s = np.array([0, 1e-4, 0.3, 1e6], "float32")
    found = clouds.reflectance(s, 0.8)
    assert found[0] == 0 and found[-1] == pytest.approx(1, abs=1e-5)
    assert found[1] == pytest.approx(1e-4 / 0.8, rel=1e-3)
    # tau 5 of droplets at mu .8: .32 (simulation-facts, section 3)
    assert clouds.reflectance(np.float32(5 * clouds.BETA_WATER), 0.8) == pytest.approx(
        0.32, abs=0.01
    )


def test_edges_are_as_rough_as_real_ones_and_spectra_as_steep() -> None:
    field = draw(box(1024, 20), cover=0.5, regime="stratus").depth
    line = np.abs(np.fft.rfft(np.log1p(field) * np.hanning(1024), axis=1)) ** 2
    k = np.arange(line.shape[1]) / (1024 * 20)
    use = (k > 1 / 5000) & (k < 1 / 400)
    slope = np.polyfit(np.log(k[use]), np.log(line.mean(axis=0)[use]), 1)[0]
    assert -3.0 < slope < -1.2  # one-dimensional; -5/3 to -2.4 in section 3

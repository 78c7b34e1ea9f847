"""Rebuilt pixel corners against the true ones of simulated whole orbits, in metres."""

from datetime import date

import numpy as np
import pytest

from aqgeo.simulation import swath
from aqgeo.sources import s5p_corners

EARTH_M = 6_371_000


@pytest.fixture(scope="module", params=["2024-06-15", "2019-01-15"])
def orbit(request) -> swath.Swath:
    """A whole orbit over both poles and the date line, with pixels of 5.5 or 7 km."""
    return swath.whole(swath.orbits_of(date.fromisoformat(request.param))[0])


def vectors(lonlat: np.ndarray) -> np.ndarray:
    lon, lat = np.radians(lonlat[..., 0]), np.radians(lonlat[..., 1])
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def misfit(view: swath.Swath, part=slice(None), gone=None, **known) -> np.ndarray:
    """Return how far the worst corner of each pixel (s, p) is from the true one, in order round."""
    centres = view.centres[part].astype("float32").astype("float64")  # as files hold them
    if gone is not None:
        centres[gone] = np.nan
    everything = np.ones(centres.shape[:2], bool)
    lon, lat = s5p_corners.rebuild(centres[..., 0], centres[..., 1], everything, **known)
    found, true = vectors(np.stack([lon, lat], -1)), vectors(view.corners[part].reshape(-1, 4, 2))
    return EARTH_M * np.linalg.norm(found - true, axis=-1).max(axis=-1).reshape(everything.shape)


def test_corners_of_a_whole_orbit_are_good_to_a_metre_and_ten_at_its_edge(orbit) -> None:
    # Measured: median 0.2 m, at most 0.8 m inside, 7.5 m in the outermost pixels and lines.
    found = misfit(orbit)
    assert np.median(found[:, 215:235]) < 0.3 and found[2:-2, 215:235].max() < 1.2
    assert np.median(found[2:-2, 2:-2]) < 0.3 and found[2:-2, 2:-2].max() < 1.5
    assert np.median(found[:, [0, -1]]) < 9 and found.max() < 12


def test_corners_beside_missing_centres_and_lines_are_seldom_20_m_off(orbit) -> None:
    rng = np.random.default_rng(1)
    part = slice(3000, 3200) if orbit.lines > 3200 else slice(2000, 2200)
    gone = rng.random((200, swath.PIXELS)) < 0.05
    gone[70], gone[:, 300:303] = True, True
    gone[:, :5] |= np.arange(5) < rng.integers(0, 4, (200, 1))
    found = misfit(orbit, part, gone)
    assert np.array_equal(np.isnan(found), gone)
    # Measured: median 0.3 m, 1 in 1000 above 20 m, at most 143 m, all at the ragged edge.
    assert np.nanmedian(found) < 0.6 and np.nanpercentile(found, 99.8) < 30
    assert np.nanmax(found) < 200


@pytest.mark.parametrize("line", [50, 1000, 2000, 3000])
def test_a_lone_line_has_the_known_length_and_lies_within_350_m(orbit, line: int) -> None:
    # Its direction is taken at right angles to the line, which the turning earth makes wrong by
    # some degrees: measured up to 290 m.
    along_m = 5500.0 if orbit.line_s < 1 else 7000.0
    found = misfit(orbit, slice(line, line + 1), along_m=along_m)
    assert 20 < np.median(found) and found.max() < 350


def test_a_part_with_lines_around_it_has_the_corners_of_the_whole(orbit) -> None:
    lon, lat = np.moveaxis(orbit.centres[1000:1200].copy(), -1, 0)
    lon[np.random.default_rng(2).random(lon.shape) < 0.1] = np.nan
    wanted = np.zeros(lon.shape, bool)
    wanted[90:100] = True
    part = slice(90 - s5p_corners.HALO, 100 + s5p_corners.HALO)
    whole = s5p_corners.rebuild(lon, lat, wanted)
    cut = s5p_corners.rebuild(lon[part], lat[part], wanted[part])
    assert np.array_equal(whole, cut, equal_nan=True) and np.isfinite(whole).mean() > 0.8


def test_longitudes_of_a_pixel_are_near_its_centre_at_the_date_line() -> None:
    lon, lat = np.meshgrid(179.85 + 0.05 * np.arange(8), 10 + 0.05 * np.arange(5))
    west = (lon + 180) % 360 - 180
    corners, _ = s5p_corners.rebuild(west, lat, np.ones(lon.shape, bool))
    assert np.ptp(corners, axis=-1) == pytest.approx(np.full(lon.size, 0.05), rel=1e-3)
    assert (np.abs(corners - west.reshape(-1, 1)) < 0.03).all()


def test_pixels_round_the_pole_are_whole_and_cover_it() -> None:
    x, y = np.meshgrid(np.linspace(-0.2, 0.2, 9), np.linspace(-0.2, 0.2, 9))
    lon, lat = np.degrees(np.arctan2(y, x)), 90 - np.hypot(x, y)
    lon4, lat4 = s5p_corners.rebuild(lon, lat, np.ones(lon.shape, bool))
    far, turn = 90 - lat4, np.radians(lon4)
    step = (far * np.cos(turn)).reshape(9, 9, 4), (far * np.sin(turn)).reshape(9, 9, 4)
    for found, centre in zip(step, (x, y), strict=True):
        assert np.abs(np.abs(found - centre[..., None]) - 0.025).max() < 1e-5


@pytest.mark.parametrize("shape", [(1, 4), (4, 1), (1, 1)])
def test_a_side_that_nothing_tells_is_refused(shape: tuple[int, int]) -> None:
    lon, lat = np.meshgrid(0.05 * np.arange(shape[1]), 0.05 * np.arange(shape[0]))
    with pytest.raises(ValueError, match="unknown"):
        s5p_corners.rebuild(lon, lat, np.ones(shape, bool))


def test_a_pixel_without_neighbours_has_no_corners_and_its_granule_has() -> None:
    lon, lat = np.meshgrid(0.05 * np.arange(12), 0.05 * np.arange(12))
    lon[4:], lon[:, 4:] = np.nan, np.nan
    lon[10, 10] = 0.5
    lon4, lat4 = s5p_corners.rebuild(lon, lat, np.isfinite(lon))
    assert np.isfinite(lon4[:16]).all() and np.isnan(lon4[16]).all() and np.isnan(lat4[16]).all()

"""Swaths: the real orbit's times and places, the instrument's pixels, passes over a box."""

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from aqgeo.simulation import sun, swath

# Orbit, time, line, pixel, longitude and latitude of one pixel in each of the 13 real Delhi files.
DELHI = """
9419 2019-08-08T07:40:04.528 2295 96 77.09695 28.71275
10100 2019-09-25T07:40:19.368 2635 96 77.10125 28.70390
10781 2019-11-12T07:40:34.627 3008 98 77.09610 28.70400
11420 2019-12-27T08:37:07.265 3087 399 77.10325 28.69330
11675 2020-01-14T07:59:23.851 3067 207 77.09000 28.70500
12072 2020-02-11T07:34:33.258 2950 76 77.08890 28.70345
12711 2020-03-27T08:30:48.514 2524 380 77.09945 28.70100
13363 2020-05-12T07:28:10.637 2259 55 77.05900 28.69400
13789 2020-06-11T08:05:20.318 2112 247 77.10030 28.70205
13860 2020-06-16T08:11:34.847 2104 287 77.10720 28.70545
14002 2020-06-26T08:24:06.270 2101 353 77.10190 28.70810
14683 2020-08-13T08:23:46.375 2282 350 77.09000 28.69600
15364 2020-09-30T08:23:51.315 2637 350 77.10640 28.70515
"""


def metres(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return distances on the sphere between (..., 2) lon and lat."""
    a, b = (
        np.stack(
            [
                np.cos(np.radians(p[..., 1])) * np.cos(np.radians(p[..., 0])),
                np.cos(np.radians(p[..., 1])) * np.sin(np.radians(p[..., 0])),
                np.sin(np.radians(p[..., 1])),
            ],
            axis=-1,
        )
        for p in (one, two)
    )
    return 6_371_000 * 2 * np.arcsin(np.linalg.norm(a - b, axis=-1) / 2)


@pytest.fixture(scope="module")
def orbit() -> swath.Swath:
    return swath.whole(15364)


@pytest.mark.parametrize("row", DELHI.split("\n")[1:-1])
def test_delhi_is_passed_within_35_s_and_12_pixels_of_the_real_overpass(row: str) -> None:
    number, when, line, pixel, lon, lat = row.split()
    orbit = int(number)
    at, across = swath.locate(orbit, np.array([[float(lon), float(lat)]]))
    ours = swath.scan_start(orbit) + timedelta(seconds=float(at[0]) * swath.line_s(orbit))
    real = datetime.fromisoformat(when).replace(tzinfo=UTC)
    assert abs((ours - real).total_seconds()) < 35
    assert abs(across[0] - 0.5 - int(pixel)) < 12
    assert abs(at[0] - 0.5 - int(line)) < 50


def test_locating_undoes_placing(orbit) -> None:
    at, across = swath.locate(15364, orbit.centres[::400, ::60].reshape(-1, 2))
    lines, pixels = np.meshgrid(np.arange(0, 4172, 400), np.arange(0, 450, 60), indexing="ij")
    assert np.allclose(at, lines.ravel() + 0.5, atol=1e-6)
    assert np.allclose(across, pixels.ravel() + 0.5, atol=1e-6)


def test_pixels_have_the_instruments_size_before_and_since_august_2019(orbit) -> None:
    old = swath.whole(9000)
    assert (orbit.shape, old.shape) == ((4172, 450), (3244, 450))
    for view, length in ((orbit, 5560), (old, 7150)):
        middle = slice(1500, 2000)
        width = metres(view.edges[middle, :-1], view.edges[middle, 1:])
        assert np.allclose(width[:, [224, 225]], 3450, rtol=0.01)
        assert (width[:, [0, -1]] > 14_000).all() and (width[:, [0, -1]] < 17_000).all()
        along = metres(view.edges[middle, 225], view.edges[1501:2001, 225])
        assert np.allclose(along, length, rtol=0.02)
        assert np.allclose(metres(view.edges[middle, 0], view.edges[middle, -1]), 2.66e6, rtol=0.01)


def test_neighbours_share_corners_which_run_from_the_south_west(orbit) -> None:
    c = swath.passes((10.0, 40.0, 20.0, 45.0), date(2024, 3, 10))[0].corners
    assert (c[:-1, :, 3] == c[1:, :, 0]).all() and (c[:, :-1, 1] == c[:, 1:, 0]).all()
    lon, lat = c[..., 0], c[..., 1]
    # i - 3 is the next corner.
    turned = [lon[..., i] * lat[..., i - 3] - lon[..., i - 3] * lat[..., i] for i in range(4)]
    assert (sum(turned) > 0).all()
    assert (lat[..., 0] < lat[..., 3]).all() and (lon[..., 0] < lon[..., 1]).all()


def test_centres_and_angles_fit_the_pixels(orbit) -> None:
    part = slice(1000, 3000, 100)
    mean = orbit.corners[part, 20:430].mean(axis=2)
    near = np.ptp(orbit.corners[part, 20:430, :, 0], axis=-1) < 10  # not across the date line
    assert metres(mean, orbit.centres[part, 20:430])[near].max() < 400
    zenith, azimuth = orbit.view
    assert zenith[0, 224:226].max() < 0.3 and 65 < zenith[0, 0] < 67
    assert abs(azimuth[2000, 0] - 80) < 10 and abs(azimuth[2000, -1] - 262) < 10
    assert orbit.sun[0].min() < 32 and np.ptp(orbit.satellite[1]) == pytest.approx(0.575, abs=2e-3)


def test_orbits_follow_each_other_and_the_sun(orbit) -> None:
    assert orbit.orbit_end == swath.orbit_start(15365)
    assert orbit.name.startswith("S5P_OFFL_L2__NO2____20200930T0725")
    seen = [n for day in range(1, 17) for n in swath.orbits_of(date(2024, 6, day))]
    assert seen == list(range(seen[0], seen[0] + 227))
    assert [*swath.orbits_seen(date(2020, 9, 30))] == [*range(15359, 15374)]  # as the real file
    assert sun.solar_hour(swath.node_time(15364), orbit.node_lon) == pytest.approx(13.5, abs=0.02)


@pytest.mark.parametrize(("lat", "a_day"), [(0, 0.96), (45, 1.38), (52, 1.6), (60, 2.05)])
def test_overpasses_a_day_are_those_of_the_swath_over_the_track_spacing(lat, a_day) -> None:
    days = [date(2024, 3, 10) + timedelta(n) for n in range(16)]
    seen = [
        len(swath.passes((lon, lat, lon + 0.01, lat + 0.01), day))
        for lon in range(-180, 180, 60)
        for day in days
    ]
    assert np.mean(seen) == pytest.approx(a_day, rel=0.06)
    assert set(seen) <= {0, 1, 2, 3}


def test_a_pass_reaches_20_km_beyond_the_box_and_is_a_piece_of_its_orbit() -> None:
    box = (15.0, 47.0, 16.0, 47.7)
    found = [p for day in range(1, 9) for p in swath.passes(box, date(2024, 6, day))]
    whole = {p.orbit: p for p in found}
    assert 8 <= len(whole) == len(found) <= 16
    inside = np.array([[14.75, 46.84], [16.25, 46.84], [16.25, 47.86], [14.75, 47.86]])
    for piece in found:
        at, across = swath.locate(piece.orbit, inside)
        rows, pixels = piece.shape
        assert (at > piece.first_line).all() and (at < piece.first_line + rows).all()
        cut = np.clip(across, 0, 450)
        assert (cut >= piece.first_pixel).all() and (cut <= piece.first_pixel + pixels).all()
        assert rows < 45 and 10 <= piece.start.hour <= 13
    one = found[0]
    everything = swath.whole(one.orbit)
    rows = slice(one.first_line, one.first_line + one.shape[0])
    pixels = slice(one.first_pixel, one.first_pixel + one.shape[1])
    assert np.allclose(everything.centres[rows, pixels], one.centres, atol=1e-9)
    assert np.allclose(everything.sun[0][rows, pixels], one.sun[0], atol=1e-9)


def test_a_box_across_the_date_line_is_seen_like_any_other() -> None:
    found = swath.passes((178.0, -18.0, -178.0, -16.0), date(2024, 6, 5))
    assert found and all(p.shape[0] < 80 for p in found)
    assert np.ptp(np.concatenate([p.centres[..., 0].ravel() for p in found]) % 360) < 12


def test_there_is_no_pass_in_the_polar_night() -> None:
    box = (20.0, 78.0, 21.0, 78.5)
    assert not swath.passes(box, date(2024, 12, 21))
    assert len(swath.passes(box, date(2024, 6, 21))) > 5


def test_many_positions_of_the_sun_are_those_of_one() -> None:
    when = datetime(2024, 6, 7, 10, 30, tzinfo=UTC)
    lon, lat, later = np.array([-70.0, 15.0]), np.array([47.0, -33.0]), np.array([0.0, 600.0])
    zenith, azimuth = sun.positions(when, later, lon, lat)
    for n in range(2):
        one = sun.position(when + timedelta(seconds=float(later[n])), lon[n], lat[n])
        assert (zenith[n], azimuth[n]) == pytest.approx(one)
    assert math.degrees(sun.declination(when)) == pytest.approx(22.7, abs=0.2)

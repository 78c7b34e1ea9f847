"""The column of known sources: mass by lifetime, downwind, linear, blind where nothing is."""

import numpy as np
import pytest

from aqgeo.models import plumes

PIXEL_M = 1000.0


def source(rows: int = 200, cols: int = 200) -> dict[str, np.ndarray]:
    field = np.zeros((rows, cols), "float32")
    field[rows // 2, cols // 2] = 0.1  # kg s-1 km-2
    return {"point_sources": field}


def test_what_hangs_in_the_air_is_what_is_given_off_in_a_lifetime() -> None:
    found = plumes.column(source(), (1.0, 0.5), PIXEL_M)
    moles = 0.1 / 0.046 / 1.3 * 3 * 3600
    assert found.sum() * PIXEL_M**2 == pytest.approx(moles, rel=0.01)


@pytest.mark.parametrize("wind", [(4.0, 0.0), (-4.0, 0.0), (0.0, 4.0), (0.0, -4.0), (3.0, -3.0)])
def test_it_lies_downwind_with_north_up(wind: tuple[float, float]) -> None:
    found = plumes.column(source(), wind, PIXEL_M)
    rows, cols = np.indices(found.shape)
    east = (found * (cols - 100)).sum() / found.sum()
    north = -(found * (rows - 100)).sum() / found.sum()
    assert np.sign(np.round([east, north], 1)).tolist() == np.sign(wind).tolist()


def test_without_a_wind_it_spreads_alike_in_all_directions() -> None:
    found = plumes.column(source(201, 201), None, PIXEL_M)
    for other in (found[::-1], found[:, ::-1], found.T):
        np.testing.assert_allclose(found, other, atol=1e-4 * found.max())


def test_sources_add_up_and_nothing_comes_from_nothing() -> None:
    one, two = source(64, 80), {"roads": np.full((64, 80), 5e3, "float32")}
    wind = (2.0, 1.0)
    both = plumes.column({**one, **two}, wind, PIXEL_M)
    apart = sum(plumes.column(part, wind, PIXEL_M) for part in (one, two))
    np.testing.assert_allclose(both, apart, rtol=1e-3, atol=1e-11)
    none = plumes.column({"roads": np.full((9, 7), np.nan)}, wind, PIXEL_M)
    assert none.shape == (9, 7) and not none.any()

"""Distances obey their laws; the readers of real sets find what their manifests say."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import realism_chips as chips
from benchmarks import realism_clouds as clouds
from benchmarks import realism_columns as columns
from benchmarks import realism_compare as compare
from benchmarks import realism_distances as distances
from benchmarks import realism_page as page
from benchmarks import realism_stations as stations
from benchmarks.realism_chips import Pixels

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
real_data = pytest.mark.skipif(
    not (DATA / "sentinel2_33T").is_dir(), reason=f"no real data: {DATA} is absent"
)
RNG = np.random.default_rng(7)


def test_a_shift_is_the_wasserstein_distance_and_order_does_not_matter() -> None:
    a = RNG.normal(0.2, 0.03, 5000)
    for shift in (0.0, 0.01, -0.05):
        b = RNG.permutation(a) + shift
        assert distances.wasserstein(a, b) == pytest.approx(abs(shift), abs=1e-12)
        assert distances.wasserstein(a, b) == distances.wasserstein(b, a)
    c = RNG.normal(0.3, 0.01, 3000)
    through = distances.wasserstein(a, a + 0.02) + distances.wasserstein(a + 0.02, c)
    assert distances.wasserstein(a, c) <= through + 1e-12


def test_kolmogorov_is_0_for_the_same_1_for_apart_and_half_for_half() -> None:
    a = np.arange(1000.0)
    assert distances.kolmogorov(a, a[::-1]) == 0
    assert distances.kolmogorov(a, a + 5000) == 1
    assert distances.kolmogorov(a, np.where(a < 500, a, a + 5000)) == pytest.approx(0.5)


def test_verdicts_follow_the_thresholds_and_nothing_to_compare_is_said() -> None:
    real = RNG.normal(0.2, 0.02, 4000)
    for shift, verdict in ((0.02, "close"), (0.08, "fair"), (0.2, "poor")):
        found = distances.samples("reflectance", "grass B04, L2A", real, real + shift, floor=0.03)
        assert found.verdict == verdict
        assert found.more["shift"] == pytest.approx(shift)
    empty = distances.samples("reflectance", "snow B02, L2A", real, real[:0], floor=0.03)
    assert empty.verdict == "not compared"
    text = page.table([found, empty])
    assert "reflectance: 0 close, 0 fair, 1 poor; poorest: grass B04, L2A" in text
    assert "SIMULATED" in page.html([found, empty], [], "nowhere")


@pytest.mark.parametrize("slope", [1.4, 1.9])
def test_the_exponent_of_a_power_law_is_found(slope: float) -> None:
    u = RNG.random(20_000)
    low, high = 0.5 ** (1 - slope), 1e5 ** (1 - slope)
    areas = np.round((low + u * (high - low)) ** (1 / (1 - slope)))
    assert clouds.exponent(areas) == pytest.approx(slope, abs=0.05)


def test_regions_that_touch_the_window_are_left_out_and_squares_are_smooth() -> None:
    mask = np.zeros((600, 600), bool)
    for i in range(6, 56):
        at, side = 10 * i, 3 + i % 5
        mask[at : at + side, at : at + side] = True
    mask[0, :300] = True
    found = clouds.shapes([mask])
    assert sorted(found.areas) == sorted((3 + i % 5) ** 2 for i in range(6, 56))
    assert found.dimension == pytest.approx(1, abs=1e-6)


def test_windows_and_coarser_masks_keep_the_share() -> None:
    mask = np.kron(RNG.random((40, 40)) < 0.3, np.ones((6, 6), bool))
    coarse = clouds.coarser(mask, 6)
    assert coarse.shape == (40, 40)
    assert coarse.mean() == pytest.approx(mask.mean())
    cut = clouds.windows(coarse, 10)
    assert len(cut) == 16
    assert clouds.fractions(cut).mean() == pytest.approx(coarse.mean())


def _swath(values: np.ndarray) -> pd.DataFrame:
    """Pixels of 5.5 km on a square, one orbit."""
    rows, cols = np.mgrid[: values.shape[0], : values.shape[1]]
    degrees = 5.5 / columns.KM_PER_DEGREE
    table = pd.DataFrame({"lat": rows.ravel() * degrees, "lon": cols.ravel() * degrees})
    return table.assign(column=values.ravel(), site="x", orbit="1")


def test_noise_is_found_where_the_air_is_clean_and_white_noise_has_no_slope() -> None:
    table = _swath(1e-5 + RNG.normal(0, 6e-6, (40, 40)))
    assert columns.noise(table) == pytest.approx(6e-6, rel=0.1)
    found = columns.variogram(table)
    assert np.nanmax(np.abs(found.share - 1)) < 0.1
    assert abs(found.slope) < 0.1
    ramp = columns.variogram(_swath(np.add.outer(np.arange(40.0), np.arange(40.0))))
    assert ramp.slope == pytest.approx(2, abs=0.15)


def test_precision_is_split_into_a_floor_and_a_share_of_the_column() -> None:
    column = RNG.lognormal(-9.5, 0.8, 4000)
    table = pd.DataFrame({"column": column, "qa": 1.0})
    table["precision"] = np.hypot(9e-6, 0.3 * column)
    a, b = columns.precision_fit(table)
    assert (a, b) == (pytest.approx(9e-6, rel=0.2), pytest.approx(0.3, rel=0.05))


def test_quality_shares_add_up() -> None:
    table = pd.DataFrame({"qa": [1.0, 0.9, 0.74, 0.33, 0.0, np.nan]})
    assert columns.qa_shares(table) == {
        "clear": pytest.approx(0.4), "cloudy": pytest.approx(0.2), "bad": pytest.approx(0.4),
    }  # fmt: skip


def test_station_ratios_see_weekends_and_nights() -> None:
    when = pd.date_range("2024-06-03", periods=24 * 14, freq="h", tz="UTC")
    value = 20.0 * np.where(when.day_of_week >= 5, 0.7, 1.0) * np.where(when.hour < 7, 0.5, 1.0)
    hours = pd.DataFrame({"location_id": 1, "datetime": when.astype(str), "value": value})
    found = stations.hourly_rhythms(hours.assign(station_area="urban"), 0.0)
    assert found["weekend / week, day"].item() == pytest.approx(0.7)
    assert found["night / day, week"].item() < 0.7


def test_no_site_outweighs_another() -> None:
    sites = [Pixels(s, "L2A", "grass", {"B04": np.full(n, v)}) for s, n, v in
             (("a", 40_000, 0.1), ("b", 4000, 0.2))]  # fmt: skip
    assert compare.joined(compare.values(sites, "L2A", "grass", "B04")).mean() == pytest.approx(
        0.15
    )


@real_data
def test_offsets_differ_per_file_and_are_gone() -> None:
    """Clear forest is dark in the red and cirrus sees no ground, wherever the chip is from."""
    found = chips._chips(DATA / "multimodal_5sites")
    assert {p.kind for p in found} == {"water", "forest", "crops", "grass", "urban", "sand"}
    for p in found:
        if p.level == "L1C":
            assert np.median(p.bands["B10"]) < 0.012
        if p.kind == "forest":
            assert 0 < np.median(p.bands["B04"]) < 0.07
            assert 0.1 < np.median(p.bands["B08"]) < 0.4
        if p.kind == "water" and p.level == "L2A":
            assert np.median(p.bands["B02"]) < 0.1


@real_data
def test_real_masks_have_the_fractions_of_their_manifests() -> None:
    tiles, frames = clouds.tiles(DATA), clouds.frames(DATA)
    assert len(frames.cloud) == 68
    assert clouds.fractions(frames.cloud).mean() == pytest.approx(0.396, abs=0.01)
    assert len(tiles.cloud) > 50
    assert all(mask.shape == (256, 256) for mask in tiles.cloud)
    assert 1.5 < clouds.shapes(tiles.cloud).exponent < 2.1


@real_data
def test_real_columns_are_noisy_as_published() -> None:
    cities, delhi = columns.cities(DATA), columns.delhi(DATA)
    assert len(cities) == 12_338
    assert 4e-6 < columns.noise(cities) < 1.5e-5
    assert columns.qa_shares(delhi)["clear"] == pytest.approx(0.63, abs=0.01)
    assert len(stations.europe(DATA)) == 2674

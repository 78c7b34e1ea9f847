"""What TROPOMI measures: laws of the retrieval, sizes of its errors, the official layout."""

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from aqgeo.simulation import airmass, granule, swath, swath_noise, tropomi
from aqgeo.simulation.tropomi import NO_ERRORS, Footprints

REAL = Path(__file__).parents[3].parent / "shared/data/s5p_l2_delhi"
EXTRAS = ("PointRadius", "time_idx", "scanline_idx", "ground_pixel_idx")
COLUMN = "nitrogendioxide_tropospheric_column"
SEED = 7


def pass_over(*box: float) -> swath.Swath:
    """The pass of orbit 15364 over a box."""
    return next(p for p in swath.passes(box, date(2020, 9, 30)) if p.orbit == 15364)


@pytest.fixture(scope="module")
def delhi() -> swath.Swath:
    return pass_over(76.8, 28.4, 77.5, 29.0)


@pytest.fixture(scope="module")
def wide() -> swath.Swath:
    """Some 70 000 pixels."""
    return pass_over(72.0, 22.0, 84.0, 34.0)


def below(view: swath.Swath, **values: object) -> Footprints:
    """Clear land under a column of 1e-4 mol m-2 everywhere, but for what is named."""
    known = {
        "column": 1e-4,
        "cloud_fraction": 0.0,
        "cloud_height_m": 1500.0,
        "elevation_m": 200.0,
        "land": True,
        "snow": False,
        "albedo": 0.05,
        **values,
    }
    kind = {"land": "bool", "snow": "bool"}
    return Footprints(
        **{n: np.full(view.shape, v, kind.get(n, "float32")) for n, v in known.items()}
    )


def test_a_retrieval_that_knows_the_truth_finds_it(wide) -> None:
    rng = np.random.default_rng(1)
    truth = rng.lognormal(-10, 1, wide.shape).astype("float32")
    cloud = rng.uniform(0, 1, wide.shape).astype("float32")
    seen = tropomi.observe(
        wide, SEED, below(wide, column=truth, cloud_fraction=cloud), errors=NO_ERRORS
    )
    good = np.isfinite(seen[COLUMN])
    # The stratosphere is subtracted from the slant column, which costs digits under cloud.
    assert np.allclose(seen[COLUMN][good], truth[good], rtol=1e-3, atol=2e-9)
    assert 0.98 < good.mean() < 1


def test_the_kernel_of_the_true_profile_is_the_column_without_noise(delhi) -> None:
    truth, mixing = below(delhi, column=3e-4, cloud_fraction=0.1), 800.0
    only = replace(NO_ERRORS, profile=0.2, polluted_bias=-0.3)
    seen = tropomi.observe(delhi, SEED, truth, errors=only, mixing_height_m=mixing)
    levels = airmass.interfaces(airmass.pressure(101_325, truth.elevation_m))
    surface = levels[..., 0]
    top = airmass.tropopause_layer(levels, delhi.centres[..., 1])
    assert (seen["tm5_tropopause_layer_index"] == top).all() and 24 <= top.min() <= 29
    true = airmass.profile(truth.column, airmass.pressure(surface, mixing), levels, top)
    assert np.allclose(true.sum(axis=-1), truth.column, rtol=1e-5)
    ratio = seen["air_mass_factor_total"] / seen["air_mass_factor_troposphere"]
    trop = seen["averaging_kernel"] * ratio[..., None]
    below_tropopause = np.arange(34) <= top[..., None]
    smoothed = (trop * true * below_tropopause).sum(axis=-1)
    good = np.isfinite(seen[COLUMN])
    assert np.allclose(smoothed[good], seen[COLUMN][good], rtol=2e-3)
    assert np.abs(seen[COLUMN][good] / truth.column[good] - 1).max() > 0.05


def test_kernels_are_like_those_measured_over_delhi(delhi) -> None:
    # Simulation-facts, section 4: qa >= .76 and layers 2, 4, 6, 8, 10, 15, 20.
    measured = np.array([0.86, 0.99, 1.19, 1.37, 1.53, 1.75, 1.92])
    truth = below(delhi, cloud_fraction=0.03)
    seen = tropomi.observe(delhi, SEED, truth, errors=NO_ERRORS, mixing_height_m=1500.0)
    ratio = seen["air_mass_factor_total"] / seen["air_mass_factor_troposphere"]
    kernel = np.nanmean(seen["averaging_kernel"] * ratio[..., None], axis=(0, 1))
    assert np.allclose(kernel[[2, 4, 6, 8, 10, 15, 20]], measured, rtol=0.2)
    assert 0.96 < np.nanmean(seen["air_mass_factor_troposphere"]) < 1.68
    assert 1.5 < np.nanmean(seen["air_mass_factor_total"]) < 2.3
    cloudy = tropomi.observe(delhi, SEED, below(delhi, cloud_fraction=0.9), errors=NO_ERRORS)
    hidden = np.nanmean(cloudy["averaging_kernel"], axis=(0, 1))
    assert hidden[0] < 0.1 * hidden[10]
    assert np.nanmean(cloudy["air_mass_factor_troposphere"]) < 0.4


def test_noise_has_the_size_of_the_instruments(wide) -> None:
    only = replace(NO_ERRORS, slant=tropomi.ERRORS.slant)
    seen = tropomi.observe(wide, SEED, below(wide), errors=only)
    error = (seen[COLUMN] - 1e-4) * seen["air_mass_factor_troposphere"]
    # 8.6e-6 for 7 km, more for 5.5 km since fewer photons are counted.
    assert 8.6e-6 < np.nanstd(error) < 1.1e-5
    assert abs(np.nanmean(error)) < 3e-7
    assert 5e-6 < np.nanstd(seen[COLUMN]) < 1.1e-5
    near = error[:, 1:] * error[:, :-1]
    assert abs(np.nanmean(near)) < 0.03 * np.nanvar(error)
    assert (tropomi.observe(wide, SEED, below(wide, column=2e-6))[COLUMN] < 0).mean() > 0.05


def test_reported_precision_is_that_of_the_real_files(delhi) -> None:
    # p^2 = (1.5e-5)^2 + (.34 V)^2, kernel .27 (simulation-facts, section 4, measured).
    for column, expected in ((3e-5, 1.8e-5), (1e-4, 3.7e-5), (3e-4, 1.03e-4)):
        seen = tropomi.observe(delhi, SEED, below(delhi, column=column), errors=replace(
            tropomi.ERRORS, profile=0, scene=0, clean_bias=0, polluted_bias=0
        ))  # fmt: skip
        assert np.nanmedian(seen[f"{COLUMN}_precision"]) == pytest.approx(expected, rel=0.2)
        with_kernel = seen[f"{COLUMN}_precision_kernel"]
        assert (with_kernel <= seen[f"{COLUMN}_precision"])[np.isfinite(with_kernel)].all()


def test_polluted_columns_come_out_20_to_30_percent_low_and_clean_ones_do_not(delhi) -> None:
    bias = replace(NO_ERRORS, clean_bias=0.05, polluted_bias=-0.3)
    for column, low, high in ((5e-6, -0.05, 0.06), (2e-4, -0.3, -0.18)):
        seen = tropomi.observe(delhi, SEED, below(delhi, column=column), errors=bias)[COLUMN]
        assert low < np.nanmean(seen) / column - 1 < high


def test_errors_of_the_air_mass_factor_are_alike_over_75_km_and_10_days(wide) -> None:
    when = wide.scan_start
    lon, lat = np.meshgrid(np.arange(0, 180, 0.25), np.arange(-4, 4, 0.25))
    places = np.stack([lon, lat], axis=-1)
    one = swath_noise.smooth(places, when, SEED, "scene", km=75, days=10)
    assert abs(one.mean()) < 0.15 and one.std() == pytest.approx(1, abs=0.1)
    for steps, expected in ((1, 0.93), (3, 0.54), (12, 0.0)):  # exp(-d^2 / 2 L^2)
        found = np.mean(one[:, steps:] * one[:, :-steps]) / one.var()
        assert found == pytest.approx(expected, abs=0.12)
    later = swath.whole(15364 + 142).scan_start  # 10 days
    after = swath_noise.smooth(places, later, SEED, "scene", km=75, days=10)
    assert np.mean(one * after) / one.var() == pytest.approx(0.61, abs=0.15)
    only = replace(NO_ERRORS, profile=0.15, scene=0.2)
    ratio = np.log(tropomi.observe(wide, SEED, below(wide), errors=only)[COLUMN] / 1e-4)
    assert np.nanstd(ratio) == pytest.approx(0.25, abs=0.06)


def test_stripes_stay_with_their_row_along_an_orbit(wide) -> None:
    stripes = swath_noise.stripes(wide, SEED)
    assert stripes.shape == wide.shape[1:]
    next_orbit = replace(wide, orbit=wide.orbit + 1)
    assert 0 < np.abs(swath_noise.stripes(next_orbit, SEED) - stripes).max() < 0.2
    whole = replace(wide, first_pixel=0, centres=np.zeros((1, 450, 2)))
    assert 0.85 < swath_noise.stripes(whole, SEED).std() < 1.15


def test_a_piece_has_the_values_of_a_larger_one(wide, delhi) -> None:
    large, small = (tropomi.observe(v, SEED, below(v, cloud_fraction=0.2)) for v in (wide, delhi))
    line, pixel = delhi.first_line - wide.first_line, delhi.first_pixel - wide.first_pixel
    cut = slice(line, line + delhi.shape[0]), slice(pixel, pixel + delhi.shape[1])
    for name, values in small.items():
        assert np.allclose(values, large[name][cut], rtol=1e-4, equal_nan=True), name
    other = tropomi.observe(delhi, SEED + 1, below(delhi, cloud_fraction=0.2))
    assert not np.allclose(other[COLUMN], small[COLUMN], equal_nan=True)


@pytest.mark.parametrize(
    ("scene", "level"),
    [
        ({}, 100),
        ({"cloud_fraction": 0.1}, 100),
        ({"cloud_fraction": 0.3}, 74),
        ({"cloud_fraction": 1.0, "cloud_height_m": 4000.0}, 33),  # also a low AMF
        ({"albedo": 0.35}, 20),
        ({"albedo": 0.8, "snow": True}, 88),
        ({"albedo": 0.8, "snow": True, "cloud_fraction": 0.6, "cloud_height_m": 3000.0}, 45),
    ],
)
def test_quality_falls_to_its_levels(scene, level, delhi) -> None:
    seen = tropomi.observe(delhi, SEED, below(delhi, **scene), errors=NO_ERRORS)
    found, shares = np.unique(seen["qa_value"], return_counts=True)
    assert found[shares.argmax()] == level and shares.max() > 0.9 * shares.sum()
    assert set(found.tolist()) <= {0, level, round(0.9 * level)}
    lost = seen["qa_value"] == 0
    assert np.isnan(seen[COLUMN][lost]).all() and (seen["processing_quality_flags"][lost] > 0).all()


def test_a_low_sun_ends_the_retrieval() -> None:
    box = (20.0, 50.0, 30.0, 70.0)
    view = max(swath.passes(box, date(2024, 12, 10)), key=lambda p: np.ptp(p.sun[0]))
    seen, sun = tropomi.observe(view, SEED, below(view)), view.sun[0]
    assert sun.max() > 88 and np.isnan(seen[COLUMN][sun > 88]).all()
    assert seen["qa_value"][sun > 84.5].max() <= 3 and seen["qa_value"][sun < 80].max() == 100
    noisy = seen["nitrogendioxide_slant_column_density_precision"]
    assert np.nanmean(noisy[sun > 85]) > 1.4 * np.nanmean(noisy[sun < 76])


def test_the_stratosphere_over_delhi_has_the_measured_season() -> None:
    # Means of the real files: 3.7e-5 in December, 4.1 in March, 5.7 in June, 4.2 in September.
    for orbit, moles in ((11420, 3.7), (12711, 4.1), (13789, 5.7), (15364, 4.3)):
        whole = swath.whole(orbit)
        at, _ = swath.locate(orbit, np.array([[77.1, 28.7]]))
        one = replace(whole, centres=whole.centres[int(at[0]) : int(at[0]) + 1])
        assert 1e5 * tropomi.stratosphere(one).mean() == pytest.approx(moles, abs=0.6)


@pytest.fixture(scope="module")
def files(delhi, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("granules")
    seen = tropomi.observe(delhi, SEED, below(delhi, cloud_fraction=0.2))
    return {f: granule.write(delhi, seen, folder, form=f) for f in ("piece", "subset")}


def members(group: netCDF4.Group) -> dict[str, netCDF4.Variable | None]:
    """Return variables by their path, and groups, whose value is None."""
    found = {f"{group.path}/{n}": v for n, v in group.variables.items() if n not in EXTRAS}
    for child in group.groups.values():
        found |= {child.path: None, **members(child)}
    return found


def test_a_subset_has_the_layout_of_a_real_one(files) -> None:
    real = sorted(REAL.glob("*_15364_*.nc4"))
    if not real:
        pytest.skip("no real Sentinel-5P files beside the repository: ../shared/data/s5p_l2_delhi")
    with netCDF4.Dataset(real[0]) as theirs, netCDF4.Dataset(files["subset"]) as ours:
        expected, found = members(theirs), members(ours)
        # That file alone nests its last two sources otherwise than the other twelve.
        odd = re.compile(r".*gmd:source#1[56]/gm[di]:.*sourceCitation.*")
        assert {n for n in expected if not odd.match(n)} == {n for n in found if not odd.match(n)}
        assert ours.data_model == theirs.data_model
        assert set(theirs["PRODUCT"].dimensions) == set(ours["PRODUCT"].dimensions)
        for name, variable in expected.items():
            if variable is not None:
                same_variable(variable, found[name])
        for name in (n for n, v in expected.items() if v is None and not odd.match(n)):
            assert set(theirs[name].ncattrs()) <= set(ours[name].ncattrs()), name
        for name in ("orbit", "time_reference", "time_coverage_resolution", "Conventions"):
            assert ours.getncattr(name) == theirs.getncattr(name)


def same_variable(real: netCDF4.Variable, ours: netCDF4.Variable) -> None:
    assert ours.dimensions == real.dimensions, real.name
    assert ours.dtype == real.dtype, real.name
    expected, found = ({k: v.getncattr(k) for k in v.ncattrs()} for v in (real, ours))
    assert set(found) == set(expected), real.name
    for key, value in expected.items():
        assert type(found[key]) is type(value), (real.name, key)
        if isinstance(value, str):
            assert found[key] == value, (real.name, key)
        else:
            assert np.isclose(found[key], value, rtol=1e-6), (real.name, key)


def test_a_piece_has_all_groups_and_agrees_with_the_subset(files, delhi) -> None:
    support = "PRODUCT/SUPPORT_DATA"
    with netCDF4.Dataset(files["piece"]) as full, netCDF4.Dataset(files["subset"]) as part:
        for name, variable in members(part["PRODUCT"]).items():
            if variable is not None:
                assert np.array_equal(full[name][:], variable[:]), name
        bounds = [full[f"{support}/GEOLOCATIONS/{n}_bounds"] for n in ("longitude", "latitude")]
        stored = np.stack([b[0] for b in bounds], axis=-1)
        assert np.allclose(stored, delhi.corners, atol=1e-5)
        inputs = full[f"{support}/INPUT_DATA"]
        assert set(np.unique(inputs["snow_ice_flag"][:])) == {0}
        assert inputs["surface_pressure"][:].mean() == pytest.approx(98_700, rel=0.01)
        assert (full["PRODUCT/tm5_constant_a"].shape, full["PRODUCT/tm5_constant_b"].units) == (
            (34, 2),
            "1",
        )
        assert full["PRODUCT/averaging_kernel"].shape == (1, *delhi.shape, 34)
        assert len(full[f"{support}/DETAILED_RESULTS"].variables) >= 16
        assert "GEOLOCATIONS" not in part[support].groups


def test_names_and_times_are_official(files, delhi) -> None:
    pattern = r"S5P_OFFL_L2__NO2____(\d{8}T\d{6})_(\d{8}T\d{6})_15364_03_020600_\d{8}T\d{6}"
    match = re.fullmatch(pattern + r"\.nc", files["piece"].name)
    assert match and re.fullmatch(pattern + r"\.SUB\.nc4", files["subset"].name)
    with netCDF4.Dataset(files["piece"]) as nc:
        assert nc.id == files["piece"].stem and "SIMULATED" in nc.source
        first = nc["PRODUCT/time_utc"][0, 0]
        assert match[1] < first.replace("-", "").replace(":", "") < match[2]
        assert nc["PRODUCT/time"][0] == 339_120_000  # as in the real file
        start = nc["PRODUCT/delta_time"][0]
        assert set(np.diff(start)) == {840}
        assert abs(start[0] / 1000 - 0.84 * delhi.first_line - 28_003) < 60
        assert (nc["PRODUCT/scanline"][0], nc["PRODUCT/ground_pixel"][0]) == (
            delhi.first_line,
            delhi.first_pixel,
        )


def test_the_same_call_writes_the_same_bytes(files, delhi, tmp_path: Path) -> None:
    seen = tropomi.observe(delhi, SEED, below(delhi, cloud_fraction=0.2))
    again = granule.write(delhi, seen, tmp_path)
    assert again.read_bytes() == files["piece"].read_bytes()


def test_a_part_is_no_whole_orbit(delhi, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="write a piece"):
        granule.write(delhi, {}, tmp_path, form="orbit")

"""Cloud masks against labels: laws of the measures, dilation, calibration, kinds of ground."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqgeo.scoring import cloud_masks, ground

YES_NO = ((0, 3), (1, 2))
CLOUD_SHADOW = ((0,), (1, 2), (3,))
RNG = np.random.default_rng(3)
TRUTH = RNG.choice([0, 1, 2, 3, 255], (40, 50), p=[0.5, 0.2, 0.15, 0.1, 0.05]).astype("uint8")
FOUND = np.where(RNG.random(TRUTH.shape) < 0.3, 0, TRUTH).astype("uint8") % 4


def counts(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    return cloud_masks.tally(truth, found).counts[0]


def test_a_perfect_mask_has_ones_and_an_opposite_one_zeros() -> None:
    perfect = counts(TRUTH, np.where(TRUTH == 255, 0, TRUTH))
    for kind in cloud_masks.KINDS:
        assert set(cloud_masks.scores(perfect, kind).values()) == {1.0}
    assert cloud_masks.mean_iou(perfect) == 1
    wrong = counts(TRUTH, np.where(np.isin(TRUTH, (1, 2)), 0, 1))
    assert set(cloud_masks.scores(wrong, "cloud").values()) == {0.0}


@given(st.integers(0, 2**32 - 1))
def test_scores_agree_with_their_formulas_and_swap_with_the_roles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, found = rng.integers(0, 4, (2, 300)).astype("uint8")
    one = cloud_masks.scores(counts(truth, found), "cloud")
    other = cloud_masks.scores(counts(found, truth), "cloud")
    assert one["IoU"] == other["IoU"]
    assert one["F1"] == other["F1"]
    assert one["producer"] == other["user"]
    p, r = one["user"], one["producer"]
    assert one["F2"] == pytest.approx(5 * p * r / (4 * p + r))
    assert one["IoU"] == pytest.approx(one["F1"] / (2 - one["F1"]))


def test_tallies_of_images_add_up_to_that_of_all_pixels() -> None:
    chance = RNG.random(TRUTH.shape).astype("float32")
    kinds = {"water": RNG.random(TRUTH.shape) < 0.2}
    whole = cloud_masks.tally(TRUTH, FOUND, cloud=chance, ground=kinds)
    parts = [
        cloud_masks.tally(TRUTH[s], FOUND[s], cloud=chance[s], ground={"water": kinds["water"][s]})
        for s in (np.s_[:13], np.s_[13:])
    ]
    total = cloud_masks.total(parts)
    np.testing.assert_array_equal(total.counts[0], whole.counts[0])
    np.testing.assert_array_equal(total.ground["water"], whole.ground["water"])
    np.testing.assert_allclose(total.bins, whole.bins)
    assert total.bins is not None
    assert total.bins[:, 0].sum() == (TRUTH != 255).sum()


def test_dilation_finds_more_and_touches_clear_pixels_only() -> None:
    found = np.zeros((9, 9), "uint8")
    found[4, 4], found[0, 0] = 2, 3
    assert (cloud_masks.grown(found, 0) == found).all()
    one = cloud_masks.grown(found, 1)
    assert [int((one == code).sum()) for code in (2, 3)] == [5, 3]
    assert (cloud_masks.grown(np.zeros((5, 5), "uint8"), 2) == 0).all()
    tally = cloud_masks.tally(TRUTH, FOUND, grow=(0, 1, 2))
    recall = [cloud_masks.scores(tally.counts[n], "cloud")["producer"] for n in (0, 1, 2)]
    assert recall == sorted(recall)
    assert recall[0] < recall[2]


def test_only_what_label_and_detector_both_tell_apart_is_scored() -> None:
    four = cloud_masks.FOUR
    assert cloud_masks.common(four, YES_NO) == ((0, 3), (1, 2))
    assert cloud_masks.common(CLOUD_SHADOW, four) == ((0,), (1, 2), (3,))
    assert cloud_masks.common(((0, 1), (2, 3)), ((0,), (1, 2), (3,))) == ((0, 1, 2, 3),)
    for told, kinds in (
        (four, set(cloud_masks.KINDS)),
        (YES_NO, {"cloud"}),
        (CLOUD_SHADOW, {"cloud", "clear", "cloud shadow"}),
    ):
        assert {kind for kind in cloud_masks.KINDS if cloud_masks.scored(kind, told)} == kinds
    codes = np.array([0, 1, 2, 3, 255], "uint8")
    assert cloud_masks.simplified(codes, YES_NO).tolist() == [0, 1, 1, 0, 255]


def test_a_calibrated_probability_has_no_error_and_a_boast_has() -> None:
    chance = RNG.random(200_000)
    truth = (RNG.random(chance.size) < chance).astype("uint8")
    honest = cloud_masks.calibration_error(cloud_masks.reliability(truth, chance))
    boast = cloud_masks.reliability(truth, (chance > 0.5).astype("float32"))
    assert honest < 0.01
    assert cloud_masks.calibration_error(boast) == pytest.approx(0.25, abs=0.01)
    assert np.isnan(cloud_masks.calibration_error(np.zeros((10, 3))))


def test_no_pixel_of_a_class_leaves_no_number() -> None:
    clear = np.zeros((4, 4), "uint8")
    scores = cloud_masks.scores(counts(clear, clear), "cloud")
    assert np.isnan(list(scores.values())).all()
    assert cloud_masks.mean_iou(counts(clear, clear)) == 1
    assert np.isnan(cloud_masks.mean_iou(counts(np.full((4, 4), 255, "uint8"), clear)))


@pytest.mark.parametrize(
    ("spectrum", "kind"),
    [
        # Fresh snow, coastal water, beach sand, a bright roof: as in the simulation's spectra.
        ((0.94, 0.94, 0.93, 0.88, 0.10), "snow"),
        ((0.045, 0.054, 0.025, 0.008, 0.006), "water"),
        ((0.264, 0.318, 0.353, 0.403, 0.490), "sand"),
        ((0.153, 0.169, 0.180, 0.270, 0.257), "bright urban"),
        ((0.022, 0.059, 0.033, 0.451, 0.176), ""),
    ],
)
def test_ground_is_told_by_its_spectrum(spectrum: tuple[float, ...], kind: str) -> None:
    values = np.array(spectrum, "float32").reshape(5, 1, 1)
    found = ground.kinds(values, ["B02", "B03", "B04", "B08", "B11"])
    assert {name for name, here in found.items() if here.all()} == ({kind} if kind else set())


def test_ground_needs_its_bands_and_is_nowhere_without_data() -> None:
    values = np.full((4, 2, 2), np.nan, "float32")
    bands = ["B02", "B03", "B04", "B08"]
    assert set(ground.kinds(values, bands)) == {"bright urban", "sand", "water"}
    assert not any(here.any() for here in ground.kinds(values, bands).values())
    assert ground.kinds(values[:3], bands[:3]) == {}

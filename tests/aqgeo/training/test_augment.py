"""Augmentation keeps what it must: labels with their pixels, no data, means."""

import numpy as np

from aqgeo.training import augment

BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")


def marked(size: int) -> tuple[np.ndarray, np.ndarray]:
    """An image whose every value tells its label."""
    label = np.random.default_rng(0).integers(0, 4, (size, size)).astype("uint8")
    return np.repeat(label[None].astype("float32"), len(BANDS), axis=0), label


def test_a_label_stays_with_its_pixel_however_it_is_turned() -> None:
    values, label = marked(48)
    for seed in range(20):
        patch, codes = augment.crop(values, label, 32, 1, np.random.default_rng(seed))
        np.testing.assert_array_equal(patch[0], codes)


def test_coarser_pixels_hold_the_mean() -> None:
    values = np.random.default_rng(1).random((1, 64, 64), dtype="float32")
    label = np.zeros((64, 64), "uint8")
    patch, _ = augment.crop(values, label, 32, 2, np.random.default_rng(0))
    np.testing.assert_allclose(patch.mean(), values.mean(), rtol=1e-6)


def test_a_small_image_is_filled_up_with_no_data() -> None:
    values, label = marked(20)
    patch, codes = augment.crop(values, label, 32, 2, np.random.default_rng(0))
    assert np.isnan(patch[0]).sum() == (codes == 255).sum() == 32 * 32 - 20 * 20


def test_no_data_stays_no_data_and_a_seed_gives_the_same_change() -> None:
    values = np.full((len(BANDS), 32, 32), 0.2, "float32")
    values[:, :, 20:] = np.nan
    one, two = (
        augment.change(values, BANDS, augment.Strength(blurred=0), np.random.default_rng(5))
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)
    assert np.isnan(one[:, :, 20:]).all()


def test_the_four_bands_of_ten_metres_are_never_dropped() -> None:
    for seed in range(100):
        values = np.zeros((len(BANDS), 2, 2), "float32")
        augment.drop_bands(values, BANDS, np.random.default_rng(seed))
        present = {b for b, v in zip(BANDS, values, strict=True) if np.isfinite(v).all()}
        assert {"B02", "B04", "B08"} <= present

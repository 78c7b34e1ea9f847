"""Pictures: colour there and back, the published protocol of degrading, bad files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aqgeo.datasets import pictures
from aqgeo.errors import SourceError


def test_colours_come_back() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype("uint8")
    np.testing.assert_array_equal(pictures.to_rgb(pictures.to_ycbcr(rgb)), rgb)


@pytest.mark.parametrize(("level", "wanted"), [(0, 16), (255, 235)])
def test_luminance_has_the_head_room_of_the_standard(level: int, wanted: int) -> None:
    grey = np.full((2, 2, 3), level, "uint8")
    np.testing.assert_allclose(pictures.to_ycbcr(grey)[0, 0], [wanted, 128, 128], atol=1e-9)
    assert (pictures.luminance(grey) == wanted).all()


def test_a_smaller_picture_leaves_no_pixel_out() -> None:
    # Without a wider kernel every other line would vanish, and the mean would be 0 or 1.
    lines = np.tile([0.0, 1.0], (60, 30))
    small = pictures.resize(lines, (15, 15))
    assert small[5:-5, 5:-5] == pytest.approx(0.5, abs=0.02)
    ramp = np.add.outer(np.arange(60.0), 2 * np.arange(60.0))
    np.testing.assert_allclose(pictures.degrade(ramp, 3)[12:-12, 12:-12], ramp[12:-12, 12:-12])


def test_enlarging_keeps_a_flat_picture_and_the_middle_of_pixels() -> None:
    np.testing.assert_allclose(pictures.resize(np.full((5, 7, 2), 3.0), (20, 28)), 3.0)
    ramp = np.tile(np.arange(20.0), (20, 1))
    wide = pictures.resize(ramp, (80, 80))
    np.testing.assert_allclose(wide[40, 20:60], (np.arange(20, 60) + 0.5) / 4 - 0.5)


@pytest.mark.parametrize(("factor", "wanted"), [(2, (16, 14)), (3, (15, 15)), (4, (16, 12))])
def test_what_a_factor_does_not_divide_is_cut(factor: int, wanted: tuple[int, int]) -> None:
    assert pictures.modcrop(np.zeros((17, 15)), factor).shape == wanted


def test_bad_files_are_told(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    with pytest.raises(SourceError, match=r"broken.png cannot be read as a picture"):
        pictures.read(broken)
    deep = tmp_path / "deep.tif"
    Image.fromarray(np.zeros((4, 4), "float32")).save(deep)
    with pytest.raises(SourceError, match="mode F: pictures of 8 bit"):
        pictures.read(deep)
    with pytest.raises(SourceError, match="is no folder"):
        pictures.find(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="holds no picture"):
        pictures.find(tmp_path / "empty")

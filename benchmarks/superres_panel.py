"""Draws a simulated scene made coarse and restored by each network of a factor: one picture."""

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from aqgeo.datasets import pictures
from aqgeo.processing import sharpen
from aqgeo.scoring import pictures as scoring
from aqgeo.simulation import chips
from pipelines import finer

FACTOR = 4
# A town in fields under a clear sky, and the corner of it that is shown.
SEED, NUMBER, PIXEL_M, SIZE = 5, 30, 10, 320
SHOWN = (slice(60, 220), slice(60, 220))
BANDS = ("B04", "B03", "B02")


def main() -> None:
    """Draw the panel and print the scores of the whole scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, metavar="PNG", help="picture to write")
    parser.add_argument("--weights", type=Path, nargs="*", help="networks; those shipped")
    args = parser.parse_args()
    rgb = scene()
    found = {"bicubic": restored(rgb, None)}
    for path in args.weights or finer.shipped():
        if sharpen.steps_of(path).factor == FACTOR:
            found[path.stem] = restored(rgb, path)
    truth = pictures.luminance(rgb)
    shown = {}
    for name, made in found.items():
        told = scoring.scores(truth, pictures.luminance(made), shave=FACTOR)
        text = ", ".join(f"{key} {value:.3g}" for key, value in told.items())
        sys.stdout.write(f"{name}: {text}\n")
        shown[f"{name}\n{told['psnr']:.2f} dB, detail {told['detail']:.2f}"] = made
    draw({**shown, "truth": rgb}, args.out)


def scene() -> np.ndarray:
    """Return (y, x, 3) uint8 natural colours of a simulated Sentinel-2 scene."""
    numbers = chips.draw(SEED, NUMBER, pixel_m=PIXEL_M, size=SIZE).numbers["l1c"]
    values = np.stack([numbers[band] for band in BANDS], -1).astype("float64")
    low, high = np.percentile(values, (1, 99))
    return np.clip(np.rint(255 * (values - low) / (high - low)), 0, 255).astype("uint8")


def restored(rgb: np.ndarray, weights: Path | None) -> np.ndarray:
    """Return a picture made coarse and fine again, by bicubic interpolation if without weights."""
    planes = pictures.to_ycbcr(rgb)
    small = pictures.shrink(planes, FACTOR)
    wide = pictures.resize(small, rgb.shape[:2])
    if weights is not None:
        given = finer.given(small[..., 0] / 255, sharpen.steps_of(weights))
        wide[..., 0] = 255 * sharpen.sharpen(given, weights)
    return pictures.to_rgb(wide)


def draw(shown: dict[str, np.ndarray], path: Path) -> None:
    """Write pictures side by side, each with its title."""
    figure = Figure(figsize=(2.6 * len(shown), 3.0), layout="constrained")
    for ax, (title, picture) in zip(figure.subplots(1, len(shown)), shown.items(), strict=True):
        ax.imshow(picture[SHOWN], interpolation="nearest")
        ax.set_title(title, fontsize=9)
        ax.axis("off")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()

"""The scorecard as text, as a page and in pictures."""

import io
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from aqgeo import scores
from aqgeo.products import scorecard, triptych
from aqgeo.scores import ESTIMATE, Table, View

UNITS = {"RMSE": "µmol m-2", "bias": "µmol m-2", "R": "1"}
TABLE = scores.filled(
    Table("columns", "Column <b>", UNITS, note="A note & more."),
    [
        scores.row("fine", ESTIMATE, 9, {"RMSE": 4.5, "bias": -1.0, "R": 0.9}, headline=True),
        scores.row("fine", "bicubic", 9, {"RMSE": 5.25, "bias": 0, "R": np.nan}, headline=True),
        scores.row("coarse", ESTIMATE, 0, dict.fromkeys(UNITS, np.nan)),
    ],
)
LOST = scores.missing(Table("aqi", "Class", {"same": "1"}), "stage estimate was not run")
CARD = scorecard.Scorecard("Demo", "2024-06", {"seed": "0"}, (TABLE, LOST))


class Cells(HTMLParser):
    """Collects the texts of a page, and refuses tags that do not close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_a_number_that_cannot_be_measured_has_a_reason() -> None:
    own, bicubic, none = TABLE.rows
    assert own.why == ""
    assert bicubic.values["R"] is None
    assert bicubic.why.startswith("R not defined")
    assert none.why == "there is nothing to compare"
    assert scores.row("x", ESTIMATE, 3, {"R": np.inf}, why="so").why == "so"
    assert scores.row("x", ESTIMATE, 3, {"R": 1.0}, why="so").why == ""


def test_the_text_has_columns_units_and_reasons() -> None:
    lines = scorecard.text(CARD).splitlines()
    words = [line.split() for line in lines]
    assert ["fine", ESTIMATE, "9", "4.50", "-1", "0.900"] in words
    assert ["fine", "bicubic", "9", "5.25", "0", "-"] in words
    assert "SIMULATED DATA" in lines[1]
    assert any("RMSE [µmol m-2]" in line for line in lines)
    assert "  not measured: stage estimate was not run" in lines
    assert any(line.startswith("  -: R not defined") for line in lines)


def test_the_short_form_sets_simple_rules_beside_the_product() -> None:
    first, fine, lost = scorecard.short(CARD).splitlines()
    assert first == "Scorecard of Demo, 2024-06 (seed 0); SIMULATED DATA"
    assert fine.split("  ")[-1].strip() == (
        "RMSE 4.50 µmol m-2, bias -1, R 0.900 (RMSE: bicubic 5.25)"
    )
    assert lost == "  Class: not measured, stage estimate was not run"


def test_the_page_is_whole_and_says_all_that_the_text_says() -> None:
    figure = scorecard.Figure("Maps <i>", b"png", "As & seen")
    page = scorecard.html(replace(CARD, figures=(figure,)))
    texts = Cells(page).texts
    assert "default-src 'none'" in page
    assert "<b>" not in page and "<i>" not in page
    for part in ("Column <b>", "bicubic", "5.25", "A note & more.", "Maps <i>", "As & seen"):
        assert part in texts
    assert scorecard.SIMULATED in texts
    assert "Not measured: stage estimate was not run" in texts


def view(truth: np.ndarray, **more: object) -> View:
    return View("v", "NO2 $x_1$", "µg m-3", truth, truth + 1, truth * 0 + 1, 250.0, **more)


@pytest.mark.parametrize("rows, cols", [(40, 40), (10, 300), (900, 30)])
def test_a_picture_has_three_panels_and_the_same_bytes(rows: int, cols: int) -> None:
    truth = np.linspace(0, 9, rows * cols).reshape(rows, cols)
    truth[0, 0] = np.nan
    png = triptych.picture(view(truth))
    assert png == triptych.picture(view(truth))
    width, height = Image.open(io.BytesIO(png)).size
    assert width == 1280
    assert 100 < height < 800


def test_a_picture_of_nothing_is_drawn_too() -> None:
    nothing = np.full((20, 20), np.nan)
    assert triptych.picture(view(nothing))
    codes = np.zeros((20, 20), "uint8")
    named = {1: ("good", "#50F0E6"), 2: ("fair", "#50CCAA")}
    both = {"classes": named, "errors": {100: ("right", "#f4f4f4")}}
    blank = View("v", "Class", "1", codes, codes, codes, 250.0, **both)
    assert triptych.picture(blank)
    assert triptych.picture(replace(blank, truth=codes + 1, found=codes + 2, error=codes + 100))

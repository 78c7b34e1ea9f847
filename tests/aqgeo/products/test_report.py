"""Laws of the report."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from aqgeo.period import Period
from aqgeo.products.report import BEWARE, Figure, Report, Row, Scene, Section, html

VOID = {"meta", "img", "br", "link", "input", "hr"}
HOSTILE = "<script>alert('x')</script>\"><img src=https://example.org/x>"


class Page(HTMLParser):
    """Collects tags and text, and refuses tags that are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def run() -> Report:
    return Report(
        title="Surface NO2 concentration",
        summary="The mean was 14.2 µg m-3.",
        simulated=False,
        region="Po Valley",
        period=Period.parse("2024-06"),
        figures=(Figure("Map", b"\x89PNG", alt="Two plumes", caption="Fixed range."),),
        products=(
            Row("Surface NO2", "no2_surface.tif", "µg m-3", "ab" * 32, 93.2, 0.12, 14.2, 143.96),
            Row("Class", "aqi_class.tif", "1", "cd" * 32, 93.2),
        ),
        coverage=(("Days with data", "19"),),
        scenes=(
            Scene("2024-06-03", {"clear": 12.5, "thick cloud": 87.5}),
            Scene("2024-06-08", {"clear": 0.0, "thick cloud": 100.0}, "left no clear pixel"),
        ),
        provenance=(Section("Inputs", (("orbit-1", "6 kB"),), ("Left out: orbit-2, broken.",)),),
        validation=Figure("Against stations", b"\x89PNG", alt="R = 1.00", caption="Held out."),
        attribution=("Contains modified Copernicus Sentinel data [2024].",),
        warnings=("Few orbits.",),
    )


def test_the_page_is_well_formed_and_says_it_all(run: Report) -> None:
    page = Page(html(run))
    wanted = (
        run.summary,
        "Po Valley",
        "2024-06-01 to 2024-06-30",
        "no2_surface.tif",
        "µg m-3",
        "144.0",
        "abababababab",
        "orbit-1",
        "Left out: orbit-2, broken.",
        "Few orbits.",
        "thick cloud, %",
        "2024-06-0312.587.5",
        "left no clear pixel",
        "Contains modified Copernicus",
        "Not for regulatory use",
        *BEWARE,
    )
    for text in wanted:
        assert text in page.text, text
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(images) == 2
    assert all(image["alt"] for image in images)


def test_the_banner_is_there_only_when_data_are_simulated(run: Report) -> None:
    assert "SIMULATED" not in html(run)
    assert "SIMULATED DATA" in Page(html(replace(run, simulated=True))).text


def test_a_browser_loads_and_runs_nothing(run: Report) -> None:
    page = html(run)
    for _, attrs in Page(page).tags:
        assert not [name for name in attrs if name.startswith("on")]
        assert (attrs.get("src") or "data:").startswith("data:")
        assert (attrs.get("href") or "./").startswith("./")
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in Page(page).tags}
    assert not re.search(r"url\(|@import", page)
    assert "default-src 'none'" in page


def test_every_text_is_escaped(run: Report) -> None:
    hostile = Report(
        title=HOSTILE,
        summary=HOSTILE,
        simulated=True,
        region=HOSTILE,
        period=run.period,
        figures=(Figure(HOSTILE, b"", alt=HOSTILE, caption=HOSTILE),),
        products=(Row(HOSTILE, "javascript:alert(1)", HOSTILE, HOSTILE),),
        coverage=((HOSTILE, HOSTILE),),
        scenes=(Scene(HOSTILE, {HOSTILE: 1.0}, HOSTILE),),
        provenance=(Section(HOSTILE, ((HOSTILE, HOSTILE),), (HOSTILE,)),),
        validation=Figure(HOSTILE, b"", alt=HOSTILE, caption=HOSTILE),
        attribution=(HOSTILE,),
        warnings=(HOSTILE, "{title}"),
        beware=(HOSTILE,),
    )
    page = Page(html(hostile))
    assert "script" not in {tag for tag, _ in page.tags}
    for _, attrs in page.tags:
        assert (attrs.get("src") or "data:").startswith("data:")
        assert (attrs.get("href") or "./").startswith("./")
    assert page.text.count("<script>") >= 10


def test_the_same_content_gives_the_same_page(run: Report) -> None:
    assert html(run) == html(run)

"""Names of granules, folders of them as STAC items, and one granule kept of each orbit."""

from datetime import UTC, datetime
from itertools import pairwise, permutations
from pathlib import Path

import netCDF4
import pystac
import pytest

from aqgeo.errors import SourceError
from aqgeo.simulation import records, swath
from aqgeo.sources import s5p_items, s5p_names

REAL = "S5P_OFFL_L2__NO2____20190808T064623_20190808T082752_09419_01_010302_20190814T091303.SUB.nc4"


def name(
    mode: str = "OFFL",
    start: str = "20240615T125019",
    end: str = "20240615T143149",
    orbit: int = 34577,
    version: str = "03_020600",
    made: str = "20240617T215019",
    product: str = "L2__NO2___",
) -> str:
    return f"S5P_{mode}_{product}_{start}_{end}_{orbit:05d}_{version}_{made}"


def item(text: str, **properties) -> pystac.Item:
    known = s5p_names.parse(text)
    start = properties.pop("start", known.start if known else datetime(2024, 6, 15, tzinfo=UTC))
    end = properties.pop("end", known.end if known else None)
    return pystac.Item(
        text, None, None, None, properties, start_datetime=start, end_datetime=end or start
    )


def kept(*items: pystac.Item, **how) -> list[str]:
    return [one.id for one in s5p_items.resolve(items, **how)[0]]


def test_a_name_is_taken_apart_by_its_widths() -> None:
    told = s5p_names.parse(REAL)
    assert told == s5p_names.Name(
        text=REAL.removesuffix(".SUB.nc4"),
        mode="OFFL",
        product="L2__NO2___",
        start=datetime(2019, 8, 8, 6, 46, 23, tzinfo=UTC),
        end=datetime(2019, 8, 8, 8, 27, 52, tzinfo=UTC),
        orbit=9419,
        collection=1,
        processor=(1, 3, 2),
        produced=datetime(2019, 8, 14, 9, 13, 3, tzinfo=UTC),
    )
    assert s5p_names.parse(name("PAL_", product="L2__AER_AI")).product == "L2__AER_AI"
    assert s5p_names.parse(name("PAL_")).mode == "PAL"
    assert s5p_names.parse(swath.name(34577)).orbit == 34577


@pytest.mark.parametrize("suffix", ["", ".nc", ".nc4", ".SUB.nc4", " (1).nc", ".nc.part"])
def test_suffixes_do_not_matter(suffix: str) -> None:
    assert s5p_names.parse(name() + suffix) == s5p_names.parse(name())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "granule.nc",
        name()[:-1],
        name() + "0",
        name(start="20241315T125019"),
        "x" + name(),
        name(product="L2__NO2__"),
    ],
)
def test_what_is_no_official_name_tells_nothing(text: str) -> None:
    assert s5p_names.parse(text) is None


@pytest.mark.parametrize("text", ["010302", "1.3.2", "01.03.02", "v1.3.2"])
def test_versions_are_read_in_all_spellings(text: str) -> None:
    assert s5p_names.version(text) == (1, 3, 2)


@pytest.mark.parametrize("text", ["", "1", "one", "01030", "1.3.2.4"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no version"):
        s5p_names.version(text)


def test_a_folder_gives_items_by_time_with_what_their_names_tell(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    paths = [
        tmp_path / "deep" / "er" / f"{name(start='20240616T000000', orbit=34583)}.nc",
        tmp_path / f"{name('RPRO')}.SUB.nc4",
        tmp_path / f"{name(product='L2__AER_AI')}.nc",
        tmp_path / "notes.txt",
    ]
    for path in paths:
        path.write_bytes(b"")
    one, two = s5p_items.items(tmp_path)
    assert one.id == name("RPRO") and two.id.startswith("S5P_OFFL")
    assert Path(two.assets["no2"].href) == paths[0].resolve()
    assert one.collection_id == "sentinel-5p-l2-no2"
    assert one.bbox == [-180, -90, 180, 90] and one.datetime is None
    properties = one.to_dict()["properties"]
    assert properties["start_datetime"] == "2024-06-15T12:50:19Z"
    assert properties["end_datetime"] == "2024-06-15T14:31:49Z"
    assert properties["s5p:processing_mode"] == "RPRO"
    assert properties["sat:absolute_orbit"] == 34577
    assert properties["processing:version"] == "2.6.0"


def test_a_renamed_granule_is_known_by_the_name_inside_and_others_are_refused(tmp_path) -> None:
    with netCDF4.Dataset(tmp_path / "mine.nc", "w") as nc:
        nc.id = name()
    assert [one.id for one in s5p_items.items(tmp_path)] == [name()]
    with netCDF4.Dataset(tmp_path / "wind.nc", "w") as nc:
        nc.title = "weather"
    with pytest.raises(SourceError, match=r"wind\.nc has no official Sentinel-5P name"):
        s5p_items.items(tmp_path)


def test_a_folder_without_granules_is_refused_and_what_is_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file at all"):
        s5p_items.items(tmp_path)
    (tmp_path / f"{name(product='L2__CO____')}.nc").write_bytes(b"")
    with pytest.raises(SourceError, match="L2__CO____"):
        s5p_items.items(tmp_path)


BETTER = [
    (name("RPRO", version="03_020400"), name("OFFL")),
    (name("OFFL", version="01_010302"), name("NRTI")),
    (name(version="03_020400"), name(version="02_020301")),
    (name(version="03_020800"), name(version="03_020600")),
    (name(made="20240618T000000"), name()),
    (name("PAL_", version="01_020301"), name(version="01_010302")),
    # A reprocessed orbit may begin some seconds apart.
    (name("RPRO", start="20240615T125022"), name()),
]


@pytest.mark.parametrize(("better", "worse"), BETTER)
def test_the_better_granule_of_an_orbit_is_kept_in_any_order(better: str, worse: str) -> None:
    for pair in permutations([item(better), item(worse)]):
        left, notes = s5p_items.resolve(pair)
        assert [one.id for one in left] == [better]
        assert notes == [f"{worse} left out: {better} is a better granule of orbit 34577"]


def pieces() -> list[str]:
    times = ["20240615T130000", "20240615T130500", "20240615T131000", "20240615T131500"]
    return [name("NRTI", start=a, end=b, made="20240615T150000") for a, b in pairwise(times)]


def test_pieces_of_near_real_time_stand_beside_each_other_until_the_orbit_comes() -> None:
    again = name("NRTI", "20240615T130500", "20240615T131000", made="20240615T160000")
    texts = pieces()
    assert kept(*map(item, texts)) == texts
    assert kept(*map(item, [*texts, again])) == [texts[0], texts[2], again]
    for whole in (name(), name("RPRO")):
        assert kept(*map(item, [texts[0], whole, *texts[1:], again])) == [whole]
    other = name(orbit=34578, start="20240615T143149", end="20240615T161319")
    assert kept(*map(item, [*texts, other])) == [*texts, other]


def test_two_parts_of_an_orbit_without_common_time_are_both_kept() -> None:
    parts = [name(end="20240615T130000"), name(start="20240615T130000")]
    assert kept(*map(item, parts)) == parts


def test_the_order_of_items_is_kept_and_does_not_matter() -> None:
    texts = [name(), name("RPRO"), name("NRTI"), name(orbit=7), name("RPRO", orbit=7)]
    for order in permutations(texts):
        expected = [t for t in order if t.startswith("S5P_RPRO")]
        assert kept(*map(item, order)) == expected


def test_properties_serve_where_the_name_tells_nothing() -> None:
    told = {"sat:absolute_orbit": 34577, "s5p:processing_mode": "OFFL"}
    one = item("a", **told, **{"processing:version": "02.04.00"})
    two = item("b", **told, **{"processing:version": "2.5.0"})
    reprocessed = item("c", **{**told, "s5p:processing_mode": "RPRO"})
    assert kept(one, two) == ["b"]
    assert kept(one, two, reprocessed) == ["c"]
    assert kept(one, item(name("RPRO"))) == [name("RPRO")]


def test_an_asset_tells_the_name_that_the_id_does_not() -> None:
    one = item("a")
    one.add_asset("no2", pystac.Asset(f"https://x.org/a/{name('NRTI')}.nc?token=1"))
    assert kept(one, item(name())) == [name()]


def test_twins_of_which_nothing_tells_the_better_are_refused() -> None:
    with pytest.raises(SourceError, match="a and b are of the same orbit"):
        kept(item("a"), item("b"))
    start = s5p_names.parse(name()).start
    with pytest.raises(SourceError, match="are of the same orbit"):
        kept(item("a", start=start), item(name()))
    with pytest.raises(SourceError, match="keep one of them"):
        kept(item(name()), item(name()))
    orbit = {"sat:absolute_orbit": 1}
    with pytest.raises(SourceError, match="nothing tells which is better"):
        kept(item("a", **orbit, **{"s5p:processing_mode": "OFFL"}), item("b", **orbit))
    later = datetime(2024, 6, 16, tzinfo=UTC)
    assert kept(item("a"), item("b", start=later)) == ["a", "b"]


def orbits(*versions: str) -> list[pystac.Item]:
    return [item(name(orbit=n, version=version)) for n, version in enumerate(versions, 1)]


@pytest.mark.parametrize(
    "versions",
    [
        ["01_010000", "01_010202", "01_010302"],
        ["03_020400", "03_020500"],
        ["01_010400", "01_010401"],
        ["03_020701", "03_020700"],
        ["02_020301", "01_020300"],
    ],
)
def test_versions_that_make_one_series_pass(versions: list[str]) -> None:
    assert s5p_items.resolve(orbits(*versions))[1] == []


@pytest.mark.parametrize(
    "versions",
    [
        ["01_010302", "01_010400"],
        ["03_020500", "03_020600"],
        ["03_020300", "03_020400"],
        ["01_010400", "03_020400"],
    ],
)
def test_mixed_versions_are_refused_unless_asked_for(versions: list[str]) -> None:
    items = orbits(*versions, versions[0])
    with pytest.raises(SourceError) as caught:
        s5p_items.resolve(items)
    line = str(caught.value)
    first, second = (".".join(str(int(v[at : at + 2])) for at in (3, 5, 7)) for v in versions)
    assert f"{first} (2), {second} (1)" in line and "--mixed-versions" in line
    left, notes = s5p_items.resolve(items, mixed_versions=True)
    assert left == items and len(notes) == 1 and f"{first} (2)" in notes[0]


def test_a_version_that_is_left_out_as_a_duplicate_is_not_mixed_in() -> None:
    items = [item(name("RPRO", version="03_020400")), item(name("OFFL", version="01_010302"))]
    assert kept(*items) == [items[0].id]


def test_simulated_granules_pass() -> None:
    found = [
        pystac.Item.from_dict(records.granule_item(n, f"{swath.name(n)}.nc"))
        for n in range(34570, 34580)
    ]
    assert s5p_items.resolve(found) == (found, [])


def test_thousands_of_granules_are_resolved_at_once() -> None:
    items = [item(name(mode, orbit=n)) for mode in ("RPRO", "OFFL") for n in range(1, 2001)]
    left, notes = s5p_items.resolve(items)
    assert [one.id for one in left] == [one.id for one in items[:2000]] and len(notes) == 2000

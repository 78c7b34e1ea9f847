"""The stage score on worlds made by hand, whose scores are known, and on a simulated one."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo import aqi, cube
from aqgeo.errors import WorkspaceError
from aqgeo.period import Period

REGION, SPAN = "demo", Period.parse("2024-06")
DAYS = np.array(["2024-06-03T10:00", "2024-06-08T10:00", "2024-06-13T10:00"], "datetime64[s]")
PASSES = np.array(["2024-06-01T12:00", "2024-06-02T11:41", "2024-06-03T12:20"], "datetime64[s]")
CLOUDS = {0: "clear", 1: "thick cloud", 2: "thin cloud", 3: "cloud shadow"}
TABLES = ["clouds", "confusion", "filling", "composite", "columns", "surface", "sigma", "aqi"]
BANDS = ("B03", "B04", "B08")


def grid(pixel_m: float, side_m: float = 12_000) -> GeoBox:
    size = round(side_m / pixel_m)
    return GeoBox((size, size), Affine(pixel_m, 0, 500_000, 0, -pixel_m, 4_400_000), "EPSG:32633")


def blocks(field: np.ndarray, factor: int) -> np.ndarray:
    rows, cols = (n // factor for n in field.shape[-2:])
    return field.reshape(*field.shape[:-2], rows, factor, cols, factor).mean(axis=(-3, -1))


class Hand:
    """A world made by hand: fields of the truth, and a workspace to put products into."""

    def __init__(self, root: Path) -> None:
        from pipelines.workspace import Workspace

        rng = np.random.default_rng(0)
        self.work = Workspace(root)
        self.column = rng.uniform(2e-5, 9e-5, (3, 48, 48)).astype("float32")
        self.air = rng.uniform(4, 40, (30, 48, 48)).astype("float32")
        self.land = {band: rng.uniform(0.02, 0.4, (200, 200)).astype("float32") for band in BANDS}
        self.cloud = np.zeros((3, 200, 200), "uint8")
        for date in range(3):
            for code, size in ((1, 40), (2, 20), (3, 3)):
                self.cloud[date, 50 * date : 50 * date + size, 50 * code : 50 * code + size] = code
        self.stations = gpd.GeoDataFrame(
            {
                "station_id": [f"s{i}" for i in range(8)],
                "station_type": ["background"] * 6 + ["traffic"] * 2,
                "no2": rng.uniform(5, 30, 8),
                "used": [True] * 6 + [False] * 2,
                "sigma": 1.0,
            },
            geometry=gpd.points_from_xy(
                *rng.uniform([[5e5], [4.39e6]], [[5.03e5], [4.393e6]], (2, 8))
            ),
            crs="EPSG:32633",
        ).to_crs("EPSG:4326")
        self.stations["predicted"] = self.stations["no2"]

    def truth(self, key: str = "seed 0") -> None:
        path = self.work.simulated_archive(REGION, SPAN)
        (path / "truth" / "truth.zarr").mkdir(parents=True)
        told = {"stage": "simulate", "key": key, "simulated": True}
        told["settings"] = {"seed": 0, "preset": "city"}
        (path / "provenance.json").write_text(json.dumps(told), "utf-8")
        days = np.arange("2024-06-01", "2024-07-01", dtype="datetime64[D]").astype("datetime64[s]")
        scene = {b: cube.values(np.stack([v] * 3), "1") for b, v in self.land.items()}
        scene["cloud"] = cube.classes(self.cloud, CLOUDS)
        for name, variables, times, where in (
            ("scenes", scene, DAYS, grid(60)),
            ("columns", {"no2_column": cube.values(self.column, "mol m-2")}, PASSES, grid(250)),
            ("air", {"no2_concentration": cube.values(self.air, "ug m-3")}, days, grid(250)),
        ):
            cube.write(cube.make(variables, times, where), path / "truth" / "truth.zarr" / name)
        table = self.stations.assign(
            location_id=self.stations["station_id"],
            lon=self.stations.geometry.x,
            lat=self.stations.geometry.y,
            station_area="urban",
        )
        table.drop(columns="geometry").to_csv(path / "truth" / "stations.csv", index=False)

    def stage(self, name: str, *, archive: str | None = "seed 0", **cubes: Any) -> Path:
        target = self.work.stage(REGION, SPAN, name)
        with self.work.build(target, {"stage": name, "archive": archive}) as build:
            assert build is not None
            build.provenance |= {"stage": name, "archive": archive, "simulated": True}
            for stem, ds in cubes.items():
                cube.write(ds, build.path / f"{stem}.zarr")
        return target

    def clean(self, found: np.ndarray | None = None) -> None:
        found = self.cloud if found is None else found
        bands = {b: cube.values(np.stack([v] * 3), "1") for b, v in self.land.items()}
        more = {
            "cloud_class": cube.classes(found, CLOUDS),
            "valid": cube.mask(found == 0),
            "filled": cube.mask(found != 0),
        }
        once = {b: cube.values(v[None], "1") for b, v in self.land.items()}
        series = cube.make({**bands, **more}, DAYS, grid(60))
        self.stage("clean", cube=series, composite=cube.make(once, SPAN.time, grid(60)))

    def columns(self, begin: int = 55) -> None:
        coarse = blocks(self.column, 16)
        mean = {"no2_column": cube.values(coarse.mean(axis=0)[None], "mol m-2")}
        mean["no2_column_sigma"] = cube.values(np.full((1, 3, 3), 1e-6), "mol m-2")
        orbits = {"no2_column": cube.values(coarse, "mol m-2")}
        orbits["weight"] = cube.values(np.ones_like(coarse), "1")
        begins = PASSES - np.timedelta64(begin, "m")
        self.stage(
            "ingest-sentinel-5p-l2-no2",
            cube=cube.make(orbits, begins, grid(4000)),
            composite=cube.make(mean, SPAN.time, grid(4000)),
        )

    def fine(self) -> None:
        fine = blocks(self.column.mean(axis=0, dtype="float64"), 4)
        column = {"no2_column": cube.values(fine[None], "mol m-2")}
        self.stage("enhance", composite=cube.make(column, SPAN.time, grid(1000)))

    def estimate(self) -> None:
        found = blocks(self.air.mean(axis=0, dtype="float64"), 4)[None].astype("float32")
        labels = dict(enumerate(aqi.STANDARDS["eaqi"].labels, 1))
        variables = {
            "no2_surface": cube.values(found, "ug m-3"),
            "no2_surface_sigma": cube.values(np.ones_like(found), "ug m-3"),
            "aqi_class": cube.classes(aqi.category(found), labels),
        }
        path = self.stage("estimate", composite=cube.make(variables, SPAN.time, grid(1000)))
        self.stations.to_parquet(path / "stations.parquet")

    def score(self, **how: Any) -> dict[str, Any]:
        from pipelines import score

        return score.scores_of(score.score(self.work, REGION, str(SPAN), **how))


def rows(content: dict[str, Any], name: str, method: str = "aqgeo") -> dict[str, dict[str, Any]]:
    return {r["what"]: r for r in content["tables"][name]["rows"] if r["method"] == method}


@pytest.fixture(scope="module")
def perfect(tmp_path_factory: pytest.TempPathFactory) -> Hand:
    hand = Hand(tmp_path_factory.mktemp("perfect"))
    hand.truth()
    for stage in (hand.clean, hand.columns, hand.fine, hand.estimate):
        stage()
    return hand


def test_perfect_products_have_perfect_scores(perfect: Hand) -> None:
    content = perfect.score()
    for row in rows(content, "clouds").values():
        assert set(row["values"].values()) == {1.0}, row
    for name in ("filling", "composite"):
        for row in rows(content, name).values():
            if row["n"]:
                expected = {"RMSE": 0, "SSIM": 1, "SAM": 0, "bias": 0}
                wanted = {k: expected[k] for k in row["values"]}
                assert row["values"] == pytest.approx(wanted, abs=1e-5)
    for row in rows(content, "columns").values():
        assert row["values"] == pytest.approx({"RMSE": 0, "bias": 0, "R": 1, "mass": 1}, abs=1e-4)
    for row in rows(content, "surface").values():
        wanted = {"R2": 1, "R": 1, "MAE": 0, "bias": 0, "RMSE": 0}
        known = {k: v for k, v in row["values"].items() if v is not None}
        assert known == pytest.approx({k: wanted[k] for k in known}, abs=1e-4)
    for row in rows(content, "aqi").values():
        assert set(row["values"].values()) == {1.0}
    for what, row in rows(content, "sigma").items():
        assert set(row["values"].values()) == ({None} if "fine grid" in what else {1.0})


def test_every_simple_rule_is_worse_than_the_truth(perfect: Hand) -> None:
    content = perfect.score()
    for name in ("columns", "surface"):
        beaten = [row for row in content["tables"][name]["rows"] if row["method"] != "aqgeo"]
        assert len({row["method"] for row in beaten}) >= 2
        assert all(row["values"]["RMSE"] > 0 for row in beaten)


def test_gaps_are_counted_in_the_class_of_their_size(perfect: Hand) -> None:
    found = rows(perfect.score(), "filling")
    # Squares of 3, 20 and 40 pixels of 60 m: 0.03, 1.4 and 5.8 km2, on three dates.
    counts = [found[what]["n"] for what in ("gaps below 0.1 km2", "gaps 1 to 10 km2", "all gaps")]
    assert counts == [3 * 9, 3 * (400 + 1600), 3 * 2009]
    assert found["gaps above 10 km2"]["values"]["RMSE"] is None


def test_no_number_is_missing_without_a_reason_and_none_is_not_a_number(perfect: Hand) -> None:
    content = perfect.score()
    assert list(content["tables"]) == [*TABLES, "performance"]
    assert (content["simulated"], content["world"]) == (True, {"seed": "0", "preset": "city"})
    for table in content["tables"].values():
        assert table["rows"] or table["why"]
        for row in table["rows"]:
            numbers = row["values"].values()
            assert all(v is None or math.isfinite(v) for v in numbers)
            assert bool(row["why"]) == (None in numbers), row


def test_time_and_memory_of_each_stage_are_told(perfect: Hand) -> None:
    found = rows(perfect.score(), "performance")
    assert {"clean", "enhance", "estimate", "all stages"} <= set(found)
    assert all(row["values"]["seconds"] >= 0 for row in found.values())
    assert all(row["values"]["peak memory"] > 10 for row in found.values())
    most = max(row["values"]["peak memory"] for row in found.values())
    assert found["all stages"]["values"]["peak memory"] == most


def test_a_page_with_five_pictures_and_a_table_for_terminals_say_simulated(
    perfect: Hand, tell: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "score.json"
    place = ("--period", "2024-06", "--out", perfect.work.root, "--json", file)
    told = tell("score", REGION, *place)
    assert told.code == 0, told.err
    page = Path(told.out[0]).read_text("utf-8")
    assert page.count("data:image/png;base64,") == 5
    assert "SIMULATED DATA" in page
    assert "SIMULATED DATA" in "\n".join(told.err)
    shown = [" ".join(line.split()) for line in told.err]
    assert any(line.startswith("fine grid, every overpass bicubic 144 ") for line in shown)
    assert list(json.loads(file.read_text("utf-8"))["scorecard"]["tables"])[:8] == TABLES


def test_the_short_form_has_a_line_for_each_product(perfect: Hand) -> None:
    from pipelines import score

    perfect.score()
    lines = score.short(perfect.work.scores(REGION, SPAN)).splitlines()
    assert "SIMULATED" in lines[0]
    assert 10 <= len(lines) <= 14
    (fine,) = (line for line in lines if "fine grid" in line)
    assert "RMSE" in fine and "bicubic" in fine and "µmol m-2" in fine


def test_a_second_run_changes_no_file(perfect: Hand, times: Callable[..., Any]) -> None:
    perfect.score()
    before = times(perfect.work.root)
    perfect.score()
    assert times(perfect.work.root) == before


def test_missed_clouds_and_products_that_were_not_made_are_told(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    hand.truth()
    hand.clean(np.zeros_like(hand.cloud))
    content = hand.score()
    found = rows(content, "clouds")
    assert found["thick cloud"]["values"]["IoU"] == 0
    assert found["thick cloud"]["values"]["user"] is None
    assert found["cloud, yes or no"]["values"]["BOA"] == 0.5
    assert found["all four classes"]["values"]["BOA"] == 0.25
    assert content["tables"]["filling"]["why"] == "no pixel was filled"
    for name, stage in (("columns", "ingest-sentinel-5p-l2-no2"), ("surface", "estimate")):
        assert content["tables"][name]["rows"] == []
        assert content["tables"][name]["why"] == f"stage {stage} was not run"
    assert content["tables"]["sigma"]["why"]


def test_orbits_that_are_no_overpass_of_the_truth_leave_a_reason(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    hand.truth()
    hand.columns(begin=600)
    found = rows(hand.score(), "columns")
    assert found["coarse grid, every overpass"]["values"]["RMSE"] == pytest.approx(0, abs=1e-4)
    used = found["coarse grid, overpasses used"]
    assert set(used["values"].values()) == {None}
    assert used["why"] == "an orbit used is no overpass of the truth"


def test_without_a_truth_or_a_product_there_is_one_line_that_helps(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    hand.clean()
    with pytest.raises(WorkspaceError, match=r"no truth of 'demo' in 2024-06.*run `aqgeo simulate"):
        hand.score()
    bare = Hand(tmp_path / "bare")
    bare.truth()
    with pytest.raises(WorkspaceError, match=r"no product of 'demo' in 2024-06.*run `aqgeo map`"):
        bare.score()


@pytest.mark.parametrize("archive", ["seed 1", None])
def test_products_of_another_archive_are_refused(archive: str | None, tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    hand.truth()
    hand.clean()
    hand.stage("enhance", archive=archive)
    with pytest.raises(WorkspaceError, match="enhance is not of the archive that the truth"):
        hand.score()
    assert not hand.work.scores(REGION, SPAN).exists()
    content = hand.score(stages=["clean"])
    assert content["tables"]["clouds"]["rows"]
    assert content["tables"]["columns"]["why"]


def test_a_damaged_truth_is_told(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    hand.truth()
    hand.estimate()
    (hand.work.truth(REGION, SPAN) / "stations.csv").unlink()
    with pytest.raises(WorkspaceError, match=r"the truth is damaged: .*stations\.csv"):
        hand.score()


def test_the_archive_of_a_product_is_known_by_its_catalog_wherever_it_lies(tmp_path: Path) -> None:
    from pipelines.workspace import archive_key

    hand = Hand(tmp_path)
    hand.truth("a key")
    folder = hand.work.simulated_archive(REGION, SPAN) / "archive"
    folder.mkdir()
    catalog = folder / "catalog.json"
    catalog.touch()
    assert archive_key(catalog) == archive_key(folder) == "a key"
    assert archive_key(tmp_path / "catalog.json") is None
    assert archive_key(hand.stage("clean") / "catalog.json") is None


def test_a_simulated_map_is_scored_by_the_chain(small: Any) -> None:
    content = json.loads((small.results["score"] / "scorecard.json").read_text("utf-8"))
    assert content["simulated"] is True
    tables = content["tables"]
    assert all(table["rows"] for name, table in tables.items()), [
        (name, table["why"]) for name, table in tables.items()
    ]
    boa = rows(content, "clouds")["cloud, yes or no"]["values"]["BOA"]
    assert boa is None or 0.5 < boa <= 1
    fine = rows(content, "columns")["fine grid, every overpass"]
    assert 0.5 < fine["values"]["mass"] < 1.5
    used = rows(content, "columns")["coarse grid, overpasses used"]
    assert used["values"]["RMSE"] is not None, used["why"]
    whole = rows(content, "surface")["all cells"]["values"]
    flat = rows(content, "surface", "mean of stations")["all cells"]["values"]
    assert whole["RMSE"] < 1.5 * flat["RMSE"]


def test_a_month_of_columns_follows_the_truth(demo: Any) -> None:
    path = demo.out / "scores" / "demo" / "2024-06" / "scorecard.json"
    columns = rows(json.loads(path.read_text("utf-8")), "columns")
    assert columns["coarse grid, overpasses used"]["values"]["R"] > 0.6
    assert 0.7 < columns["fine grid, every overpass"]["values"]["mass"] < 1.4


def test_what_is_published_tells_no_times(small: Any) -> None:
    told = json.loads((small.results["clean"] / "provenance.json").read_text("utf-8"))
    assert set(told["performance"]) == {"seconds", "peak_mib"}
    for path in small.work.maps.rglob("*.json"):
        assert "performance" not in path.read_text("utf-8"), path
        assert "peak_mib" not in path.read_text("utf-8"), path

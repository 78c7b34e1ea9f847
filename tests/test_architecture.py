"""The house rules: who may import whom, counting imports inside functions."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = {"errors", "period", "grid", "cube", "patches", "batch", "catalog", "aqi", "scores"}
# Rooms that may use another room.
BETWEEN = {("sources", "gridding"), ("processing", "models"), ("processing", "gridding")}
BETWEEN |= {("training", "models"), ("training", "datasets")}
BETWEEN |= {("sources", "remote"), ("datasets", "remote"), ("datasets", "sources")}
# Files that the other files of their room may use.
SHARED = {
    "gridding": {"binning", "footprints", "overlap", "projected"},
    "remote": {p.stem for p in (ROOT / "aqgeo/remote").glob("*.py")} - {"auth", "unzip"},
    "sources": {"stac", "outlines", "sentinel2_bands", "tables", "plain_table", "sampling_points"}
    | {"station_columns", "station_rows"},
    # All but what fetches.
    "datasets": {p.stem for p in (ROOT / "aqgeo/datasets").glob("*.py")} - {"cloudsen12_fetch"},
    # What checkpoints hold, and what makes them ready for use.
    "models": {"checkpoint", "column_srcnn", "cover", "ready", "srcnn", "srresnet", "unet"},
    "training": {"augment", "classification", "losses"},
    "processing": {"clouds", "clouds_unet", "contenders", "predict", "s2cloudless_mask"},
    "products": {"stac_items"},
    "scoring": {"classes", "cloud_masks", "fields", "gaps", "matching", "rules"},
    # All but archive, which calls for all of them.
    "simulation": {p.stem for p in (ROOT / "aqgeo/simulation").glob("*.py")} - {"archive"},
}
TORCH_ROOMS = {"models", "datasets", "training", "processing"}


def files() -> list[Path]:
    return [
        p for room in ("aqgeo", "pipelines", "flows") for p in sorted((ROOT / room).rglob("*.py"))
    ]


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by full name"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    house, *rooms = path.relative_to(ROOT).with_suffix("").parts
    for name in imports(path):
        top, *inner = name.split(".")
        if house != "flows":
            assert top not in ("flows", "prefect"), name
        if house == "flows":
            assert top not in ("numpy", "xarray", "rasterio", "torch"), name
        if house != "aqgeo":
            continue
        assert top != "pipelines", name
        if top in ("torch", "torchvision", "lightning", "timm"):
            assert rooms[0] in TORCH_ROOMS | {"batch"}, name
        if top == "aqgeo" and inner and (ROOT / "aqgeo" / inner[0]).is_dir():
            assert len(rooms) > 1, f"the core imports the room {inner[0]}"
            if inner[0] != rooms[0]:
                assert (rooms[0], inner[0]) in BETWEEN, name
            elif len(inner) > 1:
                # `stac_pages` belongs to `stac`, and to the other files that bear its name.
                own = inner[1].partition("_")[0] == rooms[-1].partition("_")[0]
                assert own or inner[1] in SHARED.get(rooms[0], set()), name


def test_no_file_imports_itself_in_a_ring() -> None:
    modules = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in files()}
    needs = {name: set(imports(path)) & set(modules) - {name} for name, path in modules.items()}
    while free := [name for name, wanted in needs.items() if not wanted & set(needs)]:
        for name in free:
            del needs[name]
    assert not needs


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_opens_with_a_sentence_and_bears_a_telling_name(path: Path) -> None:
    assert (
        (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n")[0].endswith(".")
    )
    assert path.stem not in {"utils", "helpers", "common", "base", "manager", "misc"}

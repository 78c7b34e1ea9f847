"""What is installed: pyproject.toml, environment.yml and the imports name the same packages."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
# Where conda-forge calls a package otherwise than the Python index does.
CONDA_NAMES = {"torch": "pytorch"}
# Not on conda-forge: pip brings it with this project.
PIP_ONLY = {"tacoreader", "ukis-csmask"}
# Peers of benchmarks that run under Debian's own Python.
SYSTEM = {"harp"}
# pandas writes Parquet with pyarrow and xarray Zarr with zarr; Prefect breaks on newer fastapi;
# segmentation-models-pytorch builds its encoders with timm; torchvision is opened by its name.
BY_NAME = {"pyarrow", "fastapi", "zarr", "timm", "torchvision"}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def split(requirement: str) -> tuple[str, str]:
    name, bounds = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?(.*)", requirement).groups()
    return name.lower(), bounds


def requirements() -> dict[str, str]:
    listed = project()
    return dict(map(split, listed["dependencies"] + listed["optional-dependencies"]["dev"]))


def test_conda_gets_the_same_packages_and_bounds() -> None:
    entries = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    conda = dict(split(e) for e in entries if isinstance(e, str) and e != "pip")
    assert conda.pop("python") == project()["requires-python"]
    wanted = {n: bounds for n, bounds in requirements().items() if n not in PIP_ONLY}
    assert conda == {CONDA_NAMES.get(n, n): bounds for n, bounds in wanted.items()}


def test_every_requirement_is_pinned_within_its_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").split()
    pinned = {name.lower().replace("_", "-") for name, _ in (line.split("==") for line in lines)}
    assert set(requirements()) <= pinned


def test_every_import_is_a_requirement_and_every_requirement_is_imported() -> None:
    imported = set()
    for room in ("aqgeo", "pipelines", "flows", "tests", "benchmarks"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    imported.add(node.module.partition(".")[0])
    own = {"aqgeo", "pipelines", "flows", "tests", "benchmarks"}
    foreign = imported - own - sys.stdlib_module_names - {"conftest"} - SYSTEM
    found = packages_distributions()
    # A namespace such as `odc` belongs to several packages.
    owners = {name: {owner.lower().replace("_", "-") for owner in found[name]} for name in foreign}
    listed = set(requirements())
    assert [name for name, those in owners.items() if not those & (listed | {"distributed"})] == []
    used = set().union(*owners.values())
    tools = {"mypy", "ruff", "pytest-timeout", "pytest-xdist", "pandas-stubs"}
    tools |= {"types-geopandas", "types-shapely"}
    assert listed - used - tools - BY_NAME == {"dask"} - used

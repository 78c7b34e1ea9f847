"""The flow regional-map on an embedded Prefect server."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.testing.utilities import prefect_test_harness

from aqgeo.errors import CatalogError, SourceError
from aqgeo.remote import auth
from flows import credentials
from flows.regional_map import regional_map
from pipelines import chain
from pipelines.cluster import Cluster
from pipelines.workspace import Workspace

PERIOD = "2024-06"
PRODUCTS = ["no2_column", "no2_column_fine"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        patch.setenv("DO_NOT_TRACK", "1")
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        with prefect_test_harness(server_startup_timeout=600):
            yield


@pytest.fixture(scope="session")
def run(
    server: None, demo: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """Folder and return value of one run of the flow."""
    out = tmp_path_factory.mktemp("flow")
    paths = regional_map(
        "demo",
        PERIOD,
        products=PRODUCTS,
        archive=str(demo.archive / "catalog.json"),
        out=str(out),
        workers=1,
    )
    return out, paths


def _task_runs(name: str) -> dict[str, Any]:
    """Return the task runs of the last flow run whose region is named, by name."""
    with get_client(sync_client=True) as client:
        flows = [run for run in client.read_flow_runs() if run.parameters["region"] == name]
        last = max(flows, key=lambda run: run.created)
        found = [task for task in client.read_task_runs() if task.flow_run_id == last.id]
    return {task.name: task for task in found}


def _states(name: str) -> dict[str, str]:
    return {stage: task.state.name for stage, task in _task_runs(name).items()}


def test_the_flow_returns_the_paths_of_the_chain(run: tuple[Path, list[str]], demo: Any) -> None:
    out, paths = run
    work = Workspace(out, frozen=True)
    steps = chain.steps(
        work,
        "demo",
        PERIOD,
        products=PRODUCTS,
        archive=demo.archive / "catalog.json",
        cluster=Cluster(),
    )
    expected = chain.made(work, chain.run(steps))
    assert [Path(path).resolve() for path in paths] == [path.resolve() for path in expected]
    assert all(path.is_file() for path in expected)


def test_the_flow_gives_the_same_bytes_as_the_command_line(
    run: tuple[Path, list[str]], demo: Any
) -> None:
    for path in (run[0] / "maps").rglob("*.tif"):
        other = demo.out / path.relative_to(run[0])
        assert path.read_bytes() == other.read_bytes(), path


def test_every_stage_is_a_task_under_its_own_name(
    run: tuple[Path, list[str]], until: Callable[..., Any]
) -> None:
    stages = {"ingest-sentinel-5p-l2-no2", "enhance", "validate"}
    stages |= {f"publish-{name}" for name in PRODUCTS}
    # Prefect keeps what becomes of tasks a little later than it happens.
    until(lambda: _states("demo") == dict.fromkeys(stages, "Completed"), "completed tasks")
    assert _task_runs("demo")["enhance"].tags == ["enhance"]


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_product_has_a_picture_among_the_artifacts(
    run: tuple[Path, list[str]], product: str
) -> None:
    key = f"demo-{product}".replace("_", "-")
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        found = client.read_artifacts(artifact_filter=wanted)
    assert len(found) == 1
    assert f"![{product} of demo, {PERIOD}](data:image/jpeg;base64," in str(found[0].data)


def test_a_name_in_no_catalog_ends_the_run_at_once(server: None, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="product 'soot' is in no catalog"):
        regional_map("demo", PERIOD, products=["soot"], out=str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_what_the_user_must_mend_is_not_tried_again(
    server: None, until: Callable[..., Any], tmp_path: Path
) -> None:
    absent = tmp_path / "catalog.json"
    with pytest.raises(SourceError, match="does not exist: give --archive"):
        regional_map(
            "styria", "2023-08", ["no2_column"], archive=str(absent), out=str(tmp_path / "out")
        )
    stages = ("publish-no2_column", "validate")
    states = dict.fromkeys(stages, "NotReady") | {"ingest-sentinel-5p-l2-no2": "Failed"}
    until(lambda: _states("styria") == states, "one failure and what waited for it")
    assert _task_runs("styria")["ingest-sentinel-5p-l2-no2"].run_count == 1


def test_keys_come_from_prefect_blocks_where_the_environment_has_none(
    server: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in auth.ENVIRONMENT:
        # Set before it is taken away, so that what the flow puts there goes with this test.
        monkeypatch.setenv(name, "")
        del os.environ[name]
    Secret(value="from-a-block").save("openaq-api-key", overwrite=True)
    Secret(value="not-this-one").save("cdse-password", overwrite=True)
    monkeypatch.setenv("CDSE_PASSWORD", "from-the-environment")
    credentials.load()
    assert auth.secret("OPENAQ_API_KEY") == "from-a-block"
    assert auth.secret("CDSE_PASSWORD") == "from-the-environment"
    with pytest.raises(SourceError, match="SH_CLIENT_ID is not set"):
        auth.secret("SH_CLIENT_ID")
    assert "from-a-block" not in "".join(capfd.readouterr())

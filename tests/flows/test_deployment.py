"""The steps of the README: server, work pool, deployments, worker, a run; all are real."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

WORKER = ("prefect", "worker", "start", "--pool", "local", "--type", "process")


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """Environment of a server of its own on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return {
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "NO_COLOR": "1",
    }


@pytest.fixture
def serve(
    start: Callable[..., Any], settings: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., Any]]:
    """Return a function that starts a server or worker; both end with their whole group."""
    running = []

    def begin(*words: str, log: str) -> Any:
        stream = (tmp_path / log).open("w")
        how = {"stdout": stream, "stderr": stream, "start_new_session": True}
        process = start(*words, env=settings, **how)
        running.append((process, stream))
        return process

    yield begin
    for process, stream in reversed(running):
        _stop(process)
        stream.close()


def _stop(process: subprocess.Popen[str]) -> None:
    """End a process by its id; one that does not listen is killed with its children."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def _answers(url: str) -> bool:
    host, port = url.removeprefix("http://").removesuffix("/api").split(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


def test_a_deployment_makes_the_maps_as_the_readme_says(
    serve: Callable[..., Any],
    start: Callable[..., Any],
    until: Callable[..., Any],
    settings: dict[str, str],
    demo: Any,
    root: Path,
    tmp_path: Path,
) -> None:
    assert (root / "prefect.yaml").is_file(), "prefect.yaml names the deployments"
    out = tmp_path / "out"

    def prefect(*words: str) -> str:
        process = start("prefect", *words, env=settings, stdout=-1, stderr=subprocess.STDOUT)
        text, _ = process.communicate()
        assert process.returncode == 0, text
        return str(text)

    url = settings["PREFECT_API_URL"]
    place = ("--host", "127.0.0.1", "--port", url.split(":")[2].removesuffix("/api"))
    serve("prefect", "server", "start", *place, log="server.log")
    until(lambda: _answers(url), "the server")
    prefect("work-pool", "create", "local", "--type", "process")
    prefect("--no-prompt", "deploy", "--all")
    listed = prefect("deployment", "ls")
    for region in ("demo", "styria", "delhi"):
        assert f"regional-map/{region}" in listed
    serve(*WORKER, log="worker.log")
    archive = demo.archive / "catalog.json"
    told = prefect(
        "deployment",
        "run",
        "regional-map/demo",
        "--watch",
        "--param",
        f'out="{out}"',
        "--param",
        f'archive="{archive}"',
        "--param",
        'products=["no2_column"]',
    )
    assert "Completed" in told
    made = out / "maps" / "no2_column" / "demo" / "2024-06"
    for name in ("no2_column.tif", "no2_column_sigma.tif", "valid_count.tif"):
        path = demo.out / "maps" / "no2_column" / "demo" / "2024-06" / name
        assert (made / name).read_bytes() == path.read_bytes()
    assert (out / "maps" / "catalog.json").is_file()
    assert (out / "reports" / "demo" / "2024-06" / "report.html").is_file()

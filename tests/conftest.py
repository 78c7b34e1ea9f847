"""A closed network for all tests, and what tests of the chain share: processes and one full map."""

import ipaddress
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PERIOD = "2024-06"


class NetworkBlocked(RuntimeError):
    """A test has tried to leave this machine."""


class Finished(NamedTuple):
    """What a command line left behind."""

    code: int
    out: list[str]
    err: list[str]


class Demo(NamedTuple):
    """The map of the region demo, made once by the command line."""

    out: Path
    printed: list[str]
    summary: dict[str, Any]

    @property
    def archive(self) -> Path:
        return self.out / "simulated" / "demo" / PERIOD / "archive"

    @property
    def stages(self) -> Path:
        return self.out / "stages" / "demo" / PERIOD


@pytest.fixture(scope="session", autouse=True)
def closed_network() -> Iterator[None]:
    """Refuse every connection and every lookup that would leave this machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        known = socket.getaddrinfo

        def look_up(host: Any, *args: Any, **more: Any) -> Any:
            _refuse_far(host)
            return known(host, *args, **more)

        patch.setattr(socket, "getaddrinfo", look_up)
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """Return a function that polls a condition until it holds or a deadline passes."""
    return _until


@pytest.fixture(scope="session")
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts `python -m ...`; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(*words: object, **how: Any) -> subprocess.Popen[str]:
        how = {"cwd": ROOT, "text": True, **how, "env": {**_environment(), **how.get("env", {})}}
        process = subprocess.Popen([sys.executable, "-m", *map(str, words)], **how)
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait(10)


@pytest.fixture(scope="session")
def aqgeo(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., Finished]:
    """Return a function that runs the command line in a process of its own."""

    def run(*words: object, **how: Any) -> Finished:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = start("pipelines.cli", *words, **pipes, **how)
        out, err = process.communicate(timeout=300)
        return Finished(process.returncode, out.splitlines(), err.splitlines())

    return run


@pytest.fixture(scope="session")
def demo(aqgeo: Callable[..., Finished], tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The whole chain for the region demo, from the simulated archive to the report."""
    out = tmp_path_factory.mktemp("demo")
    summary = out / "summary.json"
    done = aqgeo("map", "demo", "--period", PERIOD, "--out", out, "--json", summary, cwd=out)
    assert done.code == 0, done.err
    return Demo(out, done.out, json.loads(summary.read_text("utf-8")))


def _until(condition: Callable[[], Any], what: str, *, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {seconds} s")
        time.sleep(0.005)
    return found


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    def guard(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse_far(address[0])
        return function(self, address)

    return guard


def _refuse_far(host: Any) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost", "0.0.0.0", "::", socket.gethostname()):
        return
    try:
        near = ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        near = False
    if not near:
        raise NetworkBlocked(f"a test reaches for {name}: tests stay on this machine")

"""A closed network for all tests, and what tests of the chain share: processes and one full map."""

import fcntl
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests of the whole chain first: they take the longest; two processes share the rest."""
    items.sort(key=lambda item: item.path.parent.name not in ("pipelines", "flows"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell at once what fails and why: a run that is stopped later prints no summary."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        sys.stderr.write(f"\nFAILED {report.nodeid} ({report.when})\n{report.longreprtext}\n")


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
def begin() -> Callable[..., subprocess.Popen[str]]:
    """Return a function that starts `python -m ...`; who calls it must end the process."""

    def run(*words: object, **how: Any) -> subprocess.Popen[str]:
        how = {"cwd": ROOT, "text": True, **how, "env": {**_environment(), **how.get("env", {})}}
        return subprocess.Popen([sys.executable, "-m", *map(str, words)], **how)

    return run


@pytest.fixture
def start(begin: Callable[..., subprocess.Popen[str]]) -> Iterator[Callable[..., Any]]:
    """Return a function that starts `python -m ...`; what still runs after the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: object, **how: Any) -> subprocess.Popen[str]:
        started.append(begin(*words, **how))
        return started[-1]

    yield run
    for process in started:
        _end(process)


@pytest.fixture(scope="session")
def aqgeo(begin: Callable[..., subprocess.Popen[str]]) -> Callable[..., Finished]:
    """Return a function that runs the command line in a process of its own."""

    def run(*words: object, **how: Any) -> Finished:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = begin("pipelines.cli", *words, **pipes, **how)
        try:  # no longer than the test may take
            out, err = process.communicate()
        finally:
            _end(process)
        return Finished(process.returncode, out.splitlines(), err.splitlines())

    return run


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, Any]]:
    """Return a function that fills a folder once for all processes of the run.

    It gives the folder, and what the function that has filled it returned, as JSON keeps it.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def make(name: str, fill: Callable[[Path], Any]) -> tuple[Path, Any]:
        folder, told = shared / name, shared / f"{name}.json"
        with (shared / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not told.exists():
                folder.mkdir(exist_ok=True)
                content = json.dumps(fill(folder))
                told.write_text(content, "utf-8")
        return folder, json.loads(told.read_text("utf-8"))

    return make


@pytest.fixture(scope="session")
def demo(aqgeo: Callable[..., Finished], once: Callable[..., tuple[Path, Any]]) -> Demo:
    """The whole chain for the region demo, from the simulated archive to the report."""

    def fill(out: Path) -> list[str]:
        words = ("map", "demo", "--period", PERIOD, "--out", out, "--json", out / "summary.json")
        done = aqgeo(*words, cwd=out)
        assert done.code == 0, done.err
        return done.out

    out, printed = once("demo", fill)
    return Demo(out, printed, json.loads((out / "summary.json").read_text("utf-8")))


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()  # does nothing to one that has ended
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _until(condition: Callable[[], Any], what: str, *, seconds: float = 300) -> Any:
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

"""The flow called as `python -m flows`."""

import subprocess
from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.parametrize(
    "words, part",
    [
        (("atlantis", "--period", "2024-06"), "region 'atlantis' is in no catalog: choose one of"),
        (("demo", "--period", "June"), "'June' is no period: write 2024"),
        (("styria", "--period", "2024-06"), "region 'styria' has no source of its own"),
    ],
)
def test_a_mistake_is_one_line_and_no_server_is_started(
    words: tuple[str, ...], part: str, start: Callable[..., Any], tmp_path: Any
) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start("flows", *words, "--out", tmp_path / "out", **pipes)
    out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert len(err.splitlines()) == 1, err
    assert err.startswith("aqgeo: ")
    assert part in err
    assert not list(tmp_path.iterdir())


def test_what_is_up_to_date_is_told_without_a_server(
    demo: Any, start: Callable[..., Any], tmp_path: Any
) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    how = {**pipes, "cwd": demo.out, "env": {"PREFECT_HOME": str(tmp_path / "prefect")}}
    process = start("flows", "demo", "--period", "2024-06", "--out", demo.out, **how)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert out.splitlines() == demo.printed
    assert not (tmp_path / "prefect").exists()

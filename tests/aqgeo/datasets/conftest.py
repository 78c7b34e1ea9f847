"""One small set of patches in both layouts."""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.standins import cloudsen12 as standin


class Made(NamedTuple):
    """The same patches twice."""

    drawn: list[standin.Drawn]
    taco: Path
    folders: Path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Nine patches of 509 pixels, three places of three dates, in two part files and in folders."""
    splits = ("train", "validation", "test")
    drawn = [standin.Drawn(n, n // 3, splits[n // 3]) for n in range(8)]
    drawn.append(standin.Drawn(8, 2, "test", label_type="scribble"))
    drawn.append(standin.Drawn(9, 3, "train", label_type="nolabel"))
    taco = tmp_path_factory.mktemp("taco")
    standin.parts(drawn, taco)
    return Made(drawn, taco, standin.folders(drawn, tmp_path_factory.mktemp("folders")))

"""Super-resolution of NO2 columns judged on held-out scenes, beside interpolation."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from aqgeo import catalog
from aqgeo.datasets import column_scenes, disk
from aqgeo.errors import SourceError
from aqgeo.models import checkpoint
from aqgeo.processing import superres
from aqgeo.products import scorecard
from aqgeo.scores import Table, row
from pipelines import column_contest as contest
from pipelines.workspace import CHECKOUT, WEIGHTS

PAGE, CONTENT = "columns.html", "columns.json"
_UNITS = {
    "RMSE": "µmol m-2",
    "below bicubic": "%",
    "below conservative": "%",
    "structure R": "1",
    "detail R": "1",
    "within 1 sigma": "1",
    "conservation": "1",
}
_NOTE = (
    "structure R: correlation with the truth over a scene's pixels, mean of scenes; detail R: the "
    "same of departures from the means of cells. conservation: largest difference between the mean "
    "of a cell and its value, relative to the value."
)
# What is judged of the covariates: all that the network knows and the scenes have, or none.
_GIVEN = {"": None, "without covariates": ()}


_REAL: dict[str, dict[str, bool]] = {"": {}}
_SIMULATED: dict[str, dict[str, bool]] = {
    ", mean of the days, as retrieved": {},
    ", mean of the days, noise alone": {"known": True},
    ", single overpasses, noise alone": {"known": True, "single": True},
}


def evaluate_columns(out: Path, *, data: Sequence[Path], weights: Sequence[Path]) -> list[Table]:
    """Judge networks and interpolation, write page and numbers, and return the tables.

    Simulated scenes are judged as retrieved and with noise alone. What differs are errors of the
    air mass factor, which are smooth and which no finer grid can mend.

    Args:
        out: folder to write into; it is made if need be.
        data: folders of column scenes; those of the split `test` are judged.
        weights: checkpoints for `columns`; those that come with aqgeo if there are none.

    Raises:
        SourceError: a folder holds no scenes to judge on.
        ModelError: weights are for something else, or cannot be used.
    """
    networks = {path.stem: path for path in weights or shipped()}
    if len(networks) < len(weights):  # files of runs bear one name
        networks = {path.resolve().parent.name: path for path in weights}
    tables = [table for folder in data for table in _tables(folder, networks)]
    page = scorecard.page(
        "NO2 columns",
        "Super-resolution of NO2 columns",
        facts=[f"{name}: {_told(path)}" for name, path in networks.items()],
        tables=tables,
        figures=(),
    )
    disk.save(out / CONTENT, disk.as_json({"tables": {t.name: asdict(t) for t in tables}}))
    disk.save(out / PAGE, page.encode())
    return tables


def shipped() -> list[Path]:
    """Return the weights for columns that come with aqgeo."""
    entries = catalog.models(CHECKOUT / "catalogs").values()
    return [WEIGHTS / entry.file for entry in entries if entry.task == superres.TASK]


def _tables(folder: Path, networks: dict[str, Path]) -> list[Table]:
    every = [column_scenes.read(path) for path in column_scenes.find(folder)]
    test = [one for one in every if one.split == "test"]
    if not test:
        raise SourceError(f"{folder} holds no scenes of the split test: make more places or days")
    found = []
    for factor in sorted({one.factor for one in test}):
        own, place = [one for one in test if one.factor == factor], folder.resolve().name
        for kind, how in (_SIMULATED if own[0].simulated else _REAL).items():
            tallies = contest.run(networks, own, _GIVEN, **how)
            name = f"{place} x{factor}{kind}"
            made = ", simulated" if own[0].simulated else ""
            title = f"{place}{made}, {factor} times finer{kind}"
            found.append(_table(name, title, tallies))
    return found


def _table(name: str, title: str, tallies: dict[str, contest.Tally]) -> Table:
    rows = []
    for method, tally in tallies.items():
        values = tally.told()
        for rival in (contest.BICUBIC, contest.CONSERVATIVE):
            values[f"below {rival}"] = 100 * (1 - tally.rmse / tallies[rival].rmse)
        values = {key: values[key] for key in _UNITS}
        rows.append(row("held-out scenes", method, tally.n, values, why="it has no sigma"))
    return Table(name, title, _UNITS, tuple(rows), _NOTE)


def _told(path: Path) -> str:
    card = checkpoint.read_card(path)
    return f"trained on {'; '.join(card.data)}; {card.split}"

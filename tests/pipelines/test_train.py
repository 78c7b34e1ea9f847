"""Training from a recipe: what is left behind, resume, and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aqgeo.catalog import Recipe
from aqgeo.errors import AqgeoError, CatalogError, SourceError
from aqgeo.models import checkpoint
from aqgeo.training import fit
from pipelines import cloud_chips, labelled_sets, train

SMALL = Recipe(
    name="small",
    title="A network that learns nothing",
    task="clouds",
    level="L2A",
    network={"decoder": [16, 8, 8, 8, 8]},
    patches={"crop": 64, "crops": 1, "images": 2, "steps": 2},
    run={"epochs": 2},
)


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Ten simulated chips: eight to train on, one to validate with, one for test."""
    yield cloud_chips.simulate(tmp_path_factory.mktemp("chips"), count=10, seed=3, workers=1)


def run(folder: Path, chips: Path, **changes: Any) -> Path:
    return train.train_clouds(folder, SMALL, data=[chips], **changes)


@pytest.fixture(scope="module")
def whole(chips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("whole"), chips)


def test_a_run_tells_what_it_did(whole: Path) -> None:
    network, card = checkpoint.read(whole, task="clouds")
    assert network.bands[:3] == ("B01", "B02", "B03") and "B10" not in network.bands
    assert (card.level, card.simulated, card.training["seeds"]) == ("L2A", True, ["3"])
    assert card.data[0].startswith("8 images: simulated")
    assert 0.5 <= float(network.temperature) <= 3
    rows = json.loads((whole.parent / fit.METRICS).read_text("utf-8"))
    assert [row["epoch"] for row in rows] == [0, 1]
    assert (whole.parent / fit.CURVES).read_bytes().startswith(b"\x89PNG")


def test_a_run_that_is_stopped_goes_on_to_the_same_weights(
    whole: Path, chips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = fit._Record.on_validation_end

    def stop(self: Any, trainer: Any, module: Any) -> None:
        ended(self, trainer, module)
        if trainer.current_epoch == 1:
            raise RuntimeError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(fit._Record, "on_validation_end", stop)
        with pytest.raises(RuntimeError, match="stopped"):
            run(tmp_path, chips)
    assert not (tmp_path / train.WEIGHTS).exists()
    assert run(tmp_path, chips).read_bytes() == whole.read_bytes()


def test_other_weights_are_a_beginning_band_by_band(whole: Path, chips: Path) -> None:
    old = checkpoint.read(whole)[0].state_dict()
    network = checkpoint.MODELS["cloud-unet"](
        checkpoint.MODELS["cloud-unet"].arguments(
            bands=("B10", "B02"), mean=(0.0, 0.2), std=(1.0, 0.1), decoder=(16, 8, 8, 8, 8)
        )
    )
    train._begin(network, whole)
    stem = "net.encoder.model.conv_stem.weight"
    assert (network.state_dict()[stem][:, 1] == old[stem][:, 1]).all()


@pytest.mark.parametrize(
    ("rules", "message"),
    [(["tile"], "write tile:33TWM"), (["tile:33TWM"], "meets no image: the set has SIMULATED")],
)
def test_what_cannot_be_trained_on_is_told(
    rules: list[str], message: str, chips: Path, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=message):
        run(tmp_path, chips, hold_out=rules)


def test_a_recipe_with_a_slip_is_refused(chips: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="epochs 'many'"):
        run(tmp_path, chips, run={"epochs": "many"})


def test_products_of_l1c_have_no_labels_to_learn_from(tmp_path: Path) -> None:
    (tmp_path / "catalog.json").write_text("{}", "utf-8")
    with pytest.raises(AqgeoError, match="scene classes, L2A only"):
        labelled_sets.images([tmp_path], "L1C")

"""From a trained model to an artifact that `model_code` serves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model_code import artifact
from tests.training.conftest import BREEDS, Run
from training import export, photos, run_files
from training.__main__ import main
from training.errors import DataError
from training.evaluate import Scores
from training.export import Candidate
from training.settings import ExportSettings


def test_the_artifact_describes_itself(exported: Path) -> None:
    description = artifact.load(exported)
    assert description.labels == tuple(sorted(BREEDS))
    assert description.version == "2026.1.2"
    assert description.input.size_px == 64
    assert description.metrics["split"] == "test"
    assert description.metrics["photos"] == 9
    assert description.trained_with["backbone"] == "test_efficientnet"
    assert description.trained_with["precision"] in export.PRECISIONS
    assert sorted(path.name for path in exported.iterdir()) == [
        "MODEL_CARD.md",
        "model.bin",
        "model.json",
        "model.xml",
    ]


def test_without_a_split_valid_the_cross_validated_head_calibrates(
    head_run: Run, tmp_path: Path
) -> None:
    options = ["--run", str(head_run.folder), "--data", str(head_run.photos)]
    assert main(["export", *options, "--output", str(tmp_path)]) == 0
    held_out = artifact.load(tmp_path).metrics["held_out"]
    assert held_out["photos"] == 24
    assert 1 / 3 < held_out["top1"] <= 1
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert f"fitted on {held_out['photos']} photos" in card
    assert "cross-validation" in card
    assert "on split valid" not in card


def test_a_model_is_never_calibrated_on_split_test(head_run: Run, tmp_path: Path) -> None:
    trained = replace(run_files.load_model(head_run.folder), held_out=None)
    everything = photos.read(head_run.photos)
    with pytest.raises(DataError, match="Calibration needs a split valid"):
        export.export_model(trained, everything, tmp_path / "out", ExportSettings())
    assert not (tmp_path / "out").exists()


def test_other_photos_than_trained_on_are_refused(trained_run: Run, tmp_path: Path) -> None:
    trained = run_files.load_model(trained_run.folder)
    fewer = photos.read(trained_run.photos)[1:]
    with pytest.raises(DataError, match="other photos than the model was trained on"):
        export.export_model(trained, fewer, tmp_path / "out", ExportSettings())


def candidate(precision: str, correct: int) -> Candidate:
    logits = np.eye(2)[[0] * correct + [1] * (1000 - correct)].astype(np.float32)
    scores = Scores([], logits, np.ones(1000, np.float32), np.zeros(1000, np.int64))
    return Candidate(precision, Path(), 1, {"test": scores})


@pytest.mark.parametrize(
    ("correct", "chosen"),
    [((896, 899, 900), "int8"), ((890, 899, 900), "fp16"), ((880, 890, 900), "fp32")],
)
def test_the_smallest_precision_that_keeps_top1_is_chosen(
    correct: tuple[int, ...], chosen: str
) -> None:
    pairs = zip(export.PRECISIONS, correct, strict=True)
    candidates = [candidate(precision, count) for precision, count in pairs]
    assert export.choose(candidates, "test", 0.5).precision == chosen
    assert chosen in export.as_table(candidates, "test")

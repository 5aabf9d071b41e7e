"""From a trained model to an artifact that `model_code` serves, with its figures and its card."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model_code import artifact, inference
from tests.training.conftest import BREEDS
from training import evaluate, export, photos
from training.__main__ import main
from training.distributed import World
from training.errors import DataError
from training.evaluate import Scores
from training.export import Candidate
from training.settings import TrainSettings
from training.train import train

Settings = Callable[..., TrainSettings]


@pytest.fixture(scope="module")
def run(collection_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the tiny backbone."""
    from tests.training.conftest import TINY
    from training import settings

    folder = tmp_path_factory.mktemp("run")
    train(settings.train_settings(TINY), collection_folder, folder, World())
    return folder


@pytest.fixture(scope="module")
def exported(run: Path, collection_folder: Path) -> Path:
    """Its artifact, made by the command."""
    output = run / "artifact"
    options = ["--run", str(run), "--data", str(collection_folder), "--output", str(output)]
    assert main(["export", *options, "--version", "2026.1.2"]) == 0
    return output


def test_the_artifact_describes_itself(exported: Path) -> None:
    found = artifact.load(exported)
    assert found.labels == tuple(sorted(BREEDS))
    assert found.version == "2026.1.2"
    assert found.input.size_px == 64
    assert found.metrics["split"] == "test"
    assert found.metrics["photos"] == 9
    assert found.trained_with["backbone"] == "test_efficientnet"
    assert found.trained_with["precision"] in export.PRECISIONS
    assert sorted(path.name for path in exported.iterdir()) == [
        "MODEL_CARD.md",
        "model.bin",
        "model.json",
        "model.xml",
    ]


def test_it_serves_the_logits_that_training_computed(
    exported: Path, run: Path, collection_folder: Path
) -> None:
    import torch

    from training import backbones, pixels, run_folder

    trained = run_folder.load_model(run)
    graph = export.convert(trained)
    photo = next(p for p in photos.read(collection_folder) if p.split == "test")
    square = pixels.as_served(photo, export.input_spec(trained))[np.newaxis].copy()
    import openvino as ov

    served = ov.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(square)
    backbone = backbones.create(trained.backbone, pretrained=False)
    with torch.no_grad():
        logits, _ = trained.network()(pixels.normalised(square, backbone))
    np.testing.assert_allclose(served["logits"], logits.numpy(), atol=1e-3, rtol=1e-3)
    assert inference.model_fn(exported).artifact.labels == tuple(trained.breeds)


def test_the_card_holds_what_was_measured(exported: Path) -> None:
    card = (exported / "MODEL_CARD.md").read_text()
    figures = json.loads((exported / "model.json").read_text())["metrics"]
    assert f"| top-1 accuracy | {figures['top1']:.4f} |" in card
    for section in ("Calibration", "Breeds it takes for another", "Data", "Limits"):
        assert f"## {section}" in card
    assert card.count(" of 3 | 8 |") == len(BREEDS)


@pytest.fixture(scope="module")
def head(collection_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the head alone, with no photo held out."""
    from tests.training.conftest import TINY
    from training import settings

    folder, photographs = tmp_path_factory.mktemp("head"), tmp_path_factory.mktemp("no-valid")
    shutil.copytree(collection_folder, photographs, dirs_exist_ok=True)
    shutil.rmtree(photographs / "valid")
    options = {**TINY, "epochs": 0, "valid_fraction": 0.0, "probe_penalty": 0.0001}
    train(settings.train_settings(options), photographs, folder, World())
    (folder / "photos").symlink_to(photographs)
    return folder


def test_without_a_split_valid_the_cross_validation_of_the_head_calibrates(head: Path) -> None:
    output = head / "artifact"
    options = ["--run", str(head), "--data", str(head / "photos"), "--output", str(output)]
    assert main(["export", *options]) == 0
    held_out = artifact.load(output).metrics["held_out"]
    assert held_out["photos"] == 24
    assert 1 / 3 < held_out["top1"] <= 1
    card = (output / "MODEL_CARD.md").read_text()
    assert f"fitted on {held_out['photos']} photos" in card
    assert "cross-validation" in card
    assert "Split valid" not in card


def test_a_model_with_nothing_to_calibrate_on_is_not_calibrated_on_the_test(head: Path) -> None:
    from training import run_folder

    trained = replace(run_folder.load_model(head), held_out=None)
    with pytest.raises(DataError, match="to calibrate on"):
        export.export(trained, photos.read(head / "photos"), head / "elsewhere")
    assert not (head / "elsewhere").exists()


def test_fine_tuning_without_photos_held_out_is_refused(
    head: Path, tiny_settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="set valid_fraction above 0"):
        train(tiny_settings(valid_fraction=0.0), head / "photos", tmp_path, World())


def candidate(precision: str, right: int) -> Candidate:
    logits = np.eye(2)[[0] * right + [1] * (1000 - right)].astype(np.float32)
    scores = Scores([], logits, np.ones(1000, np.float32), np.zeros(1000, np.int64))
    return Candidate(precision, Path(), 1, {"test": scores})


@pytest.mark.parametrize(
    ("right", "chosen"),
    [((896, 899, 900), "int8"), ((890, 899, 900), "fp16"), ((880, 890, 900), "fp32")],
)
def test_the_smallest_precision_that_keeps_top1_is_chosen(
    right: tuple[int, ...], chosen: str
) -> None:
    pairs = zip(export.PRECISIONS, right, strict=True)
    candidates = [candidate(precision, count) for precision, count in pairs]
    assert export.choose(candidates, "test", 0.5).precision == chosen
    assert chosen in export.as_table(candidates, "test")


def test_other_photos_than_trained_on_are_refused(
    run: Path, collection_folder: Path, tmp_path: Path
) -> None:
    from training import run_folder

    fewer = photos.read(collection_folder)[1:]
    with pytest.raises(DataError, match="other photos than the model was trained on"):
        export.export(run_folder.load_model(run), fewer, tmp_path / "out")


def test_evaluate_and_report_judge_through_the_serving_code(
    exported: Path, run: Path, collection_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", str(exported), "--data", str(collection_folder)]
    assert main(["evaluate", *options, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    stored = json.loads((exported / "model.json").read_text())["metrics"]
    assert {**figures, "held_out": stored["held_out"]} == stored
    assert main(["report", *options, "--run", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "Learning curves" in page
    assert "http" not in page.split("<h2>")[0]
    assert page.count("data:image/png") >= 4
    model = evaluate.load(exported)
    unknown = [replace(p, breed="Puli") for p in photos.read(collection_folder)[:1]]
    with pytest.raises(DataError, match="does not know the breed Puli"):
        evaluate.score(model, unknown)

import json
from dataclasses import replace
from pathlib import Path

import pytest

from training import evaluate, photos
from training.__main__ import main
from training.errors import DataError


def test_it_measures_what_export_measured(
    exported: Path, photo_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--model", str(exported), "--data", str(photo_folder), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    stored = json.loads((exported / "model.json").read_text())["metrics"]
    added = {name: stored[name] for name in ("held_out", "instruction_sets")}
    assert {**measured, **added} == stored


def test_a_breed_that_the_model_does_not_have_is_refused(
    exported: Path, photo_folder: Path
) -> None:
    unknown = [replace(photo, breed="Puli") for photo in photos.read(photo_folder)[:1]]
    with pytest.raises(DataError, match="the model has no breed Puli"):
        evaluate.score(evaluate.load(exported), unknown)


def test_breeds_match_in_other_spellings(exported: Path, photo_folder: Path) -> None:
    photo = photos.read(photo_folder)[0]
    model = evaluate.load(exported)
    spelled = [replace(photo, breed=breed) for breed in ("Basenji", "basenji", "BASENJI")]
    assert evaluate.score(model, spelled).targets.tolist() == [0, 0, 0]


def test_a_split_without_photos_is_refused(
    exported: Path, photo_folder: Path, tmp_path: Path
) -> None:
    photo = photo_folder / "train" / "001.Basenji" / "0.png"
    (tmp_path / "index.csv").write_text(f"file,split,label\n{photo},train,Basenji\n")
    with pytest.raises(DataError, match=r"has no photos in split test. Its splits: train\."):
        evaluate.score_split(evaluate.load(exported), tmp_path, "test")

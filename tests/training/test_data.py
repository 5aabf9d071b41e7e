import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.training.conftest import picture
from training import photos
from training.__main__ import main


@pytest.fixture
def spoiled(collection_folder: Path, tmp_path: Path) -> Path:
    """The collection with a broken photo, copies, a contradiction and breeds without photos."""
    root = tmp_path / "spoiled"
    shutil.copytree(collection_folder, root)
    train = root / "train"
    (train / "001.Basenji" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    test_photo = root / "test" / "002.Borzoi" / "0.png"
    Image.open(test_photo).save(train / "002.Borzoi" / "copy.png", optimize=True)
    for breed in ("001.Basenji", "003.Briard"):
        picture(5, 77).save(train / breed / "both.png")
    (train / "004.Komondor").mkdir()
    (root / "test" / "005.Puli").mkdir()
    picture(6, 1).save(root / "test" / "005.Puli" / "0.png")
    return root


def test_what_is_wrong_is_told_and_kept_out(
    spoiled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "index.csv"
    assert main(["data", "--data", str(spoiled), "--output", str(index), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [Path(line.split(":")[0]).name for line in found["broken"]] == ["torn.png"]
    assert [Path(copy).name for copy, _ in found["copies"]] == ["copy.png"]
    assert [Path(path).name for path, _ in found["contradictions"]] == ["both.png"]
    assert found["empty"] == ["Komondor", "Puli"]

    kept = photos.read(index)
    names = {photo.path.name for photo in kept}
    assert not names & {"torn.png", "copy.png", "both.png"}
    assert photos.breeds(kept) == ["Basenji", "Borzoi", "Briard"]
    assert all(len(photo.sha256) == 64 for photo in kept)
    assert len(kept) == found["photos"] == 46


def test_a_clean_collection_is_summed_up(
    collection_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "index.csv"
    assert main(["data", "--data", str(collection_folder), "--output", str(output)]) == 0
    assert "24 train, 9 valid, 9 test, 4 other; 3 breeds" in capsys.readouterr().out


def test_faults_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = str(tmp_path / "index.csv")
    assert main(["data", "--data", str(tmp_path / "none"), "--output", output]) == 1
    told = capsys.readouterr().err
    assert told.startswith("training data: ")
    assert told.count("\n") == 1

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.servers import answer, web_server
from tests.training.conftest import striped_photo
from training import photos
from training.__main__ import main


@pytest.fixture
def spoiled(photo_folder: Path, tmp_path: Path) -> Path:
    """Photos with a broken file, copies, a contradiction and breeds without photos."""
    root = tmp_path / "spoiled"
    shutil.copytree(photo_folder, root)
    train = root / "train"
    (train / "001.Basenji" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n truncated")
    test_photo = root / "test" / "002.Borzoi" / "0.png"
    Image.open(test_photo).save(train / "002.Borzoi" / "copy.png", optimize=True)
    for breed in ("001.Basenji", "003.Briard"):
        striped_photo(5, 77).save(train / breed / "both.png")
    (train / "004.Komondor").mkdir()
    (root / "test" / "005.Puli").mkdir()
    striped_photo(6, 1).save(root / "test" / "005.Puli" / "0.png")
    return root


def test_problems_are_reported_and_left_out(
    spoiled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "index.csv"
    assert main(["data", "--data", str(spoiled), "--output", str(index), "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert [Path(line.split(":")[0]).name for line in findings["broken"]] == ["torn.png"]
    assert [Path(copy).name for copy, _ in findings["copies"]] == ["copy.png"]
    assert [Path(path).name for path, _ in findings["contradictions"]] == ["both.png"]
    assert findings["empty"] == ["Komondor", "Puli"]

    kept = photos.read(index)
    names = {photo.path.name for photo in kept}
    assert not names & {"torn.png", "copy.png", "both.png"}
    assert photos.breeds(kept) == ["Basenji", "Borzoi", "Briard"]
    assert all(len(photo.sha256) == 64 for photo in kept)
    assert len(kept) == findings["photos"] == 46


def test_clean_photos_are_counted(
    photo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "index.csv"
    assert main(["data", "--data", str(photo_folder), "--output", str(output)]) == 0
    assert "24 train, 9 valid, 9 test, 4 other; 3 breeds" in capsys.readouterr().out


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = str(tmp_path / "index.csv")
    assert main(["data", "--data", str(tmp_path / "none"), "--output", output]) == 1
    error = capsys.readouterr().err
    assert error.startswith("training data: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("options", [[], ["--data", "photos", "--fetch"]])
def test_either_photos_or_an_archive_must_be_given(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", *options, "--output", str(tmp_path / "index.csv")]) == 2
    assert "Give either --data or --fetch." in capsys.readouterr().err


def test_a_local_archive_of_a_mac(photo_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "Dogs" / "dogs"
    shutil.copytree(photo_folder, root)
    (root / "valid").rename(root / "Validation")
    (root / "train" / ".DS_Store").touch()
    (root.parent / "__MACOSX" / "dogs" / "train").mkdir(parents=True)
    (root.parent / "__MACOSX" / "dogs" / "train" / "._0.png").touch()
    archive = shutil.make_archive(str(tmp_path / "dogs"), "zip", root.parent)
    output = tmp_path / "out" / "index.csv"
    assert main(["data", "--fetch", archive, "--output", str(output)]) == 0
    assert sum(photo.split == "valid" for photo in photos.read(output)) == 9
    assert len(photos.read(output)) == 46


def test_a_missing_local_archive_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "index.csv")
    assert main(["data", "--fetch", "nowhere.zip", "--output", output]) == 1
    assert "nowhere.zip is neither a URL nor a file." in capsys.readouterr().err


def test_what_is_not_read_is_reported(
    photo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "photos"
    shutil.copytree(photo_folder, root)
    shutil.copytree(root / "test", root / "holdout")
    (root / "train" / "001.Basenji" / "camera.NEF").touch()
    assert main(["data", "--data", str(root), "--output", str(tmp_path / "index.csv")]) == 0
    printed = capsys.readouterr().out
    assert f"ignored      {root / 'holdout'}: not a split" in printed
    assert "camera.NEF: convert it to JPEG" in printed


@pytest.mark.parametrize("broken", [True, False])
def test_an_index_without_training_photos_is_not_written(
    broken: bool, photo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All photos are broken, or none is in split train."""
    root, output = tmp_path / "photos", tmp_path / "index.csv"
    shutil.copytree(photo_folder / "test", root / ("train" if broken else "test"))
    if broken:
        for path in root.rglob("*.png"):
            path.write_bytes(b"torn")
    assert main(["data", "--data", str(root), "--output", str(output)]) == 1
    assert "has no usable photos in split train" in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.server
@pytest.mark.parametrize("by_option", [True, False])
def test_an_archive_is_downloaded_and_checked(
    by_option: bool, photo_folder: Path, tmp_path: Path
) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "dogs"), "zip", photo_folder))
    with web_server(answer(200, archive.read_bytes())) as host:
        url = f"{host}/dogs.zip"
        fetch = ["--fetch", url] if by_option else ["--fetch", "--url", url]
        output = tmp_path / "download" / "index.csv"
        assert main(["data", *fetch, "--output", str(output)]) == 0
    assert len(photos.read(output)) == 46

from pathlib import Path

import pytest

from tests.training.conftest import BREEDS
from training import folder_layout, photos
from training.errors import DataError
from training.photos import Photo


def test_folders_with_numbered_names(photo_folder: Path) -> None:
    everything = photos.read(photo_folder)
    assert photos.breeds(everything) == sorted(BREEDS)
    counts = {
        split: sum(photo.split == split for photo in everything) for split in folder_layout.SPLITS
    }
    assert counts == {"train": 24, "valid": 9, "test": 9, "other": 4}
    assert all(photo.breed == "" for photo in everything if photo.split == "other")


def index(folder: Path, rows: str, header: str = "file,split,label,source\n") -> Path:
    (folder / "a.jpg").touch()
    (folder / "index.csv").write_text(header + rows)
    return folder


def test_errors_in_an_index_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'label'"):
        photos.read(index(tmp_path, "a.jpg,train\n", "file,split\n"))
    with pytest.raises(DataError, match="line 2: unknown split 'dev'"):
        photos.read(index(tmp_path, "a.jpg,dev,Boxer,me\n"))
    with pytest.raises(DataError, match=r"1 missing files, for example .*b\.jpg"):
        photos.read(index(tmp_path, "a.jpg,train,Boxer,me\nb.jpg,train,Boxer,me\n"))
    with pytest.raises(DataError, match="Set --data to the folder"):
        photos.read(tmp_path / "nowhere")


def generated_photos(sources: int = 30) -> list[Photo]:
    return [
        Photo(Path(f"{source}-{n}.jpg"), "train", f"breed {n % 5}", f"source {source}", "0")
        for source in range(sources)
        for n in range(source % 4 + 1)
    ]


def test_whole_sources_are_held_out_and_every_breed_keeps_photos() -> None:
    everything = generated_photos()
    held = photos.hold_out(everything, 0.2, seed=0)
    valid = {photo.source for photo in held if photo.split == "valid"}
    assert valid
    assert not valid & {photo.source for photo in held if photo.split == "train"}
    assert {photo.breed for photo in held if photo.split == "train"} == {
        photo.breed for photo in everything
    }
    assert sum(photo.split == "valid" for photo in held) <= 0.2 * len(everything) + 1
    assert photos.hold_out(everything, 0.2, seed=0) == held
    assert photos.hold_out(everything, 0.2, seed=1) != held
    assert photos.hold_out(held, 0.2, seed=1) == held


def test_the_fingerprint_does_not_depend_on_the_order(photo_folder: Path) -> None:
    everything = photos.read(photo_folder)
    assert photos.fingerprint(everything) == photos.fingerprint(reversed(everything))
    assert photos.fingerprint(everything) != photos.fingerprint(everything[1:])

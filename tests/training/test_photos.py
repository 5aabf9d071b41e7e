from pathlib import Path

import pytest

from tests.training.conftest import BREEDS
from training import photos
from training.errors import DataError
from training.photos import Photo


def test_folders_with_numbered_names(collection_folder: Path) -> None:
    found = photos.read(collection_folder)
    assert photos.breeds(found) == sorted(BREEDS)
    counts = {split: sum(photo.split == split for photo in found) for split in photos.SPLITS}
    assert counts == {"train": 24, "valid": 9, "test": 9, "other": 4}
    assert all(photo.breed == "" for photo in found if photo.split == "other")


def index(folder: Path, rows: str, header: str = "file,split,label,source\n") -> Path:
    (folder / "a.jpg").touch()
    (folder / "index.csv").write_text(header + rows)
    return folder


def test_an_index_names_its_faults(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'label'"):
        photos.read(index(tmp_path, "a.jpg,train\n", "file,split\n"))
    with pytest.raises(DataError, match="line 2: split 'dev'"):
        photos.read(index(tmp_path, "a.jpg,dev,Boxer,me\n"))
    with pytest.raises(DataError, match=r"1 missing files, .*b\.jpg"):
        photos.read(index(tmp_path, "a.jpg,train,Boxer,me\nb.jpg,train,Boxer,me\n"))
    with pytest.raises(DataError, match="does not exist; name the folder"):
        photos.read(tmp_path / "nowhere")


def made_up(sources: int = 30) -> list[Photo]:
    return [
        Photo(Path(f"{source}-{n}.jpg"), "train", f"breed {n % 5}", f"source {source}", "0")
        for source in range(sources)
        for n in range(source % 4 + 1)
    ]


def test_whole_sources_are_held_out_and_no_breed_is_lost() -> None:
    everything = made_up()
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


def test_a_fingerprint_is_of_content_and_split_not_of_place(collection_folder: Path) -> None:
    found = photos.read(collection_folder)
    assert photos.fingerprint(found) == photos.fingerprint(reversed(found))
    assert photos.fingerprint(found) != photos.fingerprint(found[1:])

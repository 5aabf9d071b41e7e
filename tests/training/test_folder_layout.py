"""Layouts of well-known data sets, and what systems and tools leave in folders."""

from pathlib import Path

import pytest

from training import folder_layout, photos
from training.errors import DataError


def files(root: Path, *names: str) -> Path:
    """Create empty files, which suffice because reading a layout decodes nothing."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def read(root: Path) -> set[tuple[str, str, str]]:
    return {(photo.path.name, photo.split, photo.breed) for photo in photos.read(root)}


@pytest.mark.parametrize(
    ("train", "valid", "test"),
    [
        ("train", "valid", "test"),
        ("Train", "Val", "Test"),
        ("training", "validation", "testing"),
        ("TRAIN", "VALIDATION", "TEST"),
    ],
)
def test_names_of_splits(train: str, valid: str, test: str, tmp_path: Path) -> None:
    root = files(tmp_path, f"{train}/Pug/1.JPG", f"{valid}/Pug/2.jpg", f"{test}/Pug/3.jfif")
    assert read(root) == {
        ("1.JPG", "train", "Pug"),
        ("2.jpg", "valid", "Pug"),
        ("3.jfif", "test", "Pug"),
    }


def test_udacity_inside_the_folder_of_its_archive(tmp_path: Path) -> None:
    root = files(
        tmp_path,
        "dogImages/train/001.Affenpinscher/Affenpinscher_00001.jpg",
        "dogImages/valid/001.Affenpinscher/Affenpinscher_00038.jpg",
        "dogImages/test/002.Afghan_hound/Afghan_hound_00116.jpg",
        "__MACOSX/dogImages/train/001.Affenpinscher/._Affenpinscher_00001.jpg",
    )
    assert read(root) == {
        ("Affenpinscher_00001.jpg", "train", "Affenpinscher"),
        ("Affenpinscher_00038.jpg", "valid", "Affenpinscher"),
        ("Afghan_hound_00116.jpg", "test", "Afghan_hound"),
    }


def test_stanford_dogs_has_no_splits(tmp_path: Path) -> None:
    root = files(
        tmp_path,
        "Images/n02085620-Chihuahua/n02085620_7.jpg",
        "Images/n02110627-affenpinscher/n02110627_1.jpg",
        "Images/n02089078-black-and-tan_coonhound/n02089078_1.jpg",
        "Annotation/n02085620-Chihuahua/n02085620_7",
        "lists/train_list.mat",
    )
    assert read(root) == {
        ("n02085620_7.jpg", "train", "Chihuahua"),
        ("n02110627_1.jpg", "train", "affenpinscher"),
        ("n02089078_1.jpg", "train", "black-and-tan_coonhound"),
    }


def test_breed_folders_with_photos_of_no_dog(tmp_path: Path) -> None:
    root = files(tmp_path, "Pug/1.jpg", "Boxer/2.jpg", "other/teapot.jpg")
    assert read(root) == {
        ("1.jpg", "train", "Pug"),
        ("2.jpg", "train", "Boxer"),
        ("teapot.jpg", "other", ""),
    }


def test_an_archive_unpacked_in_a_folder_of_its_name(tmp_path: Path) -> None:
    root = files(tmp_path, "train/train/Pug/1.jpg", "test/test/Pug/2.jpg")
    assert read(root) == {("1.jpg", "train", "Pug"), ("2.jpg", "test", "Pug")}


def test_what_systems_leave_in_folders_is_not_read(tmp_path: Path) -> None:
    root = files(
        tmp_path,
        "train/Pug/1.jpg",
        "train/Pug/._1.jpg",
        "train/Pug/.ipynb_checkpoints/1-checkpoint.jpg",
        "train/.ipynb_checkpoints/1.jpg",
        "train/__MACOSX/Pug/1.jpg",
        "train/Pug/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
        "train/.DS_Store",
        "train/Pug/Thumbs.db",
        "train/desktop.ini",
    )
    assert read(root) == {("1.jpg", "train", "Pug")}


def test_a_root_in_a_hidden_folder_is_read(tmp_path: Path) -> None:
    assert read(files(tmp_path / ".cache" / "dogs", "train/Pug/1.jpg"))


def test_decomposed_names_of_macos_are_the_same_breed(tmp_path: Path) -> None:
    root = files(tmp_path, "train/Lo\u0308wchen/1.jpg", "val/L\u00f6wchen/2.jpg")
    assert {breed for _, _, breed in read(root)} == {"L\u00f6wchen"}


def test_folders_next_to_the_splits_are_named(tmp_path: Path) -> None:
    root = files(tmp_path, "train/Pug/1.jpg", "holdout/Pug/2.jpg", "notes/readme.txt")
    assert folder_layout.find(root).unused == [root / "holdout"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "neither index.csv nor photos in train/BREED/. Its folders: none"),
        (["photos/1.jpg", "photos/2.jpg"], "Its folders: photos"),
        (["a/Pug/1.jpg", "b/Pug/2.jpg"], "Its folders: a, b"),
        (["train/Pug/1.svg"], "neither index.csv nor photos"),
        (["1.jpg", "Pug/2.jpg"], "1.jpg must be inside a folder named after its breed, or in an"),
        (["train/Golden_retriever/1.jpg", "val/golden-retriever/2.jpg"], "spells a breed"),
        (["train/1.jpg"], "must be inside a folder named after its breed"),
        (["a/train/Pug/1.jpg", "b/train/Pug/1.jpg"], "several data sets"),
    ],
)
def test_other_layouts_are_errors(names: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        photos.read(files(tmp_path, *names))

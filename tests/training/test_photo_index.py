"""Indexes as spreadsheets and Kaggle write them."""

from pathlib import Path

import pytest

from tests.training.test_folder_layout import files
from training import photos
from training.errors import DataError


def index(root: Path, content: str | bytes, name: str = "index.csv") -> Path:
    (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def read(root: Path) -> set[tuple[str, str, str]]:
    return {(photo.path.name, photo.split, photo.breed) for photo in photos.read(root)}


TEXT = "file,split,label,source\na.jpg,train,Löwchen,me\nb.jpg,Val,Löwchen,you\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode("utf-8-sig"),
        TEXT.encode("latin-1"),
        TEXT.encode("utf-16"),
        TEXT.replace(",", ";").encode(),
        TEXT.replace(",", "\t").encode("utf-16"),
        b"sep=;\r\n" + TEXT.replace(",", ";").replace("\n", "\r\n").encode("cp1252"),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace("\n", "\n\n").encode() + b",,,\n",
        TEXT.replace(",", " , ").encode(),
        TEXT.replace("file", "File").replace("label", "LABEL").encode(),
    ],
)
def test_encodings_and_delimiters(content: bytes, tmp_path: Path) -> None:
    root = index(files(tmp_path, "a.jpg", "b.jpg"), content)
    assert read(root) == {("a.jpg", "train", "Löwchen"), ("b.jpg", "valid", "Löwchen")}
    assert {photo.source for photo in photos.read(root)} == {"me", "you"}


@pytest.mark.parametrize(
    "header",
    [
        "filename,breed",
        "image,class",
        "path,category",
        "Image_Path,Dog Breed",
        "image_id,breed",
        "id,breed",
        "img,Labels",
    ],
)
def test_other_column_names(header: str, tmp_path: Path) -> None:
    root = index(files(tmp_path, "a.jpg"), f"{header}\na.jpg,Pug\n")
    assert read(root) == {("a.jpg", "train", "Pug")}


def test_an_id_next_to_a_file_is_a_row_number(tmp_path: Path) -> None:
    root = index(files(tmp_path, "a.jpg"), "id,filename,class_id,class\n7,a.jpg,3,Pug\n")
    assert read(root) == {("a.jpg", "train", "Pug")}


def test_kaggle_dog_breed_identification(tmp_path: Path) -> None:
    """Ids are names without suffix of photos in train/; those in test/ have no labels."""
    root = files(tmp_path, "train/000bec18.jpg", "train/001513df.jpg", "test/000621fb.jpg")
    index(root, "id,breed\n000bec18,boston_bull\n001513df,dingo\n", "labels.csv")
    index(root, "id,boston_bull,dingo\n000621fb,0.5,0.5\n", "sample_submission.csv")
    expected = {("000bec18.jpg", "train", "boston_bull"), ("001513df.jpg", "train", "dingo")}
    assert read(root) == expected
    assert read(root / "labels.csv") == expected


def test_kaggle_70_dog_breeds(tmp_path: Path) -> None:
    root = files(tmp_path, "train/Afghan/001.jpg", "valid/Afghan/001.jpg", "test/Pug/1.jpg")
    index(
        root,
        "filepaths,labels,data set\ntrain/Afghan/001.jpg,Afghan,train\n"
        "valid/Afghan/001.jpg,Afghan,valid\ntest/Pug/1.jpg,Pug,test\n",
        "dogs.csv",
    )
    assert read(root) == read(root / "dogs.csv")


def test_the_split_follows_from_the_folder(tmp_path: Path) -> None:
    root = files(tmp_path, "Train/1.jpg", "val/1.jpg", "2.jpg")
    index(root, "file,label\nTrain/1.jpg,Pug\nval\\1.jpg,Pug\n2.jpg,Pug\n")
    assert read(root) == {
        ("1.jpg", "train", "Pug"),
        ("1.jpg", "valid", "Pug"),
        ("2.jpg", "train", "Pug"),
    }


def test_the_split_chooses_between_files_of_a_name(tmp_path: Path) -> None:
    root = files(tmp_path, "train/1.jpg", "test/1.jpg")
    index(root, "file,split,label\n1,test,Pug\n")
    assert [photo.path for photo in photos.read(root)] == [root / "test" / "1.jpg"]


def test_decomposed_file_names_of_macos(tmp_path: Path) -> None:
    root = index(files(tmp_path, "Lo\u0308wchen.jpg"), "file,label\nL\u00f6wchen.jpg,Pug\n")
    assert len(photos.read(root)) == 1


def test_photos_without_a_dog_need_no_label(tmp_path: Path) -> None:
    root = index(files(tmp_path, "a.jpg"), "file,split\na.jpg,other\n")
    assert read(root) == {("a.jpg", "other", "")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,split,kind\na.jpg,train,Pug\n", "no column 'label'. Its columns: file, split, kind"),
        ("name,label\na.jpg,Pug\n", "no column 'file'. Its columns: name, label. Needed: file"),
        ("file,breed,class\na.jpg,Pug,toy\n", "'label' could be 'breed' or 'class'. Rename"),
        ("file,label\n1,Pug\n", "line 2: 1 could be .*1.jpg or .*1.jpg. Add the folder"),
        ("file,label\n\na.jpg,\n", "line 3: a.jpg has no label"),
        ("file,label\n,Pug\n", "line 2: no file"),
        ("file,label\n", "lists no photos"),
        ("", "is empty"),
        (b"PK\x03\x04\x00\x00", "is not a CSV file. To read an archive, run"),
        ("file,label\nc.jpg,Pug\n", "lists 1 missing files"),
    ],
)
def test_errors_name_the_line_or_the_columns(
    content: str | bytes, message: str, tmp_path: Path
) -> None:
    root = index(files(tmp_path, "a.jpg", "x/1.jpg", "y/1.jpg"), content)
    with pytest.raises(DataError, match=message):
        photos.read(root)


def test_several_indexes_are_named(tmp_path: Path) -> None:
    root = files(tmp_path, "photos/a.jpg")
    for name in ("one.csv", "two.csv"):
        index(root, "file,label\na.jpg,Pug\n", name)
    with pytest.raises(DataError, match=r"several indexes: .*one.csv, .*two.csv"):
        photos.read(root)

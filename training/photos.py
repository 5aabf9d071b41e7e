"""The photos of a data set: which file, of which breed, in which split, from whom."""

import csv
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.errors import DataError

INDEX_FILE = "index.csv"
SPLITS = ("train", "valid", "test", "other")
"""`other` holds pictures without a dog: they have no breed and measure the dog gate."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


@dataclass(frozen=True, slots=True)
class Photo:
    """One picture of the data set. `breed` is empty in split other. `source` is who it came from:
    photos of one source resemble each other, so a split must not cut through one."""

    path: Path
    split: str
    breed: str
    source: str
    sha256: str = ""


def read(root: Path) -> list[Photo]:
    """The photos under `root`: an index file, a folder with `index.csv`, or folders of breeds.

    Folders are in ImageFolder's layout, `train/001.Affenpinscher/x.jpg`, the number being
    optional. Raises `DataError` where there are none, or where the index names a missing file.
    """
    if root.is_file():
        return _read_index(root)
    if (root / INDEX_FILE).is_file():
        return _read_index(root / INDEX_FILE)
    if not root.is_dir():
        raise DataError(f"{root} does not exist; name the folder of the photos with --data")
    return read_folders(root)


def read_folders(root: Path) -> list[Photo]:
    """The photos of folders in ImageFolder's layout, each its own source, in order of path."""
    found = []
    for split in SPLITS:
        for path in sorted((root / split).rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                breed = "" if split == "other" else _breed(path.relative_to(root / split), path)
                found.append(Photo(path, split, breed, str(path.relative_to(root))))
    if not found:
        raise DataError(f"{root} holds neither {INDEX_FILE} nor photos in train/BREED/")
    return found


def breeds(photos: Iterable[Photo]) -> list[str]:
    """The breeds in the order of the logits. Raises `DataError` for fewer than two."""
    names = sorted({photo.breed for photo in photos if photo.breed})
    if len(names) < 2:
        raise DataError(f"a classifier needs photos of at least two breeds, here are {len(names)}")
    return names


def hold_out(photos: Sequence[Photo], fraction: float, seed: int) -> list[Photo]:
    """`photos` with whole sources of split train moved to split valid, up to `fraction` of them.

    A source that would leave a breed with fewer than two photos to train on stays, and so does
    one larger than half of what is wanted: one photographer should not be the judge. Where a
    split valid exists already, nothing moves.
    """
    if fraction == 0 or any(photo.split == "valid" for photo in photos):
        return list(photos)
    by_source: dict[str, list[Photo]] = defaultdict(list)
    remaining: dict[str, int] = defaultdict(int)
    for photo in photos:
        if photo.split == "train":
            by_source[photo.source].append(photo)
            remaining[photo.breed] += 1
    wanted = fraction * sum(remaining.values())
    order = sorted(by_source)
    random.Random(seed).shuffle(order)
    held: set[str] = set()
    taken = 0
    for source in order:
        count: dict[str, int] = defaultdict(int)
        for photo in by_source[source]:
            count[photo.breed] += 1
        size = len(by_source[source])
        if (
            taken + size <= wanted + 1
            and size <= max(wanted / 2, 1)
            and all(remaining[breed] - n >= 2 for breed, n in count.items())
        ):
            held.add(source)
            taken += size
            for breed, n in count.items():
                remaining[breed] -= n
    return [
        replace(photo, split="valid") if photo.split == "train" and photo.source in held else photo
        for photo in photos
    ]


def to_train_on(photos: Iterable[Photo]) -> list[Photo]:
    """The photos that shape a model: those of split train and split valid."""
    return [photo for photo in photos if photo.split in ("train", "valid")]


def hashed(photos: Iterable[Photo]) -> list[Photo]:
    """The photos with the sha256 of their content, read where the index did not give it."""
    return [
        photo
        if photo.sha256
        else replace(photo, sha256=hashlib.sha256(photo.path.read_bytes()).hexdigest())
        for photo in photos
    ]


def fingerprint(photos: Iterable[Photo]) -> str:
    """A short name of exactly these photos in these splits: 16 hexadecimal digits."""
    lines = sorted(f"{photo.split}/{photo.breed}/{photo.sha256}\n" for photo in hashed(photos))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def breed_of_folder(name: str) -> str:
    """`Affenpinscher` of a folder named `001.Affenpinscher`, or named so already."""
    number, dot, rest = name.partition(".")
    return rest if dot and number.isdigit() else name


def _breed(relative: Path, path: Path) -> str:
    if len(relative.parts) < 2:
        raise DataError(f"{path} lies in no folder named after its breed")
    return breed_of_folder(relative.parts[0])


def _read_index(index: Path) -> list[Photo]:
    found = []
    with index.open(newline="", encoding="utf-8") as stream:
        for line, row in enumerate(csv.DictReader(stream), start=2):
            try:
                split, name = row["split"], row["file"]
                breed = "" if split == "other" else row["label"]
            except KeyError as missing:
                raise DataError(f"{index} has no column {missing}") from None
            if split not in SPLITS:
                raise DataError(f"{index}, line {line}: split {split!r} is none of {SPLITS}")
            if split != "other" and not breed:
                raise DataError(f"{index}, line {line}: {name} has no label")
            path = index.parent / name
            source = row.get("source") or name
            found.append(Photo(path, split, breed, source, row.get("sha256") or ""))
    missing_files = [photo.path for photo in found if not photo.path.is_file()]
    if missing_files:
        raise DataError(f"{index} names {len(missing_files)} missing files, {missing_files[0]} one")
    if not found:
        raise DataError(f"{index} names no photos")
    return found

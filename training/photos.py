"""The photos of a data set: files, breeds, splits and sources."""

import csv
import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.errors import DataError

INDEX_FILE = "index.csv"
SPLITS = ("train", "valid", "test", "other")
"""`other` has photos without a dog, which have no breed and measure the dog gate."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo. `breed` is empty in split other. `source` is the photographer or the like: photos
    of one source resemble each other, so they must be in one split."""

    path: Path
    split: str
    breed: str
    source: str
    sha256: str = ""


def read(root: Path) -> list[Photo]:
    """Read an index file, a folder with `index.csv`, or folders such as train/001.Affenpinscher/.

    Raises DataError if there are no photos, or the index is invalid or lists a missing file.
    """
    if root.is_file():
        return _read_index(root)
    if (root / INDEX_FILE).is_file():
        return _read_index(root / INDEX_FILE)
    if not root.is_dir():
        raise DataError(f"{root} does not exist. Set --data to the folder of the photos.")
    return read_folders(root)


def read_folders(root: Path) -> list[Photo]:
    """Read folders in ImageFolder's layout, in order of path; each photo is its own source."""
    photos = []
    for split in SPLITS:
        for path in sorted((root / split).rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                breed = "" if split == "other" else _breed(path.relative_to(root / split), path)
                photos.append(Photo(path, split, breed, str(path.relative_to(root))))
    if not photos:
        raise DataError(f"{root} has neither {INDEX_FILE} nor photos in train/BREED/.")
    return photos


def breeds(photos: Iterable[Photo]) -> list[str]:
    """Return the breeds in the order of the logits. Raises DataError if there is only one."""
    names = sorted({photo.breed for photo in photos if photo.breed})
    if len(names) < 2:
        raise DataError(f"Training needs photos of at least two breeds, not {len(names)}.")
    return names


def hold_out(photos: Sequence[Photo], fraction: float, seed: int) -> list[Photo]:
    """Move whole sources from split train to split valid, up to `fraction` of the photos.

    A source stays if a breed would keep fewer than two training photos, or if it has more than
    half of the target: split valid needs several photographers. If there is a split valid already,
    nothing moves.
    """
    if fraction == 0 or any(photo.split == "valid" for photo in photos):
        return list(photos)
    by_source: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        if photo.split == "train":
            by_source[photo.source].append(photo)
    remaining = Counter(photo.breed for photo in photos if photo.split == "train")
    target = fraction * remaining.total()
    order = sorted(by_source)
    random.Random(seed).shuffle(order)
    held_out: set[str] = set()
    moved = 0
    for source in order:
        counts = Counter(photo.breed for photo in by_source[source])
        size = counts.total()
        if (
            moved + size <= target + 1
            and size <= max(target / 2, 1)
            and all(remaining[breed] - count >= 2 for breed, count in counts.items())
        ):
            held_out.add(source)
            moved += size
            remaining -= counts
    return [
        replace(photo, split="valid")
        if photo.split == "train" and photo.source in held_out
        else photo
        for photo in photos
    ]


def training_photos(photos: Iterable[Photo]) -> list[Photo]:
    """Return the photos that influence a model: splits train and valid."""
    return [photo for photo in photos if photo.split in ("train", "valid")]


def hashed(photos: Iterable[Photo]) -> list[Photo]:
    """Fill in the SHA-256 of each photo that has none."""
    return [
        photo
        if photo.sha256
        else replace(photo, sha256=hashlib.sha256(photo.path.read_bytes()).hexdigest())
        for photo in photos
    ]


def fingerprint(photos: Iterable[Photo]) -> str:
    """Return 16 hexadecimal digits that identify these photos and their splits."""
    lines = sorted(f"{photo.split}/{photo.breed}/{photo.sha256}\n" for photo in hashed(photos))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def breed_of_folder(name: str) -> str:
    """Return `Affenpinscher` for `001.Affenpinscher` or `Affenpinscher`."""
    number, dot, rest = name.partition(".")
    return rest if dot and number.isdigit() else name


def _breed(relative: Path, path: Path) -> str:
    if len(relative.parts) < 2:
        raise DataError(f"{path} must be inside a folder named after its breed.")
    return breed_of_folder(relative.parts[0])


def _read_index(index: Path) -> list[Photo]:
    photos = []
    with index.open(newline="", encoding="utf-8") as stream:
        for line, row in enumerate(csv.DictReader(stream), start=2):
            try:
                split, name = row["split"], row["file"]
                breed = "" if split == "other" else row["label"]
            except KeyError as missing:
                raise DataError(f"{index} has no column {missing}.") from None
            if split not in SPLITS:
                raise DataError(
                    f"{index}, line {line}: unknown split {split!r}. Allowed: {', '.join(SPLITS)}."
                )
            if split != "other" and not breed:
                raise DataError(f"{index}, line {line}: {name} has no label.")
            source, sha256 = row.get("source") or name, row.get("sha256") or ""
            photos.append(Photo(index.parent / name, split, breed, source, sha256))
    missing_files = [photo.path for photo in photos if not photo.path.is_file()]
    if missing_files:
        raise DataError(
            f"{index} lists {len(missing_files)} missing files, for example {missing_files[0]}."
        )
    if not photos:
        raise DataError(f"{index} lists no photos.")
    return photos

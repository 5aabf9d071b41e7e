"""The photos of a data set: files, breeds, splits and sources."""

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

from training import folder_layout, photo_index
from training.errors import DataError


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
    """Read an index file, or a folder with an index or with folders such as train/Affenpinscher/.

    Raises DataError if there are no photos, a breed has two spellings, or the index is invalid or
    lists a missing file.
    """
    photos = _read(root)
    spellings: dict[str, str] = {}
    for breed in sorted({photo.breed for photo in photos}):
        first = spellings.setdefault(folder_layout.breed_key(breed), breed)
        if first != breed:
            raise DataError(f"{root} spells a breed {first!r} and {breed!r}. Rename one of them.")
    return photos


def _read(root: Path) -> list[Photo]:
    if root.is_file():
        return _read_index(root)
    if not root.is_dir():
        raise DataError(f"{root} does not exist. Set --data to the folder of the photos.")
    if (index := photo_index.find(root)) is not None:
        return _read_index(index)
    try:
        return read_folders(root)
    except DataError:
        # Kaggle's labels.csv has the breeds of photos in one folder.
        if (index := photo_index.find_any(root)) is None:
            raise
        return _read_index(index)


def read_folders(root: Path) -> list[Photo]:
    """Read folders in ImageFolder's layout, in order of path; each photo is its own source."""
    layout = folder_layout.find(root)
    photos = []
    for split in folder_layout.SPLITS:
        for folder in layout.splits.get(split, []):
            breed = "" if split == "other" else folder_layout.breed_of(folder.name)
            for path in folder_layout.files(folder):
                photos.append(Photo(path, split, breed, str(path.relative_to(layout.root))))
    if not photos:
        raise DataError(f"{root} has neither {photo_index.INDEX_FILE} nor photos in train/BREED/.")
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


def _read_index(index: Path) -> list[Photo]:
    photos = []
    for row in photo_index.read(index):
        breed = "" if row.split == "other" else normalize("NFC", row.label)
        if row.split != "other" and not breed:
            raise DataError(f"{index}, line {row.line}: {row.file} has no label.")
        photos.append(Photo(row.path, row.split, breed, row.source or row.file, row.sha256))
    return photos

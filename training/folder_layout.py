"""Folders of photos: the splits and breeds they are named after, and what is not a photo."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from unicodedata import normalize

from training.errors import DataError

SPLITS = ("train", "valid", "test", "other")
"""`other` has photos without a dog, which have no breed and measure the dog gate."""
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".mpo", ".png", ".webp", ".avif", ".heic", ".heif", ".hif"}
    | {".gif", ".bmp", ".tif", ".tiff"}
)
"""Of the formats that the endpoint decodes (`model_code.formats`)."""
OTHER_SUFFIXES = frozenset(
    {".jxl", ".jp2", ".svg", ".pdf", ".psd", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf"}
    | {".orf", ".rw2"}
)
"""Of photos that must be converted first."""
_SPLIT_NAMES = {
    "training": "train", "val": "valid", "validation": "valid", "testing": "test",
    "others": "other", **{split: split for split in SPLITS},
}  # fmt: skip
# Copies of photos: by macOS' Finder, Windows' recycle bin and Synology's thumbnails.
_HIDDEN_FOLDERS = frozenset({"__macosx", "$recycle.bin", "@eadir"})
_MAX_DEPTH = 3
"""Levels of folders in which train/ is searched. Archives have one or two around it."""
# Class numbers as in Udacity's dogImages, and WordNet ids as in Stanford Dogs.
_BREED_PREFIX = re.compile(r"(\d+\.|n\d{8}-)(?=.)")


@dataclass(frozen=True, slots=True)
class Layout:
    """The breed folders of each split; the folder of other/ itself in split other.

    `root` contains all of them. `unused` are folders with photos next to those of the splits.
    """

    root: Path
    splits: dict[str, list[Path]]
    unused: list[Path]


def split_of(name: str) -> str | None:
    """Return `valid` for `valid`, `Val` or `validation`, and None for a name without a split."""
    return _SPLIT_NAMES.get(name.strip().casefold())


def breed_of(name: str) -> str:
    """Return `Boxer` for the folders `Boxer`, `001.Boxer` and `n02108089-Boxer`."""
    # macOS decomposes umlauts: without NFC, the same breed would have two names.
    return _BREED_PREFIX.sub("", normalize("NFC", name), count=1).strip()


def breed_key(breed: str) -> str:
    """Return `golden_retriever` for `Golden retriever`, `golden-retriever` and the like."""
    return breed.casefold().replace(" ", "_").replace("-", "_")


def is_hidden(path: PurePath) -> bool:
    """Return whether `path` is in a hidden folder or one that systems fill with copies."""
    return any(part.startswith(".") or part.casefold() in _HIDDEN_FOLDERS for part in path.parts)


def is_photo(path: PurePath, suffixes: frozenset[str] = SUFFIXES) -> bool:
    """Return whether `path`, relative to the data set, is a visible file with one of `suffixes`."""
    return path.suffix.lower() in suffixes and not is_hidden(path)


def subfolders(folder: Path) -> list[Path]:
    """Return the visible folders directly inside `folder`."""
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not is_hidden(PurePath(path.name))
    )


def files(folder: Path, suffixes: frozenset[str] = SUFFIXES) -> Iterator[Path]:
    """Yield the visible files below `folder` that have one of `suffixes`, in order of path."""
    for path in sorted(folder.rglob("*")):
        if is_photo(path.relative_to(folder), suffixes) and path.is_file():
            yield path


def has_photos(folder: Path) -> bool:
    """Return whether there are visible photos below `folder`."""
    return next(files(folder), None) is not None


def find(root: Path) -> Layout:
    """Find the folders of the splits in `root` or up to three levels below.

    Breed folders without splits are split train. Raises DataError if there is neither, or there are
    several data sets.
    """
    level = [root]
    for _ in range(_MAX_DEPTH + 1):
        roots = [folder for folder in level if _has_splits(folder)]
        if len(roots) > 1:
            names = ", ".join(str(folder) for folder in roots)
            raise DataError(f"{root} has several data sets: {names}. Set --data to one of them.")
        if roots:
            return _with_splits(roots[0])
        level = [child for folder in level for child in subfolders(folder)]
    return _without_splits(root)


def _has_splits(folder: Path) -> bool:
    splits = {split_of(child.name) for child in subfolders(folder)}
    return not splits.isdisjoint({"train", "valid", "test"})


def _with_splits(root: Path) -> Layout:
    splits: dict[str, list[Path]] = defaultdict(list)
    unused = []
    for folder in subfolders(root):
        if split := split_of(folder.name):
            folder = _innermost(folder, split)
            splits[split] += [folder] if split == "other" else _breed_folders(folder)
        elif has_photos(folder):
            unused.append(folder)
    return Layout(root, splits, unused)


def _breed_folders(folder: Path) -> list[Path]:
    if photo := next(_direct_photos(folder), None):
        raise DataError(f"{photo} must be inside a folder named after its breed.")
    return subfolders(folder)


def _innermost(folder: Path, split: str) -> Path:
    """Return train/train for an archive of train/ that was unpacked in train/."""
    children = subfolders(folder)
    while len(children) == 1 and split_of(children[0].name) == split:
        folder = children[0]
        children = subfolders(folder)
    return folder


def _without_splits(root: Path) -> Layout:
    """Return breed folders as split train, and a folder other/ next to them as split other."""
    folder = root
    children = [child for child in subfolders(folder) if has_photos(child)]
    while len(children) == 1 and not _is_breed(children[0]) and not _is_breed(folder):
        folder = children[0]
        children = [child for child in subfolders(folder) if has_photos(child)]
    others = [child for child in children if split_of(child.name) == "other"]
    breeds = [child for child in children if child not in others]
    if photo := next(_direct_photos(folder), None):
        raise DataError(
            f"{photo} must be inside a folder named after its breed, or in an index: set --data to "
            "the CSV file."
        )
    if len(breeds) < 2 or not all(map(_is_breed, breeds)):
        names = ", ".join(child.name for child in subfolders(root)[:5]) or "none"
        raise DataError(
            f"{root} has neither index.csv nor photos in train/BREED/. Its folders: {names}."
        )
    return Layout(folder, {"train": breeds, "other": others}, [])


def _is_breed(folder: Path) -> bool:
    return next(_direct_photos(folder), None) is not None


def _direct_photos(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if is_photo(PurePath(path.name)) and path.is_file():
            yield path

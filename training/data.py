"""Fetch or take photos, look at every one of them, and write the index that training reads.

Photos are either an index with the columns file, split and label, or folders in ImageFolder's
layout: train/001.Affenpinscher/x.jpg beside valid/ and test/, and other/ for pictures without a
dog. Broken files, copies (a photo of split train that is in split test too would be cheating) and
breeds without photos to train on are reported and kept out.

examples:
  python -m training data --data ../shared/photos --output runs/photos.csv
  python -m training data --fetch --output runs/photos.csv
"""

import argparse
import csv
import hashlib
import io
import json
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from model_code import images
from model_code.artifact import InputSpec
from model_code.errors import ModelCodeError
from training import archive, download, photos, settings
from training.errors import DataError
from training.photos import Photo
from training.run_folder import write_text

# Two files that look alike at this size show the same photo, whatever their metadata and scale.
_FINGERPRINT = InputSpec(size_px=128, crop=1.0, mean=(0, 0, 0), std=(1, 1, 1))


@dataclass(slots=True)
class Findings:
    """What was kept out, and why: paths, pairs of (kept out, kept), breeds."""

    photos: int = 0
    broken: list[str] = field(default_factory=list)
    copies: list[tuple[str, str]] = field(default_factory=list)
    contradictions: list[tuple[str, str]] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Looked:
    """A photo that was decoded: its size in pixels, and a hash of what it shows."""

    photo: Photo
    width: int
    height: int
    content: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="photos: a folder or an index")
    source.add_argument(
        "--fetch", metavar="URL", nargs="?", const="", help="an archive (default: settings.toml)"
    )
    parser.add_argument("--output", type=Path, required=True, help="the index to write")
    parser.add_argument("--sha256", default="", help="of the archive, where it is known")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(arguments: argparse.Namespace) -> None:
    root = arguments.data
    if root is None:
        root = fetch(arguments.fetch, arguments.sha256, arguments.output.parent)
    kept, findings = look(photos.read(root))
    findings.empty = sorted({*findings.empty, *_empty_folders(root)})
    write_index(arguments.output, kept)
    if arguments.json:
        print(json.dumps(asdict(findings), indent=2))
    else:
        _tell(findings, kept, arguments.output)


def fetch(url: str, sha256: str, folder: Path) -> Path:
    """Download and unpack the archive at `url`, or settings.toml's, beside the index; its root."""
    if not url:
        defaults = settings.table("data")
        url, sha256 = defaults["url"], sha256 or defaults["sha256"]
    name = Path(urlsplit(url).path).name or "archive"
    unpacked = folder / name.split(".")[0]
    if not unpacked.exists():
        download.fetch(url, folder / name, sha256=sha256)
        archive.unpack(folder / name, unpacked)
    inner = sorted(path.parent for path in unpacked.rglob("train") if path.is_dir())
    if not inner:
        raise DataError(f"{url} holds no folder train/")
    return inner[0]


def look(found: Sequence[Photo]) -> tuple[list[Looked], Findings]:
    """Decode every photo; return those fit for use, and what was kept out.

    Of two photos that show the same pixels the one in the split that is measured stays: test
    before valid before train. Copies that carry different breeds are named as contradictions, and
    none of them stays.
    """
    findings = Findings()
    looked = []
    for photo in tqdm(found, desc="look at photos", unit="photo", leave=False, disable=None):
        try:
            looked.append(_decode(photo))
        except ModelCodeError as error:
            findings.broken.append(f"{photo.path}: {error}")
    kept = _without_copies(looked, findings)
    trained = {entry.photo.breed for entry in kept if entry.photo.split == "train"}
    known = {entry.photo.breed for entry in looked if entry.photo.breed}
    findings.empty = sorted(known - trained)
    kept = [entry for entry in kept if entry.photo.breed in trained or not entry.photo.breed]
    findings.photos = len(kept)
    return kept, findings


def write_index(path: Path, kept: Sequence[Looked]) -> None:
    """Write the index: file (relative to it), split, label, source, width, height, sha256."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "split", "label", "source", "width", "height", "sha256"])
    for entry in kept:
        photo = entry.photo
        file = os.path.relpath(photo.path, path.parent)
        row = [file, photo.split, photo.breed, photo.source, entry.width, entry.height]
        writer.writerow([*row, photo.sha256])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue())


def _decode(photo: Photo) -> Looked:
    payload = photo.path.read_bytes()
    picture = images.InputImage(payload)
    pixels = picture.pixels(_FINGERPRINT)
    size = f"{picture.width}x{picture.height}"
    content = hashlib.sha256(size.encode() + pixels.tobytes()).hexdigest()
    hashed = replace(photo, sha256=hashlib.sha256(payload).hexdigest())
    return Looked(hashed, picture.width, picture.height, content)


def _without_copies(looked: Sequence[Looked], findings: Findings) -> list[Looked]:
    order = ("test", "valid", "train", "other")
    groups: dict[str, list[Looked]] = defaultdict(list)
    for entry in looked:
        groups[entry.content].append(entry)
    kept = set()
    for group in groups.values():
        group.sort(key=lambda entry: order.index(entry.photo.split))
        first, *copies = group
        differing = [entry for entry in copies if entry.photo.breed != first.photo.breed]
        for entry in differing:
            findings.contradictions.append((str(entry.photo.path), str(first.photo.path)))
        if differing:
            continue
        kept.add(first.photo.path)
        findings.copies += [(str(entry.photo.path), str(first.photo.path)) for entry in copies]
    return [entry for entry in looked if entry.photo.path in kept]


def _empty_folders(root: Path) -> list[str]:
    """The breeds that have a folder in train/ and no photo in it."""
    folders = (root / "train").glob("*/") if root.is_dir() else ()
    return [
        photos.breed_of_folder(folder.name)
        for folder in folders
        if not any(path.suffix.lower() in photos.SUFFIXES for path in folder.rglob("*"))
    ]


def _tell(findings: Findings, kept: Sequence[Looked], output: Path) -> None:
    for reason in findings.broken:
        print(f"broken       {reason}")
    for path, other in findings.copies:
        print(f"copy         {path} shows the same as {other}")
    for path, other in findings.contradictions:
        print(f"contradicts  {path} and {other} are the same photo of two breeds")
    for breed in findings.empty:
        print(f"empty        {breed} has no photos to train on")
    counts = {split: sum(entry.photo.split == split for entry in kept) for split in photos.SPLITS}
    summary = ", ".join(f"{number} {split}" for split, number in counts.items() if number)
    breeds = len({entry.photo.breed for entry in kept if entry.photo.breed})
    print(f"{output}: {summary}; {breeds} breeds")

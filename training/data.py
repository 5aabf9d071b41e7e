"""Download or check photos and write the index that training reads.

Photos are an index with the columns file, split and label, or folders in ImageFolder's layout:
train/001.Affenpinscher/x.jpg, valid/, test/, and other/ for photos without a dog. Broken files,
copies, crops and mirror images of photos in other splits or by other sources, breeds without
training photos, and folders and formats that are not read are reported and left out.

example:
  python -m training data --data photos --output runs/photos.csv
  python -m training data --fetch --output runs/photos.csv
  python -m training data --fetch dogImages.zip --output runs/photos.csv
"""

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

import click
from tqdm import tqdm

from cli import commands, settings
from cli.files import write_atomically
from model_code import images
from model_code.artifact import InputSpec
from model_code.errors import ModelCodeError
from training import archive, download, folder_layout, photo_index, photos
from training.errors import DataError
from training.photos import Photo
from training.settings import DataSettings

# Files with equal pixels at this size show the same photo, whatever their metadata and scale.
_COMPARISON = InputSpec(size_px=128, crop=1.0, mean=(0, 0, 0), std=(1, 1, 1))
_PRECEDENCE = ("test", "valid", "train", "other")
"""Of two copies, the one in the earlier split stays."""


@dataclass(slots=True)
class Findings:
    """What was left out: broken paths, pairs of (left out, kept) paths, breeds, and folders and
    formats that are not read. `photos` is the number kept."""

    photos: int = 0
    broken: list[str] = field(default_factory=list)
    copies: list[tuple[str, str]] = field(default_factory=list)
    contradictions: list[tuple[str, str]] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DecodedPhoto:
    """A photo with its size in pixels and a hash of its content."""

    photo: Photo
    width: int
    height: int
    content: str


@commands.command(__doc__)
@click.option(
    "--data", "root", type=click.Path(path_type=Path), help="Photos: a folder or an index."
)
@click.option(
    "--fetch",
    metavar="[URL]",
    is_flag=False,
    flag_value="",
    help="Download an archive, or take a local one, and unpack it next to the index. Default: the "
    "URL in [data].",
)
@click.option(
    "--output", type=click.Path(path_type=Path), required=True, help="Index file to write."
)
@click.option(
    "--near-copies/--no-near-copies",
    default=True,
    show_default=True,
    help="Find crops, mirror images and the like, not only exact copies.",
)
@commands.json_option
@settings.options(DataSettings)
def command(
    root: Path | None,
    fetch: str | None,
    output: Path,
    near_copies: bool,
    as_json: bool,
    data: DataSettings,
) -> None:
    if (root is None) == (fetch is None):
        raise click.UsageError("Give either --data or --fetch.")
    if root is None:
        root = download_photos(fetch or data.url, data.sha256, output.parent)
    kept, findings = check(photos.read(root), near_copies=near_copies)
    if root.is_dir():
        findings.empty = sorted({*findings.empty, *_empty_folders(root)})
        findings.ignored = _ignored(root)
    if as_json:
        print(json.dumps(asdict(findings), indent=2))
    else:
        _print(findings)
    if not any(entry.photo.breed for entry in kept):
        raise DataError(f"{root} has no usable photos in split train. {output} was not written.")
    write_index(output, kept)
    if not as_json:
        print(f"{output}: {_summary(kept)}")


def download_photos(url: str, sha256: str, folder: Path) -> Path:
    """Unpack an archive, which may be a local file, into a new folder inside `folder`; return it.

    Raises DataError if the archive does not exist or has no photos.
    """
    name = Path(urlsplit(url).path).name or "archive"
    unpacked = folder / (name.split(".")[0] if "." in name else f"{name}-photos")
    if not unpacked.exists():
        path = Path(url)
        if not path.is_file():
            if "://" not in url:
                raise DataError(f"{url} is neither a URL nor a file.")
            path = folder / name
            download.fetch(url, path, sha256=sha256)
        archive.unpack(path, unpacked)
    return unpacked


def check(
    candidates: Sequence[Photo], *, near_copies: bool = True
) -> tuple[list[DecodedPhoto], Findings]:
    """Decode all photos; return those fit for use and what was left out.

    Copies with different breeds are contradictions, and none of them is kept.
    """
    findings = Findings()
    decoded = []
    for photo in tqdm(candidates, desc="check photos", unit="photo", leave=False, disable=None):
        try:
            decoded.append(_decode(photo))
        except ModelCodeError as error:
            findings.broken.append(f"{photo.path}: {error}")
    kept = _without_copies(decoded, findings)
    if near_copies:
        kept = _without_near_copies(kept, findings)
    trained = {entry.photo.breed for entry in kept if entry.photo.split == "train"}
    known = {entry.photo.breed for entry in decoded if entry.photo.breed}
    findings.empty = sorted(known - trained)
    kept = [entry for entry in kept if entry.photo.breed in trained or not entry.photo.breed]
    findings.photos = len(kept)
    return kept, findings


def write_index(path: Path, kept: Sequence[DecodedPhoto]) -> None:
    """Write the index; the paths in it are relative to it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "split", "label", "source", "width", "height", "sha256"])
    for entry in kept:
        photo = entry.photo
        file = os.path.relpath(photo.path, path.parent)
        row = [file, photo.split, photo.breed, photo.source, entry.width, entry.height]
        writer.writerow([*row, photo.sha256])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.getvalue())


def _decode(photo: Photo) -> DecodedPhoto:
    payload = photo.path.read_bytes()
    image = images.InputImage(payload)
    pixels = image.pixels(_COMPARISON)
    size = f"{image.width}x{image.height}"
    content = hashlib.sha256(size.encode() + pixels.tobytes()).hexdigest()
    hashed = replace(photo, sha256=hashlib.sha256(payload).hexdigest())
    return DecodedPhoto(hashed, image.width, image.height, content)


def _without_copies(decoded: Sequence[DecodedPhoto], findings: Findings) -> list[DecodedPhoto]:
    groups: dict[str, list[DecodedPhoto]] = defaultdict(list)
    for entry in decoded:
        groups[entry.content].append(entry)
    kept = set()
    for group in groups.values():
        first, *copies = sorted(group, key=lambda entry: _PRECEDENCE.index(entry.photo.split))
        first_path = str(first.photo.path)
        differing = [entry for entry in copies if entry.photo.breed != first.photo.breed]
        if differing:
            findings.contradictions += [(str(e.photo.path), first_path) for e in differing]
        else:
            kept.add(first.photo.path)
            findings.copies += [(str(entry.photo.path), first_path) for entry in copies]
    return [entry for entry in decoded if entry.photo.path in kept]


def _without_near_copies(entries: Sequence[DecodedPhoto], findings: Findings) -> list[DecodedPhoto]:
    """Leave out crops, mirror images and the like.

    In split train they do harm between sources, which cross-validation and a held-out split
    separate. Of two photos in different splits, the one in the earlier split stays.
    """
    from training import near_copies  # takes seconds to import

    def may_pair(one: Photo, two: Photo) -> bool:
        return one.split != two.split or (one.split == "train" and one.source != two.source)

    left_out: set[Path] = set()
    for pair in near_copies.find([entry.photo for entry in entries], may_pair):
        both = [entries[number].photo for number in pair]
        kept, copy = sorted(both, key=lambda photo: _PRECEDENCE.index(photo.split))
        if {kept.path, copy.path} & left_out:
            continue
        left_out.add(copy.path)
        if kept.breed == copy.breed:
            findings.copies.append((str(copy.path), str(kept.path)))
            continue
        findings.contradictions.append((str(copy.path), str(kept.path)))
        if kept.split == copy.split:  # either label may be the wrong one
            left_out.add(kept.path)
    return [entry for entry in entries if entry.photo.path not in left_out]


def _empty_folders(root: Path) -> list[str]:
    """Return the breeds whose folder in train/ has no photos."""
    layout = _layout(root)
    return [
        folder_layout.breed_of(folder.name)
        for folder in (layout.splits.get("train", []) if layout else [])
        if not folder_layout.has_photos(folder)
    ]


def _ignored(root: Path) -> list[str]:
    """Return the folders that are not a split, and photos in formats that are not read."""
    if photo_index.find(root) is not None:
        return []
    layout = _layout(root)
    folders = [f"{folder}: not a split" for folder in layout.unused] if layout else []
    formats = folder_layout.files(root, folder_layout.OTHER_SUFFIXES)
    return folders + [f"{path}: convert it to JPEG" for path in formats]


def _layout(root: Path) -> folder_layout.Layout | None:
    """Return the folders of the splits, or None if the photos come from an index instead."""
    try:
        return folder_layout.find(root)
    except DataError:
        return None


def _print(findings: Findings) -> None:
    for reason in findings.broken:
        print(f"broken       {reason}")
    for path, other in findings.copies:
        print(f"copy         {path} is a copy of {other}")
    for path, other in findings.contradictions:
        print(f"contradicts  {path} and {other} are the same photo with different breeds")
    for breed in findings.empty:
        print(f"empty        {breed} has no training photos")
    for reason in findings.ignored:
        print(f"ignored      {reason}")


def _summary(kept: Sequence[DecodedPhoto]) -> str:
    counts = {
        split: sum(entry.photo.split == split for entry in kept) for split in folder_layout.SPLITS
    }
    summary = ", ".join(f"{number} {split}" for split, number in counts.items() if number)
    return f"{summary}; {len({entry.photo.breed for entry in kept if entry.photo.breed})} breeds"

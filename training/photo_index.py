"""Read an index of photos: a CSV file from a spreadsheet, from Kaggle or from `training data`."""

import csv
import io
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from training import folder_layout
from training.errors import DataError

INDEX_FILE = "index.csv"
COLUMNS = {
    "file": (
        "filename", "filepath", "filepaths", "path", "image", "imagename", "imagepath", "imagefile",
        "img", "photo",
    ),
    "label": (
        "labels", "breed", "breedname", "dogbreed", "class", "classname", "category",
        "categoryname",
    ),
    "split": ("set", "subset", "dataset", "partition"),
    "source": ("photographer",),
    "sha256": (),
}  # fmt: skip
"""Other names of each column, in lower case without spaces, underscores and hyphens."""
_LAST_RESORT = {"file": ("id", "imageid")}
"""Names that are a row's number in some files and the photo's name in others."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of an index. `split` is derived from the folder if there is no such column."""

    line: int
    file: str
    path: Path
    label: str
    split: str
    source: str
    sha256: str


def find(root: Path) -> Path | None:
    """Return the file index.csv in `root`, or None."""
    return next(
        (path for path in sorted(root.glob("*.[cC][sS][vV]")) if path.name.lower() == INDEX_FILE),
        None,
    )


def find_any(root: Path) -> Path | None:
    """Return the only CSV file with columns for file and label in `root` or one level below."""
    for pattern in ("*.[cC][sS][vV]", "*/*.[cC][sS][vV]"):
        usable = [
            path
            for path in sorted(root.glob(pattern))
            if not folder_layout.is_hidden(path.relative_to(root)) and _is_usable(path)
        ]
        if len(usable) > 1:
            names = ", ".join(str(path) for path in usable)
            raise DataError(f"{root} has several indexes: {names}. Set --data to one of them.")
        if usable:
            return usable[0]
    return None


def read(index: Path) -> list[Row]:
    """Read the rows of `index`. Raises DataError if a column, value or file is missing."""
    header, lines = _table(index)
    columns = _columns(index, header)
    by_name = _FilesByName(index.parent)
    rows, missing = [], []
    for line, cells in lines:
        values = {
            name: cells[position] if position < len(cells) else ""
            for name, position in columns.items()
        }
        split = _split(index, line, values["split"]) if "split" in columns else ""
        path = by_name.locate(index, line, values["file"], split)
        if path is None:
            missing.append(index.parent / values["file"])
            continue
        split = split or _split_of_folder(path, index.parent)
        if split != "other" and "label" not in columns:
            raise _missing(index, "label", header)
        rows.append(
            Row(
                line, values["file"], path, values.get("label", ""), split,
                values.get("source", ""), values.get("sha256", ""),
            )
        )  # fmt: skip
    if missing:
        raise DataError(f"{index} lists {len(missing)} missing files, for example {missing[0]}.")
    if not rows:
        raise DataError(f"{index} lists no photos.")
    return rows


def _is_usable(path: Path) -> bool:
    try:
        columns = _columns(path, _table(path)[0])
    except DataError:
        return False
    return "label" in columns


def _table(index: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header, and the number and cells of each line that is not blank."""
    text, delimiter, skipped = _decode(index), "", 0
    if text[:4].lower() == "sep=":  # a hint for Excel
        hint, _, text = text.partition("\n")
        delimiter, skipped = hint[4:5], 1
    delimiter = delimiter or max(",;\t|", key=text.lstrip("\n").partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    try:
        table = [
            (reader.line_num + skipped, [cell.strip() for cell in cells])
            for cells in reader
            if any(cell.strip() for cell in cells)
        ]
    except csv.Error as error:
        raise DataError(f"{index}, line {reader.line_num}: {error}.") from None
    if not table:
        raise DataError(f"{index} is empty.")
    return table[0][1], table[1:]


def _decode(index: Path) -> str:
    """Decode UTF-8, UTF-16 with a byte order mark, or else Windows-1252; unify line ends."""
    with index.open("rb") as stream:
        start = stream.read(4096)
        wide = start.startswith((b"\xff\xfe", b"\xfe\xff"))
        if b"\0" in start and not wide:
            raise DataError(
                f"{index} is not a CSV file. To read an archive, run "
                f"`python -m training data --fetch {index} --output index.csv`."
            )
        content = start + stream.read()
    for encoding in ["utf-16"] if wide else ["utf-8-sig", "cp1252"]:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return text.replace("\r\n", "\n").replace("\r", "\n")
    raise DataError(f"{index} is neither UTF-8 nor Windows-1252. Save it as UTF-8.")


def _columns(index: Path, header: list[str]) -> dict[str, int]:
    """Return the position of each known column. Raises DataError if it is ambiguous or no file."""
    names = [name.casefold().translate(dict.fromkeys(map(ord, " _-"))) for name in header]
    columns = {}
    for column, others in COLUMNS.items():
        for candidates in ((column,), others, _LAST_RESORT.get(column, ())):
            positions = [place for place, name in enumerate(names) if name in candidates]
            if len(positions) > 1:
                choices = " or ".join(repr(header[position]) for position in positions)
                raise DataError(
                    f"{index}: column {column!r} could be {choices}. Rename the right one to "
                    f"{column!r}."
                )
            if positions:
                columns[column] = positions[0]
                break
    if "file" not in columns:
        raise _missing(index, "file", header)
    return columns


def _missing(index: Path, column: str, header: list[str]) -> DataError:
    return DataError(
        f"{index} has no column {column!r}. Its columns: {', '.join(header)}. Needed: file (or "
        "filename, path, image, id) and label (or breed, class, category); split is optional."
    )


def _split(index: Path, line: int, value: str) -> str:
    if split := folder_layout.split_of(value):
        return split
    raise DataError(
        f"{index}, line {line}: unknown split {value!r}. Allowed: "
        f"{', '.join(folder_layout.SPLITS)}."
    )


def _split_of_folder(path: Path, root: Path) -> str:
    """Return the split that a folder below `root` on the way to `path` is named after, or train."""
    # Outside of `root`, only SPLIT/BREED/x.jpg or SPLIT/x.jpg: a user may be called test.
    folders = path.relative_to(root).parts if path.is_relative_to(root) else path.parts[-3:]
    return next(
        (split for name in folders[:-1] if (split := folder_layout.split_of(name))), "train"
    )


class _FilesByName:
    """The photos below a folder, by path and by name, each with and without its suffix."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._paths: dict[str, list[Path]] | None = None

    def locate(self, index: Path, line: int, name: str, split: str) -> Path | None:
        """Return the file that `index` calls `name`. Raises DataError if there are several."""
        if not name:
            raise DataError(f"{index}, line {line}: no file.")
        path = self._root / name
        if path.is_file():
            return path
        if self._paths is None:
            self._paths = self._read()
        paths = self._paths.get(_key(name.replace("\\", "/")), [])
        if len(paths) > 1 and split:
            paths = [path for path in paths if _split_of_folder(path, self._root) == split]
        if len(paths) > 1:
            raise DataError(
                f"{index}, line {line}: {name} could be {paths[0]} or {paths[1]}. Add the folder."
            )
        return paths[0] if paths else None

    def _read(self) -> dict[str, list[Path]]:
        paths = defaultdict(list)
        for path in folder_layout.files(self._root):
            relative = path.relative_to(self._root)
            names = {relative, relative.with_suffix(""), Path(path.name), Path(path.stem)}
            for name in names:
                paths[_key(name.as_posix())].append(path)
        return paths


def _key(name: str) -> str:
    """Return `name` without differences of Unicode form and case, which macOS ignores."""
    return normalize("NFC", PurePosixPath(name).as_posix()).casefold()

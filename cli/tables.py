"""Tables for the terminal."""

from collections.abc import Sequence


def render(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns: cells that are numbers to the right, others to the left."""
    columns = []
    for head, *cells in zip(heads, *rows, strict=True):
        width = max(map(len, (head, *cells)))
        align = str.rjust if cells and all(map(_is_number, cells)) else str.ljust
        columns.append([align(cell, width) for cell in (head, *cells)])
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))


def _is_number(cell: str) -> bool:
    """Whether a cell holds a figure such as `$1.20`, `93%`, `2:05` or `-` for a missing one."""
    return cell.strip("$%+-0123456789.,:") == ""

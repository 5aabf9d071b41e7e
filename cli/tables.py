"""Tables for the terminal."""

from collections.abc import Sequence


def render(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns: cells that are numbers to the right, others to the left."""
    lines = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    right = [
        bool(rows) and all(_is_number(row[column]) for row in rows) for column in range(len(heads))
    ]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def _is_number(cell: str) -> bool:
    """Whether a cell holds a figure such as `$1.20`, `93%`, `2:05` or `-` for a missing one."""
    return cell.strip("$%+-0123456789.,:") == ""

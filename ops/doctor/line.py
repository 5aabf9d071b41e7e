"""One line of the doctor's report."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The state of what a line is about. Only BLOCKS makes `up` and the doctor fail."""

    OK = "ok"
    TO_DO = "to do"
    """Missing, and `up` creates it."""
    WARNING = "warning"
    UNKNOWN = "unknown"
    """Could not be checked."""
    BLOCKS = "blocks"


@dataclass(frozen=True, slots=True)
class Line:
    """The result of a check: what was looked at, what was found, and how to fix it."""

    status: Status
    subject: str
    detail: str
    fix: str = ""

"""One thing that should be mended."""

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How bad: HIGH can be used against you today, MEDIUM makes that worse, LOW costs."""

    HIGH = 1
    MEDIUM = 2
    LOW = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with which resource, and the command that mends it."""

    severity: Severity
    resource: str
    problem: str
    mend: str

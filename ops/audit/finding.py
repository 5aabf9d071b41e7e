"""A finding of the audit."""

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """HIGH can be exploited today, MEDIUM makes an attack worse, LOW costs money."""

    HIGH = 1
    MEDIUM = 2
    LOW = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of a resource, and the command or change that fixes it."""

    severity: Severity
    resource: str
    problem: str
    fix: str

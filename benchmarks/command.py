"""The command line that every part has, and what must happen however it ends."""

import argparse
import json
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from benchmarks import table
from benchmarks.processes import ServerFailed
from benchmarks.scale import FULL, QUICK, Scale
from benchmarks.table import Row

Measure = Callable[[Scale], tuple[list[Row], dict[str, Any]]]
"""Rows for the table, and what else was found, ready for JSON."""


def main(name: str, measure: Measure, description: str | None) -> None:
    """Run one part by itself and exit: 0 where all rows held."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a smoke whose figures mean little")
    options = parser.parse_args()
    end_on_signals()
    try:
        rows, details = measure(QUICK if options.quick else FULL)
    except ServerFailed as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    print(json.dumps(details, indent=1))
    if rows:
        print(table.text(rows))
    sys.exit(0 if all(row.held for row in rows) else 1)


def end_on_signals() -> None:
    """SIGTERM and SIGHUP end the program as Ctrl-C does: through every `finally`."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt

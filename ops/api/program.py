"""A program of this folder: its options, and its errors told in one line."""

import argparse
import sys
from collections.abc import Callable, Sequence

from training.errors import TrainingError


def main(
    name: str,
    description: str | None,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], None],
    argv: Sequence[str] | None = None,
    *,
    interrupted: str = "interrupted",
) -> int:
    """The exit code of `python -m scripts.NAME`: 0 only if it did its work.

    `description` is what --help prints; `interrupted` is said after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m scripts.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    arguments = parser.parse_args(argv)
    try:
        run(arguments)
    except TrainingError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{name}: {interrupted}", file=sys.stderr)
        return 130
    return 0

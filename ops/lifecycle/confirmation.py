"""One question before something costs money or is removed."""

import sys


def confirmed(question: str) -> bool:
    """Ask on the terminal and return whether the answer is y. Without a terminal it is no."""
    if not sys.stdin.isatty():
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")

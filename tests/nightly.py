"""How long the long tests are: `make nightly` sets NIGHTLY=1, every other run keeps them short."""

import os


def often(usually: int, *, nightly: int) -> int:
    """`usually`, or `nightly` on the nights."""
    return nightly if os.environ.get("NIGHTLY") == "1" else usually

"""The length of the fuzz and soak tests: `make nightly` sets NIGHTLY=1 and makes them longer."""

import os

NIGHTLY = os.environ.get("NIGHTLY") == "1"


def often(usually: int, *, nightly: int) -> int:
    """Return `nightly` if NIGHTLY=1, else `usually`."""
    return nightly if NIGHTLY else usually

"""The packages of tests/npm/package.json: tools that judge the product, and no part of it."""

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent / "npm"


def installed() -> Path:
    """The folder `node_modules`, filled when first asked for; skips where there is no npm."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not on this machine")
    packages = FOLDER / "node_modules"
    lock = FOLDER / "package-lock.json"
    made_from = packages / ".made-from"  # the lock file as it was when they were installed
    if not made_from.is_file() or made_from.read_bytes() != lock.read_bytes():
        subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=FOLDER,
            check=True,
            capture_output=True,
            timeout=300,
        )
        shutil.copy(lock, made_from)
    return packages

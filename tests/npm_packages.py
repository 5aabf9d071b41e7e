"""Install the npm packages that the tests use: tests/npm/package.json."""

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent / "npm"


def installed() -> Path:
    """Install the packages if the lock has changed, and return `node_modules`.

    Skips the test if there is no npm.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not on this machine")
    packages = FOLDER / "node_modules"
    lock = FOLDER / "package-lock.json"
    installed_lock = packages / ".installed-lock.json"
    with lock.open("rb") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)  # test processes that run in parallel install once
        if not installed_lock.is_file() or installed_lock.read_bytes() != locked.read():
            subprocess.run(
                [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
                cwd=FOLDER,
                check=True,
                capture_output=True,
                timeout=300,
            )
            shutil.copy(lock, installed_lock)
    return packages

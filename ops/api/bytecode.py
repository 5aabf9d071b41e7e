"""Bytecode for the bundle. Lambda's /var/task is read-only: a function without it compiles all its
sources at every cold start, Chalice's with them, which takes longer than to import them.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from aws.errors import AwsError

TASK = "/var/task"
"""Where Lambda unpacks a bundle: the path that tracebacks show."""


def compiled(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The `.pyc` of each Python file of `files`, under the names where Python looks for them.

    They are for the Python that runs this, as the function is (Chalice chooses its runtime so), and
    the same for the same sources. They are not held against their sources when they are loaded
    (PEP 552, unchecked): nobody edits /var/task. Raises `AwsError` where a file does not compile.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in files.items():
            if file.endswith(".py"):
                path = folder / PurePosixPath(file)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        # In a process of its own: what is interned already would show in the bytes.
        ended = subprocess.run(
            [
                *(sys.executable, "-I", "-m", "compileall", "-q"),
                *("--invalidation-mode", "unchecked-hash"),
                *("-s", name, "-p", TASK, name),
            ],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise AwsError(f"the bundle does not compile: {ended.stdout.strip()}")
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*.pyc"))
        }

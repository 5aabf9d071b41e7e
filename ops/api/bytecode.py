"""Bytecode for the bundle.

/var/task is read-only on Lambda. Without bytecode in the bundle, every cold start compiles all
sources, including Chalice's, which takes longer than importing them.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from aws.errors import AwsError

TASK = "/var/task"
"""The folder Lambda unpacks a bundle to, which tracebacks show."""


def compile_sources(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the `.pyc` of each Python file in `files`, by the path Python loads it from.

    The bytecode is for the running Python, whose version is also the one of the function, because
    Chalice picks the runtime by it. Equal sources give equal bytes. Python does not compare the
    bytecode with the sources when loading (PEP 552, unchecked): /var/task never changes. Raises
    AwsError if a file does not compile.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in files.items():
            if file.endswith(".py"):
                path = folder / PurePosixPath(file)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        # A process of its own, because strings that this one has interned would change the bytes.
        process = subprocess.run(
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
        if process.returncode:
            raise AwsError(f"The bundle does not compile: {process.stdout.strip()}")
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*.pyc"))
        }

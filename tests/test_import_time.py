"""A limit for the processor time of `import app`, which is part of every cold start.

It is relative to importing botocore in the same run, so that it also holds on slow machines.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
STARTS = 5
CEILING = 1.35
"""Measured: 1.1. Chalice and this package take the rest; `requests` would add 0.5."""

CLOCKED = """
import time
start = time.process_time()
{imports}
duration = time.process_time() - start
import sys
print(duration, file=sys.stderr)
"""


def seconds_of(imports: str) -> float:
    """Return the processor seconds of `imports` in a new process."""
    completed = subprocess.run(
        [sys.executable, "-c", CLOCKED.format(imports=imports)],
        cwd=ROOT,
        env={**os.environ, "ENDPOINT_NAME": "whatbreed-local"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return float(completed.stderr)


def test_import_time_of_the_app() -> None:
    seconds_of("import app")  # writes bytecode and fills the page cache
    timings = [
        (seconds_of("import app"), seconds_of("import botocore.session")) for _ in range(STARTS)
    ]
    ratio = median(app for app, _ in timings) / median(botocore for _, botocore in timings)
    assert ratio <= CEILING, (
        f"import app: {ratio:.2f} times botocore.session; {json.dumps(timings)}"
    )

"""A ceiling for what `import app` costs: every cold start of the function pays it.

As a ratio to importing botocore, which nothing that calls AWS can do without, in the same run, by
processor time: so it holds on a slow machine and on a busy one.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
STARTS = 7
CEILING = 1.35
"""Measured: 1.1. What is above botocore is Chalice and ourselves; `requests` would add 0.5."""

CLOCKED = """
import time
began = time.process_time()
{imports}
took = time.process_time() - began
import sys
print(took, file=sys.stderr)
"""


def seconds_of(imports: str) -> float:
    """Processor seconds of `imports` in a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-c", CLOCKED.format(imports=imports)],
        cwd=ROOT,
        env={**os.environ, "ENDPOINT_NAME": "whatbreed-local"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return float(ended.stderr)


def test_importing_the_app_costs_little_more_than_botocore() -> None:
    seconds_of("import app")  # writes the bytecode, reads the files
    taken = [
        (seconds_of("import app"), seconds_of("import botocore.session")) for _ in range(STARTS)
    ]
    ratio = median(app for app, _ in taken) / median(botocore for _, botocore in taken)
    assert ratio <= CEILING, f"import app: {ratio:.2f} times botocore.session; {json.dumps(taken)}"

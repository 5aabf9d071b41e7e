"""Run all benchmarks and update the published results.

    python -m benchmarks                       # 15 minutes, on an idle machine
    python -m benchmarks --only startup large
    python -m benchmarks --quick               # a minute, without peers

A full run writes benchmarks/results.json and the tables in README.md and docs/performance.md. The
exit code is 0 if all targets are met, 1 if one is not, 2 if a part failed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    bare_loop,
    document,
    lambda_function,
    large_images,
    peers_comparison,
    results,
    startup,
)
from benchmarks.processes import ServerFailed, interrupt_on_signals
from benchmarks.results import Row
from benchmarks.scale import FULL, QUICK, Scale
from benchmarks.stacks import PEERS_PYTHON

PARTS: dict[str, Callable[[Scale], tuple[list[Row], dict[str, Any]]]] = {
    "peers": peers_comparison.measure,
    "bare": bare_loop.measure,
    "large": large_images.measure,
    "startup": startup.measure,
    "lambda": lambda_function.measure,
}
MAX_LOAD = 0.5
"""Load average of the last minute above which the figures mean little."""
PEER_PACKAGES = (
    "torch",
    "torchserve",
    "sagemaker-pytorch-inference",
    "timm",
    "litserve",
    "bentoml",
)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="check that everything runs")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--output", type=Path, help="file for the results as JSON")
    options = parser.parse_args()
    interrupt_on_signals()
    scale = QUICK if options.quick else FULL
    if scale.peers and "peers" in options.only and (missing := _missing()):
        print(f"{missing} `make bench` installs the peers.", file=sys.stderr)
        return 2
    if (load := os.getloadavg()[0]) > MAX_LOAD:
        print(f"This machine is busy (load {load:.1f}): the figures mean little.", file=sys.stderr)
    try:
        rows, details, failed = _measure(options.only, scale)
        content = results.document(rows, details, _peer_versions() if scale.peers else {})
    except KeyboardInterrupt:
        print("interrupted: no results written", file=sys.stderr)
        return 130
    print(json.dumps(details, indent=1))
    machine = content["machine"]
    print(f"\n{machine['cpu']}, {machine['cores']} cores, {content['date']}\n")
    print(results.markdown(rows))
    complete = not options.quick and set(options.only) == set(PARTS) and not failed
    if output := options.output or (document.RESULTS if complete else None):
        results.write(output, content)
        print(f"\nResults: {output}")
        if output == document.RESULTS:
            document.write(content)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
        return 2
    return 0 if all(row.met for row in rows) else 1


def _measure(parts: list[str], scale: Scale) -> tuple[list[Row], dict[str, Any], list[str]]:
    """Return the rows and details of all parts, and the names of those that failed."""
    rows: list[Row] = []
    details: dict[str, Any] = {}
    failed = []
    for part in parts:
        try:
            part_rows, details[part] = PARTS[part](scale)
        except ServerFailed as error:
            print(f"{part}: {error}", file=sys.stderr)
            failed.append(part)
        else:
            rows += part_rows
            print(results.markdown(part_rows), flush=True)  # a later part may fail
    return rows, details, failed


def _missing() -> str:
    if not PEERS_PYTHON.exists():
        return f"{PEERS_PYTHON} does not exist."
    return (
        "" if shutil.which("java") else "TorchServe needs Java 17 (Debian: default-jre-headless)."
    )


def _peer_versions() -> dict[str, str]:
    """The versions of the peers' packages; empty if they are not installed."""
    program = (
        "import json, sys\n"
        "from importlib.metadata import version\n"
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    if not PEERS_PYTHON.exists():
        return {}
    completed = subprocess.run(
        [str(PEERS_PYTHON), "-c", program, *PEER_PACKAGES],
        capture_output=True,
        text=True,
        check=False,
    )
    versions: dict[str, str] = json.loads(completed.stdout) if completed.returncode == 0 else {}
    return versions


if __name__ == "__main__":
    sys.exit(main())

"""All benchmarks, one table: what `make bench` runs.

    python -m benchmarks                    # a quarter of an hour, on an idle machine
    python -m benchmarks --only ready large
    python -m benchmarks --quick            # a smoke of a minute, without peers

A full run writes benchmarks/results.json when it is through, and the tables of README.md and
docs/performance.md with it. Exit code 0 where every row held, 1
where one did not, 2 where a part could not be measured.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import against_peers, bare, command, document, function, large, ready, table
from benchmarks.processes import ServerFailed
from benchmarks.scale import FULL, QUICK
from benchmarks.stacks import PEERS_PYTHON
from benchmarks.table import Row

PARTS: dict[str, command.Measure] = {
    "peers": against_peers.measure,
    "bare": bare.measure,
    "large": large.measure,
    "ready": ready.measure,
    "lambda": function.measure,
}
MAX_LOAD = 0.5
"""Processes that want to run, in the mean of the last minute, before anything is measured."""
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
    parser.add_argument("--quick", action="store_true", help="a smoke whose figures mean little")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--output", type=Path, help="where a full run writes its results")
    options = parser.parse_args()
    command.end_on_signals()
    scale = QUICK if options.quick else FULL
    if scale.peers and "peers" in options.only and (missing := _missing()):
        print(f"{missing}; `make bench` sets the peers up", file=sys.stderr)
        return 2
    if (busy := os.getloadavg()[0]) > MAX_LOAD:
        print(f"this machine is busy (load {busy:.1f}): the figures mean little", file=sys.stderr)
    rows: list[Row] = []
    details: dict[str, Any] = {}
    failed = []
    content: dict[str, Any] = {}
    try:
        for part in options.only:
            try:
                found, details[part] = PARTS[part](scale)
            except ServerFailed as error:
                print(f"{part}: {error}", file=sys.stderr)
                failed.append(part)
            else:
                rows += found
                print(table.text(found), flush=True)  # whatever becomes of the parts to come
        content = table.document(rows, details, _peer_versions() if scale.peers else {})
    except KeyboardInterrupt:
        print("interrupted: nothing is written", file=sys.stderr)
        return 130
    print(json.dumps(details, indent=1))
    print(
        f"\n{content['machine']['cpu']}, {content['machine']['cores']} cores, {content['date']}\n"
    )
    print(table.text(rows))
    whole = not options.quick and set(options.only) == set(PARTS) and not failed
    if output := options.output or (document.RESULTS if whole else None):
        table.write(output, content)
        print(f"\nwritten: {output}")
        if output == document.RESULTS:
            document.write(content)
    if failed:
        print(f"not measured: {', '.join(failed)}", file=sys.stderr)
        return 2
    return 0 if all(row.held for row in rows) else 1


def _missing() -> str:
    if not PEERS_PYTHON.exists():
        return f"{PEERS_PYTHON} is missing"
    return "" if shutil.which("java") else "TorchServe needs Java 17 (Debian: default-jre-headless)"


def _peer_versions() -> dict[str, str]:
    """The versions of what the peers run on; empty where they are not set up."""
    program = (
        "import json, sys\n"
        "from importlib.metadata import version\n"
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    if not PEERS_PYTHON.exists():
        return {}
    ended = subprocess.run(
        [str(PEERS_PYTHON), "-c", program, *PEER_PACKAGES],
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, str] = json.loads(ended.stdout) if ended.returncode == 0 else {}
    return found


if __name__ == "__main__":
    sys.exit(main())

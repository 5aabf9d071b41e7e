"""Run all benchmarks and update the published results.

    python -m benchmarks                       # 15 minutes, on an idle machine
    python -m benchmarks --only startup large
    python -m benchmarks --quick               # two minutes, without peers
    python -m benchmarks --avx2                # as if this CPU had no newer instruction sets

A full run writes the results of this kind of CPU to benchmarks/measured and the tables in README.md
and docs/performance.md. A part or a peer that fails is left out, and the results go to
build/benchmarks. The exit code is 0 if all targets are met, 1 if one is not, 2 if something is
missing.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    bare_loop,
    cpu,
    document,
    lambda_function,
    large_images,
    peers_comparison,
    results,
    startup,
)
from benchmarks.processes import ROOT, interrupt_on_signals
from benchmarks.results import Row
from benchmarks.scale import FULL, QUICK, SMOKE, Scale
from benchmarks.stacks import PEERS_PYTHON

Parts = dict[str, Callable[[Scale], tuple[list[Row], dict[str, Any]]]]

PARTS: Parts = {
    "peers": peers_comparison.measure,
    "bare": bare_loop.measure,
    "large": large_images.measure,
    "startup": startup.measure,
    "lambda": lambda_function.measure,
}
INCOMPLETE = ROOT / "build" / "benchmarks"
"""Folder for results that are not published."""
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
    scales = parser.add_mutually_exclusive_group()
    scales.add_argument("--quick", action="store_true", help="two minutes, without peers")
    scales.add_argument("--smoke", action="store_true", help="only check that everything runs")
    parser.add_argument(
        "--avx2", action="store_true", help="switch off the instruction sets newer than AVX2"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--output", type=Path, help="file for the results as JSON")
    options = parser.parse_args()
    interrupt_on_signals()
    if options.avx2:
        cpu.restrict_to_avx2()
    scale = QUICK if options.quick else SMOKE if options.smoke else FULL
    if (load := os.getloadavg()[0]) > MAX_LOAD:
        print(f"This machine is busy (load {load:.1f}): the figures mean little.", file=sys.stderr)
    try:
        rows, details, left_out = measure({name: PARTS[name] for name in options.only}, scale)
        content = results.document(rows, details, _peer_versions() if scale.peers else {})
    except KeyboardInterrupt:
        print("interrupted: no results written", file=sys.stderr)
        return 130
    print(json.dumps(details, indent=1))
    print(f"\n{document.machine(content)}\n")
    print(results.markdown(rows))
    published = document.path(content["machine"]["kind"])
    complete = scale is FULL and set(options.only) == set(PARTS) and not left_out
    if content["machine"]["restricted"] and published.exists():
        # Results of a CPU that is really of this kind are better than those of a restricted one.
        complete &= results.read(published)["machine"]["restricted"]
    if complete and not options.output:
        results.write(published, content)
        document.write(document.read())
        print(f"\nResults: {published}\nRun `make docs`: prices per prediction depend on them.")
    else:
        output = options.output or INCOMPLETE / published.name
        output.parent.mkdir(parents=True, exist_ok=True)
        results.write(output, content)
        print(f"\nResults, not published: {output}")
    if scale is QUICK and published.exists():
        print(f"\n{results.changes(content, results.read(published))}")
    for name, reason in left_out.items():
        print(f"Left out: {name}: {reason}", file=sys.stderr)
    if left_out:
        return 2
    return 0 if all(row.met for row in rows) else 1


def measure(parts: Parts, scale: Scale) -> tuple[list[Row], dict[str, Any], dict[str, str]]:
    """Return the rows and details of all parts, and the reason for each one left out."""
    rows: list[Row] = []
    details: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for name, part in parts.items():
        try:
            part_rows, details[name] = part(scale)
        except Exception as error:  # the other parts can still be measured
            left_out[name] = f"{type(error).__name__}: {error}"
            print(f"{name}: {left_out[name]}", file=sys.stderr)
        else:
            rows += part_rows
            left_out |= details[name].pop("left_out", {})
            print(results.markdown(part_rows), flush=True)  # a later part may fail
    return rows, details, left_out


def _peer_versions() -> dict[str, str]:
    """The versions of the peers' packages that are installed."""
    program = (
        "import json, sys\n"
        "from importlib.metadata import distributions\n"
        "installed = {d.metadata['Name'].lower(): d.version for d in distributions()}\n"
        "print(json.dumps({n: installed[n] for n in sys.argv[1:] if n in installed}))"
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

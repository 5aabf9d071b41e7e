"""A copy of the project: what a deployment writes lands there, and a test may change the copy."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.servers import ROOT

PARTS = (
    ".chalice", "app.py", "chalicelib", "docs/samples", "model_code", "requirements.txt",
    "scripts", "training",
)  # fmt: skip
_IGNORED = shutil.ignore_patterns(
    "__pycache__", "deployed", "deployments", "policy-*.json", "default", "*.html.tmp"
)
ACCOUNT = "123456789012"
REGION = "eu-central-1"


def copy(folder: Path) -> Path:
    """A copy of all that a deployment needs, in `folder`, without anything that was generated."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=_IGNORED)
        else:
            shutil.copy2(source, target)
    return folder


def write_policy(project: Path, stage: str) -> None:
    """The stage's policy, made by the command that the error message names."""
    command = [sys.executable, "-m", "training", "policy", "--stage", stage]
    subprocess.run(
        [*command, "--account", ACCOUNT, "--region", REGION],
        cwd=project,
        check=True,
        capture_output=True,
        timeout=60,
    )

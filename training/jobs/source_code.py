"""Pack the code of a job, which runs in the container at /opt/ml/input/data/code."""

import shutil
from pathlib import Path

from cli import settings
from training import provenance

ROOT = provenance.ROOT
PACKAGES = ("training", "model_code", "cli")
ENTRY_SCRIPT = "training/train.py"
REQUIREMENTS = "requirements.txt"

# A job trains its own model and starts no jobs.
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", "default", "jobs", ".*", "*.writing")


def pack(folder: Path) -> None:
    """Copy the packages, settings.toml, requirements and commit of a job into `folder`."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=_IGNORED)
    shutil.copy(Path(__file__).with_name(REQUIREMENTS), folder / REQUIREMENTS)
    shutil.copy(settings.settings_file(), folder / settings.PATH.name)
    (folder / provenance.COMMIT_FILE).write_text(provenance.commit() or "", encoding="utf-8")

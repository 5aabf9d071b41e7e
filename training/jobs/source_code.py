"""The code of a job: what is packed is what runs in the container, at /opt/ml/input/data/code."""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("training", "model_code")
ENTRY_SCRIPT = "training/train.py"
REQUIREMENTS = "requirements.txt"

# A training job neither calls AWS nor draws reports; each package costs it seconds of every start.
_ONLY_AT_HOME = frozenset({"boto3", "sagemaker", "optuna", "matplotlib", "requests"})


def pack(folder: Path) -> None:
    """Copy the packages `training` and `model_code` and their requirements into `folder`.

    The model that the project ships stays behind: a job makes its own.
    """
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package,
            folder / package,
            ignore=shutil.ignore_patterns("__pycache__", "*.pyc", "default", ".*", "*.writing"),
        )
    (folder / REQUIREMENTS).write_text("\n".join(requirements()) + "\n", encoding="utf-8")


def requirements() -> list[str]:
    """What pip installs in the container: the pins of training/requirements.txt that a job needs.

    torch stays in the list: the image of the same version satisfies it.
    """
    lines = (ROOT / "training" / REQUIREMENTS).read_text(encoding="utf-8").splitlines()
    pins = [line.strip() for line in lines if line.strip() and not line.startswith(("#", "-"))]
    return [pin for pin in pins if re.split(r"[=<>!~\[; ]", pin)[0] not in _ONLY_AT_HOME]

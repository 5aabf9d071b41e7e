"""What a model was trained with: the command, the commit of the code, and the job or run in AWS."""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMIT_FILE = "COMMIT"
"""The file with the commit in the code of a job, which has no Git repository."""
RUN_VARIABLE = "WHATBREED_RUN"
"""The environment variable with the name of an EC2 run."""


def commit(root: Path = ROOT) -> str | None:
    """Return the Git commit of the code in `root`, with `-dirty` if files were changed.

    Returns None if there is no repository, or no Git.
    """
    recorded = root / COMMIT_FILE
    if recorded.is_file():
        return recorded.read_text(encoding="utf-8").strip() or None
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],  # noqa: S607
            cwd=root,
            env={**os.environ, "GIT_CEILING_DIRECTORIES": str(root.parent)},
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip() or None


def job(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the name of the SageMaker job, or of the EC2 run, that this process is part of.

    https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
    """
    return environment.get("TRAINING_JOB_NAME") or environment.get(RUN_VARIABLE)


def command_line(arguments: Sequence[str]) -> str:
    """Return the command of a run, whichever launcher started it.

    `arguments` are those of `sys.argv`. Of absolute paths only the name remains: the model is
    public, and its command should not name folders of the machine that trained it.
    """
    words = ["train"] if Path(arguments[0]).name == "train.py" else []
    for argument in arguments[1:]:
        option, equals, value = argument.rpartition("=")
        words.append(option + equals + (Path(value).name if Path(value).is_absolute() else value))
    return shlex.join(["python", "-m", "training", *words])

"""A copy of what Chalice deploys, which a test can change and commands write to."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aws import role_policies, stages
from aws.account import Account
from aws.settings import AwsSettings
from ops.api import bundle
from ops.api.bundle import Bundle
from tests.servers import ROOT

PARTS = (".chalice", "app.py", "chalicelib", "requirements.txt")
ACCOUNT = "123456789012"
REGION = "eu-central-1"
_IGNORED = shutil.ignore_patterns("__pycache__", "deployed", "deployments", "policy-*.json")


def copy(folder: Path) -> Path:
    """Copy the project to `folder`, without generated files."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=_IGNORED)
        else:
            shutil.copy2(ROOT / part, folder / part)
    return folder


@contextmanager
def in_use(project: Path) -> Iterator[None]:
    """Make commands and functions in the block use `project`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(stages.PROJECT_VARIABLE, str(project))
        yield


def package(project: Path, stage: str, folder: Path) -> Bundle:
    """Package `project`, whose policy must exist."""
    with in_use(project):
        return bundle.package(stage, REGION, folder)


def write_policy(project: Path, stage: str) -> None:
    """Write the stage's policy, as `ops api release` does."""
    account = Account(AwsSettings.read({"region": REGION}))
    account.id = ACCOUNT
    with in_use(project):
        policy = role_policies.lambda_(account, stages.read(stage))
    (project / ".chalice" / f"policy-{stage}.json").write_text(json.dumps(policy))


def change_config(project: Path, stage: str | None = None, **values: Any) -> None:
    """Set keys of config.json, of all stages or of one. None removes a key."""
    path = project / ".chalice" / "config.json"
    config = json.loads(path.read_text())
    keys = config["stages"][stage] if stage else config
    keys.update(values)
    for key, value in values.items():
        if value is None:
            del keys[key]
    path.write_text(json.dumps(config))


def add_route(project: Path) -> None:
    """Add `GET /new` to app.py."""
    route = '\n\n@app.route("/new")\ndef new() -> dict[str, str]:\n    return {}\n'
    app = project / "app.py"
    app.write_text(app.read_text() + route)

"""Chalice's own command line without the stage's policy: one line says how to make it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ops.api.project import REGION, write_policy
from tests.servers import HOST, free_port


def chalice(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Chalice's command line, with an AWS that nobody answers for."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("chalice")), *arguments],
        cwd=project,
        env={
            **os.environ,
            "AWS_ENDPOINT_URL": f"http://{HOST}:{free_port()}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
        },
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize(
    ("command", "stage"),
    [
        (["deploy", "--stage", "dev"], "dev"),
        (["deploy", "--stage", "dev", "--no-autogen-policy"], "dev"),
        (["deploy"], "dev"),
        (["package", "--stage", "prod", "build"], "prod"),
    ],
)
def test_without_a_policy_it_says_how_to_make_one(
    project: Path, command: list[str], stage: str
) -> None:
    ended = chalice(project, *command)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        f".chalice/policy-{stage}.json is missing: make it with "
        f"`python -m training policy --stage {stage}`"
    ]
    assert not (project / "build").exists()


def test_with_the_policy_it_goes_on(project: Path) -> None:
    write_policy(project, "dev")
    ended = chalice(project, "package", "--stage", "dev", "build")
    assert ended.returncode == 0, ended.stderr
    assert (project / "build" / "sam.json").is_file()


def test_what_needs_no_policy_of_a_file_goes_on(project: Path) -> None:
    assert chalice(project, "package", "--stage", "local", "build/local").returncode == 0
    file = project / ".chalice" / "config.json"
    config = json.loads(file.read_text())
    del config["stages"]["dev"]["iam_policy_file"]  # Chalice's own name of it is the same
    file.write_text(json.dumps(config))
    ended = chalice(project, "package", "--stage", "dev", "build/dev")
    assert ".chalice/policy-dev.json is missing" in ended.stderr
    config["stages"]["dev"]["autogen_policy"] = True
    file.write_text(json.dumps(config))
    assert chalice(project, "package", "--stage", "dev", "build/dev").returncode == 0


def test_lambda_does_not_import_it(project: Path) -> None:
    program = "import sys, app; print('chalicelib.preflight' in sys.modules)"
    environment = {**os.environ, "ENDPOINT_NAME": "whatbreed-dev"}
    environment.pop("AWS_CHALICE_CLI_MODE", None)
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.stdout == "False\n", ended.stderr

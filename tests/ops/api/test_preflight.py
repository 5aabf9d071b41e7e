"""Chalice's own command line without the stage's policy: one line with the command to run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ops.api.project import REGION, change_config, write_policy
from tests.servers import HOST, free_port


def chalice(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Chalice's command line without an AWS that responds."""
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
def test_without_a_policy_the_error_names_the_command(
    project: Path, command: list[str], stage: str
) -> None:
    process = chalice(project, *command)
    assert process.returncode == 1
    [line] = process.stderr.splitlines()
    assert f".chalice/policy-{stage}.json" in line
    assert f"`python -m ops policy --stage {stage}`" in line
    assert not (project / "build").exists()


def test_with_the_policy_it_packages(project: Path) -> None:
    write_policy(project, "dev")
    process = chalice(project, "package", "--stage", "dev", "build")
    assert process.returncode == 0, process.stderr
    assert (project / "build" / "sam.json").is_file()


def test_a_stage_that_needs_no_policy_file_packages(project: Path) -> None:
    assert chalice(project, "package", "--stage", "local", "build/local").returncode == 0
    change_config(project, "dev", autogen_policy=True)
    assert chalice(project, "package", "--stage", "dev", "build/dev").returncode == 0


def test_chalices_default_policy_file_is_required_too(project: Path) -> None:
    change_config(project, "dev", iam_policy_file=None)
    process = chalice(project, "package", "--stage", "dev", "build/dev")
    assert ".chalice/policy-dev.json" in process.stderr


def test_lambda_does_not_import_it(project: Path) -> None:
    program = "import sys, app; print('chalicelib.preflight' in sys.modules)"
    environment = {**os.environ, "ENDPOINT_NAME": "whatbreed-dev"}
    environment.pop("AWS_CHALICE_CLI_MODE", None)
    process = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.stdout == "False\n", process.stderr

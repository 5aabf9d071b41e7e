"""The serving image: linted, rehearsed without Docker, built by Docker or CodeBuild."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import boto3
import pytest

from ops.endpoint import codebuild, model_archive, serving_image
from tests.emulator.fixtures import ACCOUNT, BUCKET, REGION, Command
from tests.ops.endpoint import rehearsal
from training.jobs.source_code import ROOT

DOCKERFILE = ROOT / "model_code" / "Dockerfile"
ASK = """
import json, sys, time, urllib.error, urllib.request
def ask(path, body=None, kind="image/png"):
    request = urllib.request.Request("http://127.0.0.1:8080" + path, body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
for _ in range(300):
    try:
        ping = ask("/ping")[0]
        break
    except OSError:
        time.sleep(0.1)
else:
    ping = None
photo = open(sys.argv[1], "rb").read()
answers = {"ping": ping, "photo": ask("/invocations", photo), "bad": ask("/invocations", b"x")}
print(json.dumps(answers))
"""


def test_lint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_the_dockerfile_promises() -> None:
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
    model_archive.pack(tiny_model_dir, tmp_path / "model.tar.gz")
    with tarfile.open(tmp_path / "model.tar.gz") as archive:
        archive.extractall(root / "opt" / "ml" / "model", filter="data")
    photo = tmp_path / "photo.png"
    photo.write_bytes(encode((200, 30, 30)))
    health = rehearsal.in_container(last, root, rehearsal.health_command(last))
    script = "\n".join(
        [
            "set -e",
            rehearsal.mounts(root),
            "ip link set lo up",
            f"{rehearsal.start_command(last, root)} > {shlex.quote(str(tmp_path / 'log'))} 2>&1 &",
            "server=$!",
            f"{sys.executable} -c {shlex.quote(ASK)} {shlex.quote(str(photo))}",
            f"{health} && echo healthy",
            f"awk '/^Uid/ {{print $2}}' {shlex.quote(str(root))}/proc/$server/status",
            "kill -TERM $server; wait $server || echo $?",
        ]
    )
    done = subprocess.run(
        ["unshare", "-n", "-m", "-p", "-f", "--kill-child=KILL", "bash", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    log = (tmp_path / "log").read_text()
    assert done.returncode == 0, done.stderr + log
    answers, healthy, user, code = done.stdout.splitlines()
    found = json.loads(answers)
    assert found["ping"] == 200
    status, body = found["photo"]
    assert status == 200
    assert json.loads(body)["labels"][0] == "Red_setter"
    assert found["bad"][0] == 422
    assert healthy == "healthy"
    assert user == "10001"
    assert code == "143", log  # uvicorn ends in order, then by the signal it was sent
    shutil.rmtree(root)


def fake_docker(folder: Path, monkeypatch: pytest.MonkeyPatch, *, fails: str = "") -> Path:
    """A docker on the PATH that writes down what it is asked, and pushes nothing."""
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
    """What the push at the end of a build leaves in ECR."""
    boto3.client("ecr").put_image(
        repositoryName="whatbreed-serving",
        imageManifest=json.dumps(
            {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
        ),
        imageTag=tag,
    )


def test_with_docker(
    bucket: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fake_docker(tmp_path, monkeypatch)
    build = serving_image._build_with_docker

    def build_and_push(*arguments: Any) -> None:
        build(*arguments)
        push(arguments[2].rpartition(":")[2])

    monkeypatch.setattr(serving_image, "_build_with_docker", build_and_push)
    outcome = command("image", "--builder", "docker")
    assert outcome.code == 0, outcome.err
    assert "@sha256:" in outcome.out
    said = log.read_text()
    registry = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
    assert f"login --username AWS --password-stdin {registry}" in said
    assert "build --platform linux/amd64" in said
    assert f"push {registry}/whatbreed-serving:amd64-" in said
    [repository] = boto3.client("ecr").describe_repositories()["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"]["scanOnPush"] is True
    assert "is there already" in command("image", "--builder", "docker").out
    assert log.read_text() == said


def test_docker_that_fails(
    bucket: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_docker(tmp_path, monkeypatch, fails="build")
    outcome = command("image", "--builder", "docker")
    assert outcome.code == 1
    assert "docker build ended with 7" in outcome.err


@pytest.mark.parametrize(
    ("architecture", "machine"), [("amd64", "LINUX_CONTAINER"), ("arm64", "ARM_CONTAINER")]
)
def test_with_codebuild(
    bucket: str,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    architecture: str,
    machine: str,
) -> None:
    seen: dict[str, Any] = {}
    zipped = codebuild._zipped

    def remember(context: Path) -> bytes:
        seen["files"] = {p.relative_to(context).as_posix() for p in context.rglob("*")}
        return zipped(context)

    def follow(account: Any, build_id: str) -> None:
        [build] = boto3.client("codebuild").batch_get_builds(ids=[build_id])["builds"]
        seen["project"] = build["projectName"]
        seen["zips"] = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"]
        with serving_image.TemporaryDirectory() as folder:
            push(f"{architecture}-{serving_image.stage_context(Path(folder))}")

    monkeypatch.setattr(codebuild, "_zipped", remember)
    monkeypatch.setattr(codebuild, "_follow", follow)
    options = ["--architecture", architecture, "--builder", "codebuild"]
    outcome = command("image", *options)
    assert outcome.code == 0, outcome.err
    assert {"model_code/Dockerfile", "model_code/serve.py"} <= seen["files"]
    assert not any("default" in name for name in seen["files"])
    [project] = boto3.client("codebuild").batch_get_projects(names=[seen["project"]])["projects"]
    assert project["environment"]["type"] == machine
    assert project["environment"]["privilegedMode"] is True
    assert "docker push" in project["source"]["buildspec"]
    assert seen["zips"] == 1
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=BUCKET)
    role = boto3.client("iam").get_role_policy(RoleName=codebuild.ROLE, PolicyName="whatbreed")
    assert "ecr:PutImage" in json.dumps(role["PolicyDocument"])


def test_a_build_that_fails_leaves_no_upload(
    bucket: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Client:
        def __init__(self, real: Any) -> None:
            self.real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def batch_get_builds(self, ids: list[str]) -> dict[str, Any]:
            context = {"message": "COMMAND_EXECUTION_ERROR: docker build", "statusCode": "x"}
            phases = [{"contexts": [context]}]
            return {"builds": [{"buildStatus": "FAILED", "phases": phases}]}

    from aws.account import Account

    client = Account.client

    def patched(self: Account, service: str, region: str | None = None) -> Any:
        found = client(self, service, region)
        return Client(found) if service == "codebuild" else found

    monkeypatch.setattr(Account, "client", patched)
    outcome = command("image", "--builder", "codebuild")
    assert outcome.code == 1
    assert "the build failed: COMMAND_EXECUTION_ERROR" in outcome.err
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=BUCKET)


def test_dry_run(bucket: str, command: Command) -> None:
    assert "would build whatbreed-serving:amd64-" in command("image", "--dry-run").out
    assert boto3.client("ecr").describe_repositories()["repositories"] == []


def test_the_tag_changes_with_the_content(tmp_path: Path) -> None:
    first = serving_image.stage_context(tmp_path / "a")
    assert serving_image.stage_context(tmp_path / "b") == first
    pinned = "registry.example/python@sha256:" + "0" * 64
    assert serving_image.stage_context(tmp_path / "c", pinned) != first
    text = (tmp_path / "c" / "model_code" / "Dockerfile").read_text()
    assert f"ARG BASE_IMAGE={pinned}\n" in text

"""The serving image: lint it, run it without Docker, build it with Docker or CodeBuild."""

import io
import json
import os
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError

from aws.account import Account
from aws.errors import AwsError
from aws.settings import AwsSettings, ServingSettings
from cli.errors import SettingsError
from ops.endpoint import codebuild, docker_build, serving_image
from tests.aws_rules.sagemaker_images import DOCKER_MANIFEST
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import ACCOUNT, BUCKET, REGION, Command, push_image
from tests.ops.endpoint import rehearsal
from tests.ops.endpoint.rehearsal import ROOT

DOCKERFILE = ROOT / "model_code" / "Dockerfile"


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


def fake_docker(folder: Path, monkeypatch: pytest.MonkeyPatch, *, fails: str = "") -> Path:
    """Put a `docker` on the PATH that logs its arguments and pushes nothing.

    The command that starts with `fails`, such as `buildx version`, exits with code 7.
    """
    log = folder / "docker.log"
    script = folder / "docker"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {log}\ntest "$1" != login || cat >> {log}\n'
        f'case "$*" in "{fails or "none"}"*) exit 7 ;; esac\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return log


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
        push_image(image.rpartition(":")[2])

    account = Account(AwsSettings.read())
    serving_image.push_image(account, ServingSettings.read(), "amd64", "docker", build_and_push)
    assert "@sha256:" in capsys.readouterr().out
    calls = log.read_text()
    registry = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
    assert f"login --username AWS --password-stdin {registry}" in calls
    [build] = [line for line in calls.splitlines() if line.startswith("buildx build")]
    assert "--platform linux/amd64" in build
    assert "--provenance=false --sbom=false" in build
    assert f"--output type=image,name={registry}/whatbreed-serving:amd64-" in build
    assert ",oci-mediatypes=false,push=true" in build
    [repository] = boto3.client("ecr").describe_repositories()["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"]["scanOnPush"] is True
    assert " exists (amd64-" in command("ops", "endpoint", "image", "--builder", "docker").out
    assert log.read_text() == calls


def test_docker_that_fails(
    bucket: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_docker(tmp_path, monkeypatch, fails="buildx build")
    outcome = command("ops", "endpoint", "image", "--builder", "docker")
    assert outcome.code == 1
    assert "`docker buildx build` failed with exit code 7" in outcome.err


def test_a_docker_that_pushes_nothing(
    bucket: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_docker(tmp_path, monkeypatch)
    outcome = command("ops", "endpoint", "image")
    assert outcome.code == 1
    assert "docker reported success, but ECR has no whatbreed-serving:amd64-" in outcome.err


OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def test_docker_without_buildx_uses_its_older_builder(
    bucket: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fake_docker(tmp_path, monkeypatch, fails="buildx version")
    command("ops", "endpoint", "image", "--builder", "docker")
    calls = log.read_text()
    assert "\nbuild --platform linux/amd64" in calls
    assert "--provenance" not in calls, "the older builder does not know this option"
    assert f"push {ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/whatbreed-serving:amd64-" in calls


@pytest.mark.parametrize(
    ("missing", "calls"),
    [
        ("none", ["buildx version", "buildx build --provenance=false --sbom=false"]),
        ("buildx version", ["buildx version", "build --file", "push r/whatbreed-serving:t"]),
        ("build --file", ["buildx version", "buildx build"]),
    ],
)
def test_the_commands_of_codebuild(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, calls: list[str]
) -> None:
    log = fake_docker(tmp_path, monkeypatch, fails=missing)
    [command] = yaml.safe_load(codebuild.BUILDSPEC)["phases"]["build"]["commands"]
    environment = {**os.environ, "IMAGE": "r/whatbreed-serving:t"}
    subprocess.run(["sh", "-e", "-c", command], env=environment, check=True)
    lines = log.read_text().splitlines()
    assert all(line.startswith(call) for line, call in zip(lines, calls, strict=True)), lines
    if "buildx build" in lines[-1]:
        assert "--output type=image,name=r/whatbreed-serving:t,oci-mediatypes=false" in lines[-1]


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, OCI_INDEX, DOCKER_LIST])
def test_a_manifest_that_sagemaker_refuses_is_an_error(
    bucket: str, command: Command, media_type: str
) -> None:
    """Docker 29 and Docker Desktop push such manifests by default."""

    def build(account: Account, context: Path, image: str, architecture: str) -> None:
        push_image(image.rpartition(":")[2], media_type)

    account = Account(AwsSettings.read())
    for _ in range(2):  # the tag cannot be overwritten
        with pytest.raises(AwsError, match="batch-delete-image") as raised:
            serving_image.push_image(account, ServingSettings.read(), "amd64", "docker", build)
        assert f"its manifest is {media_type}" in str(raised.value)
    outcome = command("ops", "endpoint", "deploy", "--stage", "dev")
    assert "SageMaker refuses the image" in outcome.err


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, OCI_INDEX, DOCKER_LIST])
def test_sagemaker_refuses_other_manifests(roles: None, media_type: str) -> None:
    boto3.client("ecr").create_repository(repositoryName="whatbreed-serving")
    create = partial(
        boto3.client("sagemaker").create_model,
        ExecutionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/whatbreed-serving",
    )
    registry = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/whatbreed-serving"
    digest = push_image("amd64-oci", media_type)
    for reference in (":amd64-oci", f"@{digest}"):
        with pytest.raises(ClientError, match="Unsupported manifest media type"):
            create(ModelName="a", PrimaryContainer={"Image": registry + reference})
    with pytest.raises(ClientError, match="not found"):
        create(ModelName="a", PrimaryContainer={"Image": f"{registry}:missing"})
    push_image("amd64-docker", DOCKER_MANIFEST)
    create(ModelName="a", PrimaryContainer={"Image": f"{registry}:amd64-docker"})


@pytest.mark.parametrize(
    ("image", "instance_type", "message"),
    [
        ("whatbreed-serving:amd64-0123456789ab", "ml.c7g.large", "is not for arm64"),
        ("whatbreed-serving:missing", "ml.c6i.large", "ECR has no image"),
        ("elsewhere", "ml.c6i.large", "ECR has no image"),
    ],
)
def test_an_image_that_is_named_is_checked(
    bucket: str, command: Command, image: str, instance_type: str, message: str
) -> None:
    boto3.client("ecr").create_repository(repositoryName="whatbreed-serving")
    push_image("amd64-0123456789ab")
    name = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{image}"
    options = ["--stage", "dev", "--image", name, "--instance-type", instance_type]
    outcome = command("ops", "endpoint", "deploy", *options)
    assert outcome.code == 1
    assert message in outcome.err


def test_the_image_in_service_never_expires(bucket: str, command: Command) -> None:
    """An endpoint pulls its image by digest whenever it adds an instance."""
    ecr = boto3.client("ecr")
    ecr.create_repository(repositoryName="whatbreed-serving")
    tagged = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 10}
    rule = {"rulePriority": 1, "selection": tagged, "action": {"type": "expire"}}
    ecr.put_lifecycle_policy(  # as earlier versions wrote it
        repositoryName="whatbreed-serving", lifecyclePolicyText=json.dumps({"rules": [rule]})
    )
    serving_image.ensure_repository(Account(AwsSettings.read()), "whatbreed-serving")
    text = ecr.get_lifecycle_policy(repositoryName="whatbreed-serving")["lifecyclePolicyText"]
    assert [rule["selection"]["tagStatus"] for rule in json.loads(text)["rules"]] == ["untagged"]


def test_nothing_is_pulled_from_docker_hub() -> None:
    """Its limit for anonymous pulls is shared by everyone in CodeBuild."""
    lines = DOCKERFILE.read_text(encoding="utf-8").splitlines()
    assert not lines[0].startswith("# syntax=")
    images = [line.partition("=")[2] for line in lines if line.startswith("ARG BASE_IMAGE=")]
    images += [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert [name for name in images if name != "${BASE_IMAGE}"] == images[:1]
    assert images[0].startswith("public.ecr.aws/")
    for name in ("python:3.11", "docker.io/library/python:3.11", "someone/python"):
        with pytest.raises(SettingsError, match="Docker Hub"):
            ServingSettings.read({"base_image": name})
    ServingSettings.read({"base_image": "localhost:5000/python:3.11"})


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
        push_image(variables["IMAGE"].rpartition(":")[2])

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
    for buildspec in (project["source"]["buildspec"], request["buildspecOverride"]):
        assert "--provenance=false --sbom=false" in buildspec
        assert "oci-mediatypes=false,push=true" in buildspec
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

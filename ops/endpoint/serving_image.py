"""Build the serving image (model_code/Dockerfile) and push it to ECR.

With Docker where there is one, else in AWS CodeBuild, which needs none here. The tag is a digest of
what goes into the image, so that an unchanged image is neither built nor pushed again.

example:
  python -m training image
  python -m training image --architecture arm64 --builder codebuild
"""

import argparse
import base64
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from botocore.exceptions import ClientError

from aws import account as accounts
from aws import settings
from aws.account import Account, is_missing, told_in_one_line
from aws.errors import AwsError
from aws.instance_types import architecture
from aws.settings import ServingSettings
from ops.endpoint import codebuild
from training.jobs.source_code import ROOT

ARCHITECTURES = ("amd64", "arm64")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--architecture",
        choices=ARCHITECTURES,
        help="default: that of the serving instance type (Graviton: arm64)",
    )
    parser.add_argument(
        "--builder", choices=("docker", "codebuild"), help="default: docker where there is one"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be built")
    accounts.add_options(parser)
    settings.add_options(parser, ServingSettings)


@told_in_one_line
def run(arguments: argparse.Namespace) -> None:
    account = accounts.open_account(arguments)
    options = ServingSettings.read(vars(arguments))
    wanted = arguments.architecture or architecture(options.instance_type)
    builder = arguments.builder or ("docker" if _has_docker() else "codebuild")
    with TemporaryDirectory() as folder:
        context = Path(folder)
        tag = f"{wanted}-{stage_context(context, options.base_image)}"
        if found := _image(account, options.repository, tag):
            print(f"{found} is there already ({tag})")
            return
        if arguments.dry_run:
            print(f"would build {options.repository}:{tag} with {builder} and push it to ECR")
            return
        repository = ensure_repository(account, options.repository)
        print(f"building {repository}:{tag} with {builder}", flush=True)
        if builder == "docker":
            _build_with_docker(account, context, f"{repository}:{tag}", wanted)
        else:
            codebuild.build(account, context, repository, tag, wanted)
    pushed = _image(account, options.repository, tag)
    if pushed is None:
        raise AwsError(f"{builder} reported success, but ECR has no {options.repository}:{tag}")
    print(f"pushed {pushed}")


def stage_context(folder: Path, base_image: str = "") -> str:
    """Copy what the image is built from into `folder` and return a digest of it, 12 digits.

    `base_image` takes the place of the Dockerfile's. The model is no part of the image: SageMaker
    lays it to /opt/ml/model.
    """
    target = folder / "model_code"
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", "default", ".*")
    shutil.copytree(ROOT / "model_code", target, ignore=ignore)
    if base_image:
        dockerfile = target / "Dockerfile"
        text = dockerfile.read_text(encoding="utf-8")
        text = re.sub(r"(?m)^ARG BASE_IMAGE=.*$", f"ARG BASE_IMAGE={base_image}", text)
        dockerfile.write_text(text, encoding="utf-8")
    digest = hashlib.sha256()
    for path in sorted(target.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def latest_image(account: Account, repository: str, wanted: str) -> str:
    """The image of an architecture that was pushed last, by its digest. Raises `AwsError`."""
    pages = account.client("ecr").get_paginator("describe_images")
    try:
        found = [
            image
            for page in pages.paginate(repositoryName=repository)
            for image in page["imageDetails"]
            if any(tag.startswith(f"{wanted}-") for tag in image.get("imageTags", []))
        ]
    except ClientError as error:
        if not is_missing(error):
            raise
        found = []
    if not found:
        raise AwsError(
            f"ECR has no {wanted} image in {repository}: "
            f"run `python -m training image --architecture {wanted}`"
        )
    newest = max(found, key=lambda image: image["imagePushedAt"])
    return f"{_repository_uri(account, repository)}@{newest['imageDigest']}"


def ensure_repository(account: Account, name: str) -> str:
    """The URI of the ECR repository, created where it is missing: scanned, tags immutable."""
    try:
        return _repository_uri(account, name)
    except ClientError as error:
        if not is_missing(error):
            raise
    ecr = account.client("ecr")
    created = ecr.create_repository(
        repositoryName=name,
        imageTagMutability="IMMUTABLE",
        imageScanningConfiguration={"scanOnPush": True},
        tags=account.settings.tag_list(),
    )
    keep_ten = {
        "rulePriority": 1,
        "description": "keep the ten newest images",
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 10},
        "action": {"type": "expire"},
    }
    ecr.put_lifecycle_policy(
        repositoryName=name, lifecyclePolicyText=json.dumps({"rules": [keep_ten]})
    )
    return str(created["repository"]["repositoryUri"])


def _repository_uri(account: Account, name: str) -> str:
    answer = account.client("ecr").describe_repositories(repositoryNames=[name])
    return str(answer["repositories"][0]["repositoryUri"])


def _image(account: Account, repository: str, tag: str) -> str | None:
    """The image with `tag`, by its digest, or None."""
    try:
        [image] = account.client("ecr").describe_images(
            repositoryName=repository, imageIds=[{"imageTag": tag}]
        )["imageDetails"]
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return f"{_repository_uri(account, repository)}@{image['imageDigest']}"


def _build_with_docker(account: Account, context: Path, image: str, wanted: str) -> None:
    token = account.client("ecr").get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    registry = image.partition("/")[0]
    _docker("login", "--username", user, "--password-stdin", registry, stdin=password)
    _docker(
        "build", "--platform", f"linux/{wanted}", "--provenance=false", "--tag", image,
        "--file", str(context / "model_code" / "Dockerfile"), str(context),
    )  # fmt: skip
    _docker("push", image)


def _has_docker() -> bool:
    """Whether there is a docker command, and an engine that answers it."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    asked = subprocess.run([docker, "version"], capture_output=True, check=False)
    return asked.returncode == 0


def _docker(*arguments: str, stdin: str | None = None) -> None:
    """Run docker, its output on the terminal. Raises `AwsError` where it fails."""
    docker = shutil.which("docker") or "docker"
    done = subprocess.run([docker, *arguments], input=stdin, text=True, check=False)
    if done.returncode != 0:
        raise AwsError(f"docker {arguments[0]} ended with {done.returncode}: see above")

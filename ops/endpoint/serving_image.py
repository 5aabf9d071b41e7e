"""Build the serving image (model_code/Dockerfile) and push it to ECR.

Uses Docker if it is running, else AWS CodeBuild. The tag is a digest of the build context, so an
unchanged image is not built again.

example:
  python -m ops endpoint image
  python -m ops endpoint image --architecture arm64 --builder codebuild
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

import model_code
from aws import account as accounts
from aws import instance_types
from aws.account import Account, or_none
from aws.errors import AwsError
from aws.settings import ServingSettings
from cli import commands
from ops.endpoint import codebuild, docker_build

ARCHITECTURES = ("amd64", "arm64")

Build = Callable[[Account, Path, str, str], None]
"""Builds a context for an architecture and pushes it: account, context, image, architecture."""
BUILDERS: dict[str, Build] = {"docker": docker_build.build, "codebuild": codebuild.build}


@commands.command(__doc__)
@click.option(
    "--architecture",
    "chosen_architecture",
    type=click.Choice(ARCHITECTURES),
    help="Default: that of the serving instance type (arm64 for Graviton).",
)
@click.option(
    "--builder", type=click.Choice(list(BUILDERS)), help="Default: docker if it is running."
)
@commands.dry_run_option
@accounts.options(ServingSettings)
def command(
    account: Account,
    serving: ServingSettings,
    chosen_architecture: str | None,
    builder: str | None,
    dry_run: bool,
) -> None:
    chosen = chosen_architecture or architecture(serving)
    builder = builder or ("docker" if docker_build.available() else "codebuild")
    push_image(account, serving, chosen, builder, BUILDERS[builder], dry_run=dry_run)


def push_image(
    account: Account,
    serving: ServingSettings,
    architecture: str,
    builder: str,
    build: Build,
    *,
    dry_run: bool = False,
) -> None:
    """Build the image and push it to ECR, unless ECR has it. Raises AwsError if that fails."""
    with TemporaryDirectory() as folder:
        context = Path(folder)
        tag = f"{architecture}-{copy_context(context, serving.base_image)}"
        name = f"{serving.repository}:{tag}"
        image = _image(account, serving.repository, tag)
        if image:
            print(f"{image} exists ({tag})")
            return
        if dry_run:
            print(f"would build {name} with {builder} and push it to ECR")
            return
        ensure_repository(account, serving.repository)
        repository = _repository_uri(account, serving.repository)
        print(f"building {repository}:{tag} with {builder}", flush=True)
        build(account, context, f"{repository}:{tag}", architecture)
    image = _image(account, serving.repository, tag)
    if image is None:
        raise AwsError(f"{builder} reported success, but ECR has no {name}.")
    print(f"pushed {image}")


def architecture(serving: ServingSettings) -> str:
    """Return the architecture that serves: `amd64` or `arm64`."""
    # serverless inference runs on x86 only
    return "amd64" if serving.serverless else instance_types.architecture(serving.instance_type)


def copy_context(folder: Path, base_image: str = "") -> str:
    """Copy the build context into `folder` and return the first 12 digits of its SHA-256.

    `base_image` replaces the Dockerfile's. The model is not part of the image: SageMaker mounts it
    at /opt/ml/model.
    """
    target = folder / "model_code"
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", "default", ".*")
    shutil.copytree(Path(model_code.__file__).parent, target, ignore=ignore)
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


def latest_image(account: Account, repository: str, architecture: str) -> str:
    """Return the image that was pushed last for an architecture, by digest.

    Raises AwsError if there is none.
    """
    images = [
        image
        for image in all_images(account, repository)
        if any(tag.startswith(f"{architecture}-") for tag in image.get("imageTags", []))
    ]
    if not images:
        raise AwsError(
            f"ECR has no {architecture} image in {repository}: "
            f"run `python -m ops endpoint image --architecture {architecture}`."
        )
    newest = max(images, key=lambda image: image["imagePushedAt"])
    return f"{_repository_uri(account, repository)}@{newest['imageDigest']}"


def all_images(account: Account, repository: str) -> list[dict[str, Any]]:
    """Return AWS's descriptions of the images in an ECR repository, which may be missing."""
    pages = account.client("ecr").get_paginator("describe_images")
    result = or_none(lambda: pages.paginate(repositoryName=repository).build_full_result())
    return list(result["imageDetails"]) if result else []


def ensure_repository(account: Account, name: str) -> None:
    """Create the ECR repository if it is missing: scanned, immutable tags."""
    ecr = account.client("ecr")
    if or_none(lambda: ecr.describe_repositories(repositoryNames=[name])):
        return
    ecr.create_repository(
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


def _repository_uri(account: Account, name: str) -> str:
    return f"{account.id}.dkr.ecr.{account.region}.{account.dns_suffix}/{name}"


def _image(account: Account, repository: str, tag: str) -> str | None:
    """Return the image with `tag`, by digest, or None."""
    response = or_none(
        lambda: account.client("ecr").describe_images(
            repositoryName=repository, imageIds=[{"imageTag": tag}]
        )
    )
    if response is None:
        return None
    digest = response["imageDetails"][0]["imageDigest"]
    return f"{_repository_uri(account, repository)}@{digest}"

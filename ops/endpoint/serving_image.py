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
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
"""The only media type of a manifest that SageMaker's CreateModel accepts."""

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
        if (image := _find(account, serving.repository, tag)) is not None:
            print(f"{_uri(account, image)} exists ({tag})")
            return
        if dry_run:
            print(f"would build {name} with {builder} and push it to ECR")
            return
        ensure_repository(account, serving.repository)
        target = f"{_registry(account)}/{name}"
        print(f"building {target} with {builder}", flush=True)
        build(account, context, target, architecture)
    image = _find(account, serving.repository, tag)
    if image is None:
        raise AwsError(f"{builder} reported success, but ECR has no {name}.")
    print(f"pushed {_uri(account, image)}")


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

    Raises AwsError if there is none, or if SageMaker cannot use it.
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
    _require_manifest(newest)
    return _uri(account, newest)


def require_usable(account: Account, image: str, architecture: str) -> str:
    """Return `image`, or raise AwsError if it is in ECR and SageMaker cannot run it.

    Its manifest must be one of Docker v2, and its tags must not name another architecture.
    """
    registry, _, name = image.partition("/")
    if registry != _registry(account):
        return image
    repository, _, digest = name.partition("@")
    repository, _, tag = repository.partition(":")
    identity = {"imageDigest": digest} if digest else {"imageTag": tag or "latest"}
    details = _describe(account, repository, identity)
    if details is None:
        raise AwsError(f"ECR has no image {image}: run `python -m ops endpoint image`.")
    _require_manifest(details)
    others = tuple(f"{name}-" for name in ARCHITECTURES if name != architecture)
    if any(tag.startswith(others) for tag in details.get("imageTags", [])):
        raise AwsError(
            f"{image} is not for {architecture}, the architecture of the instance type: "
            f"run `python -m ops endpoint image --architecture {architecture}`."
        )
    return image


def all_images(account: Account, repository: str) -> list[dict[str, Any]]:
    """Return AWS's descriptions of the images in an ECR repository, which may be missing."""
    pages = account.client("ecr").get_paginator("describe_images")
    result = or_none(lambda: pages.paginate(repositoryName=repository).build_full_result())
    return list(result["imageDetails"]) if result else []


def ensure_repository(account: Account, name: str) -> None:
    """Create the ECR repository if it is missing: scanned, immutable tags.

    Only untagged images expire: an endpoint pulls its image again whenever it adds an instance.
    """
    ecr = account.client("ecr")
    if not or_none(lambda: ecr.describe_repositories(repositoryNames=[name])):
        ecr.create_repository(
            repositoryName=name,
            imageTagMutability="IMMUTABLE",
            imageScanningConfiguration={"scanOnPush": True},
            tags=account.settings.tag_list(),
        )
    expire_untagged = {
        "rulePriority": 1,
        "description": "expire untagged images after two weeks",
        "selection": {
            "tagStatus": "untagged",
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": 14,
        },
        "action": {"type": "expire"},
    }
    ecr.put_lifecycle_policy(
        repositoryName=name, lifecyclePolicyText=json.dumps({"rules": [expire_untagged]})
    )


def _registry(account: Account) -> str:
    return f"{account.id}.dkr.ecr.{account.region}.{account.dns_suffix}"


def _uri(account: Account, image: dict[str, Any]) -> str:
    """Return the URI of an image that ECR describes, by digest."""
    return f"{_registry(account)}/{image['repositoryName']}@{image['imageDigest']}"


def _find(account: Account, repository: str, tag: str) -> dict[str, Any] | None:
    """Return ECR's description of the image with `tag`, or None.

    Raises AwsError if SageMaker cannot use it.
    """
    image = _describe(account, repository, {"imageTag": tag})
    if image is not None:
        _require_manifest(image)
    return image


def _describe(account: Account, repository: str, image: dict[str, str]) -> dict[str, Any] | None:
    response = or_none(
        lambda: account.client("ecr").describe_images(repositoryName=repository, imageIds=[image])
    )
    return None if response is None else dict(response["imageDetails"][0])


def _require_manifest(image: dict[str, Any]) -> None:
    media_type = image.get("imageManifestMediaType", MANIFEST)
    if media_type != MANIFEST:
        repository, digest = image["repositoryName"], image["imageDigest"]
        raise AwsError(
            f"SageMaker refuses the image {repository}@{digest}: its manifest is {media_type}, not "
            f"{MANIFEST}. Delete it with `aws ecr batch-delete-image --repository-name "
            f"{repository} --image-ids imageDigest={digest}`, then run `python -m ops endpoint "
            "image` with a Docker that has buildx, or with --builder codebuild."
        )

"""Container images of SageMaker models."""

import re
from typing import Any

from moto.ecr.models import ecr_backends

from tests.aws_rules.rules import Refused, Request, rule

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_ECR = re.compile(r"(\d{12})\.dkr\.ecr\.([^.]+)\.amazonaws\.com[^/]*/([^:@]+)[:@](.+)")


@rule(
    "sagemaker",
    "CreateModel",
    source="https://github.com/aws/amazon-sagemaker-feedback/issues/180",
)
def image_is_a_docker_v2_manifest(request: Request) -> None:
    """An image in ECR exists and has a Docker v2 manifest: neither OCI nor a list."""
    primary = request.parameters.get("PrimaryContainer")
    containers = request.parameters.get("Containers") or ([primary] if primary else [])
    for container in containers:
        name = container.get("Image") or ""
        if not (match := _ECR.fullmatch(name)) or match[1] != request.account:
            continue
        image = _image(*match.groups())
        if image is None:
            raise Refused("ValidationException", f"Requested image {name} not found.")
        if image.image_manifest_media_type != DOCKER_MANIFEST:
            raise Refused(
                "ValidationException",
                f"Unsupported manifest media type {image.image_manifest_media_type} for image "
                f"{name}. Ensure that valid manifest media type is used for specified image.",
            )


def _image(account: str, region: str, repository: str, reference: str) -> Any:
    repositories = ecr_backends[account][region].repositories
    images = repositories[repository].images if repository in repositories else []
    matches = (
        image
        for image in images
        if reference in image.image_tags or reference == image.get_image_digest()
    )
    return next(matches, None)

"""Check the serving image: its architecture and its manifest."""

from collections.abc import Iterator

from ops.deployment import Deployment
from ops.doctor.line import Line, Status
from ops.endpoint.serving_image import all_images, architecture

DOCKER_V2 = "application/vnd.docker.distribution.manifest.v2+json"
"""SageMaker answers "Unsupported manifest media type" for others.

https://github.com/aws/amazon-sagemaker-feedback/issues/180
"""


def check(deployment: Deployment) -> Iterator[Line]:
    """Check the image that `endpoint deploy` would take."""
    serving, needed = deployment.serving, architecture(deployment.serving)
    build = f"python -m ops endpoint image --architecture {needed}"
    images = all_images(deployment.account, serving.repository)
    own = [
        image
        for image in images
        if any(tag.startswith(f"{needed}-") for tag in image.get("imageTags", []))
    ]
    if not own:
        others = f"; it has {len(images)} others" if images else ""
        detail = f"no {needed} image for {serving.instance_type} in {serving.repository}{others}"
        yield Line(Status.TO_DO, "serving image", detail, build)
        return
    newest = max(own, key=lambda image: image["imagePushedAt"])
    [tag, *_] = newest["imageTags"]
    manifest = newest.get("imageManifestMediaType", DOCKER_V2)
    if manifest != DOCKER_V2:
        yield Line(
            Status.BLOCKS,
            "serving image",
            f"{tag} has a manifest of type {manifest}, which SageMaker refuses",
            f"aws ecr batch-delete-image --repository-name {serving.repository} "
            f"--image-ids imageTag={tag}, then {build}",
        )
    else:
        yield Line(Status.OK, "serving image", f"{serving.repository}:{tag}")

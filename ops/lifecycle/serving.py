"""The part of `up` for operators: image, endpoint, scaling."""

from collections.abc import Iterator
from typing import Any

from aws import endpoints
from aws.polling import poll
from model_code.artifact import DEFAULT_MODEL_DIR
from ops.deployment import Deployment
from ops.endpoint import deploy, docker_build, model_source, model_version, scaling, serving_image
from ops.lifecycle.step import Step


def steps(deployment: Deployment) -> Iterator[Step]:
    """Yield the steps."""
    account, serving = deployment.account, deployment.serving
    endpoint = deployment.stage.endpoint
    architecture = serving_image.architecture(serving)
    yield Step(
        "model",
        f"image {serving.repository} for {architecture}",
        "3 to 10 minutes",
        lambda: _pending_image(deployment),
        lambda: _build(deployment),
    )
    yield Step(
        "model",
        f"endpoint {endpoint}",
        "4 to 8 minutes",
        lambda: _pending_endpoint(deployment),
        lambda: _deploy(deployment),
    )
    if not serving.serverless:
        limits = f"{deployment.scaling.min_instances} to {deployment.scaling.max_instances}"
        yield Step(
            "model",
            f"scaling of {endpoint}",
            "seconds",
            lambda: f"set {limits} instances" if _pending_scaling(deployment) else "",
            lambda: scaling.apply(account, endpoint, deployment.scaling),
        )


def _builder() -> str:
    return "docker" if docker_build.available() else "codebuild"


def _pending_image(deployment: Deployment) -> str:
    """An image of older sources is enough: `up` repairs, and `endpoint image` updates."""
    serving = deployment.serving
    prefix = serving_image.architecture(serving) + "-"
    images = serving_image.all_images(deployment.account, serving.repository)
    if any(tag.startswith(prefix) for image in images for tag in image.get("imageTags", [])):
        return ""
    return f"build it with {_builder()} and push it to ECR"


def _build(deployment: Deployment) -> None:
    serving, builder = deployment.serving, _builder()
    serving_image.push_image(
        deployment.account,
        serving,
        serving_image.architecture(serving),
        builder,
        serving_image.BUILDERS[builder],
    )


def _pending_endpoint(deployment: Deployment) -> str:
    """Whatever model is in service stays: `up` deploys the shipped one to an empty stage only."""
    description = endpoints.describe(deployment.account, deployment.stage.endpoint)
    if description is None:
        return "deploy the model that the project ships"
    status = description["EndpointStatus"]
    if status == "InService":
        return ""
    return f"wait for it, it is {status}" if _is_busy(description) else f"repair it, it is {status}"


def _is_busy(description: dict[str, Any] | None) -> bool:
    return description is not None and description["EndpointStatus"] not in ("InService", "Failed")


def _deploy(deployment: Deployment) -> None:
    """Deploy the shipped model, after what an interrupted command has started."""
    account, serving, stage = deployment.account, deployment.serving, deployment.stage
    description = poll(
        account,
        read=lambda: endpoints.describe(account, stage.endpoint),
        settled=lambda description: not _is_busy(description),
    )
    if description and description["EndpointStatus"] == "InService":
        return
    architecture = serving_image.architecture(serving)
    image = serving_image.latest_image(account, serving.repository, architecture)
    source = model_source.find(account, str(DEFAULT_MODEL_DIR))
    version = model_version.plan(account, stage.endpoint, image, source, serving)
    deploy.deploy(account, stage, serving, version, source, wait=True, dry_run=False)


def _pending_scaling(deployment: Deployment) -> bool:
    """Limits that were set by hand stay, too."""
    state = scaling.state(deployment.account, deployment.stage.endpoint)
    return not (state["targets"] and state["policies"])

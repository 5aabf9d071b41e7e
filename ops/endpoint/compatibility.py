"""What a deployment keeps of an endpoint, and the changes that AWS does not make."""

from typing import Any

from aws import endpoints
from aws.account import Account
from aws.errors import AwsError
from aws.settings import ServingSettings
from aws.stages import Config, Stage
from chalicelib.settings import Settings
from cli.errors import SettingsError

SERVERLESS_PAYLOAD_BYTES = 4_000_000
"""The largest request of a serverless endpoint.

https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-invoke.html
"""


def keep(
    account: Account, current: dict[str, Any] | None, serving: ServingSettings
) -> ServingSettings:
    """Return `serving`, with what neither options nor settings.toml give as the endpoint has it.

    `current` is AWS's description of the endpoint, if there is one.
    """
    config = endpoints.describe_config(account, current["EndpointConfigName"]) if current else None
    if not config:
        return serving
    [variant] = config["ProductionVariants"]
    capture = config.get("DataCaptureConfig", {})
    has: dict[str, Any] = {"serverless": "ServerlessConfig" in variant}
    if has["serverless"]:
        has["serverless_memory_mb"] = variant["ServerlessConfig"]["MemorySizeInMB"]
        has["serverless_concurrency"] = variant["ServerlessConfig"]["MaxConcurrency"]
    else:
        has["instance_type"] = variant["InstanceType"]
        if capture.get("EnableCapture"):
            has["capture_percent"] = capture["InitialSamplingPercentage"]
    kept = {key: value for key, value in has.items() if key not in serving.model_fields_set}
    return serving.model_copy(update=kept)


def check_image_size(stage: Stage, serving: ServingSettings) -> None:
    """Raise SettingsError if the API accepts images that a serverless endpoint cannot receive."""
    if not serving.serverless:
        return
    value = Config.read().environment(stage.name).get("MAX_IMAGE_BYTES", "")
    largest = int(value) if value.isdigit() else Settings("any").max_image_bytes
    if largest > SERVERLESS_PAYLOAD_BYTES:
        raise SettingsError(
            f"The API of stage {stage.name} accepts images of {largest} bytes, and a serverless "
            f"endpoint {SERVERLESS_PAYLOAD_BYTES}: set MAX_IMAGE_BYTES to "
            f'"{SERVERLESS_PAYLOAD_BYTES}" in the stage\'s environment_variables in '
            ".chalice/config.json."
        )


def require_same_kind(
    stage: Stage,
    current: list[dict[str, Any]],
    wanted: list[dict[str, Any]],
    *,
    leave_serverless: bool,
) -> None:
    """Raise AwsError if AWS cannot update the endpoint, because one is serverless.

    https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html
    """
    serverless = endpoints.is_serverless(current)
    if serverless == endpoints.is_serverless(wanted):
        return
    if not serverless:
        raise AwsError(
            f"{stage.endpoint} runs on instances, and AWS cannot make it serverless. Run `python "
            f"-m ops endpoint teardown --stage {stage.name}` and deploy again with --serverless "
            "true: until then the stage has no model."
        )
    if not leave_serverless:
        raise AwsError(
            f"{stage.endpoint} is serverless. AWS can move it to instances but not back, and "
            "--rollback will not work: add --yes to do so."
        )

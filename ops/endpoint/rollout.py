"""Move an endpoint's traffic to another config, and remember the config to roll back to."""

from typing import Any

from aws import endpoints
from aws.account import Account
from aws.errors import AwsError
from aws.polling import poll
from aws.settings import ServingSettings
from ops.endpoint import rollback_alarms

PREVIOUS_CONFIG_TAG = "previous-config"
_BUSY = frozenset({"Creating", "Updating", "RollingBack", "SystemUpdating", "Deleting"})


def update(account: Account, endpoint: str, config: str, serving: ServingSettings) -> None:
    """Start the rollout of `config`. The number of instances that autoscaling chose is kept."""
    alarms = rollback_alarms.put(account, endpoint, serving)
    [variant] = endpoints.present(account, endpoint)["ProductionVariants"]
    target = endpoints.describe_config(account, config) or {"ProductionVariants": []}
    serverless = "CurrentServerlessConfig" in variant or any(
        "ServerlessConfig" in variant for variant in target["ProductionVariants"]
    )
    options: dict[str, Any] = {}
    if not serverless:
        instances = variant.get("CurrentInstanceCount") or 1
        options = {
            "RetainAllVariantProperties": True,
            "DeploymentConfig": deployment_config(serving, alarms, instances),
        }
    account.client("sagemaker").update_endpoint(
        EndpointName=endpoint, EndpointConfigName=config, **options
    )


def deployment_config(
    serving: ServingSettings, alarms: list[str], instances: int
) -> dict[str, Any]:
    """Return how traffic moves away from `instances` instances: canary, rolling or all at once.

    A single instance cannot be split: all its traffic moves at once, still watched by the alarms.
    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html
    """
    step = {"Type": "CAPACITY_PERCENT", "Value": serving.rollout_percent}
    wait = {"WaitIntervalInSeconds": serving.rollout_wait_s}
    if serving.rollout == "rolling" and instances > 1:
        policy: dict[str, Any] = {"RollingUpdatePolicy": {"MaximumBatchSize": step, **wait}}
    else:
        routing: dict[str, Any] = {"Type": "ALL_AT_ONCE", **wait}
        if serving.rollout == "canary" and instances > 1:
            routing = {"Type": "CANARY", "CanarySize": step, **wait}
        policy = {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": routing,
                "TerminationWaitInSeconds": serving.rollout_wait_s,
            }
        }
    rollback = {"Alarms": [{"AlarmName": name} for name in alarms]}
    return {**policy, "AutoRollbackConfiguration": rollback}


def wait(account: Account, endpoint: str, config: str) -> dict[str, Any]:
    """Print the endpoint's status until it settles, and return its description.

    Raises AwsError with AWS's reason if it does not serve `config` then, or was deleted.
    """
    description = poll(
        account,
        read=lambda: endpoints.present(account, endpoint),
        settled=lambda description: description["EndpointStatus"] not in _BUSY,
        status=lambda description: f"{endpoint}: {description['EndpointStatus']}",
    )
    status, serving = description["EndpointStatus"], description["EndpointConfigName"]
    if status == "InService" and serving == config:
        return description
    reason = " ".join(description.get("FailureReason", "AWS gives no reason").split()).rstrip(".")
    result = f"{serving} keeps serving." if status == "InService" else f"{endpoint} is {status}."
    raise AwsError(
        f"The deployment of {config} failed: {reason}. {result} "
        f"Log: /aws/sagemaker/Endpoints/{endpoint}."
    )


def previous_config(account: Account, description: dict[str, Any]) -> str | None:
    """Return the config that an endpoint served before its current one, or None."""
    tags = account.client("sagemaker").list_tags(ResourceArn=description["EndpointArn"])["Tags"]
    return next((tag["Value"] for tag in tags if tag["Key"] == PREVIOUS_CONFIG_TAG), None)


def remember_previous(account: Account, description: dict[str, Any], config: str) -> None:
    """Tag an endpoint with the config that a rollback returns to."""
    account.client("sagemaker").add_tags(
        ResourceArn=description["EndpointArn"],
        Tags=[{"Key": PREVIOUS_CONFIG_TAG, "Value": config}],
    )

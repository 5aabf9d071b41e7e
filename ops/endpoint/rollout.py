"""Move an endpoint's traffic to another config, and remember the config to roll back to."""

from typing import Any

from aws import endpoints
from aws.account import Account
from aws.errors import AwsError
from aws.polling import poll
from aws.settings import ServingSettings
from ops.endpoint import endpoint_alarms, scaling

PREVIOUS_CONFIG_TAG = "previous-config"


def update(
    account: Account, endpoint: str, config: str, serving: ServingSettings, *, watched: bool
) -> None:
    """Start the rollout of `config`. The number of instances that autoscaling chose is kept.

    If it is `watched`, alarms on the new fleet roll it back. A rollback is not watched: it must not
    be stopped by the alarms that it answers.
    """
    description = endpoints.present(account, endpoint)
    [variant] = description["ProductionVariants"]
    serverless = endpoints.is_serverless([variant, *_variants(account, config)])
    options: dict[str, Any] = {}
    if not serverless:
        options["RetainAllVariantProperties"] = True
    if watched and not serverless:
        alarms = endpoint_alarms.put_for_rollout(account, endpoint, config, serving)
        instances = variant.get("CurrentInstanceCount") or 1
        options["DeploymentConfig"] = deployment_config(serving, alarms, instances)
    if _instance_type(account, description["EndpointConfigName"]) != _instance_type(
        account, config
    ):
        scaling.pause(account, endpoint)
    try:
        endpoints.once_visible(
            account,
            lambda: account.client("sagemaker").update_endpoint(
                EndpointName=endpoint, EndpointConfigName=config, **options
            ),
        )
    except Exception:
        endpoint_alarms.delete(account, [config])
        scaling.resume(account, endpoint)
        raise


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

    Then delete the alarms of the rollout and resume autoscaling if it was paused. Raises AwsError
    with AWS's reason if the endpoint does not serve `config` then, or was deleted.
    """
    description = poll(
        account,
        read=lambda: endpoints.present(account, endpoint),
        settled=lambda description: description["EndpointStatus"] not in endpoints.BUSY,
        status=lambda description: f"{endpoint}: {description['EndpointStatus']}",
    )
    status, serving = description["EndpointStatus"], description["EndpointConfigName"]
    endpoint_alarms.delete(account, [config])
    if status == "InService":
        scaling.resume(account, endpoint)
        if serving == config:
            return description
    result = f"{serving} keeps serving." if status == "InService" else f"{endpoint} is {status}."
    raise AwsError(
        f"The deployment of {config} failed: {endpoints.failure_reason(description)}. {result} "
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


def _variants(account: Account, config: str) -> list[dict[str, Any]]:
    description = endpoints.describe_config(account, config)
    return list(description["ProductionVariants"]) if description else []


def _instance_type(account: Account, config: str) -> str | None:
    types = [variant.get("InstanceType") for variant in _variants(account, config)]
    return types[0] if types else None

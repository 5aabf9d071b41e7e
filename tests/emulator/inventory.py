"""Everything that exists in an account, as the APIs list it."""

from collections.abc import Callable
from typing import Any

import jmespath
from botocore.exceptions import ClientError

_LISTS: dict[str, list[tuple[str, dict[str, str], str]]] = {
    "s3": [("list_buckets", {}, "Buckets[].Name")],
    "iam": [
        ("list_roles", {}, "Roles[?!starts_with(Path, '/aws-service-role/')].RoleName"),
        ("list_policies", {"Scope": "Local"}, "Policies[].PolicyName"),
        ("list_instance_profiles", {}, "InstanceProfiles[].InstanceProfileName"),
        ("list_open_id_connect_providers", {}, "OpenIDConnectProviderList[].Arn"),
    ],
    "lambda": [("list_functions", {}, "Functions[].FunctionName")],
    "apigateway": [
        ("get_rest_apis", {}, "items[].name"),
        ("get_api_keys", {}, "items[].name"),
        ("get_usage_plans", {}, "items[].name"),
    ],
    "cloudformation": [
        ("list_stacks", {}, "StackSummaries[?StackStatus!='DELETE_COMPLETE'].StackName")
    ],
    "cloudwatch": [
        ("describe_alarms", {}, "MetricAlarms[].AlarmName"),
        ("list_dashboards", {}, "DashboardEntries[].DashboardName"),
    ],
    "logs": [("describe_log_groups", {}, "logGroups[].logGroupName")],
    "sagemaker": [
        ("list_endpoints", {}, "Endpoints[].EndpointName"),
        ("list_endpoint_configs", {}, "EndpointConfigs[].EndpointConfigName"),
        ("list_models", {}, "Models[].ModelName"),
    ],
    "application-autoscaling": [
        (operation, {"ServiceNamespace": "sagemaker"}, f"{result}[].ResourceId")
        for operation, result in (
            ("describe_scalable_targets", "ScalableTargets"),
            ("describe_scaling_policies", "ScalingPolicies"),
            ("describe_scheduled_actions", "ScheduledActions"),
        )
    ],
    "ecr": [("describe_repositories", {}, "repositories[].repositoryName")],
    "codebuild": [("list_projects", {}, "projects")],
    "sns": [
        ("list_topics", {}, "Topics[].TopicArn"),
        ("list_subscriptions", {}, "Subscriptions[].Endpoint"),
    ],
    "ec2": [
        (
            "describe_instances",
            {},
            "Reservations[].Instances[?State.Name!='terminated'][].InstanceId",
        )
    ],
}  # fmt: skip


def everything(client: Callable[[str], Any], account: str) -> dict[str, list[str]]:
    """Return the names of all resources by service and operation, without the empty lists."""
    found = {}
    for service, calls in _LISTS.items():
        for operation, parameters, names in calls:
            result = getattr(client(service), operation)(**parameters)
            if listed := jmespath.search(names, result):
                found[f"{service} {operation}"] = listed
    try:
        budgets = client("budgets").describe_budgets(AccountId=account).get("Budgets", [])
    except ClientError:
        budgets = []
    if budgets:
        found["budgets"] = [budget["BudgetName"] for budget in budgets]
    return found

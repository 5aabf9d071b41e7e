"""Quotas, budgets and subscriptions, which moto lacks or simplifies."""

import json
from typing import Any

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.awslambda import urls as lambda_urls
from moto.awslambda.models import lambda_backends
from moto.awslambda.responses import LambdaResponse
from moto.budgets.exceptions import NotFoundException
from moto.budgets.responses import BudgetsResponse
from moto.core.responses import ActionResult
from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.responses import ServiceQuotasResponse
from moto.sns.responses import SNSResponse

_TYPES = ("ml.c6i.large", "ml.c6i.xlarge", "ml.c7g.large", "ml.g5.xlarge", "ml.m5.large")
_USES = ("endpoint", "training job", "spot training job", "transform job", "training warm pool")
LAMBDA = "Concurrent executions"
QUOTAS: dict[str, dict[str, float]] = {
    "sagemaker": {
        **{f"{type_} for {use} usage": 20.0 for type_ in _TYPES for use in _USES},
        "Maximum total concurrency that can be allocated across all serverless endpoints": 10.0,
    },
    "ec2": {
        "All G and VT Spot Instance Requests": 64.0,
        "All P4, P3 and P2 Spot Instance Requests": 64.0,
        "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests": 640.0,
        "Running On-Demand G and VT instances": 64.0,
        "Running On-Demand P instances": 64.0,
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances": 640.0,
    },
    "codebuild": {
        "Concurrently running builds for Linux/Small environment": 20.0,
        "Concurrently running builds for ARM/Small environment": 5.0,
    },
    "lambda": {LAMBDA: 1000.0},
}
"""The quotas of an account that is no longer new, by service and name."""
_PAGE = 3


def quota(name: str) -> float | None:
    """Return the quota of that name, which a test may have set; None if there is none."""
    from tests.emulator.corrected_moto import STATE

    values = {name: value for quotas in QUOTAS.values() for name, value in quotas.items()}
    return STATE.quotas.get(name, values.get(name))


def list_service_quotas(self: Any) -> ActionResult:
    """moto only has default quotas, and only those of VPC."""
    from tests.emulator.corrected_moto import STATE

    applied = self._get_action() == "ListServiceQuotas"
    service = self._get_param("ServiceCode")
    if service not in QUOTAS:
        raise NoSuchResource
    names = sorted(set(QUOTAS[service]) - (STATE.not_applied if applied else set()))
    start = int(self._get_param("NextToken") or 0)
    end = start + _PAGE
    quotas = [
        {"ServiceCode": service, "QuotaName": name, "Value": quota(name)}
        for name in names[start:end]
    ]
    rest = {"NextToken": str(end)} if end < len(names) else {}
    return ActionResult({"Quotas": quotas, **rest})


def get_account_settings(self: Any) -> ActionResult:
    """moto has no GetAccountSettings."""
    total = int(quota(LAMBDA) or 0)
    limit = {
        "ConcurrentExecutions": total,
        "UnreservedConcurrentExecutions": total - reserved(self.current_account, self.region),
    }
    return ActionResult({"AccountLimit": limit, "AccountUsage": {}})


def reserved(account: str, region: str, but: str = "") -> int:
    """Return the reserved concurrency of all functions but one."""
    functions = lambda_backends[account][region].list_functions()
    return sum(
        int(function.reserved_concurrency or 0)
        for function in functions
        if function.function_name != but
    )


def describe_subscribers(self: Any) -> ActionResult:
    """moto has no DescribeSubscribersForNotification."""
    budgets = self.backend.budgets[self._get_param("AccountId")]
    wanted = self._get_param("Notification")
    budget = budgets.get(self._get_param("BudgetName"))
    for notification in budget.notifications if budget else ():
        if notification.details == wanted:
            return ActionResult({"Subscribers": notification.subscribers})
    raise NotFoundException("Unable to find the notification.")


_list_by_topic = SNSResponse.list_subscriptions_by_topic


def list_subscriptions_by_topic(self: Any) -> ActionResult:
    """moto confirms subscriptions by mail at once."""
    from tests.emulator.corrected_moto import STATE

    response: Any = _list_by_topic(self)
    subscriptions = [
        {
            "Protocol": item.protocol,
            "Endpoint": item.endpoint,
            "TopicArn": item.topic.arn,
            "SubscriptionArn": item.arn
            if item.protocol != "email" or item.endpoint in STATE.confirmed
            else "PendingConfirmation",
        }
        for item in response.result["Subscriptions"]
    ]
    return ActionResult({**response.result, "Subscriptions": subscriptions})


_describe_scheduled_actions = ApplicationAutoScalingResponse.describe_scheduled_actions


def describe_scheduled_actions(self: Any) -> str:
    """moto returns all scheduled actions at once; AWS, at most 50."""
    request = json.loads(self.body)
    start = int(request.get("NextToken") or 0)
    end = start + min(request.get("MaxResults") or 50, 50)
    response = json.loads(_describe_scheduled_actions(self))
    actions = response["ScheduledActions"]
    rest = {"NextToken": str(end)} if end < len(actions) else {}
    return json.dumps({"ScheduledActions": actions[start:end], **rest})


lambda_urls.url_paths.setdefault(
    r"{0}/(?P<api_version>[^/]+)/account-settings/?$", LambdaResponse.dispatch
)
REPLACEMENTS: list[tuple[Any, str, Any]] = [
    (ServiceQuotasResponse, "list_service_quotas", list_service_quotas),
    (ServiceQuotasResponse, "list_aws_default_service_quotas", list_service_quotas),
    (
        ApplicationAutoScalingResponse,
        "describe_scheduled_actions",
        describe_scheduled_actions,
    ),
    (LambdaResponse, "get_account_settings", get_account_settings),
    (BudgetsResponse, "describe_subscribers_for_notification", describe_subscribers),
    (SNSResponse, "list_subscriptions_by_topic", list_subscriptions_by_topic),
]  # fmt: skip
"""Owner, name and replacement, as corrected_moto applies them."""

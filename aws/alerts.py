"""Who is notified: the account's budget, and the subscriptions to a stage's alarms."""

from typing import Any

from aws.account import Account, or_none
from aws.settings import AlertSettings
from aws.stages import Stage

PENDING = "PendingConfirmation"
"""What SNS returns instead of an ARN until the recipient has confirmed the subscription."""
_THRESHOLDS = (("ACTUAL", 80.0), ("ACTUAL", 100.0), ("FORECASTED", 100.0))


def has_budgets(account: Account) -> bool:
    """Return whether AWS Budgets exists in the account's partition."""
    return account.partition == "aws"


def budget_name(account: Account) -> str:
    """Return the name of the budget, which is one for all stages: AWS bills the account."""
    return f"{account.settings.prefix}-monthly"


def describe_budget(account: Account) -> dict[str, Any] | None:
    """Return AWS's description of the budget, or None if it does not exist."""
    names = {"AccountId": account.id, "BudgetName": budget_name(account)}
    response = or_none(lambda: account.client("budgets").describe_budget(**names))
    return response and dict(response["Budget"])


def ensure_budget(account: Account, alerts: AlertSettings) -> None:
    """Create the budget, or bring it up to date. Requires `alerts.email`.

    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_CreateBudget.html
    """
    if describe_budget(account):
        delete_budget(account)
    subscriber = {"SubscriptionType": "EMAIL", "Address": alerts.email}
    account.client("budgets").create_budget(
        AccountId=account.id,
        Budget={
            "BudgetName": budget_name(account),
            "BudgetLimit": {"Amount": f"{alerts.monthly_usd:.2f}", "Unit": "USD"},
            "TimeUnit": "MONTHLY",
            "BudgetType": "COST",
        },
        NotificationsWithSubscribers=[
            {
                "Notification": {
                    "NotificationType": kind,
                    "ComparisonOperator": "GREATER_THAN",
                    "Threshold": percent,
                    "ThresholdType": "PERCENTAGE",
                },
                "Subscribers": [subscriber],
            }
            for kind, percent in _THRESHOLDS
        ],
    )


def budget_subscribers(account: Account) -> set[str]:
    """Return the addresses that the budget notifies."""
    client = account.client("budgets")
    names = {"AccountId": account.id, "BudgetName": budget_name(account)}
    addresses: set[str] = set()
    for notification in client.describe_notifications_for_budget(**names).get("Notifications", []):
        response = client.describe_subscribers_for_notification(**names, Notification=notification)
        addresses |= {subscriber["Address"] for subscriber in response["Subscribers"]}
    return addresses


def budget_is_current(account: Account, alerts: AlertSettings) -> bool:
    """Return whether the budget has the amount and the subscriber of the settings."""
    budget = describe_budget(account)
    if budget is None or float(budget["BudgetLimit"]["Amount"]) != round(alerts.monthly_usd, 2):
        return False
    return alerts.email in budget_subscribers(account)


def delete_budget(account: Account) -> None:
    """Delete the budget, which must exist."""
    account.client("budgets").delete_budget(AccountId=account.id, BudgetName=budget_name(account))


def alarm_topic(account: Account, stage: Stage) -> str:
    """Return the ARN of the topic that the alarms of a stack notify."""
    return account.arn("sns", f"{stage.function}-alarms")


def subscriptions(account: Account, stage: Stage) -> dict[str, str] | None:
    """Return the subscriptions to the stage's alarms, ARN by address; None without a topic.

    The ARN is PENDING until the recipient confirms.
    """
    client, topic = account.client("sns"), alarm_topic(account, stage)
    response = or_none(lambda: client.list_subscriptions_by_topic(TopicArn=topic))
    if response is None:
        return None
    return {item["Endpoint"]: item["SubscriptionArn"] for item in response["Subscriptions"]}


def subscribe(account: Account, stage: Stage, email: str) -> None:
    """Subscribe an address to the stage's alarms; AWS sends it a mail to confirm."""
    account.client("sns").subscribe(
        TopicArn=alarm_topic(account, stage), Protocol="email", Endpoint=email
    )

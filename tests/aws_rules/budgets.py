"""What AWS Budgets refuses."""

import re
from collections import Counter

from tests.aws_rules.rules import Refused, Request, rule

API = "https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/"


@rule("budgets", "CreateBudget", source=f"{API}API_budgets_NotificationWithSubscribers.html")
def at_most_ten_mails_and_one_topic(request: Request) -> None:
    """A notification has 1 to 11 subscribers: at most 10 addresses and one SNS topic."""
    for notification in request.parameters.get("NotificationsWithSubscribers", []):
        subscribers = notification.get("Subscribers", [])
        kinds = Counter(subscriber["SubscriptionType"] for subscriber in subscribers)
        if not subscribers or kinds["EMAIL"] > 10 or kinds["SNS"] > 1:
            raise Refused("InvalidParameterException", f"Invalid subscribers: {dict(kinds)}")


@rule("budgets", "CreateBudget", source=f"{API}API_budgets_Notification.html")
def at_most_ten_notifications(request: Request) -> None:
    """A budget has at most ten notifications, no two of them alike."""
    notifications = [
        tuple(sorted((key, str(value)) for key, value in item["Notification"].items()))
        for item in request.parameters.get("NotificationsWithSubscribers", [])
    ]
    if len(notifications) > 10:
        raise Refused("CreationLimitExceededException", "You've exceeded the notification limit.")
    if len(set(notifications)) < len(notifications):
        raise Refused("DuplicateRecordException", "The notification name already exists.")


@rule("budgets", "CreateBudget", source=f"{API}API_budgets_Subscriber.html")
def subscribers_are_addresses(request: Request) -> None:
    """The address of an EMAIL subscriber is an e-mail address."""
    for notification in request.parameters.get("NotificationsWithSubscribers", []):
        for subscriber in notification.get("Subscribers", []):
            address = subscriber["Address"]
            if subscriber["SubscriptionType"] == "EMAIL" and not re.fullmatch(
                r"[^@\s]+@[^@\s]+\.[^@\s]+", address
            ):
                raise Refused("InvalidParameterException", f"Invalid email address: {address}")


@rule("budgets", "CreateBudget", source=f"{API}API_budgets_Budget.html")
def name_and_amount(request: Request) -> None:
    """A budget's name has neither a colon nor a backslash, and its amount is above 0."""
    budget = request.parameters["Budget"]
    if not re.fullmatch(r"(?![^:\\]*/action/)[^:\\]{1,100}", budget["BudgetName"]):
        raise Refused("InvalidParameterException", f"Invalid name: {budget['BudgetName']}")
    limit = budget.get("BudgetLimit", {})
    if limit and float(limit["Amount"]) <= 0:
        raise Refused("InvalidParameterException", f"Budget limit {limit['Amount']} is not > 0")


@rule(
    "budgets",
    "CreateBudget",
    "DescribeBudget",
    "DeleteBudget",
    source=f"{API}API_budgets_CreateBudget.html",
)
def own_account(request: Request) -> None:
    """AccountId is the caller's account."""
    if request.parameters["AccountId"] != request.account:
        raise Refused("AccessDeniedException", "Account is not the caller's")


@rule("budgets", "CreateBudget", source=f"{API}API_budgets_Notification.html")
def thresholds_are_positive(request: Request) -> None:
    """A threshold is above 0; a percentage at most 1,000,000,000."""
    for item in request.parameters.get("NotificationsWithSubscribers", []):
        threshold = float(item["Notification"]["Threshold"])
        if not 0 < threshold <= 1e9:
            raise Refused("InvalidParameterException", f"Notification threshold {threshold}")


@rule("budgets", "CreateBudget", source=f"{API}API_budgets_Spend.html")
def costs_are_in_dollars(request: Request) -> None:
    """The limit of a cost budget is in USD."""
    budget = request.parameters["Budget"]
    unit = (budget.get("BudgetLimit") or {}).get("Unit", "USD")
    if budget["BudgetType"] == "COST" and unit != "USD":
        raise Refused("InvalidParameterException", f"Unit {unit} is not USD")

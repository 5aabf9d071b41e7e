"""What SNS refuses."""

import re

from tests.aws_rules.rules import Refused, Request, rule


@rule("sns", "Subscribe", source="https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html")
def email_addresses_are_valid(request: Request) -> None:
    """The endpoint of the protocol email is an e-mail address."""
    parameters = request.parameters
    if parameters["Protocol"] == "email" and not re.fullmatch(
        r"[^@\s]+@[^@\s]+\.[^@\s]+", parameters.get("Endpoint", "")
    ):
        raise Refused("InvalidParameter", "Invalid parameter: Email address")


@rule(
    "sns",
    "Unsubscribe",
    source="https://docs.aws.amazon.com/sns/latest/dg/sns-delete-subscription-topic.html",
)
def pending_subscriptions_stay(request: Request) -> None:
    """A subscription that is pending confirmation cannot be deleted."""
    if not request.parameters["SubscriptionArn"].startswith("arn:"):
        raise Refused("InvalidParameter", "Invalid parameter: SubscriptionArn")

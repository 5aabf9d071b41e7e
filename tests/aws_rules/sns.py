"""What SNS refuses."""

import re
from typing import Any

from moto.sns.models import sns_backends

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


@rule(
    "sns", "CreateTopic", source="https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html"
)
def topics_have_valid_names(request: Request) -> None:
    """A topic's name has up to 256 letters, digits, hyphens and underscores."""
    name = request.parameters["Name"].removesuffix(".fifo")
    if not re.fullmatch("[A-Za-z0-9_-]{1,256}", name):
        raise Refused("InvalidParameter", "Invalid parameter: Topic Name")


@rule("sns", "Subscribe", source="https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html")
def topics_are_subscribed_in_their_region(request: Request) -> None:
    """The topic exists in the region of the call; the protocol is a known one."""
    topic, protocol = request.parameters["TopicArn"], request.parameters["Protocol"]
    backend: Any = sns_backends[request.account][request.region]
    if topic.split(":")[3:4] != [request.region]:
        raise Refused("InvalidParameter", "Invalid parameter: TopicArn")
    if topic not in backend.topics:
        raise Refused("NotFound", "Topic does not exist", 404)
    if protocol not in (
        "http", "https", "email", "email-json", "sms", "sqs", "application", "lambda", "firehose",
    ):  # fmt: skip
        raise Refused("InvalidParameter", "Invalid parameter: Does not support this protocol")

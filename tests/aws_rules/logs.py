"""Log groups in CloudWatch Logs."""

from tests.aws_rules.rules import Refused, Request, rule

RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip


@rule(
    "logs",
    "PutRetentionPolicy",
    source=(
        "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/"
        "API_PutRetentionPolicy.html"
    ),
)
def retention_is_listed(request: Request) -> None:
    """Events are kept for one of 22 numbers of days."""
    days = request.parameters.get("retentionInDays")
    if days not in RETENTION_DAYS:
        raise Refused("InvalidParameterException", f"Invalid retention value: {days}")


@rule(
    "logs",
    "CreateLogGroup",
    source=(
        "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/"
        "API_CreateLogGroup.html"
    ),
)
def names_are_not_reserved(request: Request) -> None:
    """A log group's name does not start with aws/."""
    if request.parameters["logGroupName"].startswith("aws/"):
        raise Refused("InvalidParameterException", "Log group names must not start with aws/")


@rule(
    "logs",
    "FilterLogEvents",
    source=(
        "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/"
        "API_FilterLogEvents.html"
    ),
)
def streams_are_named_once(request: Request) -> None:
    """Events are filtered by names or by a prefix of streams, and start before they end."""
    parameters = request.parameters
    if parameters.get("logStreamNames") and parameters.get("logStreamNamePrefix"):
        message = "logStreamNames and logStreamNamePrefix cannot both be specified"
        raise Refused("InvalidParameterException", message)
    start, end = parameters.get("startTime"), parameters.get("endTime")
    if start is not None and end is not None and start > end:
        raise Refused("InvalidParameterException", "startTime is after endTime")

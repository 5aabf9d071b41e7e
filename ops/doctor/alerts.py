"""Check who is notified of the bill and of alarms."""

from collections.abc import Iterator

from aws import alerts
from ops.deployment import Deployment
from ops.doctor.line import Line, Status

_SET_EMAIL = "set email in [alerts] of settings.toml"


def budget(deployment: Deployment) -> Iterator[Line]:
    """Check the account's budget and its subscriber."""
    account, settings = deployment.account, deployment.alerts
    if not alerts.has_budgets(account):
        detail = f"AWS Budgets does not exist in partition {account.partition}"
        yield Line(Status.WARNING, "budget", detail, "watch the bill of the linked account")
    elif not settings.email:
        yield Line(Status.WARNING, "budget", "no one is notified of the bill", _SET_EMAIL)
    elif alerts.describe_budget(account) is None:
        detail = f"{alerts.budget_name(account)} does not exist"
        fix = f"python -m ops up --stage {deployment.stage.name} --part setup"
        yield Line(Status.TO_DO, "budget", detail, fix)
    elif settings.email not in alerts.budget_subscribers(account):
        detail = f"{alerts.budget_name(account)} does not notify {settings.email}"
        fix = f"python -m ops up --stage {deployment.stage.name} --part setup"
        yield Line(Status.WARNING, "budget", detail, fix)
    else:
        yield Line(Status.OK, "budget", f"${settings.monthly_usd:.2f} to {settings.email}")


def alarms(deployment: Deployment) -> Iterator[Line]:
    """Check that someone has confirmed the subscription to the alarms of a stack.

    An alarm notifies only topics of its region:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    """
    arn, region = deployment.serving.alarm_topic, deployment.account.region
    if arn and arn.split(":")[3] != region:
        detail = f"alarm_topic {arn} is not in {region}"
        yield Line(Status.BLOCKS, "alarms", detail, "set it in [serving] to a topic of the region")
    if not deployment.has_stack:
        return
    topic = alerts.alarm_topic(deployment.account, deployment.stage).rpartition(":")[2]
    subscribed = alerts.subscriptions(deployment.account, deployment.stage)
    if subscribed is None:
        detail = f"{topic} does not exist; the first release creates it"
        yield Line(Status.TO_DO, "alarms", detail, "" if deployment.alerts.email else _SET_EMAIL)
    elif not subscribed:
        fix = f"{_SET_EMAIL}, then python -m ops up --stage {deployment.stage.name}"
        yield Line(Status.WARNING, "alarms", f"{topic} notifies no one", fix)
    elif pending := [name for name, arn in subscribed.items() if arn == alerts.PENDING]:
        yield Line(
            Status.WARNING,
            "alarms",
            f"{', '.join(pending)} has not confirmed the subscription to {topic}",
            "open the link in AWS's mail; after two days, run `up` again for a new one",
        )
    else:
        yield Line(Status.OK, "alarms", f"{topic} notifies {', '.join(subscribed)}")

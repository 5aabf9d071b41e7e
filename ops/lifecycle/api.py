"""The part of `up` that releases the API, and whose mails its alarms are."""

from collections.abc import Iterator

from aws import alerts
from aws.account import or_none
from aws.assumed_role import assumed_if_admitted
from ops.api import release, rest_api, smoke_test
from ops.api.cloudformation_stack import Stack
from ops.deployment import Deployment
from ops.iam import github_oidc
from ops.lifecycle.step import Step


def steps(deployment: Deployment, smoke_url: str | None, patience_s: float) -> Iterator[Step]:
    """Yield the steps. The smoke test requests `smoke_url`, by default the API's own URL."""
    account, stage, email = deployment.account, deployment.stage, deployment.alerts.email
    yield Step(
        "api",
        f"API of stage {stage.name}",
        "6 minutes" if deployment.has_stack else "1 minute",
        lambda: "release it, unless it is unchanged, and test it",
        lambda: _release(deployment, smoke_url, patience_s),
    )
    if deployment.has_stack and email:
        yield Step(
            "api",
            f"mails of the alarms to {email}",
            "seconds",
            lambda: _pending_subscription(deployment),
            lambda: alerts.subscribe(account, stage, email),
        )


def exists(deployment: Deployment) -> bool:
    """Return whether anything of the stage's API exists."""
    account, stage = deployment.account, deployment.stage
    if deployment.has_stack:
        return Stack(account, stage.function).status() is not None
    client = account.client("lambda")
    function = or_none(lambda: client.get_function(FunctionName=stage.function))
    return function is not None or bool(rest_api.find(account, stage))


def _release(deployment: Deployment, smoke_url: str | None, patience_s: float) -> None:
    role = github_oidc.role_name(deployment.stage)
    with assumed_if_admitted(deployment.account, role) as account:
        target = release.open_release(account, deployment.stage.name)
        if not target.deploy(release.build(account, deployment.stage.name)):
            print("  Nothing changed.", flush=True)
        url = target.url()
        print("  " + smoke_test.check(smoke_url or url, target.api_key(), patience_s))
        print(f"  {url}", flush=True)


def _pending_subscription(deployment: Deployment) -> str:
    subscribed = alerts.subscriptions(deployment.account, deployment.stage) or {}
    if deployment.alerts.email in subscribed:
        return ""
    return "subscribe the address, which must confirm it"

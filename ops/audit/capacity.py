"""Whether the API can ask more than its endpoint can answer."""

from collections.abc import Iterator

from aws import endpoints, stages
from aws.account import Account
from ops.audit.finding import Finding, Severity
from ops.endpoint import scaling

SECONDS_A_REQUEST = 0.3
"""How long a function is busy with one prediction, most of it fetching the photo."""
SAFETY = 0.5
"""A target is half of what an instance holds (AWS: load test x 0.5 x 60)."""


def check(account: Account) -> Iterator[Finding]:
    """A finding for each stage whose functions at full concurrency overrun the endpoint."""
    for name in stages.names():
        stage = stages.read(name)
        if endpoints.describe(account, stage.endpoint) is None:
            continue
        state = scaling.state(account, stage.endpoint)
        if not state["targets"] or not state["policies"]:
            continue  # the check of endpoints says so already
        tracking = state["policies"][0]["TargetTrackingScalingPolicyConfiguration"]
        most = int(state["targets"][0]["MaxCapacity"])
        holds = most * tracking["TargetValue"] / 60 / SAFETY
        if stage.reserved_concurrency is None:
            yield Finding(
                Severity.LOW,
                f"stage {name}",
                "no reserved concurrency: the API can use up the account's",
                "set reserved_concurrency in .chalice/config.json and deploy",
            )
            continue
        asks = stage.reserved_concurrency / SECONDS_A_REQUEST
        if asks > holds:
            yield Finding(
                Severity.MEDIUM,
                f"stage {name}",
                f"{stage.reserved_concurrency} functions ask up to {asks:.0f} requests/s, "
                f"{most} instances hold {holds:.0f}",
                f"python -m training scale --stage {name} --max-instances "
                f"{-(-int(asks) * most // max(1, int(holds)))}, or lower reserved_concurrency",
            )

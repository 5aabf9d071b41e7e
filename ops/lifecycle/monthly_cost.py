"""The monthly bill of a stage that gets no requests, and its upper end with all instances."""

from aws import prices
from cli.errors import SettingsError
from ops.costs.settings import CostsSettings
from ops.deployment import Deployment

HOURS = 730
"""Hours of a month, as AWS's price pages count them."""
Item = tuple[str, float, float]
"""A name, and the least and the most US dollars per month."""


def items(deployment: Deployment) -> list[Item]:
    """Return the items of the bill that do not depend on requests.

    Raise SettingsError if the price of the instance type is unknown.
    """
    serving, scaling, stage = deployment.serving, deployment.scaling, deployment.stage
    table = prices.read().override(CostsSettings.read().prices)
    bill: list[Item] = []
    if serving.serverless:
        bill.append((f"endpoint {stage.endpoint}, serverless", 0.0, 0.0))
    else:
        each = table.usd(f"hosting {serving.instance_type}", HOURS)
        lowest, highest = scaling.min_instances, scaling.max_instances
        name = f"endpoint {stage.endpoint}, {lowest} to {highest} {serving.instance_type}"
        bill.append((name, each * lowest, each * highest))
    if stage.provisioned_concurrency:
        gigabyte_s = stage.provisioned_concurrency * stage.memory_mb / 1024 * HOURS * 3600
        usd = table.usd("lambda provisioned arm64", gigabyte_s)
        bill.append((f"{stage.provisioned_concurrency} warm functions", usd, usd))
    return bill


def text(deployment: Deployment) -> str:
    """Return the bill for people, with its total; an unknown price does not stop anything."""
    name = deployment.stage.name
    try:
        bill = items(deployment)
    except SettingsError as error:
        return f"What stage {name} costs per month is unknown. {error}"
    total = _usd(sum(item[1] for item in bill), sum(item[2] for item in bill))
    return "\n".join(
        [
            f"Stage {name} costs {total} per month, until `make down STAGE={name}` removes it:",
            *(f"  {item}: {_usd(low, high)}" for item, low, high in bill),
            f"  requests, logs, storage and alarms are extra: `python -m ops costs --stage {name}`",
            f"  prices of {prices.read().region}, {prices.read().as_of}",
        ]
    )


def _usd(low: float, high: float) -> str:
    return f"${low:,.2f}" if low == high else f"${low:,.2f} to ${high:,.2f}"

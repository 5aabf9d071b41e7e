"""Estimate what a day of traffic needs and costs.

Prints instances, latency, rejected requests, Lambda concurrency, the monthly bill, the price of a
million predictions next to that of labelling services, and the price of a training job. The day is
simulated under the target tracking of [scaling], with the delays of its metric, its alarms, its
cooldowns and of starting an instance. Each instance is an M/M/c/K queue. The rate of an instance is
an assumption until `ops loadtest` has measured it. Only --refresh reaches AWS.

example:
  python -m ops costs --mean-rps 10 --peak-factor 3 --chart costs.png
  python -m ops costs --profile day.csv --rate-per-instance 80 --target-per-minute 2400
  python -m ops costs --surge 5@12:00+10 --json
  python -m ops costs --refresh --region eu-central-1
"""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from aws import account as accounts
from aws import prices
from aws.account import Account
from aws.settings import FitSettings, ScalingSettings, ServingSettings
from cli import commands
from cli.errors import SettingsError
from ops.costs import concurrency, price_list, report, traffic
from ops.costs.plan import Plan
from ops.costs.settings import CostsSettings
from ops.costs.traffic import Traffic
from ops.loadtest.settings import LoadTestSettings

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@commands.command(__doc__)
@click.option("--stage", default="prod", show_default=True, help="Stage whose settings are used.")
@click.option("--profile", type=FILE, help="File with 24 rates in requests per second.")
@click.option("--hours", metavar="A,B,…", help="24 rates in requests per second, from 0:00 on.")
@click.option("--surge", metavar="F@HH:MM+MIN", help="F times the traffic for MIN minutes.")
@click.option(
    "--rate-per-instance",
    type=float,
    metavar="R",
    help="Measured requests per second of the first instance type.",
)
@click.option(
    "--rate", "rates", multiple=True, metavar="TYPE=R", help="Measured rate of another type."
)
@click.option("--instance-type", help="First instance type. Default: the one of [serving].")
@click.option("--reserved", type=click.IntRange(min=0), help="Override reserved concurrency.")
@click.option("--provisioned", type=click.IntRange(min=0), help="Override provisioned concurrency.")
@click.option(
    "--throttle-rate", type=click.FloatRange(min=0), help="Override API Gateway's rate limit."
)
@click.option(
    "--price", "unit_prices", multiple=True, metavar="NAME=USD", help="Override a price per unit."
)
@click.option("--chart", "chart_path", type=Path, metavar="PNG", help="Draw the day.")
@commands.json_option
@click.option("--refresh", is_flag=True, help="Fetch current prices from AWS first.")
@click.option(
    "--prices", "prices_path", type=FILE, default=prices.PATH, help="Table of prices to use."
)
@accounts.options(
    ScalingSettings,
    CostsSettings,
    without_options=(ServingSettings, FitSettings, LoadTestSettings),
)
def command(
    account: Account,
    stage: str,
    serving: ServingSettings,
    scaling: ScalingSettings,
    fit: FitSettings,
    loadtest: LoadTestSettings,
    costs: CostsSettings,
    profile: Path | None,
    hours: str | None,
    surge: str | None,
    rate_per_instance: float | None,
    rates: Sequence[str],
    instance_type: str | None,
    reserved: int | None,
    provisioned: int | None,
    throttle_rate: float | None,
    unit_prices: Sequence[str],
    chart_path: Path | None,
    as_json: bool,
    refresh: bool,
    prices_path: Path,
) -> None:
    table = prices.read(prices_path)
    if refresh:
        table, missing = price_list.refresh(account, table, datetime.now(UTC).date())
        prices.write(table, prices_path)
        if not as_json:
            unlisted = f" Not listed: {', '.join(missing)}." if missing else ""
            print(f"Wrote {len(table.prices)} prices of {table.region} to {prices_path}.{unlisted}")
    first_type = instance_type or serving.instance_type
    measured_rates = _numbers("--rate", rates)
    if rate_per_instance is not None:
        measured_rates[first_type] = rate_per_instance
    for name, rate in measured_rates.items():
        if not 0 < rate < math.inf:
            raise SettingsError(f"The rate of {name} is {rate:g}: it must be above 0.")
    limits = {"reserved": reserved, "provisioned": provisioned, "throttle_rate": throttle_rate}
    given = {name: value for name, value in limits.items() if value is not None}
    estimate = Plan(
        traffic=_traffic(profile, hours, surge, costs),
        api=replace(concurrency.read(stage), **given),  # type: ignore[arg-type]
        instance_types=list(dict.fromkeys([first_type, *costs.instance_types])),
        measured_rates=measured_rates,
        scaling=scaling,
        fit=fit,
        costs=costs,
        loadtest=loadtest,
        prices=table.override({**costs.prices, **_numbers("--price", unit_prices)}),
        serverless_memory_mb=serving.serverless_memory_mb,
    )
    print(json.dumps(report.document(estimate), indent=2) if as_json else report.text(estimate))
    if chart_path:
        from ops.costs import chart  # matplotlib takes half a second to import

        chart.draw(chart_path, estimate)
        if not as_json:
            print(f"Chart: {chart_path}")


def _traffic(
    profile: Path | None, hours: str | None, surge: str | None, costs: CostsSettings
) -> Traffic:
    if profile and hours:
        raise SettingsError("--profile and --hours exclude each other.")
    if profile:
        day = traffic.read_profile(profile)
    elif hours:
        try:
            day = traffic.from_hours([float(part) for part in hours.split(",")])
        except ValueError as error:
            raise SettingsError(f"--hours: {error}.") from None
    else:
        day = traffic.from_mean(costs.mean_rps, costs.peak_factor, costs.peak_hour)
    return replace(day, surge=traffic.parse_surge(surge)) if surge else day


def _numbers(option: str, texts: Sequence[str]) -> dict[str, float]:
    """Parse the values NAME=NUMBER of a repeatable option."""
    numbers = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            numbers[name] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise SettingsError(f'{option} is "{text}". Write NAME=NUMBER.')
    return numbers

"""What a day of traffic needs and costs: instances, latency, refusals, functions, the bill.

The day is simulated under the target tracking of settings.toml, with the delays of its metric, its
alarms, its cooldowns and of starting an instance; each instance is a queue (M/M/c/K). An instance's
rate is an assumption until loadtest measured it. Prices are those of a table with a date.

example:
  python -m training costs --mean-rps 10 --peak-factor 3 --chart costs.png
  python -m training costs --profile day.csv --rate-per-instance 80 --target-per-minute 2400
  python -m training costs --surge 5@12:00+10 --json
  python -m training costs --refresh --region eu-central-1
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aws import account as accounts
from aws import prices
from aws import settings as cloud_settings
from aws.account import told_in_one_line
from aws.settings import FitSettings, ScalingSettings, ServingSettings
from cli.errors import SettingsError
from ops.costs import bill, chart, front, instances, plan, pricelist, report, traffic
from ops.costs.bill import Request
from ops.costs.front import Front
from ops.costs.tracking import Delays
from ops.costs.traffic import Traffic
from training import settings

TABLE = "costs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    day = parser.add_mutually_exclusive_group()
    day.add_argument("--profile", type=Path, metavar="FILE", help="24 requests a second, by line")
    day.add_argument("--hours", metavar="A,B,…", help="24 requests a second, from 0 h on")
    parser.add_argument("--surge", metavar="F@HH:MM+MIN", help="F times the traffic for a while")
    parser.add_argument(
        "--rate-per-instance", type=float, metavar="R", help="of the first type, from loadtest"
    )
    parser.add_argument(
        "--rate", action="append", default=[], metavar="TYPE=R", help="of another type; repeatable"
    )
    parser.add_argument("--instance-type", help="the first type (default: of [cloud.serving])")
    parser.add_argument(
        "--reserved", type=int, metavar="N", help="functions, in place of the stage's"
    )
    parser.add_argument("--provisioned", type=int, metavar="N", help="likewise, kept initialised")
    parser.add_argument("--throttle-rate", type=float, metavar="R", help="likewise, API Gateway's")
    parser.add_argument(
        "--price", action="append", default=[], metavar="NAME=USD", help="of a unit; repeatable"
    )
    parser.add_argument("--chart", type=Path, metavar="PNG", help="draw the day")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    parser.add_argument("--refresh", action="store_true", help="ask AWS for today's prices first")
    parser.add_argument(
        "--prices", type=Path, default=prices.PATH, metavar="FILE", help="the table of prices"
    )
    accounts.add_options(parser)
    comments = settings.comments(TABLE)
    for key, default in _defaults().items():
        listed = isinstance(default, list)
        parser.add_argument(
            f"--{key.replace('_', '-')}",
            type=_split if listed else type(default),
            default=default,
            metavar="A,B" if listed else type(default).__name__.upper(),
            help=f"{comments[key]} (default {default})".replace("%", "%%"),
        )
    cloud_settings.add_options(parser, ScalingSettings)


@told_in_one_line
def run(arguments: argparse.Namespace) -> None:
    _check(arguments)
    table = prices.read(arguments.prices)
    if arguments.refresh:
        table = _refresh(table, arguments)
    found = _plan(arguments, prices.override(table, _overrides(arguments)))
    if arguments.chart:
        chart.draw(arguments.chart, found)
    if arguments.json:
        print(json.dumps(report.document(found), indent=2))
    else:
        print(report.text(found))
        if arguments.chart:
            print(f"chart: {arguments.chart}")


def _check(arguments: argparse.Namespace) -> None:
    for key in ("lambda_ms", "rate_per_vcpu", "job_hours"):
        if getattr(arguments, key) <= 0:
            raise SettingsError(f"{key} is {getattr(arguments, key):g}, not above 0")
    if not 0 <= arguments.spot_saving <= 1:
        raise SettingsError(f"spot_saving is {arguments.spot_saving:g}, not from 0 to 1")
    if arguments.queue < 0:
        raise SettingsError(f"queue is {arguments.queue}, not 0 or more")


def _plan(arguments: argparse.Namespace, table: prices.Prices) -> plan.Plan:
    serving = ServingSettings.read()
    training = FitSettings.read()
    first = arguments.instance_type or serving.instance_type
    rates = _rates(arguments, first)
    types = [first, *(name for name in arguments.instance_types if name != first)]
    job = bill.training_job(
        training.instance_type,
        training.instance_count,
        arguments.job_hours,
        training.volume_gb,
        arguments.spot_saving,
        table,
    )
    return plan.make(
        traffic=_traffic(arguments),
        stage=_stage(arguments),
        request=Request(
            lambda_s=arguments.lambda_ms / 1000,
            photo_bytes=arguments.photo_kb * 1024,
            answer_bytes=arguments.answer_kb * 1024,
            log_bytes=arguments.log_bytes,
            log_months=arguments.log_days / bill.DAYS,
        ),
        instances=[
            instances.instance(name, rates, arguments.rate_per_vcpu, arguments.queue)
            for name in types
        ],
        scaling=ScalingSettings.read(vars(arguments)),
        delays=Delays(arguments.metric_delay_s, arguments.instance_start_s),
        safety=float(settings.table("loadtest")["safety"]),
        job=job,
        prices=table,
    )


def _traffic(arguments: argparse.Namespace) -> Traffic:
    if arguments.profile:
        found = traffic.read(arguments.profile)
    elif arguments.hours:
        try:
            found = traffic.from_hours([float(part) for part in arguments.hours.split(",")])
        except ValueError as error:
            raise SettingsError(f"--hours: {error}") from None
    else:
        found = traffic.from_mean(arguments.mean_rps, arguments.peak_factor, arguments.peak_hour)
    surge = traffic.surge(arguments.surge) if arguments.surge else None
    return Traffic(found.hours, surge)


def _rates(arguments: argparse.Namespace, first: str) -> dict[str, float]:
    """The rates that somebody measured, by instance type."""
    rates = _named("--rate", arguments.rate)
    if arguments.rate_per_instance is not None:
        rates[first] = arguments.rate_per_instance
    return rates


def _refresh(old: prices.Prices, arguments: argparse.Namespace) -> prices.Prices:
    account = accounts.open_account(arguments)
    found, missing = pricelist.refresh(account, old, datetime.now(UTC).date())
    prices.write(found, arguments.prices)
    if not arguments.json:
        told = f", {len(missing)} not found: {', '.join(missing)}" if missing else ""
        print(f"{len(found.table)} prices of {found.region} in {arguments.prices}{told}")
    return found


def _overrides(arguments: argparse.Namespace) -> dict[str, float]:
    """Prices in place of the table's: those of [costs.prices], then those of options."""
    return {**settings.table(TABLE).get("prices", {}), **_named("--price", arguments.price)}


def _named(option: str, texts: Sequence[str]) -> dict[str, float]:
    """The numbers of a repeatable option NAME=NUMBER."""
    found = dict[str, float]()
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise SettingsError(f"{option} is {text!r}, not NAME=NUMBER")
    return found


def _stage(arguments: argparse.Namespace) -> Front:
    """The front of the stage, with what options put in place of its settings."""
    given = {
        name: getattr(arguments, name)
        for name in ("reserved", "provisioned", "throttle_rate")
        if getattr(arguments, name) is not None
    }
    if any(value < 0 for value in given.values()):
        raise SettingsError("--reserved, --provisioned and --throttle-rate are 0 or more")
    return replace(front.read(arguments.stage), **given)


def _defaults() -> dict[str, Any]:
    return {
        key: value for key, value in settings.table(TABLE).items() if not isinstance(value, dict)
    }


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]

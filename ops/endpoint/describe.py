"""Show what the endpoint of a stage runs, and which data, code, settings and job its model is from.

example:
  python -m ops endpoint describe --stage prod
  python -m ops endpoint describe --stage prod --json
"""

import json
import textwrap
from collections.abc import Mapping
from typing import Any

import click

from aws import account as accounts
from aws import endpoints, stages
from aws.account import Account
from cli import commands
from ops.endpoint import lineage, rollout

_UNKNOWN = "not recorded"


@commands.command(__doc__)
@click.option("--stage", required=True, help="Stage in .chalice/config.json.")
@commands.json_option
@accounts.options()
def command(account: Account, stage: str, as_json: bool) -> None:
    description = describe(account, stages.read(stage).endpoint)
    if as_json:
        print(json.dumps(description, default=str, indent=2))
    else:
        print(as_table(description))


def describe(account: Account, name: str) -> dict[str, Any]:
    """Return the state of an endpoint and, as `model`, the lineage of its model.

    Raises AwsError if the endpoint does not exist.
    """
    endpoint = endpoints.present(account, name)
    config = endpoints.describe_config(account, endpoint["EndpointConfigName"]) or {}
    [variant] = config.get("ProductionVariants") or [{}]
    live = (endpoint.get("ProductionVariants") or [{}])[0]
    result = {
        "endpoint": name,
        "status": endpoint["EndpointStatus"],
        "changed": endpoint["LastModifiedTime"],
        "failure": endpoint.get("FailureReason"),
        "capacity": _capacity(variant, live),
        "config": endpoint["EndpointConfigName"],
        "previous_config": rollout.previous_config(account, endpoint),
        "image": None,
        "model": None,
    }
    if "ModelName" in variant:
        model = account.client("sagemaker").describe_model(ModelName=variant["ModelName"])
        result["image"] = model["PrimaryContainer"]["Image"]
        result["model"] = {"resource": variant["ModelName"], **lineage.of_model(account, model)}
    return result


def as_table(description: Mapping[str, Any]) -> str:
    """Return a description as lines of a name and a value."""
    model = description["model"] or {}
    trained, metrics = model.get("trained_with") or {}, model.get("metrics") or {}
    rows = {
        "endpoint": f"{description['endpoint']}: {description['status']}",
        "changed": f"{description['changed']:%Y-%m-%d %H:%M %Z}",
        "failure": description["failure"],
        "capacity": description["capacity"],
        "config": description["config"],
        "previous": description["previous_config"],
        "image": description["image"],
        "model": " ".join(filter(None, [model.get("name"), model.get("version")])),
        "archive": model.get("archive"),
        "problem": model.get("problem"),
        "origin": model.get("origin") or _UNKNOWN,
        "job": model.get("job") or _UNKNOWN,
        "data": model.get("data") or _UNKNOWN,
        "commit": model.get("commit") or _UNKNOWN,
        "command": trained.get("command"),
        "settings": ", ".join(
            f"{key} {value}" for key, value in trained.get("settings", {}).items()
        ),
        "accuracy": _accuracy(metrics),
    }
    return "\n".join(
        textwrap.fill(
            str(value), 100, initial_indent=f"{name:10}", subsequent_indent=" " * 10,
            break_long_words=False, break_on_hyphens=False,
        )
        for name, value in rows.items()
        if value
    )  # fmt: skip


def _capacity(variant: Mapping[str, Any], live: Mapping[str, Any]) -> str:
    if serverless := variant.get("ServerlessConfig"):
        return (
            f"serverless, {serverless['MemorySizeInMB']} MB, at most "
            f"{serverless['MaxConcurrency']} at a time"
        )
    count = live.get("CurrentInstanceCount", variant.get("InitialInstanceCount"))
    return f"{count} x {variant.get('InstanceType')}"


def _accuracy(metrics: Mapping[str, Any]) -> str:
    if "top1" not in metrics:
        return ""
    return f"top-1 {metrics['top1']} on {metrics['photos']} photos of split {metrics['split']}"

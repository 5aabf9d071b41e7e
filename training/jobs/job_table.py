"""The training jobs so far: state, instances, time, spot saving, objective, cost, speed-up.

The speed-up of a job on several instances is measured against a completed job on one instance of
the same type with the same hyperparameters; efficiency is the speed-up for each instance, 100 %
being perfect. --follow shows the log of a running job.

example:
  python -m training jobs
  python -m training jobs --contains whatbreed-fit --limit 50 --json
  python -m training jobs --follow whatbreed-fit-20261121120000
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from aws import account as accounts
from aws import settings, training_jobs
from aws.account import Account, told_in_one_line
from aws.settings import TuningJobSettings
from training.jobs.job_logs import follow


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the table. Durations are in seconds; `cost_usd` is None where no price is known.

    `billable_s` is of all instances together; `spot_saving` is a part of 1; `speed_up` and
    `efficiency` are None where no job on one instance can be compared with.
    """

    name: str
    status: str
    instance_type: str
    instances: int
    duration_s: float | None
    billable_s: float | None
    spot_saving: float | None
    objective: float | None
    cost_usd: float | None
    speed_up: float | None
    efficiency: float | None
    model: str | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--contains", help="part of the names (default: the prefix)")
    parser.add_argument("--limit", type=int, default=20, help="the latest so many (default 20)")
    parser.add_argument("--follow", metavar="NAME", help="show this job's log until it ends")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    accounts.add_options(parser)


@told_in_one_line
def run(arguments: argparse.Namespace) -> None:
    account = accounts.open_account(arguments)
    if arguments.follow:
        follow(account, arguments.follow)
        return
    names = _names(account, arguments.contains or account.settings.prefix, arguments.limit)
    with ThreadPoolExecutor(8) as pool:
        described = list(pool.map(lambda name: training_jobs.describe(account, name), names))
    rows = table(described, TuningJobSettings.read().objective, settings.prices())
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        print(render(rows))


def table(
    jobs: Sequence[Mapping[str, Any]], objective: str, prices: Mapping[str, float]
) -> list[Job]:
    """The rows for jobs as DescribeTrainingJob gives them, in the same order."""
    alone = {
        _comparable(job): _duration(job)
        for job in reversed(jobs)  # the latest of several counts
        if job["TrainingJobStatus"] == "Completed" and _instances(job) == 1
    }
    return [_row(job, objective, prices, alone.get(_comparable(job))) for job in jobs]


def render(rows: Sequence[Job]) -> str:
    """The table for a terminal."""
    if not rows:
        return "no training jobs"
    heads = ["name", "status", "instances", "time", "billable", "spot", "objective"]
    heads += ["cost", "speed-up", "efficiency"]
    lines = [heads]
    for row in rows:
        lines.append(
            [
                row.name,
                row.status,
                f"{row.instances} x {row.instance_type}",
                _clock(row.duration_s),
                _clock(row.billable_s),
                _text(row.spot_saving, "{:.0%}"),
                _text(row.objective, "{:.4f}"),
                _text(row.cost_usd, "${:.2f}"),
                _text(row.speed_up, "{:.2f}"),
                _text(row.efficiency, "{:.0%}"),
            ]
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _row(
    job: Mapping[str, Any], objective: str, prices: Mapping[str, float], alone_s: float | None
) -> Job:
    resources = job["ResourceConfig"]
    instances, duration = _instances(job), _duration(job)
    training_s, billed_s = job.get("TrainingTimeInSeconds"), job.get("BillableTimeInSeconds")
    price = prices.get(resources.get("InstanceType", ""))
    # AWS: what is billed is the billable time, times the instances, at the on-demand price.
    billable = None if billed_s is None else float(billed_s * instances)
    metrics = {one["MetricName"]: one["Value"] for one in job.get("FinalMetricDataList") or []}
    completed = job["TrainingJobStatus"] == "Completed"
    speed_up = alone_s / duration if alone_s and duration and completed else None
    return Job(
        name=job["TrainingJobName"],
        status=job["TrainingJobStatus"],
        instance_type=resources.get("InstanceType", ""),
        instances=instances,
        duration_s=duration,
        billable_s=billable,
        spot_saving=(
            1 - billed_s / training_s
            if job.get("EnableManagedSpotTraining") and training_s and billed_s is not None
            else None
        ),
        objective=metrics.get(objective),
        cost_usd=None if billable is None or price is None else billable * price / 3600,
        speed_up=speed_up,
        efficiency=None if speed_up is None else speed_up / instances,
        model=(job.get("ModelArtifacts") or {}).get("S3ModelArtifacts"),
    )


def _names(account: Account, contains: str, limit: int) -> list[str]:
    pages = account.client("sagemaker").get_paginator("list_training_jobs")
    found = pages.paginate(
        NameContains=contains,
        SortBy="CreationTime",
        SortOrder="Descending",
        PaginationConfig={"MaxItems": limit},
    )
    return [job["TrainingJobName"] for page in found for job in page["TrainingJobSummaries"]]


def _comparable(job: Mapping[str, Any]) -> tuple[Any, ...]:
    """What two jobs must share so that their times can be compared.

    `batch-size` counts for each process: more instances mean larger steps, not another task.
    """
    values = {
        key: value
        for key, value in (job.get("HyperParameters") or {}).items()
        if key not in ("batch-size", "sharded") and not key.startswith("sagemaker_")
    }
    return job["ResourceConfig"].get("InstanceType"), tuple(sorted(values.items()))


def _instances(job: Mapping[str, Any]) -> int:
    return int(job["ResourceConfig"].get("InstanceCount", 1))


def _duration(job: Mapping[str, Any]) -> float | None:
    if not job.get("TrainingStartTime") or not job.get("TrainingEndTime"):
        return None
    return float((job["TrainingEndTime"] - job["TrainingStartTime"]).total_seconds())


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)

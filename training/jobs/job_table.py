"""List training jobs with their state, instances, time, spot saving, objective, cost and speed-up.

The speed-up of a job on several instances is relative to a completed job on one instance of the
same type with the same hyperparameters; efficiency is the speed-up divided by the instances.
--follow shows the log of a running job.

example:
  python -m training jobs
  python -m training jobs --contains whatbreed-fit --limit 50 --json
  python -m training jobs --follow whatbreed-fit-20261121120000
"""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import click

from aws import account as accounts
from aws import prices, training_jobs
from aws.account import Account
from aws.settings import TuningJobSettings
from cli import commands, tables
from training.jobs import job_logs


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the table. `billable_s` is the sum over all instances, `spot_saving` a fraction.

    `cost_usd` is None without a price, `speed_up` and `efficiency` without a comparable job.
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


@commands.command(__doc__)
@click.option("--contains", help="Part of the jobs' names. Default: the prefix of [aws].")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Rows.")
@click.option("--follow", metavar="NAME", help="Show the log of this job until it ends.")
@commands.json_option
@accounts.options(without_options=[TuningJobSettings])
def command(
    account: Account,
    contains: str | None,
    limit: int,
    follow: str | None,
    as_json: bool,
    tuning_job: TuningJobSettings,
) -> None:
    if follow:
        job_logs.follow(account, follow)
        return
    names = _names(account, contains or account.settings.prefix, limit)
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda name: training_jobs.describe(account, name), names))
    rows = table(jobs, tuning_job.objective, partial(prices.instance_usd_per_hour, "training"))
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        print(render(rows))


def table(
    jobs: Sequence[Mapping[str, Any]], objective: str, usd_per_hour: Callable[[str], float | None]
) -> list[Job]:
    """Return a row for each job of DescribeTrainingJob, in the same order."""
    single_s = {
        _comparable(job): _duration(job)
        for job in reversed(jobs)  # the latest of several counts
        if job["TrainingJobStatus"] == "Completed" and _instances(job) == 1
    }
    return [_row(job, objective, usd_per_hour, single_s.get(_comparable(job))) for job in jobs]


def render(rows: Sequence[Job]) -> str:
    """Return the table for a terminal."""
    if not rows:
        return "no training jobs"
    heads = [
        "name",
        "status",
        "instances",
        "time",
        "billable",
        "spot",
        "objective",
        "cost",
        "speed-up",
        "efficiency",
    ]
    lines = [
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
        for row in rows
    ]
    return tables.render(heads, lines)


def _row(
    job: Mapping[str, Any],
    objective: str,
    usd_per_hour: Callable[[str], float | None],
    single_s: float | None,
) -> Job:
    resources = job["ResourceConfig"]
    instances, duration = _instances(job), _duration(job)
    training_s, billed_s = job.get("TrainingTimeInSeconds"), job.get("BillableTimeInSeconds")
    price = usd_per_hour(resources.get("InstanceType", ""))
    # AWS bills the billable time of every instance at the on-demand price.
    billable = None if billed_s is None else float(billed_s * instances)
    metrics = {
        metric["MetricName"]: metric["Value"] for metric in job.get("FinalMetricDataList") or []
    }
    completed = job["TrainingJobStatus"] == "Completed"
    speed_up = single_s / duration if single_s and duration and completed else None
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
    jobs = pages.paginate(
        NameContains=contains,
        SortBy="CreationTime",
        SortOrder="Descending",
        PaginationConfig={"MaxItems": limit},
    )
    return [job["TrainingJobName"] for page in jobs for job in page["TrainingJobSummaries"]]


def _comparable(job: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what must be equal in jobs whose times are compared."""
    # batch-size is per process: more instances mean larger steps, but not another task.
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

"""List training jobs in SageMaker and runs on EC2 with state, instances, time, cost and speed-up.

The speed-up of a job on several instances is relative to a completed job on one instance of the
same type with the same hyperparameters; efficiency is the speed-up divided by the instances.
--follow shows the log of a job or run until it ends, --stop stops it and keeps its checkpoint.

example:
  python -m training jobs
  python -m training jobs --contains whatbreed-fit --limit 50 --json
  python -m training jobs --follow whatbreed-fit-20261121120000
  python -m training jobs --stop ec2-20261121120000
"""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import click

from aws import account as accounts
from aws import prices, training_jobs
from aws.account import Account
from aws.settings import TuningJobSettings
from cli import commands, tables
from training.jobs import ec2_runs, job_control


@commands.command(__doc__)
@click.option("--contains", help="Part of the jobs' names. Default: the prefix of [aws].")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Rows.")
@click.option("--follow", metavar="NAME", help="Show the log of this job or run until it ends.")
@click.option("--stop", metavar="NAME", help="Stop this job, tuning job, run or instance.")
@commands.dry_run_option
@commands.json_option
@accounts.options(without_options=[TuningJobSettings])
def command(
    account: Account,
    contains: str | None,
    limit: int,
    follow: str | None,
    stop: str | None,
    dry_run: bool,
    as_json: bool,
    tuning_job: TuningJobSettings,
) -> None:
    if follow:
        job_control.follow(account, follow)
        return
    if stop:
        print(job_control.stop(account, stop, dry_run=dry_run))
        return
    pages = account.client("sagemaker").get_paginator("list_training_jobs")
    jobs = pages.paginate(
        NameContains=contains or account.settings.prefix,
        SortBy="CreationTime",
        SortOrder="Descending",
        PaginationConfig={"MaxItems": limit},
    )
    names = jobs.search("TrainingJobSummaries[].TrainingJobName")
    with ThreadPoolExecutor(8) as pool:
        descriptions = list(pool.map(partial(training_jobs.describe, account), names))
    usd_per_hour = partial(prices.instance_usd_per_hour, "training")
    rows = table(descriptions, tuning_job.objective, usd_per_hour)
    rows += ec2_runs.rows(account, contains or "")[:limit]
    print(json.dumps(rows, indent=2) if as_json else render(rows))


def table(
    jobs: Sequence[Mapping[str, Any]], objective: str, usd_per_hour: Callable[[str], float | None]
) -> list[dict[str, Any]]:
    """Return a row for each job of DescribeTrainingJob, in the same order.

    `billable_s` is the sum over all instances, `spot_saving` a fraction. `cost_usd` is None without
    a price, `speed_up` and `efficiency` without a comparable job.
    """
    single_s = {
        _comparable(job): _duration(job)
        for job in reversed(jobs)  # the latest of several counts
        if job["TrainingJobStatus"] == "Completed" and _instances(job) == 1
    }
    return [_row(job, objective, usd_per_hour, single_s.get(_comparable(job))) for job in jobs]


def render(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table for a terminal."""
    if not rows:
        return "no training jobs"
    lines = [
        {
            "name": row["name"],
            "status": row["status"],
            "instances": f"{row['instances']} x {row['instance_type']}",
            "time": _clock(row["duration_s"]),
            "billable": _clock(row["billable_s"]),
            "spot": _text(row["spot_saving"], "{:.0%}"),
            "objective": _text(row["objective"], "{:.4f}"),
            "cost": _text(row["cost_usd"], "${:.2f}"),
            "speed-up": _text(row["speed_up"], "{:.2f}"),
            "efficiency": _text(row["efficiency"], "{:.0%}"),
        }
        for row in rows
    ]
    return tables.render(list(lines[0]), [list(line.values()) for line in lines])


def _row(
    job: Mapping[str, Any],
    objective: str,
    usd_per_hour: Callable[[str], float | None],
    single_s: float | None,
) -> dict[str, Any]:
    instance_type = job["ResourceConfig"].get("InstanceType", "")
    instances, duration = _instances(job), _duration(job)
    training_s, billed_s = job.get("TrainingTimeInSeconds"), job.get("BillableTimeInSeconds")
    price = usd_per_hour(instance_type)
    # AWS bills the billable time of every instance at the on-demand price.
    billable = None if billed_s is None else float(billed_s * instances)
    saving = None
    if job.get("EnableManagedSpotTraining") and training_s and billed_s is not None:
        saving = 1 - billed_s / training_s
    metrics = {
        metric["MetricName"]: metric["Value"] for metric in job.get("FinalMetricDataList") or []
    }
    completed = job["TrainingJobStatus"] == "Completed"
    speed_up = single_s / duration if single_s and duration and completed else None
    return {
        "name": job["TrainingJobName"],
        "status": job["TrainingJobStatus"],
        "instance_type": instance_type,
        "instances": instances,
        "duration_s": duration,
        "billable_s": billable,
        "spot_saving": saving,
        "objective": metrics.get(objective),
        "cost_usd": None if billable is None or price is None else billable * price / 3600,
        "speed_up": speed_up,
        "efficiency": speed_up and speed_up / instances,
        "model": (job.get("ModelArtifacts") or {}).get("S3ModelArtifacts"),
    }


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

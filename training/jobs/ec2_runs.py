"""The rows of EC2 runs in the table of jobs."""

from typing import Any

from aws import s3_storage
from aws.account import Account
from training.jobs import measurement, runs


def rows(account: Account, contains: str) -> list[dict[str, Any]]:
    """Return a row for each EC2 run whose name contains a text, the latest first."""
    if not s3_storage.exists(account):
        return []
    records = [run for run in runs.listing(account, "ec2") if contains in run.name and run.jobs]
    records.sort(key=lambda run: run.jobs[-1].started, reverse=True)
    return [_row(measurement.of_ec2(account, run)) for run in records]


def _row(measured: measurement.Measurement) -> dict[str, Any]:
    total_s = measured.times and measured.times.total
    return {
        "name": measured.name,
        "status": measured.status,
        "instance_type": measured.place,
        "instances": 1,
        "duration_s": total_s,
        "billable_s": total_s,
        "spot_saving": None,
        "objective": measured.result and measured.result.top1,
        "cost_usd": measured.usd_on_demand if measured.usd_spot is None else measured.usd_spot,
        "speed_up": None,
        "efficiency": None,
        "model": None,
    }

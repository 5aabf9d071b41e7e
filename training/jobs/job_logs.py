"""Wait for a training job and print its log; Ctrl-C offers to stop the job."""

import sys
from collections.abc import Callable
from typing import Any

import click

from aws import training_jobs
from aws.account import Account
from aws.errors import JobFailed
from aws.log_tail import LogTail
from aws.polling import poll

ENDED = frozenset({"Completed", "Failed", "Stopped"})
"""States that training, tuning and transform jobs do not leave."""
_LOG_GROUP = "/aws/sagemaker/TrainingJobs"


def confirm_on_terminal(question: str) -> bool:
    """Ask a yes-or-no question; no without a terminal."""
    if not sys.stdin.isatty():
        return False
    try:
        return click.confirm(question)
    except click.Abort:
        return False


def follow(
    account: Account, name: str, confirm: Callable[[str], bool] = confirm_on_terminal
) -> dict[str, Any]:
    """Print the log of training job `name` until it ends, and return AWS's description of it.

    Raises JobFailed with AWS's reason unless the job completes. After Ctrl-C, stops the job if
    `confirm` returns true, and raises KeyboardInterrupt in any case.
    """
    tail = LogTail(account, _LOG_GROUP, f"{name}/")
    try:
        job = poll(
            account,
            lambda: training_jobs.describe(account, name),
            lambda job: job["TrainingJobStatus"] in ENDED,
            lambda job: f"{name}: {_status(job)}",
            tail.print_new,
        )
    except KeyboardInterrupt:
        if confirm(f"\nStop {name}, too? If not, it keeps running and you keep paying."):
            account.client("sagemaker").stop_training_job(TrainingJobName=name)
            print(f"{name} is stopping; its checkpoint is kept.")
        else:
            print(f"{name} keeps running: python -m training jobs --follow {name}")
        raise
    if job["TrainingJobStatus"] != "Completed":
        raise JobFailed(failure(name, job["TrainingJobStatus"], job.get("FailureReason", "")))
    return job


def failure(name: str, status: str, reason: str) -> str:
    """Return a message such as `JOB failed: out of memory`."""
    text = " ".join(reason.split())
    return f"{name} {status.lower()}: {text}" if text else f"{name} {status.lower()}."


def _status(job: dict[str, Any]) -> str:
    """Return a text such as `Starting: Preparing the instances for training`."""
    if job["TrainingJobStatus"] in ENDED:
        return str(job["TrainingJobStatus"])
    latest = (job.get("SecondaryStatusTransitions") or [{}])[-1]
    state = str(latest.get("Status", job["TrainingJobStatus"]))
    return f"{state}: {latest['StatusMessage']}" if latest.get("StatusMessage") else state

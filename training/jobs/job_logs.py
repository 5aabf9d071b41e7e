"""Wait for jobs of SageMaker, and print the log of training jobs."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import click

from aws import log_groups, training_jobs
from aws.account import Account
from aws.errors import JobFailed
from aws.log_tail import LogTail
from aws.polling import poll


def confirm_on_terminal(question: str) -> bool:
    """Ask a yes-or-no question; no without a terminal."""
    try:
        return sys.stdin.isatty() and click.confirm(question)
    except click.Abort:
        return False


def follow(
    account: Account, name: str, confirm: Callable[[str], bool] = confirm_on_terminal
) -> dict[str, Any]:
    """Print the log of training job `name` until it ends, and return AWS's description of it.

    Raises JobFailed with AWS's reason unless the job completes. After Ctrl-C, stops the job if
    `confirm` returns true, and raises KeyboardInterrupt in any case.
    """
    describe = partial(training_jobs.describe, account, name)
    tail = LogTail(account, log_groups.TRAINING, f"{name}/")
    try:
        return wait(account, "Training", describe, _status, tail.print_new)
    except KeyboardInterrupt:
        if confirm(f"\nStop {name}, too? If not, it keeps running and you keep paying."):
            account.client("sagemaker").stop_training_job(TrainingJobName=name)
            print(f"{name} is stopping; its checkpoint is kept.")
        else:
            print(f"{name} keeps running: python -m training jobs --follow {name}")
        raise


def wait(
    account: Account,
    kind: str,
    describe: Callable[[], dict[str, Any]],
    progress: Callable[[dict[str, Any]], str] | None = None,
    after_each: Callable[[], None] | None = None,
    completed: Sequence[str] = ("Completed",),
) -> dict[str, Any]:
    """Poll a job until it ends, and return AWS's description of it.

    `kind` is Training, Transform or HyperParameterTuning. Raises JobFailed with AWS's reason unless
    the final status is one of `completed`.
    """
    name, status = f"{kind}JobName", f"{kind}JobStatus"
    job = poll(
        account,
        describe,
        lambda job: job[status] in ("Completed", "Failed", "Stopped"),
        lambda job: f"{job[name]}: {progress(job) if progress else job[status]}",
        after_each,
    )
    if job[status] not in completed:
        reason = " ".join(job.get("FailureReason", "").split())
        message = f"{job[name]} {job[status].lower()}"
        raise JobFailed(f"{message}: {reason}" if reason else f"{message}.")
    return job


def _status(job: dict[str, Any]) -> str:
    """Return a text such as `Starting: Preparing the instances for training`."""
    transitions = job.get("SecondaryStatusTransitions")
    if job["TrainingJobStatus"] != "InProgress" or not transitions:
        return str(job["TrainingJobStatus"])
    latest = transitions[-1]
    return ": ".join(filter(None, [latest["Status"], latest.get("StatusMessage")]))

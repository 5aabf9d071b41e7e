"""Wait for a job: its state and its containers' log on the terminal, Ctrl-C asks what to do."""

import sys
import time
from collections.abc import Callable
from typing import Any

from aws import training_jobs
from aws.account import Account
from aws.errors import JobFailed
from aws.log_tail import LogTail

POLL_S = 10.0
_ENDED = frozenset({"Completed", "Failed", "Stopped"})
_LOGS = "/aws/sagemaker/TrainingJobs"


def follow(account: Account, name: str) -> dict[str, Any]:
    """Print the log of training job `name` until it ends and return its description.

    Raises `JobFailed` with AWS's reason where it does not complete. After Ctrl-C the job is
    stopped if the answer to the question is yes; `KeyboardInterrupt` goes on either way.
    """
    tail = LogTail(account, _LOGS, f"{name}/")
    status = ""
    try:
        while True:
            job = training_jobs.describe(account, name)
            if (now := _status(job)) != status:
                status = now
                print(f"{name}: {status}", flush=True)
            tail.print_new()
            if job["TrainingJobStatus"] in _ENDED:
                break
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        _ask_to_stop(
            name,
            lambda: account.client("sagemaker").stop_training_job(TrainingJobName=name),
            f"python -m training jobs --follow {name}",
        )
        raise
    if job["TrainingJobStatus"] != "Completed":
        reason = job.get("FailureReason", "it was stopped")
        raise JobFailed(f"{name} {job['TrainingJobStatus'].lower()}: {' '.join(reason.split())}")
    return job


def _status(job: dict[str, Any]) -> str:
    """`Starting: Preparing the instances for training`, as far as AWS tells."""
    transitions = job.get("SecondaryStatusTransitions") or [{}]
    detail = transitions[-1].get("StatusMessage", "")
    state = transitions[-1].get("Status", job["TrainingJobStatus"])
    if job["TrainingJobStatus"] in _ENDED:
        return str(job["TrainingJobStatus"])
    return f"{state}: {detail}" if detail else str(state)


def _ask_to_stop(name: str, stop: Callable[[], Any], again: str) -> None:
    answer = ""
    if sys.stdin.isatty():
        try:
            answer = input(f"\nStop {name} as well? It goes on, and costs, otherwise. [y/N] ")
        except (EOFError, KeyboardInterrupt):
            print()
    if answer.strip().lower() in ("y", "yes"):
        stop()
        print(f"{name} is being stopped; its checkpoint stays")
    else:
        print(f"{name} goes on; watch it with `{again}`")

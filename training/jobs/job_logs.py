"""Wait for a job: its state and its containers' log on the terminal, Ctrl-C asks what to do."""

import sys
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from aws.account import Account, is_missing
from training.errors import CloudError, JobFailed

POLL_S = 10.0
_ENDED = frozenset({"Completed", "Failed", "Stopped"})
_LOGS = "/aws/sagemaker/TrainingJobs"


def training_job(account: Account, name: str) -> dict[str, Any]:
    """The description of a training job. Raises `CloudError` where there is none of that name."""
    try:
        return dict(account.client("sagemaker").describe_training_job(TrainingJobName=name))
    except ClientError as error:
        if is_missing(error):
            raise CloudError(f"no training job {name}: see `python -m training jobs`") from None
        raise


def follow(account: Account, name: str) -> dict[str, Any]:
    """Print the log of training job `name` until it ends and return its description.

    Raises `JobFailed` with AWS's reason where it does not complete. After Ctrl-C the job is
    stopped if the answer to the question is yes; `KeyboardInterrupt` goes on either way.
    """
    tail = LogTail(account, _LOGS, f"{name}/")
    status = ""
    try:
        while True:
            job = training_job(account, name)
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


class LogTail:
    """The streams of a log group that begin with `prefix`, printed as they grow."""

    def __init__(self, account: Account, group: str, prefix: str) -> None:
        self._logs = account.client("logs")
        self._group, self._prefix = group, prefix
        self._tokens: dict[str, str] = {}

    def print_new(self) -> None:
        """Print what came since the last call. A group that does not exist yet prints nothing."""
        try:
            streams = self._logs.describe_log_streams(
                logGroupName=self._group, logStreamNamePrefix=self._prefix
            )["logStreams"]
            several = len(streams) > 1
            for stream in streams:
                self._print_stream(stream["logStreamName"], several)
        except ClientError as error:
            if not is_missing(error):
                raise

    def _print_stream(self, stream: str, several: bool) -> None:
        # "NAME/algo-2-1700000000": the host tells which instance speaks
        host = stream.rpartition("/")[2].rsplit("-", 1)[0] + ": " if several else ""
        while True:
            token = self._tokens.get(stream)
            answer = self._logs.get_log_events(
                logGroupName=self._group,
                logStreamName=stream,
                startFromHead=True,
                **({"nextToken": token} if token else {}),
            )
            for event in answer["events"]:
                print(f"  {host}{event['message'].rstrip()}", flush=True)
            self._tokens[stream] = answer["nextForwardToken"]
            if not answer["events"] or answer["nextForwardToken"] == token:
                return


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

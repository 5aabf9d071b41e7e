"""The steps of `up`, run in order; each looks first whether it is done."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from botocore.exceptions import ClientError

from aws.account import explain, is_denied
from aws.errors import AwsError

PARTS = ("setup", "model", "api")
"""What an administrator does, what operators do, and what the release role does."""


@dataclass(frozen=True)
class Step:
    """One step. `pending` returns what `run` will do, or "" if nothing is left to do."""

    part: str
    name: str
    duration: str
    """How long it takes, for people."""
    pending: Callable[[], str]
    run: Callable[[], object]


def run_all(steps: Iterable[Step], *, dry_run: bool) -> None:
    """Run what is pending, and print each step with its progress."""
    todo = list(steps)
    for number, step in enumerate(todo, 1):
        head = f"[{number}/{len(todo)}] {step.name}"
        task = _pending(step)
        if not task:
            print(f"{head}: done", flush=True)
        elif dry_run:
            print(f"{head}: would {task} ({step.duration})")
        else:
            print(f"{head}: {task} (takes {step.duration}) …", flush=True)
            began = time.monotonic()
            _run(step)
            print(f"{head}: done after {time.monotonic() - began:.0f} s", flush=True)


def _run(step: Step) -> None:
    """Run a step. Raise AwsError with the way out if only an administrator may do that."""
    try:
        step.run()
    except ClientError as error:
        if step.part != "setup" or not is_denied(error):
            raise
        raise AwsError(
            f"{step.name}: {explain(error)} An administrator runs `up` with --part setup first."
        ) from error


def _pending(step: Step) -> str:
    """Return what is pending. Setup that the caller may not look at is an administrator's."""
    try:
        return step.pending()
    except ClientError as error:
        if step.part != "setup" or not is_denied(error):
            raise
        print(f"{step.name}: not checked, that needs an administrator. {explain(error)}")
        return ""

"""Training runs in AWS: a record of each in S3, and the checks before one is resumed.

A run has its own checkpoints and one or more jobs, which are SageMaker jobs or EC2 instances. Its
record is next to its checkpoints: checkpoints/RUN/run.json or ec2/RUN/run.json.
"""

import difflib
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from aws import s3_layout, s3_storage
from aws.account import Account
from aws.errors import AwsError
from cli import settings as cli_settings
from cli.errors import SettingsError
from cli.settings import Section
from training.jobs.s3_photos import Listing
from training.settings import TrainSettings

Place = Literal["fit", "ec2"]
"""The command that starts the jobs of a run."""
FOLDERS: dict[Place, str] = {"fit": s3_layout.CHECKPOINTS, "ec2": s3_layout.EC2}
_TIMESTAMP = r"-\d{14}"


class Job(BaseModel):
    """A SageMaker job or an EC2 instance by its name or id, and when it was requested."""

    model_config = ConfigDict(frozen=True)

    id: str
    started: datetime


class Run(BaseModel):
    """The record of a run.

    `train` are all values of [train], `machine` those of [fit] or [ec2]. `photos` is the number of
    photos at the S3 prefix `data`, `fingerprint` that of their listing.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    place: Place
    train: dict[str, Any]
    machine: dict[str, Any]
    data: str
    photos: int
    fingerprint: str
    jobs: list[Job] = []

    @classmethod
    def of(
        cls, name: str, place: Place, train: TrainSettings, machine: Section, data: Listing
    ) -> Self:
        """Return the record of a new run without jobs."""
        return cls(
            name=name,
            place=place,
            train=train.model_dump(),
            machine=machine.model_dump(exclude={"metrics"}),
            data=data.uri,
            photos=len(data.photos),
            fingerprint=data.fingerprint,
        )

    def with_job(self, job: str, started: datetime) -> "Run":
        """Return a copy with another job."""
        return self.model_copy(update={"jobs": [*self.jobs, Job(id=job, started=started)]})


def stem(run: str) -> str:
    """Return the name of a run without the timestamp, as its jobs get one of their own."""
    return re.sub(_TIMESTAMP, "", run)


def new_name(account: Account, place: Place, given: str | None) -> str:
    """Return the name of a new run: `given`, or the command with a timestamp.

    Raises SettingsError if there is a run of the name `given`.
    """
    if given is None:
        while get(account, name := f"{place}-{datetime.now(UTC):%Y%m%d%H%M%S}"):
            time.sleep(0.1)
        return name
    if not re.fullmatch(r"[a-zA-Z0-9](-?[a-zA-Z0-9]){0,40}", given):
        raise SettingsError(
            f'--run "{given}" must be at most 41 letters, digits and single hyphens.'
        )
    if (run := get(account, given)) is not None:
        raise SettingsError(
            f"Run {given} exists: resume it with `python -m training {run.place} --resume {given}`,"
            " or choose another --run."
        )
    return given


def load(account: Account, place: Place, name: str) -> Run:
    """Return the record of a run like `find`. Raises SettingsError if another place started it."""
    run = find(account, name)
    if run.place != place:
        raise SettingsError(
            f"Run {run.name} was started by `{run.place}`: resume it with `python -m training "
            f"{run.place} --resume {run.name}`."
        )
    return run


def get(account: Account, name: str) -> Run | None:
    """Return the record of the run of that name, or None."""
    for folder in FOLDERS.values():
        key = f"{account.settings.prefix}/{folder}/{name}/{s3_layout.RUN_RECORD}"
        if (run := _read(account, key)) is not None:
            return run
    return None


def find(account: Account, name: str) -> Run:
    """Return the record of a run of any place, by its name or that of one of its jobs.

    Raises SettingsError if there is none, with the nearest name.
    """
    if (run := get(account, name)) is not None:
        return run
    everything = list(listing(account))
    for run in everything:
        if any(job.id == name for job in run.jobs):
            return run
    names = [run.name for run in everything]
    near = difflib.get_close_matches(name.removeprefix(f"{account.settings.prefix}-"), names, n=1)
    hint = f'Did you mean "{near[0]}"?' if near else f"Runs: {', '.join(names) or 'none'}."
    raise SettingsError(f"Run {name} does not exist. {hint}")


def listing(account: Account, *places: Place) -> Iterator[Run]:
    """Yield the runs of the places, or of all places."""
    for place in places or FOLDERS:
        start = f"{account.settings.prefix}/{FOLDERS[place]}/"
        pages = account.client("s3").get_paginator("list_objects_v2")
        folders = pages.paginate(Bucket=account.bucket, Prefix=start, Delimiter="/")
        for folder in folders.search("CommonPrefixes[].Prefix"):
            if folder and (run := _read(account, f"{folder}{s3_layout.RUN_RECORD}")) is not None:
                yield run


def save(account: Account, run: Run) -> None:
    """Write the record of a run."""
    body = run.model_dump_json(indent=2).encode()
    account.client("s3").put_object(Bucket=account.bucket, Key=_key(account, run), Body=body)


def delete(account: Account, run: Run) -> None:
    """Delete the record of a run that never started."""
    s3_storage.delete(account, [_key(account, run)])


def uri(account: Account, run: Run | str, place: Place = "fit") -> str:
    """Return the S3 prefix of a run's record and files."""
    name, place = (run, place) if isinstance(run, str) else (run.name, run.place)
    return account.uri(FOLDERS[place], name)


def resumed_train(run: Run) -> TrainSettings:
    """Return [train] of a run that is resumed. Only options that the result does not depend on may
    differ; SettingsError names the first that does."""
    recorded = TrainSettings.read(_known(TrainSettings, run.train))
    options = cli_settings.given(TrainSettings)
    train = TrainSettings.read(recorded.model_dump() | options)
    for field, value in train:
        before = getattr(recorded, field)
        if value != before and field not in TrainSettings.MAY_DIFFER:
            option = f"--{field.replace('_', '-')}"
            raise SettingsError(
                f"Run {run.name} was started with {option} {_text(before)}, not {_text(value)}: "
                f"omit {option} to resume it, or omit --resume to start a new run."
            )
    return train


def resumed_machine(run: Run, section: type[Section]) -> Any:
    """Return [fit] or [ec2] of a run that is resumed: as before, except for the given options."""
    return section.read(_known(section, run.machine) | cli_settings.given(section))


def require_same_source(run: Run, uri: str) -> None:
    """Raise AwsError if a resumed run would read its photos at another S3 prefix."""
    if uri.rstrip("/") != run.data:
        raise AwsError(
            f"Run {run.name} was started on the photos at {run.data}, not {uri}: omit --resume to "
            "start a new run."
        )


def require_same_photos(run: Run, data: Listing) -> None:
    """Raise AwsError if the photos have changed since a run was started."""
    if data.fingerprint != run.fingerprint:
        raise AwsError(
            f"The photos at {data.uri} have changed since run {run.name} was started ({run.photos} "
            f"then, {len(data.photos)} now): omit --resume to start a new run."
        )


def finished(run: Run, model: str) -> SettingsError:
    """Return the error about a run that has nothing left to train."""
    return SettingsError(
        f"Run {run.name} is finished: its model is at {model}. To train again, for example with "
        "more --epochs, start a new run: omit --resume."
    )


def _known(section: type[Section], values: dict[str, Any]) -> dict[str, Any]:
    """Leave out settings that this version does not have."""
    return {key: value for key, value in values.items() if key in section.model_fields}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(account: Account, key: str) -> Run | None:
    body = s3_storage.read(account, f"s3://{account.bucket}/{key}")
    return None if body is None else Run.model_validate_json(body)


def _key(account: Account, run: Run) -> str:
    return f"{account.settings.prefix}/{FOLDERS[run.place]}/{run.name}/{s3_layout.RUN_RECORD}"

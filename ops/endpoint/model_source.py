"""Find the model to deploy: in a folder, an archive, S3, a training job or a run, and check it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aws import s3_layout, s3_storage, training_jobs
from aws.account import Account, or_none
from aws.errors import AwsError
from model_code import artifact
from ops.endpoint import model_archive

_NAME = "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"  # of jobs, and of runs, which are shorter
MAX_ARCHIVE_BYTES = 200_000_000
"""The shipped model has 8 MB; an archive of gigabytes is something else."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A checked model: its archive, its description (`model.json`), and what it was asked for by.

    `origin` is a path, an S3 URI, `job NAME` or `run NAME`.
    """

    archive: bytes
    description: Mapping[str, Any]
    origin: str

    def __str__(self) -> str:
        return f"{self.description['name']} {self.description['version']}, {self.origin}"


def find(account: Account, given: str) -> ModelSource:
    """Return the model that `given` names: a folder, a model.tar.gz, an S3 URI, a job or a run.

    Raises AwsError if it is none of these, or has no complete model.
    """
    if given.startswith("s3://"):
        return _of_archive(_download(account, given), given, given)
    path = Path(given)
    if path.is_dir():
        return _of_folder(path, given)
    if path.is_file():
        return _of_archive(path.read_bytes(), given, given)
    if not re.fullmatch(_NAME, given):
        raise AwsError(f"{given} does not exist: --model takes a folder or a model.tar.gz.")
    return of_name(account, given)


def of_name(account: Account, name: str) -> ModelSource:
    """Return the model of a SageMaker training job, or of a run of `fit` or `ec2`.

    Raises AwsError if there is none, or no model yet.
    """
    if record := _record(account, s3_layout.EC2, name):
        return _of_ec2_run(account, record)
    if record := _record(account, s3_layout.CHECKPOINTS, name):
        if not record["jobs"]:
            raise AwsError(f"Run {name} has not started a job: see `python -m training jobs`.")
        return _of_job(account, str(record["jobs"][-1]["id"]))
    if training_jobs.find(account, name) is None:
        raise AwsError(
            f'There is no folder, archive, training job or run "{name}": `python -m training jobs` '
            "lists jobs and runs."
        )
    return _of_job(account, name)


def _of_job(account: Account, name: str) -> ModelSource:
    job = training_jobs.describe(account, name)
    if job["TrainingJobStatus"] != "Completed":
        raise AwsError(
            f"Training job {name} is {job['TrainingJobStatus']}: only a completed job has a model."
        )
    uri = str(job["ModelArtifacts"]["S3ModelArtifacts"])
    if not s3_storage.object_exists(account, uri):
        raise AwsError(f"{uri} no longer exists: train again.")
    return _of_archive(_download(account, uri), uri, f"job {name}")


def _of_ec2_run(account: Account, record: Mapping[str, Any]) -> ModelSource:
    name = str(record["name"])
    uri = account.uri(s3_layout.EC2, name, s3_layout.ARCHIVE)
    if not s3_storage.object_exists(account, uri):
        raise AwsError(
            f"Run {name} has no model: see how far it is with `python -m training jobs --follow "
            f"{name}`."
        )
    return _of_archive(_download(account, uri), uri, f"run {name}")


def _record(account: Account, folder: str, name: str) -> dict[str, Any] | None:
    """Return the record of a run below `folder`, as the command that started it wrote it."""
    body = s3_storage.read(account, account.uri(folder, name, s3_layout.RUN_RECORD))
    return None if body is None else dict(json.loads(body))


def _download(account: Account, uri: str) -> bytes:
    bucket, key = s3_storage.split_uri(uri)
    head = key and or_none(lambda: account.client("s3").head_object(Bucket=bucket, Key=key))
    if not head:
        raise AwsError(f"{uri} does not exist: give the URI of a model.tar.gz, not of a folder.")
    _check_size(uri, head["ContentLength"])
    return s3_storage.read(account, uri) or b""


def _of_archive(archive: bytes, name: str, origin: str) -> ModelSource:
    """Check an archive, and pack its model again: SageMaker needs the files at the top."""
    _check_size(name, len(archive))
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model_archive.unpack(archive, folder, name)
        try:
            return _of_folder(folder, origin)
        except AwsError as error:
            raise AwsError(f"{name}: {str(error).replace(f'{folder}/', '')}") from None


def _of_folder(folder: Path, origin: str) -> ModelSource:
    archive = model_archive.pack(folder)
    description = json.loads((folder / artifact.DESCRIPTION_FILE).read_bytes())
    return ModelSource(archive, description, origin)


def _check_size(name: str, size_bytes: int) -> None:
    if size_bytes > MAX_ARCHIVE_BYTES:
        raise AwsError(
            f"{name} has {size_bytes / 1e6:.0f} MB, and an exported model at most "
            f"{MAX_ARCHIVE_BYTES / 1e6:.0f}: give the archive of an exported model."
        )

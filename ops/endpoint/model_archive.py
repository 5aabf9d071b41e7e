"""model.tar.gz: a model's folder as SageMaker wants it, the same bytes for the same model."""

import gzip
import hashlib
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from botocore.exceptions import ClientError

from aws import training_jobs
from aws.account import Account, is_missing
from aws.errors import AwsError
from aws.s3_layout import MODELS
from aws.s3_storage import split_uri
from model_code import artifact
from model_code.errors import BrokenArtifact

FILES = (artifact.DESCRIPTION_FILE, artifact.GRAPH_FILE, artifact.WEIGHTS_FILE)


def pack(folder: Path, target: Path) -> str:
    """Write the artifact in `folder` to `target` as model.tar.gz and return its SHA-256.

    Times, owners and order are fixed, so that an unchanged model is an unchanged file. Raises
    `AwsError` where `model_code` would refuse the folder.
    """
    try:
        artifact.load(folder)
    except BrokenArtifact as error:
        raise AwsError(str(error)) from None
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w") as archive,
    ):
        for name in sorted(FILES):
            entry = archive.gettarinfo(folder / name, name)
            entry.mtime, entry.uid, entry.gid, entry.mode = 0, 0, 0, 0o644
            entry.uname = entry.gname = ""
            with (folder / name).open("rb") as content:
                archive.addfile(entry, content)
    with target.open("rb") as stream_of_target:
        return hashlib.file_digest(stream_of_target, "sha256").hexdigest()


def upload(account: Account, folder: Path) -> tuple[str, bool]:
    """The S3 URI of the artifact in `folder`, sent unless it is there; and whether it was sent."""
    with TemporaryDirectory() as scratch:
        target = Path(scratch) / "model.tar.gz"
        name = pack(folder, target)[:16]
        key = f"{account.settings.prefix}/{MODELS}/{name}/model.tar.gz"
        if _exists(account, key):
            return f"s3://{account.bucket}/{key}", False
        account.client("s3").upload_file(str(target), account.bucket, key)
        return f"s3://{account.bucket}/{key}", True


def address(account: Account, folder: Path) -> str:
    """Where `upload` would put the artifact in `folder`."""
    with TemporaryDirectory() as scratch:
        return account.uri(MODELS, pack(folder, Path(scratch) / "m")[:16], "model.tar.gz")


def of_job(account: Account, name: str) -> str:
    """The S3 URI of the artifact that training job `name` left. Raises `AwsError`."""
    job = training_jobs.describe(account, name)
    if job["TrainingJobStatus"] != "Completed":
        raise AwsError(f"{name} is {job['TrainingJobStatus']}: only a completed job has a model")
    uri = str(job["ModelArtifacts"]["S3ModelArtifacts"])
    bucket, key = split_uri(uri)
    try:
        account.client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if is_missing(error):
            raise AwsError(f"{uri} does not exist any more: train again") from None
        raise
    return uri


def _exists(account: Account, key: str) -> bool:
    try:
        account.client("s3").head_object(Bucket=account.bucket, Key=key)
    except ClientError as error:
        if is_missing(error):
            return False
        raise
    return True

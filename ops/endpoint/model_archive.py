"""model.tar.gz: a model artifact in the form that SageMaker downloads, and its place in S3."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

from aws import s3_storage, training_jobs
from aws.account import Account, missing_bucket, or_none
from aws.errors import AwsError
from aws.s3_layout import MODELS
from aws.s3_storage import split_uri
from model_code import artifact
from model_code.errors import BrokenArtifact

FILES = (artifact.DESCRIPTION_FILE, artifact.GRAPH_FILE, artifact.WEIGHTS_FILE)


def pack(folder: Path) -> bytes:
    """Compress the artifact in `folder`. The same files always give the same bytes.

    Raises AwsError if the artifact is missing or broken.
    """
    try:
        artifact.load(folder)
    except BrokenArtifact as error:
        raise AwsError(str(error)) from None
    target = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=target, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w") as archive,
    ):
        for name in sorted(FILES):
            entry = archive.gettarinfo(folder / name, name)
            entry.mtime, entry.uid, entry.gid, entry.mode = 0, 0, 0, 0o644
            entry.uname = entry.gname = ""
            with (folder / name).open("rb") as content:
                archive.addfile(entry, content)
    return target.getvalue()


def uri(account: Account, archive: bytes) -> str:
    """Return the S3 URI to which `upload` writes; it contains a digest of the archive."""
    return account.uri(MODELS, hashlib.sha256(archive).hexdigest()[:16], "model.tar.gz")


def upload(account: Account, archive: bytes) -> None:
    """Upload the archive unless S3 has it. Raises AwsError if the bucket does not exist."""
    if not s3_storage.exists(account):
        raise AwsError(missing_bucket(account.bucket))
    target = uri(account, archive)
    if _exists(account, target):
        print(f"{target} is already uploaded", flush=True)
        return
    bucket, key = split_uri(target)
    account.client("s3").upload_fileobj(io.BytesIO(archive), bucket, key)
    print(f"uploaded {target}", flush=True)


def job_model_uri(account: Account, job_name: str) -> str:
    """Return the S3 URI of the model that a training job wrote.

    Raises AwsError if the job has not completed or its model was deleted.
    """
    job = training_jobs.describe(account, job_name)
    if job["TrainingJobStatus"] != "Completed":
        raise AwsError(
            f"Training job {job_name} is {job['TrainingJobStatus']}: "
            "only a completed job has a model."
        )
    model = str(job["ModelArtifacts"]["S3ModelArtifacts"])
    if not _exists(account, model):
        raise AwsError(f"{model} no longer exists: train again.")
    return model


def _exists(account: Account, uri: str) -> bool:
    bucket, key = split_uri(uri)
    s3 = account.client("s3")
    return or_none(lambda: s3.head_object(Bucket=bucket, Key=key)) is not None

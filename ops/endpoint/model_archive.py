"""model.tar.gz: a model artifact in the form that SageMaker downloads, and its place in S3."""

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

from aws import s3_storage, training_jobs
from aws.account import Account, missing_bucket, or_none
from aws.errors import AwsError
from aws.s3_layout import MODELS
from aws.s3_storage import split_uri
from model_code import artifact
from model_code.errors import BrokenArtifact

FILES = (artifact.DESCRIPTION_FILE, artifact.GRAPH_FILE, artifact.WEIGHTS_FILE)


@dataclass(frozen=True, slots=True)
class ModelArchive:
    """The bytes of a model.tar.gz."""

    content: bytes

    def uri(self, account: Account) -> str:
        """Return the S3 URI to which `upload` writes; it contains a digest of the content."""
        digest = hashlib.sha256(self.content).hexdigest()
        return account.uri(MODELS, digest[:16], "model.tar.gz")

    def upload(self, account: Account) -> bool:
        """Upload the archive unless S3 has it. Return whether it was uploaded.

        Raises AwsError if the bucket does not exist.
        """
        if not s3_storage.exists(account):
            raise AwsError(missing_bucket(account.bucket))
        uri = self.uri(account)
        if _exists(account, uri):
            return False
        bucket, key = split_uri(uri)
        account.client("s3").upload_fileobj(io.BytesIO(self.content), bucket, key)
        return True


def pack(folder: Path) -> ModelArchive:
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
    return ModelArchive(target.getvalue())


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
    uri = str(job["ModelArtifacts"]["S3ModelArtifacts"])
    if not _exists(account, uri):
        raise AwsError(f"{uri} no longer exists: train again.")
    return uri


def _exists(account: Account, uri: str) -> bool:
    bucket, key = split_uri(uri)
    s3 = account.client("s3")
    return or_none(lambda: s3.head_object(Bucket=bucket, Key=key)) is not None

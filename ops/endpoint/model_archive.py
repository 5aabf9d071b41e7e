"""model.tar.gz: a model artifact in the form that SageMaker downloads, and its place in S3."""

import gzip
import hashlib
import io
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from aws import s3_storage
from aws.account import Account, missing_bucket
from aws.errors import AwsError
from aws.s3_layout import ARCHIVE, MODELS
from aws.s3_storage import split_uri
from model_code import artifact
from model_code.errors import BrokenArtifact

FILES = (artifact.DESCRIPTION_FILE, artifact.GRAPH_FILE, artifact.WEIGHTS_FILE)
MAX_FILE_BYTES = 500_000_000


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


def unpack(archive: bytes, folder: Path, name: str) -> None:
    """Write the files of the model in `archive`, which is called `name`, to `folder`.

    They may be in a folder of the archive. Nothing else is written. Raises AwsError if it is no
    archive or lacks a file.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as content:
            found = {PurePosixPath(entry.name): entry for entry in content if entry.isfile()}
            roots = [path.parent for path in found if path.name == artifact.DESCRIPTION_FILE]
            root = min(roots, key=lambda path: len(path.parts), default=PurePosixPath())
            for file in FILES:
                entry = found.get(root / file)
                if entry is None:
                    raise AwsError(f"{name} has no {file}: it is not an exported model.")
                if entry.size > MAX_FILE_BYTES:
                    raise AwsError(f"{name}: {file} has {entry.size / 1e6:.0f} MB, too many.")
                stream = content.extractfile(entry)
                (folder / file).write_bytes(stream.read() if stream else b"")
    except (tarfile.TarError, EOFError, OSError, zlib.error):
        raise AwsError(f"{name} is not a complete tar archive of a model.") from None


def uri(account: Account, archive: bytes) -> str:
    """Return the S3 URI to which `upload` writes; it contains a digest of the archive."""
    return account.uri(MODELS, hashlib.sha256(archive).hexdigest()[:16], ARCHIVE)


def upload(account: Account, archive: bytes) -> None:
    """Upload the archive unless S3 has it. Raises AwsError if the bucket does not exist."""
    if not s3_storage.exists(account):
        raise AwsError(missing_bucket(account.bucket))
    target = uri(account, archive)
    if s3_storage.object_exists(account, target):
        print(f"{target} is already uploaded", flush=True)
        return
    bucket, key = split_uri(target)
    account.client("s3").upload_fileobj(io.BytesIO(archive), bucket, key)
    print(f"uploaded {target}", flush=True)

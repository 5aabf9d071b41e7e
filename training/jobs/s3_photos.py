"""The photos below an S3 prefix, checked before a job is billed, and their fingerprint."""

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from aws import s3_storage
from aws.account import Account
from aws.errors import AwsError
from aws.s3_layout import DATA
from aws.s3_storage import split_uri
from aws.settings import FitSettings
from training import folder_layout
from training.folder_layout import split_of


@dataclass(frozen=True, slots=True)
class Listing:
    """The objects below the S3 prefix `uri`, by their path relative to it, with their ETag.

    `photos` are those that `training` reads, `others` all the rest.
    """

    uri: str
    photos: dict[str, str]
    others: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that identify the photos and the indexes next to them."""
        files = self.photos | {
            path: tag for path, tag in self.others.items() if path.endswith(".csv")
        }
        lines = "".join(f"{path} {tag}\n" for path, tag in sorted(files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()[:16]


def listing(account: Account, uri: str) -> Listing:
    """List what is below the S3 prefix `uri`."""
    uri = uri.rstrip("/")
    bucket, prefix = split_uri(f"{uri}/")
    photos: dict[str, str] = {}
    others: dict[str, str] = {}
    for item in s3_storage.listing(account, bucket, prefix):
        path = item["Key"].removeprefix(prefix)
        if path and not path.endswith("/"):  # the S3 console creates empty objects as folders
            chosen = photos if folder_layout.is_photo(PurePosixPath(path)) else others
            chosen[path] = item["ETag"].strip('"')
    return Listing(uri, photos, others)


def source(account: Account, uri: str) -> str:
    """Return [fit] data, or if it is empty the S3 prefix that `upload` copies to."""
    return uri or account.uri(DATA)


def training_photos(account: Account, uri: str = "") -> Listing:
    """List the photos at the S3 prefix `uri`, or where `upload` copies them.

    Raises AwsError if there are none.
    """
    s3_storage.require(account)
    data = listing(account, source(account, uri))
    if not data.photos:
        suffixes = ", ".join(sorted(folder_layout.SUFFIXES))
        problem = f"No photos at {data.uri}"
        if data.others:
            problem = f"None of the {len(data.others)} files at {data.uri} is a photo ({suffixes})"
        raise AwsError(f"{problem}: run `python -m training upload --data FOLDER`.")
    return data


def fit_photos(account: Account, fit: FitSettings) -> Listing:
    """List the photos of `fit`. Raises AwsError if there are none, or they cannot be sharded."""
    data = training_photos(account, fit.data)
    if fit.distribution == "ShardedByS3Key":
        _require_shards(data)
    return data


def _require_shards(data: Listing) -> None:
    if "index.csv" in data.others:
        raise AwsError(
            f"{data.uri} has an index.csv, which would reach one instance only. To shard, upload "
            "folders train/BREED/ without an index, or use --distribution FullyReplicated."
        )
    if "valid" not in split_folders(data):
        raise AwsError(
            f"{data.uri} has no valid/BREED/, which every instance evaluates on: upload photos in "
            "train/ and valid/, or use --distribution FullyReplicated."
        )


def split_folders(data: Listing) -> dict[str, str]:
    """Return the folder of each split: `{"valid": "Val"}` for photos in Val/."""
    folders = sorted({path.partition("/")[0] for path in data.photos if "/" in path})
    return {split: folder for folder in folders if (split := split_of(folder))}

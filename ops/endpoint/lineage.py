"""Where a deployed model came from: tags on SageMaker's model, and `model.json` in its archive."""

import json
import re
import tarfile
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from aws import s3_storage
from aws.account import Account
from aws.errors import AwsError
from model_code import artifact
from ops.endpoint.model_source import ModelSource

_REFUSED = r"[^\w\s.:/=+\-@]"
_MAX_CHARACTERS = 256


def tags(source: ModelSource) -> dict[str, str]:
    """Return the tags of SageMaker's model: version, origin, data, commit and job.

    Unknown values are left out. AWS restricts the characters of a tag's value.
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Tag.html
    """
    trained = source.description.get("trained_with", {})
    values = {
        "model-version": source.description.get("version"),
        "model-origin": source.origin,
        "model-data": trained.get("data"),
        "model-commit": trained.get("commit"),
        "model-job": trained.get("job"),
    }
    return {
        key: re.sub(_REFUSED, "_", str(value))[-_MAX_CHARACTERS:]
        for key, value in values.items()
        if value
    }


def of_model(account: Account, model: Mapping[str, Any]) -> dict[str, Any]:
    """Return where `model`, as AWS describes it, came from.

    `trained_with` and `metrics` are those of `model.json`; without the archive, `problem` says why
    they are missing, and the rest comes from the tags.
    """
    pages = account.client("sagemaker").get_paginator("list_tags")
    listed = pages.paginate(ResourceArn=model["ModelArn"]).search("Tags[]")
    tagged = {tag["Key"]: tag["Value"] for tag in listed if tag["Key"].startswith("model-")}
    archive = str(model["PrimaryContainer"]["ModelDataUrl"])
    result: dict[str, Any] = {
        "archive": archive,
        "origin": tagged.get("model-origin"),
        "version": tagged.get("model-version"),
        "data": tagged.get("model-data"),
        "commit": tagged.get("model-commit"),
        "job": tagged.get("model-job"),
    }
    try:
        description = _description(account, archive)
    except AwsError as error:
        return {**result, "problem": str(error)}
    trained = description.get("trained_with", {})
    return {
        **result,
        "name": description.get("name"),
        "version": description.get("version"),
        **{key: trained.get(key) or result[key] for key in ("data", "commit", "job")},
        "trained_with": trained,
        "metrics": description.get("metrics", {}),
    }


def _description(account: Account, uri: str) -> dict[str, Any]:
    """Return `model.json` of an archive in S3. Raises AwsError if it cannot be read."""
    body = s3_storage.read(account, uri)
    if body is None:
        raise AwsError(f"{uri} no longer exists")
    try:
        with tarfile.open(fileobj=BytesIO(body)) as content:
            for entry in content:
                if entry.name.removeprefix("./") == artifact.DESCRIPTION_FILE:
                    stream = content.extractfile(entry)
                    return dict(json.load(stream)) if stream else {}
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise AwsError(f"{uri} cannot be read: {error}") from None
    raise AwsError(f"{uri} has no {artifact.DESCRIPTION_FILE}")

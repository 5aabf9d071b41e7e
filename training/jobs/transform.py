"""Classify all photos below an S3 prefix with Batch Transform, into one CSV or JSON-lines file.

The job uses the model behind the stage's endpoint. Each line has the file, breed, probability and
dog probability. Photos that the model refuses have an error instead of a breed, and make the exit
code 1.

example:
  python -m training transform --stage prod --input s3://bucket/holiday-photos --output breeds.csv
"""

import csv
import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from aws import account as accounts
from aws import endpoints, instance_types, log_groups, prices, s3_layout, s3_storage, stages
from aws.account import Account
from aws.errors import AwsError, JobFailed
from aws.s3_storage import split_uri
from aws.settings import TransformSettings
from cli import commands
from cli.files import write_atomically
from training.errors import DataError
from training.jobs import job_logs, s3_photos
from training.jobs.s3_photos import Listing

MAX_PAYLOAD_MB = 6
"""Size limit of a photo, the one of the endpoint."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The result for one photo; `error` is empty unless the model refused it."""

    file: str
    breed: str
    probability: float | None
    dog_probability: float | None
    error: str = ""


@commands.command(__doc__)
@click.option("--stage", required=True, help="Stage of .chalice/config.json.")
@click.option("--input", "source", required=True, help="S3 prefix of the photos.")
@click.option(
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write: .csv or .jsonl.",
)
@click.option("--job", metavar="NAME", help="Collect the results of this job; start none.")
@click.option("--detach", is_flag=True, help="Do not wait; collect the results later with --job.")
@commands.dry_run_option
@accounts.options(TransformSettings)
def command(
    account: Account,
    stage: str,
    source: str,
    output: Path,
    job: str | None,
    detach: bool,
    dry_run: bool,
    transform: TransformSettings,
) -> None:
    if output.suffix not in (".csv", ".jsonl"):
        raise DataError(f"--output {output} must end in .csv or .jsonl.")
    endpoint = stages.read(stage).endpoint
    source = source.rstrip("/")
    listing = s3_photos.listing(account, source)
    photos = sorted(listing.photos)
    if not photos:
        raise DataError(
            f"There are no photos below {source}: it has {len(listing.others)} other files."
        )
    model = _model(account, endpoint)
    name = job or f"{account.settings.prefix}-transform-{datetime.now(UTC):%Y%m%d%H%M%S}"
    destination = account.uri(s3_layout.TRANSFORM, name)
    if listing.others:
        example = min(listing.others)
        print(f"leaves out {len(listing.others)} files that are not photos, such as {example}")
    if dry_run:
        print(f"would classify {len(photos)} photos with {model} into {destination}")
        print(f"on {_machines(transform)}")
        return
    if not job:
        start(account, transform, name, model, listing)
        print(f"started {name}: {len(photos)} photos, {model}", flush=True)
        if detach:
            print(f"collect its results: the same command with --job {name}")
            return
    error = ""
    describe = account.client("sagemaker").describe_transform_job
    try:
        job_logs.wait(account, "Transform", partial(describe, TransformJobName=name))
    except JobFailed as failure:
        error = str(failure)  # one refused photo fails the job, but the others have results
    predictions = collect(account, photos, destination)
    write(predictions, output)
    refused = sum(bool(prediction.error) for prediction in predictions)
    print(f"{output}: {len(photos) - refused} of {len(photos)} photos classified")
    if error or refused:
        raise JobFailed(error or f"{refused} photos were refused: see the column error.")


def start(
    account: Account,
    transform: TransformSettings,
    name: str,
    model: str,
    photos: Listing,
) -> None:
    """Start a transform job that sends each photo as one request, and nothing else."""
    key = account.settings.kms_key
    local = instance_types.has_local_storage(transform.instance_type)  # which takes no key
    log_groups.ensure(account, log_groups.TRANSFORM)
    account.client("sagemaker").create_transform_job(
        TransformJobName=name,
        ModelName=model,
        MaxConcurrentTransforms=transform.concurrency,
        MaxPayloadInMB=MAX_PAYLOAD_MB,
        TransformInput={
            "DataSource": {"S3DataSource": _source(account, name, photos)},
            # The container recognizes the format by the first bytes.
            "ContentType": "application/x-image",
            "SplitType": "None",
        },
        TransformOutput={
            "S3OutputPath": account.uri(s3_layout.TRANSFORM, name),
            "Accept": "application/json",
            **({"KmsKeyId": key} if key else {}),
        },
        TransformResources={
            "InstanceType": transform.instance_type,
            "InstanceCount": transform.instance_count,
            **({"VolumeKmsKeyId": key} if key and not local else {}),
        },
        Tags=account.settings.tag_list(),
    )


def _source(account: Account, name: str, photos: Listing) -> dict[str, str]:
    """Return the input of a job: a prefix, or a manifest if there are other files below it.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TransformS3DataSource.html
    """
    if not photos.others:
        return {"S3DataType": "S3Prefix", "S3Uri": f"{photos.uri}/"}
    uri = account.uri(s3_layout.TRANSFORM, f"{name}.manifest")
    bucket, key = split_uri(uri)
    manifest = [{"prefix": f"{photos.uri}/"}, *sorted(photos.photos)]
    account.client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps(manifest).encode())
    return {"S3DataType": "ManifestFile", "S3Uri": uri}


def _machines(transform: TransformSettings) -> str:
    """Return the instances and their price per hour."""
    kind, count = transform.instance_type, transform.instance_count
    price = prices.instance_usd_per_hour("training", kind)
    if price is None:
        return f"{count} x {kind}. {prices.unknown('training', kind)}"
    return f"{count} x {kind}, ${price * count:.2f} per hour, until all photos are classified"


def collect(account: Account, photos: Sequence[str], destination: str) -> list[Prediction]:
    """Read the results for `photos`, in the same order."""
    bucket, prefix = split_uri(destination + "/")
    keys = {item["Key"] for item in s3_storage.listing(account, bucket, prefix)}
    s3 = account.client("s3")

    def read(photo: str) -> Prediction:
        key = f"{prefix}{photo}.out"  # SageMaker's name for the output
        if key not in keys:
            return Prediction(photo, "", None, None, "refused by the model, or the job ended early")
        return parse(photo, s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    with ThreadPoolExecutor(16) as pool:
        results = pool.map(read, photos)
        return list(tqdm(results, "collect", len(photos), unit="photo", leave=False, disable=None))


def parse(photo: str, body: bytes) -> Prediction:
    """Turn a response of the container into a prediction, with probabilities as in the API."""
    try:
        response = json.loads(body)
        logits = np.array(response["logits"]) / response["model"]["temperature"]
        best = int(logits.argmax())
        probability = float(1 / np.exp(logits - logits[best]).sum())
        dog = float(response["dog_probability"])
        breed = response["display_names"][best]
        return Prediction(photo, breed, round(probability, 4), round(dog, 4))
    except (ValueError, KeyError, TypeError):
        return Prediction(photo, "", None, None, f"unexpected response: {body[:80]!r}")


def write(predictions: Sequence[Prediction], path: Path) -> None:
    """Write a CSV file, or JSON lines if `path` ends in .jsonl."""
    rows = [asdict(prediction) for prediction in predictions]
    stream = io.StringIO()
    if path.suffix == ".jsonl":
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        writer = csv.DictWriter(stream, list(Prediction.__slots__), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_atomically(path, stream.getvalue())


def _model(account: Account, endpoint: str) -> str:
    """Return the name of the model behind `endpoint`."""
    config_name = endpoints.present(account, endpoint)["EndpointConfigName"]
    config = endpoints.describe_config(account, config_name)
    if config is None:
        raise AwsError(f"The config of endpoint {endpoint} was deleted: deploy again.")
    return str(config["ProductionVariants"][0]["ModelName"])

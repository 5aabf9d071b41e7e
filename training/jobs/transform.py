"""Batch Transform: the breeds of all photos below an S3 prefix, in one file.

The model is the one behind the stage's endpoint. The job's answers, one object a photo, are joined
to one CSV or JSON-lines file of file, breed, probability, dog probability. Photos that the model
refuses have an error in place of a breed, and make the exit code 1.

example:
  python -m training transform --stage prod --input s3://bucket/holiday-photos --output breeds.csv
"""

import argparse
import csv
import io
import json
import math
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from aws import account as accounts
from aws import endpoints, s3_storage, settings, stages
from aws.account import Account, told_in_one_line
from aws.errors import AwsError, JobFailed
from aws.s3_storage import split_uri
from aws.settings import TransformSettings
from training.errors import DataError
from training.photos import SUFFIXES

POLL_S = 15.0
_ENDED = frozenset({"Completed", "Failed", "Stopped"})


@dataclass(frozen=True, slots=True)
class Line:
    """The answer for one photo; `error` is empty unless the model refused it."""

    file: str
    breed: str
    probability: float | None
    dog_probability: float | None
    error: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", required=True, help="stage of .chalice/config.json")
    parser.add_argument("--input", required=True, help="S3 prefix of the photos")
    parser.add_argument("--output", type=Path, required=True, help="file to write: .csv or .jsonl")
    parser.add_argument("--job", metavar="NAME", help="join the answers of this job: start none")
    parser.add_argument("--detach", action="store_true", help="do not wait; join later with --job")
    parser.add_argument("--dry-run", action="store_true", help="say what would be started")
    accounts.add_options(parser)
    settings.add_options(parser, TransformSettings)


@told_in_one_line
def run(arguments: argparse.Namespace) -> None:
    if arguments.output.suffix not in (".csv", ".jsonl"):
        raise DataError(f"--output {arguments.output} must end in .csv or .jsonl")
    account = accounts.open_account(arguments)
    options = TransformSettings.read(vars(arguments))
    photos = list(_photos(account, arguments.input))
    if not photos:
        raise DataError(f"{arguments.input} holds no photos")
    model = _model(account, stages.read(arguments.stage).endpoint)
    name = arguments.job or f"{account.settings.prefix}-transform-{datetime.now(UTC):%Y%m%d%H%M%S}"
    output = account.uri("transform", name)
    if arguments.dry_run:
        print(f"would classify {len(photos)} photos with {model} into {output}")
        return
    if not arguments.job:
        start(account, options, name, model, arguments.input, output)
        print(f"started {name}: {len(photos)} photos through {model}", flush=True)
        if arguments.detach:
            print("join its answers with the same command and --job " + name)
            return
    failure = follow(account, name)
    lines = join(account, photos, arguments.input, output)
    write(lines, arguments.output)
    refused = sum(bool(line.error) for line in lines)
    print(f"{arguments.output}: {len(lines) - refused} of {len(lines)} photos classified")
    if failure or refused:
        raise JobFailed(failure or f"{refused} photos were refused: see the column error")


def start(
    account: Account, options: TransformSettings, name: str, model: str, source: str, output: str
) -> None:
    """Start the job. Each photo is one request, 6 MB at most."""
    key = {"KmsKeyId": account.settings.kms_key} if account.settings.kms_key else {}
    volume = {"VolumeKmsKeyId": account.settings.kms_key} if account.settings.kms_key else {}
    account.client("sagemaker").create_transform_job(
        TransformJobName=name,
        ModelName=model,
        MaxConcurrentTransforms=options.concurrency,
        MaxPayloadInMB=6,
        TransformInput={
            "DataSource": {
                "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source.rstrip("/") + "/"}
            },
            # What a photo really is stands in its first bytes: the container looks there.
            "ContentType": "application/x-image",
            "SplitType": "None",
        },
        TransformOutput={"S3OutputPath": output, "Accept": "application/json", **key},
        TransformResources={
            "InstanceType": options.instance_type,
            "InstanceCount": options.instance_count,
            **volume,
        },
        Tags=account.settings.tag_list(),
    )


def follow(account: Account, name: str) -> str:
    """Wait until the job ends; returns AWS's reason where it failed, else an empty text.

    A job fails as a whole where the model refuses one photo; the answers for the others are there.
    """
    told, began = "", time.monotonic()
    while True:
        job = account.client("sagemaker").describe_transform_job(TransformJobName=name)
        status = str(job["TransformJobStatus"])
        if status != told:
            print(f"{name}: {status} ({time.monotonic() - began:.0f} s)", flush=True)
            told = status
        if status in _ENDED:
            break
        time.sleep(POLL_S)
    if status == "Completed":
        return ""
    return f"{name} {status.lower()}: {' '.join(job.get('FailureReason', 'no reason').split())}"


def join(account: Account, photos: Iterable[str], source: str, output: str) -> list[Line]:
    """The answers for `photos`, which are names below `source`, in the same order."""
    bucket, prefix = split_uri(output)
    start = prefix.rstrip("/") + "/"
    there = {item["Key"] for item in s3_storage.listing(account, bucket, start)}
    s3 = account.client("s3")

    def read(photo: str) -> Line:
        key = f"{start}{photo}.out"  # SageMaker's name for it
        if key not in there:
            return Line(photo, "", None, None, "the model refused it, or the job ended before")
        answer = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return line(photo, answer)

    wanted = list(photos)
    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(read, wanted)
        return list(
            tqdm(answers, desc="join", total=len(wanted), unit="photo", leave=False, disable=None)
        )


def line(photo: str, answer: bytes) -> Line:
    """One answer of the container as a line: probabilities as the API gives them."""
    try:
        document = json.loads(answer)
        logits = document["logits"]
        best = max(range(len(logits)), key=logits.__getitem__)
        probability = _softmax(logits, document["model"]["temperature"])[best]
        dog = float(document["dog_probability"])
        return Line(photo, document["display_names"][best], round(probability, 4), round(dog, 4))
    except (ValueError, KeyError, TypeError):
        return Line(photo, "", None, None, f"unexpected answer: {answer[:80]!r}")


def write(lines: Iterable[Line], path: Path) -> None:
    """Write the lines to `path`, whole or not at all: CSV, or JSON lines for .jsonl."""
    if path.suffix == ".jsonl":
        text = "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in lines)
    else:
        stream = io.StringIO()
        writer = csv.DictWriter(stream, list(Line.__slots__), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(one) for one in lines)
        text = stream.getvalue()
    aside = path.with_name(path.name + ".writing")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def _photos(account: Account, source: str) -> Iterable[str]:
    bucket, prefix = split_uri(source)
    start = prefix.rstrip("/") + "/" if prefix else ""
    for item in s3_storage.listing(account, bucket, start):
        if Path(item["Key"]).suffix.lower() in SUFFIXES:
            yield item["Key"].removeprefix(start)


def _model(account: Account, name: str) -> str:
    found = endpoints.present(account, name)
    config = endpoints.describe_config(account, found["EndpointConfigName"])
    if config is None:
        raise AwsError(f"the config of endpoint {name} was deleted: deploy again")
    return str(config["ProductionVariants"][0]["ModelName"])


def _softmax(logits: list[float], temperature: float) -> list[float]:
    highest = max(logits)
    powers = [math.exp((logit - highest) / temperature) for logit in logits]
    return [power / sum(powers) for power in powers]

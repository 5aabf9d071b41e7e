"""Remove what a stage costs: scaling, alarms, endpoint, configs and models, in that order.

What is gone already is no error. --all also ends warm pools and running jobs, and deletes what jobs
brought along and their checkpoints. Photos, models and images stay: they are listed with what they
cost a month.

example:
  python -m training teardown --stage dev --dry-run
  python -m training teardown --stage dev --all
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from botocore.exceptions import ClientError

from aws import account as accounts
from aws import endpoints, s3_storage, stages
from aws.account import Account, is_missing, told_in_one_line
from aws.s3_layout import CHECKPOINTS, JOBS
from aws.settings import ServingSettings
from ops.endpoint import alarms, scaling, versions

S3_USD_PER_GB = 0.023
ECR_USD_PER_GB = 0.10
"""US dollars a GB and month, us-east-1: https://aws.amazon.com/s3/pricing/ and …/ecr/pricing/"""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that stays and costs: what it is, how large, US dollars a month."""

    what: str
    size_bytes: int
    usd_a_month: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", required=True, help="stage of .chalice/config.json")
    parser.add_argument("--all", action="store_true", help="also jobs, warm pools, checkpoints")
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed")
    parser.add_argument("--json", action="store_true", help="print what was removed as JSON")
    accounts.add_options(parser)


@told_in_one_line
def run(arguments: argparse.Namespace) -> None:
    account = accounts.open_account(arguments)
    name = stages.read(arguments.stage).endpoint
    removed = []
    verb = "would remove" if arguments.dry_run else "removed"
    for what in _remove(account, name, everything=arguments.all, dry_run=arguments.dry_run):
        removed.append(what)
        if not arguments.json:
            print(f"{verb} {what}", flush=True)
    left = leftovers(account, ServingSettings.read().repository)
    if arguments.json:
        print(json.dumps({"removed": removed, "left": [asdict(one) for one in left]}, indent=2))
        return
    if not removed:
        print(f"nothing of {name} is left to remove")
    for one in left:
        print(f"stays: {one.what}, {one.size_bytes / 1e9:.3f} GB, ${one.usd_a_month:.2f} a month")


def _remove(account: Account, name: str, *, everything: bool, dry_run: bool) -> Iterator[str]:
    yield from remove_endpoint(account, name, dry_run=dry_run)
    if everything:
        yield from remove_jobs(account, dry_run=dry_run)


def remove_endpoint(account: Account, name: str, *, dry_run: bool) -> Iterator[str]:
    """Remove endpoint `name` and all that hangs on it; yields each thing once it is gone."""
    sagemaker = account.client("sagemaker")
    if scaling.state(account, name)["targets"]:
        if not dry_run:
            scaling.remove(account, name)
        yield f"scaling of {name}"
    if endpoints.describe(account, name):
        if not dry_run:
            sagemaker.delete_endpoint(EndpointName=name)
            _wait_until_gone(account, name)
        yield f"endpoint {name}"
    # Only now: an endpoint that is being rolled out needs its alarms and its config.
    for alarm in alarms.existing(account, name):
        if not dry_run:
            account.client("cloudwatch").delete_alarms(AlarmNames=[alarm])
        yield f"alarm {alarm}"
    for config in list(versions.configs(account, name)):
        if not dry_run:
            sagemaker.delete_endpoint_config(EndpointConfigName=config["EndpointConfigName"])
        yield f"endpoint config {config['EndpointConfigName']}"
    for model in list(versions.models(account, name)):
        if not dry_run:
            sagemaker.delete_model(ModelName=model["ModelName"])
        yield f"model {model['ModelName']}"


def remove_jobs(account: Account, *, dry_run: bool) -> Iterator[str]:
    """End running jobs and warm pools, delete what jobs brought and their checkpoints.

    Yields each thing once it is gone.
    """
    sagemaker = account.client("sagemaker")
    for job in _our_jobs(account):
        name = job["TrainingJobName"]
        if job["TrainingJobStatus"] == "InProgress":
            if not dry_run:
                sagemaker.stop_training_job(TrainingJobName=name)
            yield f"running job {name}"
        elif (job.get("WarmPoolStatus") or {}).get("Status") == "Available":
            if not dry_run:
                sagemaker.update_training_job(
                    TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": 0}
                )
            yield f"warm pool of {name}"
    if not s3_storage.exists(account):
        return
    for what, folder, part in (
        ("files that jobs brought", JOBS, "/input/"),
        ("checkpoint files", CHECKPOINTS, "/"),
    ):
        below = f"{account.settings.prefix}/{folder}/"
        listed = s3_storage.listing(account, account.bucket, below)
        keys = [item["Key"] for item in listed if part in item["Key"]]
        if keys:
            if not dry_run:
                s3_storage.delete(account, keys)
            yield f"{len(keys)} {what}"


def leftovers(account: Account, repository: str) -> list[Leftover]:
    """What stays: the bucket's content by its first folder, and the images."""
    found: dict[str, int] = {}
    if s3_storage.exists(account):
        prefix = f"{account.settings.prefix}/"
        for item in s3_storage.listing(account, account.bucket, prefix):
            folder = item["Key"].removeprefix(prefix).partition("/")[0]
            found[folder] = found.get(folder, 0) + item["Size"]
    left = [
        Leftover(account.uri(folder), size, round(size / 1e9 * S3_USD_PER_GB, 2))
        for folder, size in sorted(found.items())
    ]
    images = _image_bytes(account, repository)
    if images:
        left.append(
            Leftover(f"images in {repository}", images, round(images / 1e9 * ECR_USD_PER_GB, 2))
        )
    return left


def _our_jobs(account: Account) -> Iterator[dict[str, Any]]:
    pages = account.client("sagemaker").get_paginator("list_training_jobs")
    for page in pages.paginate(NameContains=account.settings.prefix):
        for job in page["TrainingJobSummaries"]:
            if job["TrainingJobName"].startswith(f"{account.settings.prefix}-"):
                yield job


def _image_bytes(account: Account, repository: str) -> int:
    try:
        pages = account.client("ecr").get_paginator("describe_images")
        return sum(
            image.get("imageSizeInBytes", 0)
            for page in pages.paginate(repositoryName=repository)
            for image in page["imageDetails"]
        )
    except ClientError as error:
        if is_missing(error):
            return 0
        raise


def _wait_until_gone(account: Account, name: str) -> None:
    while endpoints.describe(account, name):
        time.sleep(versions.POLL_S)

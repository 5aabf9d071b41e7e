"""Remove everything of a stage's endpoint that costs money.

Removes autoscaling, endpoint, alarms, endpoint configs, models and logs, in that order; what no
longer exists is skipped. --all also stops jobs, warm pools and EC2 instances, and deletes the input
files and checkpoints of jobs and the logs of image builds. Photos, models, images and the logs of
jobs stay; they are listed with their monthly cost.

example:
  python -m ops endpoint teardown --stage dev --dry-run
  python -m ops endpoint teardown --stage dev --all
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any

import click

from aws import account as accounts
from aws import ec2_instances, endpoints, log_groups, prices, s3_storage, stages
from aws.account import Account
from aws.s3_layout import CHECKPOINTS, JOBS
from aws.settings import ServingSettings
from cli import commands, tables
from ops.endpoint import codebuild, endpoint_alarms, model_version, saved_scaling, scaling
from ops.endpoint.serving_image import all_images

Removal = tuple[str, Callable[[], object]]
"""The name of a resource, and the call that removes it."""


@commands.command(__doc__)
@click.option("--stage", required=True, help="Stage in .chalice/config.json.")
@click.option("--all", "with_jobs", is_flag=True, help="Also jobs, EC2 instances and checkpoints.")
@commands.dry_run_option
@commands.json_option
@accounts.options(without_options=[ServingSettings])
def command(
    account: Account,
    serving: ServingSettings,
    stage: str,
    with_jobs: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    endpoint = stages.read(stage).endpoint
    removed = []
    jobs = job_removals(account) if with_jobs else iter(())
    for resource, remove in chain(endpoint_removals(account, endpoint), jobs):
        if not dry_run:
            remove()
        removed.append(resource)
        if not as_json:
            print(f"{'would remove' if dry_run else 'removed'} {resource}", flush=True)
    left = leftovers(account, serving.repository)
    if as_json:
        print(json.dumps({"removed": removed, "left": left}, indent=2))
        return
    if not removed:
        print(f"nothing of {endpoint} is left to remove")
    if left:
        rows = [
            (item["what"], f"{item['size_bytes'] / 1e9:.3f}", f"${item['usd_per_month']:.2f}")
            for item in left
        ]
        print(tables.render(("remaining", "GB", "per month"), rows))


def endpoint_removals(account: Account, endpoint: str) -> Iterator[Removal]:
    """Yield the resources of an endpoint in the order in which they can be removed.

    An endpoint needs its alarms and its config until it is deleted.
    """
    sagemaker, cloudwatch = account.client("sagemaker"), account.client("cloudwatch")
    if scaling.state(account, endpoint)["targets"]:
        yield f"autoscaling of {endpoint}", partial(scaling.remove, account, endpoint)
    if s3_storage.exists(account) and scaling.is_paused(account, endpoint):
        forget = partial(saved_scaling.forget, account, endpoint)
        yield f"paused autoscaling of {endpoint}", forget
    if endpoints.describe(account, endpoint):
        yield f"endpoint {endpoint}", partial(endpoints.delete, account, endpoint)
    configs = model_version.configs(account, endpoint)
    for name in endpoint_alarms.existing(account, [endpoint, *configs]):
        yield f"alarm {name}", partial(cloudwatch.delete_alarms, AlarmNames=[name])
    for name in configs:
        delete = partial(sagemaker.delete_endpoint_config, EndpointConfigName=name)
        yield f"endpoint config {name}", delete
    for name in model_version.models(account, endpoint):
        yield f"model {name}", partial(sagemaker.delete_model, ModelName=name)
    yield from _log_group_removals(account, [log_groups.endpoint_group(endpoint)])


def job_removals(account: Account) -> Iterator[Removal]:
    """Yield running jobs, warm pools, EC2 instances, the logs of builds, and the files of jobs."""
    sagemaker = account.client("sagemaker")
    prefix = account.settings.prefix
    pages = sagemaker.get_paginator("list_training_jobs").paginate(NameContains=prefix)
    for job in pages.search(f"TrainingJobSummaries[?starts_with(TrainingJobName, '{prefix}-')]"):
        name = job["TrainingJobName"]
        if job["TrainingJobStatus"] == "InProgress":
            yield f"running job {name}", partial(sagemaker.stop_training_job, TrainingJobName=name)
        elif job.get("WarmPoolStatus", {}).get("Status") == "Available":
            yield (
                f"warm pool of {name}",
                partial(
                    sagemaker.update_training_job,
                    TrainingJobName=name,
                    ResourceConfig={"KeepAlivePeriodInSeconds": 0},
                ),
            )
    for instance in ec2_instances.ours(account):
        identifier = instance["InstanceId"]
        remove = partial(ec2_instances.terminate, account, identifier)
        yield f"EC2 instance {identifier}", remove
    groups = map(log_groups.codebuild_group, codebuild.projects(account))
    yield from _log_group_removals(account, groups)
    if not s3_storage.exists(account):
        return
    for description, folder, part in (
        ("input files of jobs", JOBS, "/input/"),
        ("checkpoint files", CHECKPOINTS, "/"),
    ):
        objects = s3_storage.listing(account, account.bucket, f"{prefix}/{folder}/")
        keys = [item["Key"] for item in objects if part in item["Key"]]
        if keys:
            yield f"{len(keys)} {description}", partial(s3_storage.delete, account, keys)


def _log_group_removals(account: Account, names: Iterable[str]) -> Iterator[Removal]:
    for name in names:
        if log_groups.describe(account, name):
            delete = partial(account.client("logs").delete_log_group, logGroupName=name)
            yield f"log group {name}", delete


def leftovers(account: Account, repository: str) -> list[dict[str, Any]]:
    """Return the data that stays: folders of the bucket, serving images, the logs of jobs.

    All SageMaker jobs of the account share two log groups, so these are not removed.
    """
    sizes = Counter[str]()
    if s3_storage.exists(account):
        prefix = f"{account.settings.prefix}/"
        for item in s3_storage.listing(account, account.bucket, prefix):
            sizes[item["Key"].removeprefix(prefix).partition("/")[0]] += item["Size"]
    left = [
        _leftover(account.uri(folder), size, "s3 storage") for folder, size in sorted(sizes.items())
    ]
    if images := all_images(account, repository):
        size = sum(image.get("imageSizeInBytes", 0) for image in images)
        left.append(_leftover(f"images in {repository}", size, "ecr storage"))
    for name in (log_groups.TRAINING, log_groups.TRANSFORM):
        if group := log_groups.describe(account, name):
            size = group.get("storedBytes", 0)
            days = group.get("retentionInDays")
            kept = f"{days} days" if days else "forever"
            left.append(_leftover(f"log group {name}, kept {kept}", size, "logs stored"))
    return left


def _leftover(what: str, size_bytes: int, price: str) -> dict[str, Any]:
    usd = round(prices.read().usd(price, size_bytes / 1e9), 2)
    return {"what": what, "size_bytes": size_bytes, "usd_per_month": usd}

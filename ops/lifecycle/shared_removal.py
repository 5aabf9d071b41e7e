"""What all stages share: jobs, machines, images, builds, roles, the budget, and the bucket."""

from collections.abc import Iterator
from functools import partial

from aws import alerts, endpoints, s3_storage, stages
from aws.account import Account, or_none
from ops.deployment import Deployment
from ops.endpoint.serving_image import ARCHITECTURES, all_images
from ops.endpoint.teardown import Removal, job_removals
from ops.lifecycle import role_removal
from ops.lifecycle.removal import Source


def other_stages(deployment: Deployment) -> list[str]:
    """Return the other stages that have an endpoint or a function."""
    account, remaining = deployment.account, []
    functions = account.client("lambda")
    for stage in map(stages.read, stages.names()):
        if stage.name == deployment.stage.name:
            continue
        find = partial(functions.get_function, FunctionName=stage.function)
        if endpoints.describe(account, stage.endpoint) or or_none(find):
            remaining.append(stage.name)
    return remaining


def sources(deployment: Deployment, *, data: bool) -> list[Source]:
    """Return the sources of what the stages share; of the bucket only with `data`."""
    account = deployment.account
    return [
        Source("model", "jobs", partial(job_removals, account)),
        Source("model", "CodeBuild projects", partial(_builds, account)),
        Source("model", "images", partial(_images, account, deployment.serving.repository)),
        Source("setup", "shared roles", partial(role_removal.shared, deployment)),
        Source("setup", "budget", partial(_budget, account)),
        *([Source("setup", f"bucket {account.bucket}", partial(_bucket, account))] if data else []),
    ]


def _builds(account: Account) -> Iterator[Removal]:
    client, prefix = account.client("codebuild"), f"{account.settings.prefix}-image-"
    names = [f"{prefix}{architecture}" for architecture in ARCHITECTURES]
    for project in client.batch_get_projects(names=names)["projects"]:
        name = project["name"]
        yield f"CodeBuild project {name}", partial(client.delete_project, name=name)


def _images(account: Account, repository: str) -> Iterator[Removal]:
    ecr = account.client("ecr")
    if or_none(lambda: ecr.describe_repositories(repositoryNames=[repository])):
        name = f"ECR repository {repository} with {len(all_images(account, repository))} images"
        yield name, partial(ecr.delete_repository, repositoryName=repository, force=True)


def _budget(account: Account) -> Iterator[Removal]:
    if alerts.describe_budget(account):
        yield f"budget {alerts.budget_name(account)}", partial(alerts.delete_budget, account)


def _bucket(account: Account) -> Iterator[Removal]:
    if s3_storage.exists(account):
        name = f"bucket {account.bucket} with all photos and models"
        yield name, partial(_delete_bucket, account)


def _delete_bucket(account: Account) -> None:
    """Delete the bucket with all versions of its objects and with unfinished uploads."""
    s3, own = account.client("s3"), {"Bucket": account.bucket, "ExpectedBucketOwner": account.id}
    versions = s3.get_paginator("list_object_versions").paginate(**own)
    for page in versions:
        keys = [
            {"Key": item["Key"], "VersionId": item["VersionId"]}
            for item in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
        ]
        if keys:
            s3.delete_objects(**own, Delete={"Objects": keys, "Quiet": True})
    for upload in s3.get_paginator("list_multipart_uploads").paginate(**own).search("Uploads[]"):
        if upload:
            s3.abort_multipart_upload(**own, Key=upload["Key"], UploadId=upload["UploadId"])
    s3.delete_bucket(**own)

"""Build the serving image in AWS CodeBuild, on a machine of its architecture."""

import io
import time
import zipfile
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from aws import role_policies, roles
from aws.account import Account, is_missing
from aws.errors import JobFailed
from aws.log_tail import LogTail
from aws.policy_statements import Policy

POLL_S = 5.0
ROLE = "whatbreed-codebuild"
_MACHINES = {
    "amd64": ("LINUX_CONTAINER", "aws/codebuild/amazonlinux-x86_64-standard:5.0"),
    "arm64": ("ARM_CONTAINER", "aws/codebuild/amazonlinux-aarch64-standard:3.0"),
}
BUILDSPEC = """\
version: 0.2
phases:
  pre_build:
    commands:
      - aws ecr get-login-password | docker login --username AWS --password-stdin "$REGISTRY"
  build:
    commands:
      - docker build --tag "$IMAGE" --file model_code/Dockerfile .
  post_build:
    commands:
      - test "$CODEBUILD_BUILD_SUCCEEDING" = 1 && docker push "$IMAGE"
"""


def build(account: Account, context: Path, repository: str, tag: str, architecture: str) -> None:
    """Build `context` and push it as `repository:tag`; its log goes to the terminal.

    Creates the project and its role where they are missing. The uploaded context is removed at the
    end. Raises `JobFailed` where the build fails.
    """
    key = f"{account.settings.prefix}/builds/{tag}.zip"
    s3, client = account.client("s3"), account.client("codebuild")
    project = ensure_project(account, repository.partition("/")[2], architecture)
    s3.put_object(Bucket=account.bucket, Key=key, Body=_zipped(context))
    try:
        started = client.start_build(
            projectName=project,
            sourceTypeOverride="S3",
            sourceLocationOverride=f"{account.bucket}/{key}",
            environmentVariablesOverride=[
                {"name": "IMAGE", "value": f"{repository}:{tag}"},
                {"name": "REGISTRY", "value": repository.partition("/")[0]},
            ],
        )["build"]
        _follow(account, started["id"])
    finally:
        s3.delete_object(Bucket=account.bucket, Key=key)


def policy(account: Account, repository: str) -> Policy:
    """What the role of the builds may do, whichever the architecture."""
    projects = [project_name(account, architecture) for architecture in _MACHINES]
    return role_policies.codebuild(account, repository, projects)


def project_name(account: Account, architecture: str) -> str:
    """The name of the CodeBuild project that builds for an architecture."""
    return f"{account.settings.prefix}-image-{architecture}"


def ensure_project(account: Account, repository: str, architecture: str) -> str:
    """The name of the CodeBuild project for an architecture, created where it is missing."""
    name = project_name(account, architecture)
    new_role = roles.ensure_role(
        account, ROLE, "codebuild.amazonaws.com", policy(account, repository)
    )
    machine, image = _MACHINES[architecture]
    request: dict[str, Any] = {
        "name": name,
        "source": {
            "type": "S3",
            "location": f"{account.bucket}/{account.settings.prefix}/builds/context.zip",
            "buildspec": BUILDSPEC,
        },
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {
            "type": machine,
            "image": image,
            "computeType": "BUILD_GENERAL1_SMALL",
            "privilegedMode": True,  # docker build inside the build's own container
        },
        "serviceRole": account.role_arn(ROLE),
        "timeoutInMinutes": 30,
    }
    client = account.client("codebuild")
    if client.batch_get_projects(names=[name]).get("projects"):
        return name
    tags = [{"key": key, "value": value} for key, value in account.settings.tags.items()]
    for attempt in range(6):
        try:
            client.create_project(**request, tags=tags)
            break
        except ClientError as error:
            # A role that is seconds old is not known everywhere yet.
            if not new_role or attempt == 5 or "assume" not in str(error).lower():
                raise
            time.sleep(POLL_S)
    return name


def _zipped(context: Path) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(context.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(context).as_posix())
    return stream.getvalue()


def _follow(account: Account, build_id: str) -> None:
    project, _, run = build_id.partition(":")
    tail = LogTail(account, f"/aws/codebuild/{project}", run)
    while True:
        [build] = account.client("codebuild").batch_get_builds(ids=[build_id])["builds"]
        try:
            tail.print_new()
        except ClientError as error:
            if not is_missing(error):
                raise
        if build["buildStatus"] != "IN_PROGRESS":
            break
        time.sleep(POLL_S)
    if build["buildStatus"] != "SUCCEEDED":
        phases = build.get("phases", [])
        said = [c["message"] for p in phases for c in p.get("contexts", []) if c.get("message")]
        raise JobFailed(
            f"the build {build['buildStatus'].lower()}: {said[-1] if said else 'see the log above'}"
        )

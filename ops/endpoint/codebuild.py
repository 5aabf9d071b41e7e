"""Build the serving image in AWS CodeBuild, on a machine of its architecture."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aws import log_groups, role_policies, roles
from aws.account import Account
from aws.errors import JobFailed
from aws.log_tail import LogTail
from aws.policy_statements import Policy
from aws.polling import poll, retry

ROLE = "whatbreed-codebuild"
_MACHINES = {
    "amd64": ("LINUX_CONTAINER", "aws/codebuild/amazonlinux-x86_64-standard:5.0"),
    "arm64": ("ARM_CONTAINER", "aws/codebuild/amazonlinux-aarch64-standard:3.0"),
}
# As in docker_build.py. CodeBuild's images have buildx; its older ones may not.
BUILDSPEC = """\
version: 0.2
phases:
  pre_build:
    commands:
      - aws ecr get-login-password | docker login --username AWS --password-stdin "$REGISTRY"
  build:
    commands:
      - |
        if docker buildx version; then
          docker buildx build --provenance=false --sbom=false --file model_code/Dockerfile \\
            --output "type=image,name=$IMAGE,oci-mediatypes=false,push=true" .
        else
          docker build --file model_code/Dockerfile --tag "$IMAGE" . && docker push "$IMAGE"
        fi
"""


def build(account: Account, context: Path, image: str, architecture: str) -> None:
    """Build `context` for `architecture`, push it as `image`, and print the log meanwhile.

    Creates the CodeBuild project and its role if they are missing. Raises JobFailed if the build
    fails.
    """
    registry, _, name = image.partition("/")
    repository, _, tag = name.partition(":")
    project = _ensure_project(account, repository, architecture)
    log_groups.ensure(account, log_groups.codebuild_group(project))
    key = f"{account.settings.prefix}/builds/{tag}.zip"
    s3 = account.client("s3")
    with TemporaryDirectory() as scratch:
        archive = shutil.make_archive(f"{scratch}/context", "zip", context)
        s3.upload_file(archive, account.bucket, key)
    try:
        build = account.client("codebuild").start_build(
            projectName=project,
            sourceTypeOverride="S3",
            sourceLocationOverride=f"{account.bucket}/{key}",
            buildspecOverride=BUILDSPEC,  # an existing project may have that of an older version
            environmentVariablesOverride=[
                {"name": "IMAGE", "value": image},
                {"name": "REGISTRY", "value": registry},
            ],
        )["build"]
        _follow(account, build["id"])
    finally:
        s3.delete_object(Bucket=account.bucket, Key=key)


def policy(account: Account, repository: str) -> Policy:
    """Return the policy of the role of the builds, for all architectures."""
    return role_policies.codebuild(account, repository, projects(account))


def projects(account: Account) -> list[str]:
    """Return the names of the projects for all architectures."""
    return [_project_name(account, architecture) for architecture in _MACHINES]


def _project_name(account: Account, architecture: str) -> str:
    return f"{account.settings.prefix}-image-{architecture}"


def _ensure_project(account: Account, repository: str, architecture: str) -> str:
    name = _project_name(account, architecture)
    trust = roles.trust("codebuild.amazonaws.com")
    new_role = roles.ensure_role(account, ROLE, trust, policy(account, repository))
    client = account.client("codebuild")
    if client.batch_get_projects(names=[name]).get("projects"):
        return name
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
            "privilegedMode": True,  # `docker build` inside the build's container needs it
        },
        "serviceRole": account.role_arn(ROLE),
        "timeoutInMinutes": 30,
        "tags": [{"key": key, "value": value} for key, value in account.settings.tags.items()],
    }
    retry(
        account,
        lambda: client.create_project(**request),
        lambda error: new_role and "assume" in str(error).lower(),
    )
    return name


def _follow(account: Account, build_id: str) -> None:
    client = account.client("codebuild")
    project, _, run = build_id.partition(":")
    build = poll(
        account,
        read=lambda: client.batch_get_builds(ids=[build_id])["builds"][0],
        settled=lambda build: build["buildStatus"] != "IN_PROGRESS",
        after_each=LogTail(account, log_groups.codebuild_group(project), run).print_new,
    )
    if build["buildStatus"] != "SUCCEEDED":
        messages = [
            context["message"]
            for phase in build.get("phases", [])
            for context in phase.get("contexts", [])
            if context.get("message")
        ]
        reason = messages[-1] if messages else "see its log above"
        raise JobFailed(f"The build {build['buildStatus'].lower()}: {reason}.")

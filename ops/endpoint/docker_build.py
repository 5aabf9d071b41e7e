"""Build the serving image with the local Docker and push it to ECR."""

import base64
import shutil
import subprocess
from pathlib import Path

from aws.account import Account
from aws.errors import AwsError


def available() -> bool:
    """Return whether there is a docker command with a running engine."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    return subprocess.run([docker, "version"], capture_output=True, check=False).returncode == 0


def build(account: Account, context: Path, image: str, architecture: str) -> None:
    """Build `context` for `architecture` and push it as `image`. Raises AwsError if that fails."""
    token = account.client("ecr").get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    registry = image.partition("/")[0]
    _docker("login", "--username", user, "--password-stdin", registry, stdin=password)
    _docker(
        "build", "--platform", f"linux/{architecture}", "--provenance=false", "--tag", image,
        "--file", str(context / "model_code" / "Dockerfile"), str(context),
    )  # fmt: skip
    _docker("push", image)


def _docker(*arguments: str, stdin: str | None = None) -> None:
    docker = shutil.which("docker") or "docker"
    code = subprocess.run([docker, *arguments], input=stdin, text=True, check=False).returncode
    if code != 0:
        raise AwsError(
            f"`docker {arguments[0]}` failed with exit code {code}: see its output above."
        )

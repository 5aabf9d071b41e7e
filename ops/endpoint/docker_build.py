"""Build the serving image with the local Docker and push it to ECR."""

import base64
import shutil
import subprocess
from pathlib import Path

from aws.account import Account
from aws.errors import AwsError

DOCKERFILE = Path("model_code") / "Dockerfile"


def available() -> bool:
    """Return whether there is a docker command with a running engine."""
    return _succeeds("version")


def build(account: Account, context: Path, image: str, architecture: str) -> None:
    """Build `context` for `architecture` and push it as `image`. Raises AwsError if that fails.

    The result is one Docker v2 manifest, without attestations: SageMaker refuses OCI manifests and
    lists of manifests, which Docker 29 and Docker Desktop push by default. Docker without buildx
    builds with its older builder, which has no such option; the caller checks what arrives.
    https://github.com/aws/amazon-sagemaker-feedback/issues/180
    """
    token = account.client("ecr").get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    registry = image.partition("/")[0]
    _docker("login", "--username", user, "--password-stdin", registry, stdin=password)
    source = ["--platform", f"linux/{architecture}", "--file", str(context / DOCKERFILE)]
    if _succeeds("buildx", "version"):
        output = f"type=image,name={image},oci-mediatypes=false,push=true"
        _docker(
            "buildx", "build", *source, "--provenance=false", "--sbom=false",
            "--output", output, str(context),
        )  # fmt: skip
    else:
        _docker("build", *source, "--tag", image, str(context))
        _docker("push", image)


def _succeeds(*arguments: str) -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    return subprocess.run([docker, *arguments], capture_output=True, check=False).returncode == 0


def _docker(*arguments: str, stdin: str | None = None) -> None:
    docker = shutil.which("docker") or "docker"
    code = subprocess.run([docker, *arguments], input=stdin, text=True, check=False).returncode
    if code != 0:
        command = " ".join(arguments[: 2 if arguments[0] == "buildx" else 1])
        raise AwsError(
            f"`docker {command}` failed with exit code {code}: see its output above. "
            "`--builder codebuild` builds in AWS instead."
        )

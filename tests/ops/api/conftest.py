"""Fixtures of the deployment. Each is named after what it gives."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from ops.api.bundle import Bundle, package
from tests.ops.api import project as projects
from tests.ops.api.aws_server import aws_server
from tests.ops.api.programs import Programs, api


@pytest.fixture(scope="session")
def release_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """What `make deploy STAGE=prod` would send."""
    project = projects.copy(tmp_path_factory.mktemp("prod") / "project")
    projects.write_policy(project, "prod")
    return package("prod", projects.REGION, tmp_path_factory.mktemp("package"), project)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project that a test may change."""
    return projects.copy(tmp_path / "project")


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """The address of an AWS of our own, empty at first."""
    with aws_server() as address:
        yield address


@pytest.fixture(scope="module")
def client(aws: str) -> Callable[[str], Any]:
    """`client("lambda")`: a boto3 client of that AWS."""
    session = boto3.Session("testing", "testing", region_name=projects.REGION)
    return lambda service: session.client(service, endpoint_url=aws)


@pytest.fixture(scope="module")
def environment(aws: str) -> dict[str, str]:
    """What leads a command to that AWS."""
    return {
        "AWS_ENDPOINT_URL": aws,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": projects.REGION,
    }


@pytest.fixture(scope="module")
def bucket(client: Callable[[str], Any]) -> str:
    """The project's bucket, which `training upload --create-bucket` makes."""
    name = f"whatbreed-{projects.ACCOUNT}-{projects.REGION}"
    client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": projects.REGION}
    )
    return name


@pytest.fixture
def programs(project: Path, environment: dict[str, str]) -> Iterator[Programs]:
    """`make deploy` and `make undeploy`, in a copy of the project."""
    with api() as behind:
        yield Programs(project, environment, behind)

"""Fixtures of the API releases. Each is named after what it provides."""

import copy
import importlib.util
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from aws import stages
from ops.api import stack_template
from ops.api.bundle import Bundle
from tests.emulator import corrected_cloudformation, iam_enforcement
from tests.emulator.fixtures import Command
from tests.emulator.moto_server import aws_server
from tests.ops.api import project as projects
from tests.ops.api.api_commands import ApiCommands, fake_api
from tests.ops.api.lambda_events import Handle, handler

Client = Callable[[str], Any]
# boto3 and its dependencies: what Lambda's Python brings.
LAMBDA_PACKAGES = ["boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3"]


@pytest.fixture(scope="session")
def release_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """What `make deploy STAGE=prod` deploys."""
    project = projects.copy(tmp_path_factory.mktemp("prod") / "project")
    projects.write_policy(project, "prod")
    return projects.package(project, "prod", tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="session")
def template(release_bundle: Bundle) -> dict[str, Any]:
    """The prod template with SAM's transform applied. Do not change it."""
    return transform(release_bundle)


def transform(bundle: Bundle, **properties: Any) -> dict[str, Any]:
    """Apply SAM's transform to the template of a release, with properties of the function."""
    source = Bundle(bundle.archive, copy.deepcopy(bundle.template))
    source.template["Resources"]["APIHandler"]["Properties"] |= properties
    released = stack_template.build(stages.read("prod"), source, "s3://bucket/bundle.zip")
    return corrected_cloudformation.transform(released, projects.REGION)


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    """The resources of that template."""
    resources: dict[str, Any] = template["Resources"]
    return resources


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project."""
    return projects.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def access_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file in which the emulator logs permitted actions."""
    return tmp_path_factory.mktemp("enforcement") / "access.jsonl"


@pytest.fixture(scope="session")
def server(access_log: Path) -> Iterator[dict[str, str]]:
    """The environment that points to an AWS account on this machine."""
    log = {iam_enforcement.LOG: str(access_log)}
    with aws_server(projects.REGION, **log) as environment:
        yield environment


@pytest.fixture(scope="module")
def environment(server: dict[str, str]) -> dict[str, str]:
    """The environment that points to an empty account without IAM enforcement."""
    post(server, "reset-auth", b"inf")
    post(server, "reset")
    return server


def post(environment: dict[str, str], path: str, body: bytes = b"") -> None:
    """Send a command to moto itself."""
    url = f"{environment['AWS_ENDPOINT_URL']}/moto-api/{path}"
    headers = {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(url, body, headers, method="POST")).close()


@pytest.fixture(scope="module")
def client(environment: dict[str, str]) -> Client:
    """`client("lambda")`: a boto3 client of the account."""
    session = boto3.Session("testing", "testing", region_name=projects.REGION)
    return lambda service: session.client(service, endpoint_url=environment["AWS_ENDPOINT_URL"])


@pytest.fixture(scope="module")
def bucket(client: Client) -> str:
    """The project's bucket, as `training upload --create-bucket` creates it."""
    name = f"whatbreed-{projects.ACCOUNT}-{projects.REGION}"
    client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": projects.REGION}
    )
    return name


@pytest.fixture
def api_commands(
    command: Command,
    credentials: None,
    change_settings: object,
    project: Path,
    environment: dict[str, str],
) -> Iterator[ApiCommands]:
    """`ops api release` and `remove` in a copy of the project, without waiting."""
    with fake_api() as api:
        yield ApiCommands(command, project, environment, api)


@pytest.fixture(scope="session")
def local_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip for Lambda, whose code is the same in every stage."""
    project = projects.copy(tmp_path_factory.mktemp("local") / "project")
    folder = tmp_path_factory.mktemp("package")
    projects.package(project, "local", folder)
    return folder / "deployment.zip"


@pytest.fixture(scope="session")
def handle(local_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Handle:
    """The unpacked function: `handle(event, runtime_address)`."""
    packages = tmp_path_factory.mktemp("lambda-packages")
    for name in LAMBDA_PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (packages / source.name).symlink_to(source)
    task = tmp_path_factory.mktemp("task")
    zipfile.ZipFile(local_bundle).extractall(task)
    return handler(task, packages)

"""An AWS account in the corrected moto, and commands that run against it."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import numpy as np
import pytest
from botocore.loaders import JSONFileLoader
from moto import mock_aws
from moto.s3.models import s3_backends
from PIL import Image

from aws import roles as roles_library
from cli.settings import PATH_VARIABLE
from ops.__main__ import main as ops_main
from tests.aws_rules.sagemaker_images import DOCKER_MANIFEST
from tests.emulator import corrected_moto
from training.__main__ import main as training_main

REGION = "us-east-1"
ACCOUNT = "123456789012"
BUCKET = f"whatbreed-{ACCOUNT}-{REGION}"
COLOURS = {"Red_setter": (200, 40, 40), "Green_hound": (40, 180, 60), "Blue_terrier": (40, 60, 200)}


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Outcome]
Change = Callable[..., None]


@pytest.fixture(scope="session", autouse=True)
def cached_service_models() -> Iterator[None]:
    """boto3 parses megabytes of JSON per session; parse them once for all tests."""
    load = cache(JSONFileLoader().load_file)
    with patch.object(JSONFileLoader, "load_file", lambda _, path: load(path)):
        yield


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log in with credentials that are not real."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def corrections() -> Iterator[corrected_moto.State]:
    with corrected_moto.corrected() as state:
        yield state


@pytest.fixture
def emulator(
    credentials: None, change_settings: Change, corrections: corrected_moto.State
) -> Iterator[corrected_moto.State]:
    """An empty account that commands poll without waiting; set on it what goes wrong there."""
    corrections.reset()
    with mock_aws():
        yield corrections


@pytest.fixture
def aws(emulator: corrected_moto.State) -> None:
    """An empty account."""


@pytest.fixture
def image(aws: None) -> str:
    """A serving image for x86 in ECR; returns its digest."""
    boto3.client("ecr").create_repository(repositoryName="whatbreed-serving")
    return push_image("amd64-0123456789ab")


def push_image(tag: str, media_type: str = DOCKER_MANIFEST) -> str:
    """Put an image into ECR, as the push at the end of a build does; return its digest."""
    digest = f"sha256:{hashlib.sha256((tag + media_type).encode()).hexdigest()}"
    manifest = {"schemaVersion": 2, "mediaType": media_type, "layers": [{"digest": digest}]}
    pushed = boto3.client("ecr").put_image(
        repositoryName="whatbreed-serving", imageManifest=json.dumps(manifest), imageTag=tag
    )
    return str(pushed["image"]["imageId"]["imageDigest"])


@pytest.fixture
def roles(aws: None) -> None:
    """The two roles of settings.toml."""
    iam = boto3.client("iam")
    trust = roles_library.trust("sagemaker.amazonaws.com")
    for name in ("whatbreed-training", "whatbreed-serving"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))


@pytest.fixture
def bucket(aws: None) -> str:
    """The default bucket of settings.toml."""
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    return BUCKET


def create_bucket(account: str, name: str, region: str = REGION) -> Any:
    """Create a bucket of another account, and return moto's object."""
    return s3_backends[account]["aws"].create_bucket(name, region)


@pytest.fixture
def key(aws: None, change_settings: Change) -> str:
    """A KMS key, which is the kms_key of settings.toml; returns its ARN."""
    arn = str(boto3.client("kms").create_key()["KeyMetadata"]["Arn"])
    change_settings("aws", kms_key=arn)
    return arn


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process: `command("ops", "endpoint", "deploy", "--stage", "dev")`."""

    def command(program: str, *arguments: object) -> Outcome:
        main = {"training": training_main, "ops": ops_main}[program]
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Outcome(code, out, err)

    return command


@pytest.fixture
def change_settings(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Change:
    """Override settings: `change_settings("serving", instance_type="ml.m5.large")`.

    Commands read a file of the test's own through WHATBREED_SETTINGS.
    """
    document: dict[str, dict[str, Any]] = {}
    path = tmp_path_factory.mktemp("settings") / "settings.toml"
    monkeypatch.setenv(PATH_VARIABLE, str(path))

    def change_settings(table: str, **values: Any) -> None:
        document.setdefault(table, {}).update(values)
        path.write_text(
            "".join(
                f"[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in keys.items())
                for name, keys in document.items()
            )
        )

    change_settings("aws", poll_s=0)
    return change_settings


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        members = ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items())
        return "{" + members + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


@pytest.fixture(scope="session")
def colour_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos of three breeds that differ in colour."""
    folder = tmp_path_factory.mktemp("colours")
    draw = np.random.default_rng(0)
    for breed, colour in COLOURS.items():
        for split, count in (("train", 8), ("valid", 2), ("test", 2)):
            for number in range(count):
                noise = draw.normal(colour, 20, (80, 96, 3)).clip(0, 255).astype(np.uint8)
                path = folder / split / breed / f"{split}{number}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(noise).save(path)
    return folder

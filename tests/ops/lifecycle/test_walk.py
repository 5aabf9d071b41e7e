"""From an empty account to a URL that answers and back, with least-privilege credentials only.

An administrator runs the part setup of `up` and what docs/security.md reserves to them in `down`.
Everything else is done by an operator with the policies of `policy --role deploy`, who releases
through the stage's release role.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from aws.stages import PROJECT_VARIABLE
from tests.emulator import inventory
from tests.emulator.fixtures import Change, Command, Outcome
from tests.ops.api.api_commands import FakeApi, fake_api
from tests.ops.api.conftest import Client, post
from tests.ops.api.project import ACCOUNT, REGION

pytestmark = pytest.mark.server
Environment = dict[str, str]
BUCKET = f"whatbreed-{ACCOUNT}-{REGION}"


@dataclass
class Walker:
    """Runs commands as one identity."""

    command: Command
    environment: Environment
    project: Path
    api: FakeApi

    def __call__(self, *arguments: object) -> Outcome:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(PROJECT_VARIABLE, str(self.project))
            for name, value in self.environment.items():
                patch.setenv(name, value)
            return self.command("ops", *arguments)

    def up(self, stage: str, *options: str) -> Outcome:
        smoke_test = ["--smoke-url", self.api.url, "--patience", "0"]
        return self("up", "--stage", stage, "--yes", *smoke_test, *options)


@pytest.fixture
def people(
    environment: Environment,
    client: Client,
    command: Command,
    credentials: None,
    change_settings: Change,
    project: Path,
) -> Iterator[dict[str, Walker]]:
    """`administrator`, and `operator` with the policies that `policy --role deploy` writes."""
    change_settings("alerts", email="me@example.com")
    post(environment, "state", b"{}")
    iam = client("iam")
    environments = {}
    for name in ("administrator", "operator"):
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        environments[name] = {
            **environment,
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    iam.put_user_policy(UserName="administrator", PolicyName="all", PolicyDocument=document)
    with fake_api() as api:
        yield {
            name: Walker(command, environments[name], project, api)
            for name in ("administrator", "operator")
        }


@pytest.fixture
def administrator(people: dict[str, Walker]) -> Walker:
    return people["administrator"]


@pytest.fixture
def operator(people: dict[str, Walker], client: Client, environment: Environment) -> Walker:
    """The operator, whose policies are attached; from now on IAM is enforced."""
    assert people["administrator"]("policy", "--role", "deploy", "--apply").code == 0
    iam = client("iam")
    for policy in iam.list_policies(Scope="Local")["Policies"]:
        iam.attach_user_policy(UserName="operator", PolicyArn=policy["Arn"])
    post(environment, "reset-auth", b"0")
    return people["operator"]


def test_walk(
    operator: Walker,
    administrator: Walker,
) -> None:
    def log(o):
        with open("/tmp/w/walk.log", "a") as f:
            f.write(o.out + o.err + "\n=====\n")

    releaser = f"arn:aws:iam::{ACCOUNT}:user/operator"
    o = administrator.up("dev", "--part", "setup", "--releaser", releaser)
    log(o)
    o = operator.up("dev")
    log(o)
    o = operator.up("dev")
    log(o)
    o = operator("down", "--stage", "dev", "--yes", "--part", "model")
    log(o)
    o = administrator("down", "--stage", "dev", "--yes", "--data")
    log(o)
    o = administrator.up("prod", "--part", "setup", "--releaser", releaser)
    log(o)
    o = operator.up("prod")
    log(o)
    o = operator.up("prod")
    log(o)
    o = operator("down", "--stage", "prod", "--yes", "--part", "model")
    log(o)
    o = administrator("down", "--stage", "prod", "--yes", "--data")
    log(o)
    session = boto3.Session(
        administrator.environment["AWS_ACCESS_KEY_ID"],
        administrator.environment["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    )
    c = lambda service: session.client(
        service, endpoint_url=administrator.environment["AWS_ENDPOINT_URL"]
    )
    with open("/tmp/w/walk.log", "a") as f:
        f.write(json.dumps(inventory.everything(c, ACCOUNT), indent=1))

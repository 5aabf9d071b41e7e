"""The people of the walk, in an account on the emulator's server."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from aws.stages import PROJECT_VARIABLE
from tests.emulator.fixtures import Change, Command, Outcome
from tests.ops.api.api_commands import FakeApi, fake_api
from tests.ops.api.conftest import (  # noqa: F401
    Client,
    access_log,
    client,
    environment,
    post,
    project,
    server,
)
from tests.ops.api.project import REGION

Environment = dict[str, str]
SetState = Callable[..., None]


@dataclass(frozen=True)
class Person:
    """Runs commands of `ops` with their own credentials."""

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

    def succeeds(self, *arguments: object) -> Outcome:
        outcome = self(*arguments)
        assert outcome.code == 0, outcome.err + outcome.out
        return outcome

    def up(self, stage: str, *options: str) -> Outcome:
        smoke_test = ["--smoke-url", self.api.url, "--patience", "0"]
        return self("up", "--stage", stage, "--yes", *smoke_test, *options)

    def client(self, service: str) -> Any:
        session = boto3.Session(
            self.environment["AWS_ACCESS_KEY_ID"],
            self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )
        return session.client(service, endpoint_url=self.environment["AWS_ENDPOINT_URL"])


@pytest.fixture
def set_state(environment: Environment) -> SetState:  # noqa: F811
    """Set fields of the emulator's State: `set_state(endpoint_failure="no capacity")`."""

    def set_state(**fields: Any) -> None:
        post(environment, "state", json.dumps(fields).encode())

    set_state()
    return set_state


@pytest.fixture
def administrator(
    environment: Environment,  # noqa: F811
    client: Client,  # noqa: F811
    command: Command,
    credentials: None,
    change_settings: Change,
    set_state: SetState,
    project: Path,  # noqa: F811
) -> Iterator[Person]:
    """A user who may do everything, in an empty account."""
    post(environment, "reset-auth", b"inf")
    post(environment, "reset")
    change_settings("alerts", email="me@example.com")
    anything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    with fake_api() as api:
        key = _user(client, "administrator", anything)
        yield Person(command, {**environment, **key}, project, api)


@pytest.fixture
def operator(
    environment: Environment,  # noqa: F811
    client: Client,  # noqa: F811
    administrator: Person,
) -> Person:
    """A user with the policies of `policy --role deploy`. From now on IAM is enforced."""
    administrator.succeeds("policy", "--role", "deploy", "--apply")
    key, iam = _user(client, "operator"), client("iam")
    for policy in iam.list_policies(Scope="Local")["Policies"]:
        iam.attach_user_policy(UserName="operator", PolicyArn=policy["Arn"])
    post(environment, "reset-auth", b"0")
    return Person(
        administrator.command, {**environment, **key}, administrator.project, administrator.api
    )


def _user(client: Client, name: str, *statements: dict[str, Any]) -> Environment:  # noqa: F811
    iam = client("iam")
    iam.create_user(UserName=name)
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }

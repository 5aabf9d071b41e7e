"""`ops api release --stage prod` and `remove` against the emulator.

Its CloudFormation receives what SAM's own code makes of the template.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.fixtures import Change
from tests.ops.api.api_commands import ApiCommands
from tests.ops.api.project import ACCOUNT, REGION, add_route

pytestmark = pytest.mark.server

Client = Callable[[str], Any]
ALIAS = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:whatbreed-prod:live"


def version(client: Client) -> str:
    """The version that the alias points to."""
    alias = client("lambda").get_alias(FunctionName="whatbreed-prod", Name="live")
    return str(alias["FunctionVersion"])


def code(client: Client) -> str:
    """The hash of the function's code."""
    function = client("lambda").get_function(FunctionName="whatbreed-prod")
    return str(function["Configuration"]["CodeSha256"])


@pytest.fixture(scope="module", autouse=True)
def boundary(client: Client) -> None:
    """The policy of `ops policy --role boundary --apply`, which a release to prod requires."""
    statement = {"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "*"}
    client("iam").create_policy(
        PolicyName="whatbreed-prod-boundary",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )


def change(project: Path, text: str) -> None:
    app = project / "app.py"
    app.write_text(f"{app.read_text()}\n# {text}\n")


def test_release_again_change_rollback_and_removal(
    api_commands: ApiCommands, client: Client, bucket: str
) -> None:
    api_commands.api.healthy = False
    alone = api_commands.release("prod")
    assert alone.code == 1
    assert alone.err.strip().endswith(
        "The new release stays deployed: Stage prod has no previous release."
    )
    api_commands.remove("prod", "--yes")
    api_commands.api.healthy = True
    api_commands.api.keys.clear()

    first = api_commands.release("prod")
    assert first.code == 0, first.err
    assert first.out.strip().endswith("/prod/")
    function = client("lambda").get_function(FunctionName="whatbreed-prod")
    variables = function["Configuration"]["Environment"]["Variables"]
    assert variables["ENDPOINT_NAME"] == "whatbreed-prod"
    assert function["Concurrency"]["ReservedConcurrentExecutions"] == 10
    first_version, first_code = version(client), code(client)

    [api] = client("apigateway").get_rest_apis()["items"]
    for resource in client("apigateway").get_resources(restApiId=api["id"], limit=500)["items"]:
        for method in resource.get("resourceMethods", {}):
            integration = client("apigateway").get_integration(
                restApiId=api["id"], resourceId=resource["id"], httpMethod=method
            )
            assert integration["uri"].endswith(f"functions/{ALIAS}/invocations"), resource["path"]
    [plan] = client("apigateway").get_usage_plans()["items"]
    assert plan["apiStages"] == [{"apiId": api["id"], "stage": "prod"}]
    [key] = client("apigateway").get_api_keys(includeValues=True)["items"]
    [plan_key] = client("apigateway").get_usage_plan_keys(usagePlanId=plan["id"])["items"]
    assert plan_key["id"] == key["id"]
    assert set(api_commands.api.keys) == {key["value"]}  # sent by the smoke test

    again = api_commands.release("prod")
    assert again.code == 0, again.err
    assert "Nothing changed." in again.out
    assert version(client) == first_version

    change(api_commands.project, "better")
    dry = api_commands.release("prod", "--dry-run")
    assert dry.code == 0, dry.err
    assert "This would be deployed." in dry.out
    assert code(client) == first_code
    second = api_commands.release("prod")
    assert second.code == 0, second.err
    assert version(client) != first_version
    second_code = code(client)
    assert second_code != first_code

    change(api_commands.project, "worse")
    api_commands.api.healthy = False
    failed = api_commands.release("prod")
    assert failed.code == 1
    [line] = failed.err.splitlines()
    assert line.startswith("ops api release: Smoke test: ")
    assert line.endswith(" The previous release has been restored.")
    assert code(client) == second_code

    api_commands.api.healthy = True
    third_code = code(client)
    dry = api_commands.release("prod", "--rollback", "--dry-run")
    assert "This would be deployed." in dry.out
    assert code(client) == third_code
    assert api_commands.release("prod", "--rollback").code == 0
    assert code(client) != third_code

    assert api_commands.remove("prod", "--yes").code == 0
    assert client("lambda").list_functions()["Functions"] == []
    assert client("apigateway").get_rest_apis()["items"] == []
    assert client("apigateway").get_api_keys()["items"] == []
    assert client("iam").list_roles()["Roles"] == []
    assert client("logs").describe_log_groups()["logGroups"] == []
    assert client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_route_that_bypasses_the_alias_stops_the_release(
    api_commands: ApiCommands, client: Client
) -> None:
    add_route(api_commands.project)
    outcome = api_commands.release("prod")
    assert outcome.code == 1
    [line] = outcome.err.splitlines()
    assert "alias live: GET /new. Add them to .chalice/resources-prod.json" in line
    assert client("lambda").list_functions()["Functions"] == []


def test_a_missing_bucket_is_an_error_with_the_command_that_creates_it(
    api_commands: ApiCommands, change_settings: Change
) -> None:
    change_settings("aws", bucket="no-such-bucket")
    outcome = api_commands.release("prod")
    assert outcome.code == 1
    [line] = outcome.err.splitlines()
    assert "python -m training upload --create-bucket" in line


def test_a_missing_boundary_is_an_error_with_the_command_that_creates_it(
    api_commands: ApiCommands, client: Client, bucket: str
) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:policy/whatbreed-prod-boundary"
    client("iam").delete_policy(PolicyArn=arn)
    outcome = api_commands.release("prod")
    assert outcome.code == 1
    [line] = outcome.err.splitlines()
    assert line == (
        "ops api release: Policy whatbreed-prod-boundary does not exist. Ask an administrator to "
        "create it with `python -m ops policy --role boundary --stage prod --apply`."
    )
    assert client("lambda").list_functions()["Functions"] == []

"""`ops api release --stage prod` and `remove` against the emulator.

Its CloudFormation receives what SAM's own code makes of the template.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.fixtures import Change
from tests.ops.api.api_commands import ApiCommands
from tests.ops.api.project import (
    ACCOUNT,
    REGION,
    add_route,
    change_config,
    package,
    write_policy,
)

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


@pytest.fixture(autouse=True)
def roles(api_commands: ApiCommands) -> None:
    """The roles that a release to prod requires."""
    outcome = api_commands.policy("--role", "boundary", "--stage", "prod", "--apply")
    assert outcome.code == 0, outcome.err


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
        for method in set(resource.get("resourceMethods", {})) - {"OPTIONS"}:  # CORS preflights
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
    assert client("logs").describe_log_groups()["logGroups"] == []
    assert client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_dry_run_changes_nothing(api_commands: ApiCommands, client: Client, bucket: str) -> None:
    first = api_commands.release("prod", "--dry-run")
    assert first.code == 0, first.err
    assert "  add     APIHandler\n" in first.out
    stacks = client("cloudformation").describe_stacks()["Stacks"]
    assert [stack["StackName"] for stack in stacks] == []
    assert client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 0

    assert api_commands.release("prod").code == 0
    same = api_commands.release("prod", "--dry-run")
    assert "Nothing changed." in same.out
    change(api_commands.project, "better")
    stored = client("s3").list_objects_v2(Bucket=bucket)["KeyCount"]
    changed = api_commands.release("prod", "--dry-run")
    assert "  modify  APIHandler\n" in changed.out
    assert client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == stored
    assert client("cloudformation").list_change_sets(StackName="whatbreed-prod")["Summaries"]
    assert api_commands.remove("prod", "--yes").code == 0


@pytest.mark.parametrize(
    ("reserved", "provisioned", "fits"),
    [(10, 2, True), (3, 2, False), (3, 1, True), (5, 2, True), (50, 2, True), (100, 25, True),
     (None, 2, True), (4, 2, True), (3, None, True)],
)  # fmt: skip
def test_provisioned_concurrency_must_fit_twice(
    api_commands: ApiCommands, reserved: int | None, provisioned: int | None, fits: bool
) -> None:
    change_config(api_commands.project, "prod", reserved_concurrency=reserved)
    path = api_commands.project / ".chalice" / "resources-prod.json"
    document = json.loads(path.read_text())
    alias = document["Resources"]["APIHandlerAliaslive"]["Properties"]
    alias["ProvisionedConcurrencyConfig"]["ProvisionedConcurrentExecutions"] = provisioned
    if provisioned is None:
        del alias["ProvisionedConcurrencyConfig"]
    path.write_text(json.dumps(document))
    outcome = api_commands.release("prod", "--dry-run")
    if fits:
        assert outcome.code == 0, outcome.err
        return
    assert outcome.code == 2
    [line] = outcome.err.splitlines()
    assert line.endswith(
        "Stage prod provisions 2 concurrent executions for the version in service and 2 for the "
        "new one while traffic shifts, but reserves 3: set reserved_concurrency in config.json to "
        "at least 4, or lower ProvisionedConcurrentExecutions in resources-prod.json."
    )


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


def test_a_missing_role_is_an_error_with_the_command_that_creates_it(
    api_commands: ApiCommands, client: Client, bucket: str
) -> None:
    client("iam").delete_role_policy(RoleName="whatbreed-prod-release", PolicyName="whatbreed")
    client("iam").delete_role(RoleName="whatbreed-prod-release")
    outcome = api_commands.release("prod")
    assert outcome.code == 1
    [line] = outcome.err.splitlines()
    assert line == (
        "ops api release: Role whatbreed-prod-release does not exist. Ask an administrator to "
        "create it with `python -m ops policy --role boundary --stage prod --apply`."
    )
    assert client("lambda").list_functions()["Functions"] == []


def test_a_role_that_trusts_others_stops_the_release(
    api_commands: ApiCommands, client: Client, bucket: str
) -> None:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::210987654321:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    client("iam").update_assume_role_policy(
        RoleName="whatbreed-prod-api_handler", PolicyDocument=json.dumps(trust)
    )
    outcome = api_commands.release("prod")
    assert outcome.code == 1
    [line] = outcome.err.splitlines()
    assert "whatbreed-prod-api_handler trusts" in line
    assert "210987654321" in line
    assert client("lambda").list_functions()["Functions"] == []


def objects(client: Client, bucket: str, kind: str) -> dict[str, bytes]:
    """The stored bundles or templates, by key."""
    listing = client("s3").list_objects_v2(Bucket=bucket, Prefix=f"whatbreed/api/prod/{kind}/")
    keys = [item["Key"] for item in listing["Contents"]]
    return {key: client("s3").get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def test_objects_that_someone_changed_are_not_released(
    api_commands: ApiCommands, client: Client, bucket: str, tmp_path: Path
) -> None:
    """The test is the root user, whom no policy stops."""
    s3 = client("s3")
    # planted before the first release, under the right name: builds are reproducible
    write_policy(api_commands.project, "prod")
    digest = package(api_commands.project, "prod", tmp_path / "package").digest
    bundle = f"whatbreed/api/prod/bundles/{digest}.zip"
    s3.put_object(Bucket=bucket, Key=bundle, Body=b"evil")
    planted = api_commands.release("prod")
    assert planted.code == 1
    assert f"{bundle} does not have the SHA-256 in its name" in planted.err
    assert client("lambda").list_functions()["Functions"] == []

    s3.delete_object(Bucket=bucket, Key=bundle)
    assert api_commands.release("prod").code == 0
    change(api_commands.project, "better")
    assert api_commands.release("prod").code == 0
    released = code(client)

    # the previous release, changed after it was released
    for kind in ("bundles", "templates"):
        before = objects(client, bucket, kind)
        for key in before:
            s3.put_object(Bucket=bucket, Key=key, Body=before[key] + b" ")
        outcome = api_commands.release("prod", "--rollback")
        assert outcome.code == 1
        assert "does not have the SHA-256 in its name" in outcome.err
        assert code(client) == released
        for key, content in before.items():
            s3.put_object(Bucket=bucket, Key=key, Body=content)

    # a state file in the bucket decides nothing
    state = json.dumps({"current": "x", "previous": "whatbreed/api/prod/templates/evil.json"})
    s3.put_object(Bucket=bucket, Key="whatbreed/api/prod/deployed.json", Body=state)
    assert api_commands.release("prod", "--rollback").code == 0
    assert code(client) != released
    assert api_commands.remove("prod", "--yes").code == 0


def test_a_template_with_code_from_elsewhere_is_not_rolled_back_to(
    api_commands: ApiCommands, client: Client, bucket: str
) -> None:
    """Even if its name is its SHA-256 and the stack names it."""
    assert api_commands.release("prod").code == 0
    change(api_commands.project, "better")
    assert api_commands.release("prod").code == 0
    current = client("cloudformation").describe_stacks(StackName="whatbreed-prod")["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in current["Outputs"]}
    key = f"whatbreed/api/prod/templates/{outputs['Release']}.json"
    template = json.loads(client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    template["Resources"]["APIHandler"]["Properties"]["CodeUri"] = "s3://elsewhere/evil.zip"
    content = json.dumps(template).encode()
    digest = hashlib.sha256(content).hexdigest()
    client("s3").put_object(
        Bucket=bucket, Key=f"whatbreed/api/prod/templates/{digest}.json", Body=content
    )
    change_set = client("cloudformation").create_change_set(
        StackName="whatbreed-prod",
        ChangeSetName="evil",
        ChangeSetType="UPDATE",
        Capabilities=["CAPABILITY_AUTO_EXPAND"],
        TemplateURL=f"https://{bucket}.s3.{REGION}.amazonaws.com/{key}",
        Parameters=[
            {"ParameterKey": "Release", "ParameterValue": outputs["Release"]},
            {"ParameterKey": "PreviousRelease", "ParameterValue": digest},
        ],
    )["Id"]
    client("cloudformation").execute_change_set(ChangeSetName=change_set)
    outcome = api_commands.release("prod", "--rollback")
    assert outcome.code == 1
    assert "has its code at s3://elsewhere/evil.zip, outside of the releases" in outcome.err
    assert api_commands.remove("prod", "--yes").code == 0

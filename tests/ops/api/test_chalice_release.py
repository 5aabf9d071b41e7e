"""`ops api release --stage dev` and `remove` against the emulator."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest

from tests.ops.api.api_commands import ApiCommands
from tests.ops.api.project import REGION, change_config

pytestmark = pytest.mark.server


def test_release_again_change_and_removal(
    api_commands: ApiCommands, client: Callable[[str], Any]
) -> None:
    functions = client("lambda")

    first = api_commands.release("dev")
    assert first.code == 0, first.err
    assert "whatbreed 2026.11.21: Dalmatian (0.96)" in first.out
    assert first.out.strip().endswith("/dev/")
    released = functions.get_function(FunctionName="whatbreed-dev")["Configuration"]
    groups = client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
    assert ("/aws/lambda/whatbreed-dev", 7) in {
        (group["logGroupName"], group.get("retentionInDays")) for group in groups
    }

    gateway = client("apigateway")
    [api] = gateway.get_rest_apis()["items"]
    for kind, status in (("INTEGRATION_FAILURE", "503"), ("INTEGRATION_TIMEOUT", "504")):
        response = gateway.get_gateway_response(restApiId=api["id"], responseType=kind)
        assert response["statusCode"] == status
        headers = response["responseParameters"]
        assert headers["gatewayresponse.header.Access-Control-Allow-Origin"] == "'*'"
    stage = gateway.get_stage(restApiId=api["id"], stageName="dev")
    deployments = gateway.get_deployments(restApiId=api["id"])["items"]
    assert stage["deploymentId"] == deployments[-1]["id"]

    # Another checkout, as in a pipeline, has no list of deployed resources.
    shutil.rmtree(api_commands.project / ".chalice" / "deployed")
    again = api_commands.release("dev")
    assert again.code == 0, again.err
    assert "Nothing changed." in again.out
    same = functions.get_function(FunctionName="whatbreed-dev")["Configuration"]
    for key in ("LastModified", "CodeSha256"):
        assert same[key] == released[key]

    change_config(api_commands.project, "dev", reserved_concurrency=3)
    dry = api_commands.release("dev", "--dry-run")
    assert "This would be deployed." in dry.out
    concurrency = functions.get_function_concurrency(FunctionName="whatbreed-dev")
    assert concurrency["ReservedConcurrentExecutions"] == 5
    changed = api_commands.release("dev")
    assert changed.code == 0, changed.err
    concurrency = functions.get_function_concurrency(FunctionName="whatbreed-dev")
    assert concurrency["ReservedConcurrentExecutions"] == 3
    assert len(client("apigateway").get_rest_apis()["items"]) == 1

    api_commands.api.healthy = False
    failed = api_commands.release("dev")
    assert failed.code == 1
    [line] = failed.err.splitlines()
    assert line.startswith("ops api release: Smoke test: ")

    unconfirmed = api_commands.remove("dev")
    assert unconfirmed.code == 2
    assert "--yes" in unconfirmed.err
    assert functions.list_functions()["Functions"]
    removed = api_commands.remove("dev", "--yes")
    assert removed.code == 0, removed.err
    assert functions.list_functions()["Functions"] == []
    assert client("apigateway").get_rest_apis()["items"] == []
    assert client("iam").list_roles()["Roles"] == []
    assert client("logs").describe_log_groups()["logGroups"] == []
    assert api_commands.remove("dev", "--yes").code == 0


def test_an_interrupted_deployment_is_found_again(
    api_commands: ApiCommands, client: Callable[[str], Any]
) -> None:
    """Chalice writes its list at the very end, so an interruption leaves an API and no list."""
    assert api_commands.release("dev").code == 0
    [api] = client("apigateway").get_rest_apis()["items"]
    shutil.rmtree(api_commands.project / ".chalice" / "deployed")
    functions = client("lambda")
    function = functions.get_function(FunctionName="whatbreed-dev")["Configuration"]
    functions.untag_resource(Resource=function["FunctionArn"], TagKeys=["release"])
    # An API that plain `chalice deploy` created has no tag.
    arn = f"arn:aws:apigateway:{REGION}::/restapis/{api['id']}"
    client("apigateway").untag_resource(resourceArn=arn, tagKeys=["api"])

    assert api_commands.release("dev").code == 0
    [same] = client("apigateway").get_rest_apis()["items"]
    assert same["id"] == api["id"]
    assert same["tags"]["api"] == "whatbreed-dev"

    # Another deployment replaced the code, which the tag does not show.
    functions.update_function_code(FunctionName="whatbreed-dev", ZipFile=b"evil")
    assert "Nothing changed." not in api_commands.release("dev").out
    restored = functions.get_function(FunctionName="whatbreed-dev")["Configuration"]
    assert restored["CodeSha256"] == function["CodeSha256"]

    shutil.rmtree(api_commands.project / ".chalice" / "deployed")
    client("apigateway").delete_rest_api(restApiId=api["id"])
    assert api_commands.remove("dev", "--yes").code == 0
    assert client("lambda").list_functions()["Functions"] == []
    assert client("iam").list_roles()["Roles"] == []


@pytest.mark.parametrize(
    ("stage", "options", "message"),
    [
        ("dve", [], 'has no stage "dve"'),
        ("local", [], "`make run`"),
        ("dev", ["--rollback"], "Check out the commit to return to"),
        ("dev", ["--digest", "0" * 64], f"not {'0' * 64}"),
        ("dev", ["--digest", ""], "not a SHA-256"),
        ("dev", ["--digest", "$(id)"], "not a SHA-256"),
    ],
)
def test_an_error_of_the_user_is_one_line(
    api_commands: ApiCommands, stage: str, options: list[str], message: str
) -> None:
    outcome = api_commands.release(stage, *options)
    assert outcome.code in (1, 2)
    [line] = outcome.err.splitlines()
    assert message in line


def test_the_local_stage_cannot_be_removed(api_commands: ApiCommands) -> None:
    outcome = api_commands.remove("local", "--yes")
    assert outcome.code == 2
    assert "`make run`" in outcome.err

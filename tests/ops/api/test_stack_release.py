"""`make deploy STAGE=prod` and `make undeploy STAGE=prod` against an AWS of our own.

CloudFormation there is moto's, fed with what SAM's own code makes of the template.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ops.api.programs import Programs
from tests.ops.api.project import ACCOUNT, REGION

pytestmark = pytest.mark.server

Client = Callable[[str], Any]
ALIAS = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:whatbreed-prod:live"


def version(client: Client) -> str:
    """The version that the alias stands for."""
    found = client("lambda").get_alias(FunctionName="whatbreed-prod", Name="live")
    return str(found["FunctionVersion"])


def code(client: Client) -> str:
    """The hash of the code behind the alias."""
    found = client("lambda").get_function(FunctionName="whatbreed-prod")
    return str(found["Configuration"]["CodeSha256"])


@pytest.fixture(scope="module", autouse=True)
def boundary(client: Client) -> None:
    """What `policy --role boundary --apply` makes, without which nothing is released to prod."""
    statement = {"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "*"}
    client("iam").create_policy(
        PolicyName="whatbreed-prod-boundary",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )


def change(project: Path, text: str) -> None:
    app = project / "app.py"
    app.write_text(f"{app.read_text()}\n# {text}\n")


def test_release_again_change_rollback_and_removal(
    programs: Programs, client: Client, bucket: str
) -> None:
    programs.api.healthy = False
    alone = programs.deploy("prod")
    assert alone.returncode == 1
    assert alone.stderr.strip().endswith(
        "stays released: stage prod has no release before this one"
    )
    programs.undeploy("prod", "--yes")
    programs.api.healthy = True
    programs.api.keys.clear()

    first = programs.deploy("prod")
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip().endswith("/prod/")
    made = client("lambda").get_function(FunctionName="whatbreed-prod")
    assert made["Configuration"]["Environment"]["Variables"]["ENDPOINT_NAME"] == "whatbreed-prod"
    assert made["Concurrency"]["ReservedConcurrentExecutions"] == 10
    old_version, old_code = version(client), code(client)

    [api] = client("apigateway").get_rest_apis()["items"]
    for one in client("apigateway").get_resources(restApiId=api["id"], limit=500)["items"]:
        for method in one.get("resourceMethods", {}):
            integration = client("apigateway").get_integration(
                restApiId=api["id"], resourceId=one["id"], httpMethod=method
            )
            assert integration["uri"].endswith(f"functions/{ALIAS}/invocations"), one["path"]
    [plan] = client("apigateway").get_usage_plans()["items"]
    assert plan["apiStages"] == [{"apiId": api["id"], "stage": "prod"}]
    [key] = client("apigateway").get_api_keys(includeValues=True)["items"]
    [planned] = client("apigateway").get_usage_plan_keys(usagePlanId=plan["id"])["items"]
    assert planned["id"] == key["id"]
    assert set(programs.api.keys) == {key["value"]}  # what the smoke test sent

    again = programs.deploy("prod")
    assert again.returncode == 0, again.stderr
    assert "nothing has changed" in again.stdout
    assert version(client) == old_version

    change(programs.project, "better")
    dry = programs.deploy("prod", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "this would be deployed" in dry.stdout
    assert code(client) == old_code
    second = programs.deploy("prod")
    assert second.returncode == 0, second.stderr
    assert version(client) != old_version
    new_code = code(client)
    assert new_code != old_code

    change(programs.project, "worse")
    programs.api.healthy = False
    failed = programs.deploy("prod")
    assert failed.returncode == 1
    [line] = failed.stderr.strip().splitlines()
    assert line.startswith("deploy: smoke test: ")
    assert line.endswith("; the release before is back")
    assert code(client) == new_code

    programs.api.healthy = True
    assert programs.deploy("prod", "--rollback").returncode == 0

    assert programs.undeploy("prod", "--yes").returncode == 0
    assert client("lambda").list_functions()["Functions"] == []
    assert client("apigateway").get_rest_apis()["items"] == []
    assert client("apigateway").get_api_keys()["items"] == []
    assert client("iam").list_roles()["Roles"] == []
    assert client("logs").describe_log_groups()["logGroups"] == []
    assert client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_route_that_was_forgotten_stops_the_release(programs: Programs, client: Client) -> None:
    app = programs.project / "app.py"
    app.write_text(
        app.read_text() + '\n\n@app.route("/new")\ndef new() -> dict[str, str]:\n    return {}\n'
    )
    ended = programs.deploy("prod")
    assert ended.returncode == 1
    [line] = ended.stderr.strip().splitlines()
    assert line == (
        "deploy: GET /new would go past the alias live: add it to .chalice/resources-prod.json"
    )
    assert client("lambda").list_functions()["Functions"] == []


def test_without_the_bucket_it_says_how_to_make_one(programs: Programs) -> None:
    settings = programs.project / "training" / "settings.toml"
    settings.write_text(settings.read_text().replace('bucket = ""', 'bucket = "no-such-bucket"'))
    ended = programs.deploy("prod")
    assert ended.returncode == 1
    [line] = ended.stderr.strip().splitlines()
    assert "python -m training upload --create-bucket" in line


def test_without_the_boundary_it_says_how_to_make_one(
    programs: Programs, client: Client, bucket: str
) -> None:
    iam = client("iam")
    arn = f"arn:aws:iam::{ACCOUNT}:policy/whatbreed-prod-boundary"
    iam.delete_policy(PolicyArn=arn)
    ended = programs.deploy("prod")
    assert ended.returncode == 1
    [line] = ended.stderr.strip().splitlines()
    assert line == (
        "deploy: policy whatbreed-prod-boundary is missing: an administrator makes it with "
        "`python -m training policy --role boundary --stage prod --apply`"
    )
    assert client("lambda").list_functions()["Functions"] == []

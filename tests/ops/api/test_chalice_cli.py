"""Chalice's own command line against an AWS of our own: what it makes is what config.json says."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ops.api.project import ACCOUNT, REGION, write_policy

pytestmark = pytest.mark.server

Client = Callable[[str], Any]


def chalice(project: Path, environment: dict[str, str], *arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("chalice")), *arguments]
    ended = subprocess.run(
        command,
        cwd=project,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def routes(client: Client, api: str) -> set[tuple[str, str]]:
    found = client("apigateway").get_resources(restApiId=api, limit=500, embed=["methods"])
    return {
        (method, one["path"]) for one in found["items"] for method in one.get("resourceMethods", {})
    }


def test_deploy_update_and_delete(
    project: Path, environment: dict[str, str], client: Client
) -> None:
    config = json.loads((project / ".chalice" / "config.json").read_text())
    stage = config["stages"]["dev"]
    write_policy(project, "dev")

    chalice(project, environment, "deploy", "--stage", "dev")

    function = client("lambda").get_function(FunctionName="whatbreed-dev")
    made = function["Configuration"]
    assert made["MemorySize"] == config["lambda_memory_size"]
    assert made["Timeout"] == config["lambda_timeout"]
    assert made["Architectures"] == [config["lambda_architecture"]]
    assert made["Environment"]["Variables"] == stage["environment_variables"]
    assert function["Concurrency"]["ReservedConcurrentExecutions"] == stage["reserved_concurrency"]
    assert function["Tags"]["project"] == "whatbreed"

    iam = client("iam")
    role = made["Role"].rpartition("/")[2]
    [policy] = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    assert document == json.loads((project / ".chalice" / "policy-dev.json").read_text())
    allowed = {action for one in document["Statement"] for action in _list(one["Action"])}
    assert allowed == {"sagemaker:InvokeEndpoint", "logs:CreateLogStream", "logs:PutLogEvents"}
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []

    [api] = client("apigateway").get_rest_apis()["items"]
    assert api["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert {"image/jpeg", "image/png", "image/webp"} <= set(api["binaryMediaTypes"])
    source = (project / "app.py").read_text()
    declared = re.findall(r'@app\.route\(\s*"([^"]+)",\s*methods=\["(\w+)"\]', source)
    assert routes(client, api["id"]) == {(method, path) for path, method in declared}
    [stage_of_api] = client("apigateway").get_stages(restApiId=api["id"])["item"]
    assert stage_of_api["stageName"] == "dev"
    statements = json.loads(client("lambda").get_policy(FunctionName="whatbreed-dev")["Policy"])
    [permission] = statements["Statement"]
    arn = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api['id']}/*"
    assert permission["Condition"] == {"ArnLike": {"AWS:SourceArn": arn}}

    app = project / "app.py"
    app.write_text(
        app.read_text() + '\n\n@app.route("/new")\ndef new() -> dict[str, str]:\n    return {}\n'
    )
    config["stages"]["dev"]["reserved_concurrency"] = 3
    config["stages"]["dev"]["lambda_memory_size"] = 1024
    (project / ".chalice" / "config.json").write_text(json.dumps(config))

    chalice(project, environment, "deploy", "--stage", "dev")

    updated = client("lambda").get_function(FunctionName="whatbreed-dev")
    assert updated["Configuration"]["MemorySize"] == 1024
    assert updated["Configuration"]["CodeSha256"] != made["CodeSha256"]
    assert updated["Concurrency"]["ReservedConcurrentExecutions"] == 3
    [same] = client("apigateway").get_rest_apis()["items"]
    assert same["id"] == api["id"]
    assert ("GET", "/new") in routes(client, api["id"])

    chalice(project, environment, "delete", "--stage", "dev")

    assert client("lambda").list_functions()["Functions"] == []
    assert client("apigateway").get_rest_apis()["items"] == []
    assert client("iam").list_roles()["Roles"] == []


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value

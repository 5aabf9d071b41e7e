"""Chalice's own command line against the emulator: its result matches config.json."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chalicelib.image_formats import MEDIA_TYPES
from tests.emulator.iam_enforcement import as_list
from tests.ops.api.project import ACCOUNT, REGION, add_route, change_config, write_policy

pytestmark = pytest.mark.server

Client = Callable[[str], Any]


def chalice(project: Path, environment: dict[str, str], *arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("chalice")), *arguments]
    process = subprocess.run(
        command,
        cwd=project,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stdout + process.stderr


def routes(client: Client, api: str) -> set[tuple[str, str]]:
    response = client("apigateway").get_resources(restApiId=api, limit=500, embed=["methods"])
    return {
        (method, resource["path"])
        for resource in response["items"]
        for method in resource.get("resourceMethods", {})
        if method != "OPTIONS"  # CORS preflights
    }


def test_deploy_update_and_delete(
    project: Path, environment: dict[str, str], client: Client
) -> None:
    config = json.loads((project / ".chalice" / "config.json").read_text())
    stage = config["stages"]["dev"]
    write_policy(project, "dev")

    chalice(project, environment, "deploy", "--stage", "dev")

    function = client("lambda").get_function(FunctionName="whatbreed-dev")
    deployed = function["Configuration"]
    assert deployed["MemorySize"] == config["lambda_memory_size"]
    assert deployed["Timeout"] == config["lambda_timeout"]
    assert deployed["Architectures"] == [config["lambda_architecture"]]
    assert deployed["Environment"]["Variables"] == stage["environment_variables"]
    assert function["Concurrency"]["ReservedConcurrentExecutions"] == stage["reserved_concurrency"]
    assert function["Tags"]["project"] == "whatbreed"

    iam = client("iam")
    role = deployed["Role"].rpartition("/")[2]
    [policy] = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    assert document == json.loads((project / ".chalice" / "policy-dev.json").read_text())
    actions = {
        action for statement in document["Statement"] for action in as_list(statement["Action"])
    }
    assert actions == {"sagemaker:InvokeEndpoint", "logs:CreateLogStream", "logs:PutLogEvents"}
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []

    [api] = client("apigateway").get_rest_apis()["items"]
    assert api["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert {*MEDIA_TYPES, "image/*"} <= set(api["binaryMediaTypes"])
    source = (project / "app.py").read_text()
    declared = re.findall(r'@app\.route\(\s*"([^"]+)",\s*methods=\[([^]]+)\]', source)
    assert routes(client, api["id"]) == {
        (method, path) for path, methods in declared for method in re.findall(r"\w+", methods)
    }
    [stage_of_api] = client("apigateway").get_stages(restApiId=api["id"])["item"]
    assert stage_of_api["stageName"] == "dev"
    statements = json.loads(client("lambda").get_policy(FunctionName="whatbreed-dev")["Policy"])
    [permission] = statements["Statement"]
    arn = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api['id']}/*"
    assert permission["Condition"] == {"ArnLike": {"AWS:SourceArn": arn}}

    add_route(project)
    change_config(project, "dev", reserved_concurrency=3, lambda_memory_size=1024)

    chalice(project, environment, "deploy", "--stage", "dev")

    updated = client("lambda").get_function(FunctionName="whatbreed-dev")
    assert updated["Configuration"]["MemorySize"] == 1024
    assert updated["Configuration"]["CodeSha256"] != deployed["CodeSha256"]
    assert updated["Concurrency"]["ReservedConcurrentExecutions"] == 3
    [same] = client("apigateway").get_rest_apis()["items"]
    assert same["id"] == api["id"]
    assert ("GET", "/new") in routes(client, api["id"])

    chalice(project, environment, "delete", "--stage", "dev")

    assert client("lambda").list_functions()["Functions"] == []
    assert client("apigateway").get_rest_apis()["items"] == []
    assert client("iam").list_roles()["Roles"] == []

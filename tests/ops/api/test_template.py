"""The prod template after SAM's own transform, and what AWS would make of it."""

import base64
import copy
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aws import role_policies, stages
from aws.account import Account
from aws.settings import AwsSettings
from ops.api import stack_template
from ops.api.bundle import Bundle
from ops.api.stack_template import ALIAS, routes_bypassing_alias
from tests.aws_rules import apigateway, apigateway_definitions
from tests.aws_rules.apigateway import gateway_status
from tests.ops.api.conftest import transform
from tests.ops.api.project import (
    ACCOUNT,
    REGION,
    add_route,
    change_config,
    package,
    write_policy,
)
from tests.servers import ROOT

CONFIG = json.loads((ROOT / ".chalice" / "config.json").read_text())
PROD = CONFIG["stages"]["prod"]
RESERVED = PROD["reserved_concurrency"]
WITH_KEY = {
    ("post", "/predict"),
    ("get", "/predict"),
    ("head", "/predict"),
    ("post", "/predict/batch"),
}


@pytest.fixture(scope="module")
def operations(resources: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """The API Gateway definition of each method and path, without CORS preflights."""
    return {
        (method, path): operation
        for path, methods in resources["RestAPI"]["Properties"]["Body"]["paths"].items()
        for method, operation in methods.items()
        if method != "options"
    }


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == kind
    }


def test_cfn_lint_finds_nothing(
    release_bundle: Bundle, template: dict[str, Any], tmp_path: Path
) -> None:
    released = stack_template.build(stages.read("prod"), release_bundle, "s3://bucket/bundle.zip")
    files = {"sam.json": released, "cloudformation.json": template}
    for name, document in files.items():
        (tmp_path / name).write_text(json.dumps(document))
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--regions", REGION, "--"]
    process = subprocess.run(
        [*command, *(str(tmp_path / name) for name in files)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stdout + process.stderr


def test_api_gateway_accepts_the_definition(resources: dict[str, Any]) -> None:
    properties = resources["RestAPI"]["Properties"]
    apigateway_definitions.check(properties.get("Body") or properties["DefinitionBody"])


def test_every_route_calls_the_alias(operations: dict[tuple[str, str], Any]) -> None:
    uris = {
        json.dumps(operation["x-amazon-apigateway-integration"]["uri"])
        for operation in operations.values()
    }
    assert uris == {
        '{"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/'
        'functions/${APIHandlerAliaslive}/invocations"}'
    }
    source = (ROOT / "app.py").read_text()
    declared = re.findall(r'@app\.route\(\s*"([^"]+)",\s*methods=\[([^]]+)\]', source)
    assert {(method, path) for method, path in operations} == {
        (method.lower(), path)
        for path, methods in declared
        for method in re.findall(r"\w+", methods)
    }


def test_the_invoke_permission_is_for_the_alias(resources: dict[str, Any]) -> None:
    [permission] = of_type(resources, "AWS::Lambda::Permission").values()
    assert permission["FunctionName"] == {"Ref": ALIAS}
    assert resources[ALIAS]["Type"] == "AWS::Lambda::Alias"


def test_routes_that_bypass_the_alias_are_found(release_bundle: Bundle) -> None:
    assert routes_bypassing_alias(release_bundle.template) == []
    changed = copy.deepcopy(release_bundle.template)
    paths = changed["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]
    paths["/breeds"]["get"]["x-amazon-apigateway-integration"]["uri"] = {
        "Fn::Sub": "…functions/${APIHandler.Arn}/invocations"
    }
    permission = changed["Resources"]["APIHandlerInvokePermission"]["Properties"]
    permission["FunctionName"] = {"Ref": "APIHandler"}
    assert routes_bypassing_alias(changed) == ["GET /breeds", "APIHandlerInvokePermission"]


def test_a_route_that_is_missing_in_the_resources_file_is_found(
    project: Path, tmp_path: Path
) -> None:
    write_policy(project, "prod")
    add_route(project)
    built = package(project, "prod", tmp_path / "package")
    assert routes_bypassing_alias(built.template) == ["GET /new"]


def test_cors_preflights_call_nothing(project: Path, tmp_path: Path) -> None:
    write_policy(project, "prod")
    variables = {**PROD["environment_variables"], "CORS_ALLOW_ORIGIN": "https://example.com"}
    change_config(project, "prod", environment_variables=variables)
    built = package(project, "prod", tmp_path / "package")
    paths = built.template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]
    headers = json.dumps(paths["/predict"]["options"])
    assert "'https://example.com'" in headers
    assert "X-Api-Key" in headers
    assert routes_bypassing_alias(built.template) == []


def test_provisioned_concurrency_is_on_the_alias_and_fits_twice(resources: dict[str, Any]) -> None:
    alias = resources[ALIAS]["Properties"]
    assert alias["Name"] == "live"
    provisioned = alias["ProvisionedConcurrencyConfig"]["ProvisionedConcurrentExecutions"]
    # While traffic shifts, both versions are provisioned.
    assert 1 <= 2 * provisioned <= RESERVED
    function = resources["APIHandler"]["Properties"]
    assert function["ReservedConcurrentExecutions"] == RESERVED
    assert "ProvisionedConcurrencyConfig" not in function


def test_no_role_is_created(resources: dict[str, Any]) -> None:
    assert not [name for name, item in resources.items() if item["Type"].startswith("AWS::IAM::")]
    role = resources["APIHandler"]["Properties"]["Role"]["Fn::Sub"]
    assert role.endswith(":role/whatbreed-prod-api_handler")
    [group] = of_type(resources, "AWS::CodeDeploy::DeploymentGroup").values()
    assert group["ServiceRoleArn"]["Fn::Sub"].endswith(":role/whatbreed-prod-release")


def test_a_version_is_published_only_of_the_bundle(
    resources: dict[str, Any], release_bundle: Bundle
) -> None:
    """Lambda compares `CodeSha256` before it publishes, and thus before the alias moves."""
    [(name, version)] = of_type(resources, "AWS::Lambda::Version").items()
    digest = hashlib.sha256(release_bundle.archive).digest()
    assert version["CodeSha256"] == base64.b64encode(digest).decode()
    assert resources[ALIAS]["Properties"]["FunctionVersion"] == {"Fn::GetAtt": [name, "Version"]}
    assert resources[name]["DeletionPolicy"] == "Retain"


def test_traffic_shifts_gradually_and_back_on_an_alarm(resources: dict[str, Any]) -> None:
    update = resources[ALIAS]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    group = resources[update["DeploymentGroupName"]["Ref"]]["Properties"]
    assert "Canary10Percent5Minutes" in json.dumps(group["DeploymentConfigName"])
    assert group["AutoRollbackConfiguration"]["Enabled"]
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")
    names = [alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]]
    metrics = {alarms[name]["MetricName"]: alarms[name] for name in names}
    assert set(metrics) == {"Errors", "Duration", "Throttles"}
    assert metrics["Duration"]["ExtendedStatistic"] == "p99"
    for name in ("Errors", "Duration"):  # only the new version, which has 10 % of the traffic
        dimensions = {item["Name"]: item["Value"] for item in metrics[name]["Dimensions"]}
        version, _ = dimensions["ExecutedVersion"]["Fn::GetAtt"]
        assert resources[version]["Type"] == "AWS::Lambda::Version"


def test_a_change_of_memory_creates_a_version(release_bundle: Bundle) -> None:
    def version(**properties: object) -> str:
        resources = transform(release_bundle, **properties)["Resources"]
        return next(iter(of_type(resources, "AWS::Lambda::Version")))

    assert version(MemorySize=512) == version(MemorySize=512) != version(MemorySize=1024)
    # Lambda would return the old version, and CloudFormation would fail.
    assert version() == version(ReservedConcurrentExecutions=9) == version(Tags={"a": "b"})


def test_only_predictions_require_a_key(
    resources: dict[str, Any], operations: dict[tuple[str, str], Any]
) -> None:
    secured = {
        key
        for key, operation in operations.items()
        if operation.get("security") == [{"api_key": []}]
    }
    assert secured == WITH_KEY
    definitions = resources["RestAPI"]["Properties"]["Body"]["securityDefinitions"]
    assert definitions["api_key"] == {"type": "apiKey", "name": "x-api-key", "in": "header"}
    [plan] = of_type(resources, "AWS::ApiGateway::UsagePlan").values()
    assert plan["Throttle"]["RateLimit"] > 0
    assert plan["Quota"]["Limit"] > 0
    [member] = of_type(resources, "AWS::ApiGateway::UsagePlanKey").values()
    assert resources[member["KeyId"]["Ref"]]["Type"] == "AWS::ApiGateway::ApiKey"
    [stage] = of_type(resources, "AWS::ApiGateway::Stage").values()
    [settings] = stage["MethodSettings"]
    assert settings["ThrottlingRateLimit"] >= plan["Throttle"]["RateLimit"]


def test_there_is_no_stage_without_throttling(resources: dict[str, Any]) -> None:
    """Without `OpenApiVersion` SAM adds a stage called Stage, which has no limits."""
    assert len(of_type(resources, "AWS::ApiGateway::Stage")) == 1
    [deployment] = of_type(resources, "AWS::ApiGateway::Deployment").values()
    assert "StageName" not in deployment
    assert resources["RestAPI"]["Properties"]["EndpointConfiguration"] == {"Types": ["REGIONAL"]}


def test_errors_of_the_gateway_are_problem_documents(resources: dict[str, Any]) -> None:
    body = resources["RestAPI"]["Properties"]["Body"]
    for name, response in body["x-amazon-apigateway-gateway-responses"].items():
        document = json.loads(response["responseTemplates"]["application/json"])
        assert set(document) == {"type", "title", "status", "detail", "request_id"}, name
        assert str(document["status"]) == str(response["statusCode"])
        header = response["responseParameters"]["gatewayresponse.header.Content-Type"]
        assert header == "'application/problem+json'"


def test_a_throttled_function_is_503_and_a_timeout_504(resources: dict[str, Any]) -> None:
    """Both have a response of their own: a status code of DEFAULT_5XX would replace theirs."""
    body = resources["RestAPI"]["Properties"]["Body"]
    responses = body["x-amazon-apigateway-gateway-responses"]
    assert set(responses) <= set(apigateway.TYPES)
    assert gateway_status(apigateway.LAMBDA_THROTTLED, responses) == 503
    headers = responses[apigateway.LAMBDA_THROTTLED]["responseParameters"]
    assert headers["gatewayresponse.header.Retry-After"] == "'1'"
    assert gateway_status("INTEGRATION_TIMEOUT", responses) == 504
    assert gateway_status("THROTTLED", responses) == 429
    assert gateway_status("API_CONFIGURATION_ERROR", responses) == 500


def test_pages_of_the_origin_can_read_errors_of_the_gateway(release_bundle: Bundle) -> None:
    built = copy.deepcopy(release_bundle)
    variables = built.template["Resources"]["APIHandler"]["Properties"]["Environment"]["Variables"]

    def headers() -> list[dict[str, str]]:
        template = stack_template.build(stages.read("prod"), built, "s3://bucket/bundle.zip")
        responses = template["Resources"]["RestAPI"]["Properties"]["GatewayResponses"]
        return [response["ResponseParameters"]["Headers"] for response in responses.values()]

    variables["CORS_ALLOW_ORIGIN"] = "https://dogs.example"
    for present in headers():
        assert present["Access-Control-Allow-Origin"] == "'https://dogs.example'"
        assert "Retry-After" in present["Access-Control-Expose-Headers"]
    variables["CORS_ALLOW_ORIGIN"] = ""
    assert not any("Access-Control-Allow-Origin" in absent for absent in headers())


def test_the_function_can_write_its_log_and_invoke_its_endpoint(resources: dict[str, Any]) -> None:
    function = resources["APIHandler"]["Properties"]
    [group] = of_type(resources, "AWS::Logs::LogGroup").values()
    assert group["LogGroupName"] == f"/aws/lambda/{function['FunctionName']}"
    assert group["RetentionInDays"] == CONFIG["log_retention_in_days"]
    account = Account(AwsSettings.read({"region": REGION}))
    account.id = ACCOUNT
    policy = role_policies.lambda_(account, stages.read("prod"))
    endpoint = function["Environment"]["Variables"]["ENDPOINT_NAME"]
    scope = f"{REGION}:{ACCOUNT}"
    assert {statement["Resource"] for statement in policy["Statement"]} == {
        f"arn:aws:sagemaker:{scope}:endpoint/{endpoint.lower()}",
        f"arn:aws:logs:{scope}:log-group:{group['LogGroupName']}:*",
    }


def test_alarms_notify_the_topic_and_have_unique_names(resources: dict[str, Any]) -> None:
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")
    names = {alarm["AlarmName"] for alarm in alarms.values()}
    assert len(names) == len(alarms) >= 7
    # `whatbreed-prod-…` without `api` are the endpoint's alarms.
    assert all(name.startswith("whatbreed-prod-api-") for name in names)
    for alarm in alarms.values():
        [action] = alarm["AlarmActions"]
        assert resources[action["Ref"]]["Type"] == "AWS::SNS::Topic"
        assert alarm["TreatMissingData"] == "notBreaching"
    [concurrency] = [
        alarm for alarm in alarms.values() if alarm["MetricName"] == "ConcurrentExecutions"
    ]
    assert concurrency["Threshold"] == 0.8 * RESERVED


def test_the_names_in_the_resources_file_are_those_of_config_json(
    resources: dict[str, Any],
) -> None:
    [stage] = of_type(resources, "AWS::ApiGateway::Stage").values()
    assert stage["StageName"] == PROD["api_gateway_stage"] == "prod"
    assert resources["APIHandler"]["Properties"]["FunctionName"] == f"{CONFIG['app_name']}-prod"

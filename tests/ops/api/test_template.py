"""The prod template: what SAM's own code makes of it, and what AWS would do with that."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ops.api.alias_routes import ALIAS, past_the_alias
from ops.api.bundle import Bundle, package
from tests.ops.api.aws_server import translate
from tests.ops.api.project import ACCOUNT, REGION, write_policy
from tests.servers import ROOT

CONFIG = json.loads((ROOT / ".chalice" / "config.json").read_text())
RESERVED = CONFIG["stages"]["prod"]["reserved_concurrency"]
WITH_KEY = {("post", "/predict"), ("get", "/predict"), ("post", "/predict/batch")}


@pytest.fixture(scope="module")
def template(release_bundle: Bundle) -> dict[str, Any]:
    """The template with SAM's transform applied."""
    source = copy.deepcopy(release_bundle.template)
    source["Resources"]["APIHandler"]["Properties"]["CodeUri"] = "s3://bucket/bundle.zip"
    return translate(source, REGION)


@pytest.fixture(scope="module")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"]
    return found


@pytest.fixture(scope="module")
def operations(resources: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """Each method and path of the API with what API Gateway does there."""
    return {
        (method, path): operation
        for path, methods in resources["RestAPI"]["Properties"]["Body"]["paths"].items()
        for method, operation in methods.items()
    }


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: one["Properties"] for name, one in resources.items() if one["Type"] == kind}


def test_cfn_lint_finds_nothing(
    release_bundle: Bundle, template: dict[str, Any], tmp_path: Path
) -> None:
    # The zip has no address in S3 before it is sent; SAM's linter asks for none.
    files = {"sam.json": release_bundle.template, "cloudformation.json": template}
    for name, document in files.items():
        (tmp_path / name).write_text(json.dumps(document))
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--regions", REGION, "--"]
    ended = subprocess.run(
        [*command, *(str(tmp_path / name) for name in files)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_route_calls_the_alias(operations: dict[tuple[str, str], Any]) -> None:
    uris = {
        json.dumps(one["x-amazon-apigateway-integration"]["uri"]) for one in operations.values()
    }
    assert uris == {
        '{"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/'
        'functions/${APIHandlerAliaslive}/invocations"}'
    }
    source = (ROOT / "app.py").read_text()
    declared = re.findall(r'@app\.route\(\s*"([^"]+)",\s*methods=\["(\w+)"\]', source)
    assert {(method, path) for method, path in operations} == {
        (method.lower(), path) for path, method in declared
    }


def test_the_invoke_permission_is_for_the_alias(resources: dict[str, Any]) -> None:
    [permission] = of_type(resources, "AWS::Lambda::Permission").values()
    assert permission["FunctionName"] == {"Ref": ALIAS}
    assert resources[ALIAS]["Type"] == "AWS::Lambda::Alias"


def test_a_route_past_the_alias_is_named(release_bundle: Bundle) -> None:
    assert past_the_alias(release_bundle.template) == []
    function = {"Fn::Sub": "…functions/${APIHandler.Arn}/invocations"}
    changed = copy.deepcopy(release_bundle.template)
    paths = changed["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]
    paths["/breeds"]["get"]["x-amazon-apigateway-integration"]["uri"] = function
    changed["Resources"]["APIHandlerInvokePermission"]["Properties"]["FunctionName"] = {
        "Ref": "APIHandler"
    }
    assert past_the_alias(changed) == ["GET /breeds", "APIHandlerInvokePermission"]


def test_a_route_that_is_added_and_forgotten_is_named(project: Path, tmp_path: Path) -> None:
    write_policy(project, "prod")
    app = project / "app.py"
    app.write_text(
        app.read_text() + '\n\n@app.route("/new")\ndef new() -> dict[str, str]:\n    return {}\n'
    )
    built = package("prod", REGION, tmp_path / "package", project)
    assert past_the_alias(built.template) == ["GET /new"]


def test_cors_by_setting_adds_preflights_that_call_nothing(project: Path, tmp_path: Path) -> None:
    write_policy(project, "prod")
    file = project / ".chalice" / "config.json"
    config = json.loads(file.read_text())
    config["stages"]["prod"]["environment_variables"]["CORS_ALLOW_ORIGIN"] = "https://example.com"
    file.write_text(json.dumps(config))
    built = package("prod", REGION, tmp_path / "package", project)
    paths = built.template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]
    headers = json.dumps(paths["/predict"]["options"])
    assert "'https://example.com'" in headers
    assert "X-Api-Key" in headers
    assert past_the_alias(built.template) == []


def test_provisioned_concurrency_is_on_the_alias_and_fits(resources: dict[str, Any]) -> None:
    alias = resources[ALIAS]["Properties"]
    assert alias["Name"] == "live"
    provisioned = alias["ProvisionedConcurrencyConfig"]["ProvisionedConcurrentExecutions"]
    # Lambda keeps both versions provisioned while traffic moves.
    assert 1 <= 2 * provisioned <= RESERVED
    function = resources["APIHandler"]["Properties"]
    assert function["ReservedConcurrentExecutions"] == RESERVED
    assert "ProvisionedConcurrencyConfig" not in function


def test_every_role_has_the_boundary(resources: dict[str, Any]) -> None:
    roles = of_type(resources, "AWS::IAM::Role")
    assert {one["RoleName"] for one in roles.values()} == {
        "whatbreed-prod-api_handler",
        "whatbreed-prod-release",
    }
    for role in roles.values():
        assert "ManagedPolicyArns" not in role
        assert role["PermissionsBoundary"]["Fn::Sub"].endswith(":policy/whatbreed-prod-boundary")


def test_traffic_moves_gradually_and_back_on_an_alarm(resources: dict[str, Any]) -> None:
    update = resources[ALIAS]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    group = resources[update["DeploymentGroupName"]["Ref"]]["Properties"]
    assert "Canary10Percent5Minutes" in json.dumps(group["DeploymentConfigName"])
    assert group["AutoRollbackConfiguration"]["Enabled"]
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")
    metrics = {
        alarms[one["Name"]["Ref"]]["MetricName"]: alarms[one["Name"]["Ref"]]
        for one in group["AlarmConfiguration"]["Alarms"]
    }
    assert set(metrics) == {"Errors", "Duration", "Throttles"}
    assert metrics["Duration"]["ExtendedStatistic"] == "p99"
    for name in ("Errors", "Duration"):  # of the new version alone: 10 % of the traffic
        dimensions = {one["Name"]: one["Value"] for one in metrics[name]["Dimensions"]}
        version, _ = dimensions["ExecutedVersion"]["Fn::GetAtt"]
        assert resources[version]["Type"] == "AWS::Lambda::Version"


def test_a_change_of_memory_makes_a_version_too(release_bundle: Bundle) -> None:
    def version(memory: int) -> str:
        source = copy.deepcopy(release_bundle.template)
        source["Resources"]["APIHandler"]["Properties"] |= {
            "CodeUri": "s3://bucket/bundle.zip",
            "MemorySize": memory,
        }
        return next(iter(of_type(translate(source, REGION)["Resources"], "AWS::Lambda::Version")))

    assert version(512) == version(512) != version(1024)


def test_predictions_want_a_key_and_nothing_else_does(
    resources: dict[str, Any], operations: dict[tuple[str, str], Any]
) -> None:
    secured = {key for key, one in operations.items() if one.get("security") == [{"api_key": []}]}
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


def test_there_is_one_stage_and_nothing_beside_its_throttling(resources: dict[str, Any]) -> None:
    """Without `OpenApiVersion` SAM adds a stage called Stage, to which no limit applies."""
    assert len(of_type(resources, "AWS::ApiGateway::Stage")) == 1
    [deployment] = of_type(resources, "AWS::ApiGateway::Deployment").values()
    assert "StageName" not in deployment
    assert resources["RestAPI"]["Properties"]["EndpointConfiguration"] == {"Types": ["REGIONAL"]}


def test_what_the_gateway_refuses_is_a_problem_too(resources: dict[str, Any]) -> None:
    answers = resources["RestAPI"]["Properties"]["Body"]["x-amazon-apigateway-gateway-responses"]
    for name, answer in answers.items():
        document = json.loads(answer["responseTemplates"]["application/json"])
        assert set(document) == {"type", "title", "status", "detail", "request_id"}, name
        assert str(document["status"]) == str(answer["statusCode"])
        header = answer["responseParameters"]["gatewayresponse.header.Content-Type"]
        assert header == "'application/problem+json'"


def test_the_function_can_write_its_log_and_invoke_its_endpoint(resources: dict[str, Any]) -> None:
    function = resources["APIHandler"]["Properties"]
    [group] = of_type(resources, "AWS::Logs::LogGroup").values()
    assert group["LogGroupName"] == f"/aws/lambda/{function['FunctionName']}"
    assert group["RetentionInDays"] == CONFIG["log_retention_in_days"]
    role = resources["ApiHandlerRole"]["Properties"]
    assert "ManagedPolicyArns" not in role
    [policy] = role["Policies"]
    allowed = {
        resource: action
        for one in policy["PolicyDocument"]["Statement"]
        for resource in [one["Resource"]]
        for action in [one["Action"]]
    }
    endpoint = function["Environment"]["Variables"]["ENDPOINT_NAME"]
    here = f"{REGION}:{ACCOUNT}"
    assert set(allowed) == {
        f"arn:aws:sagemaker:{here}:endpoint/{endpoint.lower()}",
        f"arn:aws:logs:{here}:log-group:{group['LogGroupName']}:*",
    }


def test_alarms_tell_somebody_and_no_two_share_a_name(resources: dict[str, Any]) -> None:
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")
    names = {one["AlarmName"] for one in alarms.values()}
    assert len(names) == len(alarms) >= 7
    # `whatbreed-prod-…` without `api` are the alarms of the endpoint (training/cloud/alarms.py).
    assert all(name.startswith("whatbreed-prod-api-") for name in names)
    for alarm in alarms.values():
        [action] = alarm["AlarmActions"]
        assert resources[action["Ref"]]["Type"] == "AWS::SNS::Topic"
        assert alarm["TreatMissingData"] == "notBreaching"
    [concurrency] = [one for one in alarms.values() if one["MetricName"] == "ConcurrentExecutions"]
    assert concurrency["Threshold"] == 0.8 * RESERVED


def test_the_dashboard_is_what_cloudwatch_reads(resources: dict[str, Any]) -> None:
    [dashboard] = of_type(resources, "AWS::CloudWatch::Dashboard").values()
    separator, parts = dashboard["DashboardBody"]["Fn::Join"]
    text = separator.join(part if isinstance(part, str) else part["Fn::Sub"] for part in parts)
    widgets = json.loads(text.replace("${AWS::Region}", REGION))["widgets"]
    places = {(one["x"], one["y"]) for one in widgets}
    assert len(places) == len(widgets) == 12
    for widget in widgets:
        assert widget["properties"]["region"] == REGION
        assert widget["properties"]["metrics"]


def test_another_stage_name_would_not_pass_unseen(resources: dict[str, Any]) -> None:
    """`resources-prod.json` spells the stage's names; they must be those of config.json."""
    [stage] = of_type(resources, "AWS::ApiGateway::Stage").values()
    assert stage["StageName"] == CONFIG["stages"]["prod"]["api_gateway_stage"] == "prod"
    assert resources["APIHandler"]["Properties"]["FunctionName"] == f"{CONFIG['app_name']}-prod"

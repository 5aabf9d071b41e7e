"""What CloudFormation does in the pipeline's name, for which moto asks nobody:
each resource of the prod template against the pipeline's policy.
"""

import copy
import json
import re
import subprocess
import sys
from typing import Any

import pytest

from ops.api.bundle import Bundle
from tests.ops.api.aws_server import translate
from tests.ops.api.enforcement import Asked, permits
from tests.ops.api.project import ACCOUNT, REGION
from tests.servers import ROOT

HERE = f"{REGION}:{ACCOUNT}"
GATEWAY = f"arn:aws:apigateway:{REGION}::"
STACK = "whatbreed-prod"

# What the handlers of each type call to create, read, update and delete. Source: the `handlers` of
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-type-schemas.html, as far
# as the template uses them.
CALLS = {
    "AWS::ApiGateway::ApiKey": "apigateway:POST,GET,PATCH,DELETE",
    "AWS::ApiGateway::Deployment": "apigateway:POST,GET,PATCH,DELETE",
    "AWS::ApiGateway::RestApi": "apigateway:POST,GET,PUT,PATCH,DELETE",
    "AWS::ApiGateway::Stage": "apigateway:POST,GET,PATCH,DELETE",
    "AWS::ApiGateway::UsagePlan": "apigateway:POST,GET,PATCH,DELETE",
    "AWS::ApiGateway::UsagePlanKey": "apigateway:POST,GET,DELETE",
    "AWS::CloudWatch::Alarm": "cloudwatch:PutMetricAlarm,DescribeAlarms,DeleteAlarms",
    "AWS::CloudWatch::Dashboard": "cloudwatch:PutDashboard,GetDashboard,DeleteDashboards",
    "AWS::CodeDeploy::Application": (
        "codedeploy:CreateApplication,GetApplication,UpdateApplication,DeleteApplication"
    ),
    "AWS::CodeDeploy::DeploymentGroup": (
        "codedeploy:CreateDeploymentGroup,GetDeploymentGroup,UpdateDeploymentGroup,"
        "DeleteDeploymentGroup,CreateDeployment,GetDeployment"
    ),
    "AWS::IAM::Role": "iam:CreateRole,GetRole,PutRolePolicy,DeleteRolePolicy,DeleteRole,TagRole",
    "AWS::Lambda::Alias": (
        "lambda:CreateAlias,GetAlias,UpdateAlias,DeleteAlias,PutProvisionedConcurrencyConfig,"
        "GetProvisionedConcurrencyConfig,DeleteProvisionedConcurrencyConfig"
    ),
    "AWS::Lambda::Function": (
        "lambda:CreateFunction,GetFunction,GetFunctionConfiguration,UpdateFunctionCode,"
        "UpdateFunctionConfiguration,PutFunctionConcurrency,DeleteFunctionConcurrency,"
        "DeleteFunction,TagResource,UntagResource,ListTags"
    ),
    "AWS::Lambda::Permission": "lambda:AddPermission,RemovePermission,GetPolicy",
    "AWS::Lambda::Version": "lambda:PublishVersion,ListVersionsByFunction,GetFunction",
    "AWS::Logs::LogGroup": (
        "logs:CreateLogGroup,DescribeLogGroups,PutRetentionPolicy,DeleteLogGroup,TagResource"
    ),
    "AWS::SNS::Topic": "sns:CreateTopic,GetTopicAttributes,SetTopicAttributes,DeleteTopic",
}


@pytest.fixture(scope="module")
def resources(release_bundle: Bundle) -> dict[str, Any]:
    source = copy.deepcopy(release_bundle.template)
    source["Resources"]["APIHandler"]["Properties"]["CodeUri"] = "s3://bucket/bundle.zip"
    found: dict[str, Any] = translate(source, REGION)["Resources"]
    return found


@pytest.fixture(scope="module")
def policy() -> dict[str, Any]:
    command = [sys.executable, "-m", "training", "policy", "--role", "pipeline", "--stage", "prod"]
    command += ["--repository", "owner/name", "--account", ACCOUNT, "--region", REGION]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300
    )
    document: dict[str, Any] = json.loads(ended.stdout)["prod"]["policy"]
    return document


def arns(kind: str, name: str, properties: dict[str, Any]) -> list[str]:
    """The ARNs of a resource; where AWS appends to a name, with something appended."""
    chosen = {
        "AWS::ApiGateway::ApiKey": f"{GATEWAY}/apikeys/a1",
        "AWS::ApiGateway::Deployment": f"{GATEWAY}/restapis/a1/deployments/b2",
        "AWS::ApiGateway::RestApi": f"{GATEWAY}/restapis/a1",
        "AWS::ApiGateway::Stage": f"{GATEWAY}/restapis/a1/stages/prod",
        "AWS::ApiGateway::UsagePlan": f"{GATEWAY}/usageplans/a1",
        "AWS::ApiGateway::UsagePlanKey": f"{GATEWAY}/usageplans/a1/keys/b2",
        "AWS::CodeDeploy::Application": f"arn:aws:codedeploy:{HERE}:application:{STACK}-{name}-X1",
        "AWS::CodeDeploy::DeploymentGroup": (
            f"arn:aws:codedeploy:{HERE}:deploymentgroup:"
            f"{STACK}-ServerlessDeploymentApplication-X1/{STACK}-{name}-X1"
        ),
    }
    if kind in chosen:
        return [chosen[kind]]
    match kind:
        case "AWS::CloudWatch::Alarm":
            return [f"arn:aws:cloudwatch:{HERE}:alarm:{properties['AlarmName']}"]
        case "AWS::CloudWatch::Dashboard":
            return [f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{properties['DashboardName']}"]
        case "AWS::IAM::Role":
            return [f"arn:aws:iam::{ACCOUNT}:role/{properties['RoleName']}"]
        case "AWS::Lambda::Function":
            return [f"arn:aws:lambda:{HERE}:function:{properties['FunctionName']}"]
        case "AWS::Logs::LogGroup":
            return [f"arn:aws:logs:{HERE}:log-group:{properties['LogGroupName']}"]
        case "AWS::SNS::Topic":
            return [f"arn:aws:sns:{HERE}:{properties['TopicName']}"]
    function = f"arn:aws:lambda:{HERE}:function:{STACK}"
    return [function, f"{function}:live"]  # a version, an alias, a permission for the alias


def test_cloudformation_may_do_what_the_template_needs(
    resources: dict[str, Any], policy: dict[str, Any]
) -> None:
    refused = []
    for name, one in resources.items():
        kind, properties = one["Type"], one.get("Properties", {})
        service, _, actions = CALLS[kind].partition(":")
        context = {}
        if kind == "AWS::IAM::Role":
            sub = properties["PermissionsBoundary"]["Fn::Sub"]
            arn = sub.replace("${AWS::Partition}", "aws").replace("${AWS::AccountId}", ACCOUNT)
            context = {"iam:PermissionsBoundary": arn}
        if kind == "AWS::Lambda::Permission":
            context = {"lambda:Principal": properties["Principal"]}
        refused += [
            f"{name}: {asked.action} on {asked.resource}"
            for resource in arns(kind, name, properties)
            for action in actions.split(",")
            for asked in [Asked(f"{service}:{action}", resource, context)]
            if not permits([policy], asked)
        ]
    assert refused == []


def test_the_parts_beside_the_resources(resources: dict[str, Any], policy: dict[str, Any]) -> None:
    def role(name: str) -> str:
        return f"arn:aws:iam::{ACCOUNT}:role/{STACK}-{name}"

    group = json.dumps(resources["APIHandlerDeploymentGroup"]["Properties"])
    [shift] = set(re.findall(r"(?:Canary|Linear)\w+", group))
    bundle = f"arn:aws:s3:::whatbreed-{ACCOUNT}-{REGION}/whatbreed/api/prod/bundles/x.zip"
    for asked in [
        Asked("iam:PassRole", role("api_handler"), {"iam:PassedToService": "lambda.amazonaws.com"}),
        Asked("iam:PassRole", role("release"), {"iam:PassedToService": "codedeploy.amazonaws.com"}),
        Asked("s3:GetObject", bundle),
        Asked(
            "codedeploy:GetDeploymentConfig",
            f"arn:aws:codedeploy:{HERE}:deploymentconfig:CodeDeployDefault.Lambda{shift}",
        ),
        *(Asked("apigateway:POST", f"{GATEWAY}/{part}") for part in ("restapis", "apikeys")),
        Asked("apigateway:PUT", f"{GATEWAY}/tags/arn%3Aaws%3Aapigateway"),
    ]:
        assert permits([policy], asked), asked
    swapped = {"iam:PassedToService": "codedeploy.amazonaws.com"}
    assert not permits([policy], Asked("iam:PassRole", role("api_handler"), swapped))

"""The prod template's resources against the pipeline's policy.

CloudFormation creates them with the pipeline's permissions, which moto does not check.
"""

import json
import re
from typing import Any

import pytest

from tests.emulator.fixtures import Command
from tests.emulator.iam_enforcement import Access, permits
from tests.ops.api.project import ACCOUNT, REGION

SCOPE = f"{REGION}:{ACCOUNT}"
GATEWAY = f"arn:aws:apigateway:{REGION}::"
STACK = "whatbreed-prod"

# The calls of each type's handlers, as far as the template needs them. Source: `handlers` in
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-type-schemas.html
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


@pytest.fixture
def policy(command: Command, credentials: None) -> dict[str, Any]:
    """The policy of prod's pipeline role."""
    outcome = command(
        *("ops", "policy", "--role", "pipeline", "--stage", "prod", "--repository", "owner/name"),
        *("--account", ACCOUNT, "--region", REGION),
    )
    assert outcome.code == 0, outcome.err
    document: dict[str, Any] = outcome.json["prod"]["policy"]
    return document


def arns(kind: str, name: str, properties: dict[str, Any]) -> list[str]:
    """The ARNs of a resource, with an example of what AWS appends to names."""
    with_ids = {
        "AWS::ApiGateway::ApiKey": f"{GATEWAY}/apikeys/a1",
        "AWS::ApiGateway::Deployment": f"{GATEWAY}/restapis/a1/deployments/b2",
        "AWS::ApiGateway::RestApi": f"{GATEWAY}/restapis/a1",
        "AWS::ApiGateway::Stage": f"{GATEWAY}/restapis/a1/stages/prod",
        "AWS::ApiGateway::UsagePlan": f"{GATEWAY}/usageplans/a1",
        "AWS::ApiGateway::UsagePlanKey": f"{GATEWAY}/usageplans/a1/keys/b2",
        "AWS::CodeDeploy::Application": f"arn:aws:codedeploy:{SCOPE}:application:{STACK}-{name}-X1",
        "AWS::CodeDeploy::DeploymentGroup": (
            f"arn:aws:codedeploy:{SCOPE}:deploymentgroup:"
            f"{STACK}-ServerlessDeploymentApplication-X1/{STACK}-{name}-X1"
        ),
    }
    if kind in with_ids:
        return [with_ids[kind]]
    match kind:
        case "AWS::CloudWatch::Alarm":
            return [f"arn:aws:cloudwatch:{SCOPE}:alarm:{properties['AlarmName']}"]
        case "AWS::CloudWatch::Dashboard":
            return [f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{properties['DashboardName']}"]
        case "AWS::IAM::Role":
            return [f"arn:aws:iam::{ACCOUNT}:role/{properties['RoleName']}"]
        case "AWS::Lambda::Function":
            return [f"arn:aws:lambda:{SCOPE}:function:{properties['FunctionName']}"]
        case "AWS::Logs::LogGroup":
            return [f"arn:aws:logs:{SCOPE}:log-group:{properties['LogGroupName']}"]
        case "AWS::SNS::Topic":
            return [f"arn:aws:sns:{SCOPE}:{properties['TopicName']}"]
    function = f"arn:aws:lambda:{SCOPE}:function:{STACK}"
    return [function, f"{function}:live"]  # a version, an alias, a permission for the alias


def test_the_policy_allows_every_resource(
    resources: dict[str, Any], policy: dict[str, Any]
) -> None:
    denied = []
    for name, definition in resources.items():
        kind, properties = definition["Type"], definition.get("Properties", {})
        service, _, actions = CALLS[kind].partition(":")
        context = {}
        if kind == "AWS::IAM::Role":
            sub = properties["PermissionsBoundary"]["Fn::Sub"]
            arn = sub.replace("${AWS::Partition}", "aws").replace("${AWS::AccountId}", ACCOUNT)
            context = {"iam:PermissionsBoundary": arn}
        if kind == "AWS::Lambda::Permission":
            context = {"lambda:Principal": properties["Principal"]}
        denied += [
            f"{name}: {access.action} on {access.resource}"
            for resource in arns(kind, name, properties)
            for action in actions.split(",")
            for access in [Access(f"{service}:{action}", resource, context)]
            if not permits([policy], access)
        ]
    assert denied == []


def test_the_policy_allows_what_the_resources_refer_to(
    resources: dict[str, Any], policy: dict[str, Any]
) -> None:
    def role(name: str) -> str:
        return f"arn:aws:iam::{ACCOUNT}:role/{STACK}-{name}"

    group = json.dumps(resources["APIHandlerDeploymentGroup"]["Properties"])
    [shift] = set(re.findall(r"(?:Canary|Linear)\w+", group))
    bundle = f"arn:aws:s3:::whatbreed-{ACCOUNT}-{REGION}/whatbreed/api/prod/bundles/x.zip"
    for access in [
        Access(
            "iam:PassRole", role("api_handler"), {"iam:PassedToService": "lambda.amazonaws.com"}
        ),
        Access(
            "iam:PassRole", role("release"), {"iam:PassedToService": "codedeploy.amazonaws.com"}
        ),
        Access("s3:GetObject", bundle),
        Access(
            "codedeploy:GetDeploymentConfig",
            f"arn:aws:codedeploy:{SCOPE}:deploymentconfig:CodeDeployDefault.Lambda{shift}",
        ),
        *(Access("apigateway:POST", f"{GATEWAY}/{part}") for part in ("restapis", "apikeys")),
        Access("apigateway:PUT", f"{GATEWAY}/tags/arn%3Aaws%3Aapigateway"),
    ]:
        assert permits([policy], access), access
    swapped = {"iam:PassedToService": "codedeploy.amazonaws.com"}
    assert not permits([policy], Access("iam:PassRole", role("api_handler"), swapped))

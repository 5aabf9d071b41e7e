"""The pipeline's policy against what CloudFormation calls for the resources of the prod template.

CloudFormation acts with the pipeline's permissions, which moto does not check.
"""

import json
import re
from typing import Any

import pytest

from aws.policy_statements import UNSCOPED
from tests.aws_rules import handler_permissions
from tests.emulator.fixtures import Command
from tests.emulator.iam_enforcement import Access, permits
from tests.ops.api.project import ACCOUNT, REGION

SCOPE = f"{REGION}:{ACCOUNT}"
GATEWAY = f"arn:aws:apigateway:{REGION}::"
STACK = "whatbreed-prod"
HANDLERS = ("create", "read", "update", "delete", "tagging")
"""A release, a rollback and a removal run these; `list` only serves IaC generators and searches."""

# Actions of handlers that are only called if a property is set that the template does not have.
UNUSED = {
    "AWS::ApiGateway::RestApi": {
        "apigateway:UpdateRestApiPolicy": "Policy",
        "iam:PassRole": "Body with credentials of integrations",
        "s3:GetObject": "BodyS3Location",
    },
    "AWS::CodeDeploy::DeploymentGroup": {
        "codedeploy:RegisterOnPremisesInstance": "OnPremisesInstanceTagFilters",
    },
    "AWS::Lambda::Function": {
        "ec2:DescribeSecurityGroups": "VpcConfig",
        "ec2:DescribeSubnets": "VpcConfig",
        "ec2:DescribeVpcs": "VpcConfig",
        "ec2:DescribeNetworkInterfaces": "VpcConfig",
        "elasticfilesystem:DescribeMountTargets": "FileSystemConfigs",
        "s3files:ListMountTargets": "FileSystemConfigs",
        "kms:CreateGrant": "KmsKeyArn",
        "kms:Decrypt": "KmsKeyArn",
        "kms:DescribeKey": "KmsKeyArn",
        "kms:Encrypt": "KmsKeyArn",
        "kms:GenerateDataKey": "KmsKeyArn",
        "lambda:GetCodeSigningConfig": "CodeSigningConfigArn",
        "lambda:PutFunctionCodeSigningConfig": "CodeSigningConfigArn",
        "lambda:DeleteFunctionCodeSigningConfig": "CodeSigningConfigArn",
        "lambda:GetLayerVersion": "Layers",
        "lambda:PutRuntimeManagementConfig": "RuntimeManagementConfig",
        "lambda:PutFunctionRecursionConfig": "RecursiveLoop",
        "lambda:PutFunctionScalingConfig": "FunctionScalingConfig",
        "lambda:PassCapacityProvider": "CapacityProviderConfig",
        "lambda:AssociateRuntimeAlias": "RuntimeManagementConfig",
        "s3:GetObjectVersion": "Code with S3ObjectVersion",
    },
    "AWS::Lambda::Version": {
        "lambda:PutRuntimeManagementConfig": "RuntimePolicy",
        "lambda:PutFunctionScalingConfig": "FunctionScalingConfig",
    },
    "AWS::Logs::LogGroup": {
        "logs:AssociateKmsKey": "KmsKeyId",
        "logs:DisassociateKmsKey": "KmsKeyId",
        "logs:PutDataProtectionPolicy": "DataProtectionPolicy",
        "logs:DeleteDataProtectionPolicy": "DataProtectionPolicy",
        "logs:CreateLogDelivery": "DataProtectionPolicy with a destination",
        "s3:REST.PUT.OBJECT": "DataProtectionPolicy with a destination",
        "firehose:TagDeliveryStream": "DataProtectionPolicy with a destination",
        "logs:PutResourcePolicy": "ResourcePolicyDocument",
        "logs:DeleteResourcePolicy": "ResourcePolicyDocument",
        "logs:PutIndexPolicy": "FieldIndexPolicies",
        "logs:DeleteIndexPolicy": "FieldIndexPolicies",
        "logs:PutLogGroupDeletionProtection": "DeletionProtectionEnabled",
        "logs:PutBearerTokenAuthentication": "BearerTokenAuthenticationEnabled",
    },
    "AWS::SNS::Topic": {
        "sns:Subscribe": "Subscription",
        "sns:Unsubscribe": "Subscription",
        "sns:PutDataProtectionPolicy": "DataProtectionPolicy",
        "iam:GetRole": "DeliveryStatusLogging",
        "iam:PassRole": "DeliveryStatusLogging",
    },
}


@pytest.fixture
def policy(command: Command, credentials: None) -> dict[str, Any]:
    """The policy of prod's pipeline role."""
    outcome = command(
        *("ops", "policy", "--role", "pipeline", "--stage", "prod", "--repository", "o@1/n@2"),
        *("--account", ACCOUNT, "--region", REGION),
    )
    assert outcome.code == 0, outcome.err
    document: dict[str, Any] = outcome.json["prod"]["policy"]
    return document


def arns(kind: str, name: str, properties: dict[str, Any]) -> list[str]:
    """The ARNs of a resource, with an example of what AWS appends to names."""
    function = f"arn:aws:lambda:{SCOPE}:function:{STACK}"
    application = f"{STACK}-ServerlessDeploymentApplication-X1"
    match kind:
        case "AWS::ApiGateway::ApiKey":
            return [f"{GATEWAY}/apikeys/a1"]
        case "AWS::ApiGateway::Deployment":
            return [f"{GATEWAY}/restapis/a1/deployments/b2"]
        case "AWS::ApiGateway::RestApi":
            return [f"{GATEWAY}/restapis/a1"]
        case "AWS::ApiGateway::Stage":
            return [f"{GATEWAY}/restapis/a1/stages/prod"]
        case "AWS::ApiGateway::UsagePlan":
            return [f"{GATEWAY}/usageplans/a1"]
        case "AWS::ApiGateway::UsagePlanKey":
            return [f"{GATEWAY}/usageplans/a1/keys/b2"]
        case "AWS::CloudWatch::Alarm":
            return [f"arn:aws:cloudwatch:{SCOPE}:alarm:{properties['AlarmName']}"]
        case "AWS::CloudWatch::Dashboard":
            return [f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{properties['DashboardName']}"]
        case "AWS::CodeDeploy::Application":
            return [f"arn:aws:codedeploy:{SCOPE}:application:{STACK}-{name}-X1"]
        case "AWS::CodeDeploy::DeploymentGroup":
            return [f"arn:aws:codedeploy:{SCOPE}:deploymentgroup:{application}/{STACK}-{name}-X1"]
        case "AWS::Lambda::Function":
            return [function]
        case "AWS::Logs::LogGroup":
            group = f"arn:aws:logs:{SCOPE}:log-group:{properties['LogGroupName']}"
            return [group, f"{group}:*"]  # IAM uses both forms
        case "AWS::SNS::Topic":
            return [f"arn:aws:sns:{SCOPE}:{properties['TopicName']}"]
    return [function, f"{function}:live"]  # a version, an alias, a permission for the alias


def access(action: str, resource: str, properties: dict[str, Any]) -> Access:
    """Return the access of an action; some have another resource than the resource type."""
    group = f"arn:aws:codedeploy:{SCOPE}:deploymentconfig:CodeDeployDefault.LambdaAllAtOnce"
    application = f"arn:aws:codedeploy:{SCOPE}:application:{STACK}-X-1"
    deployments = f"arn:aws:codedeploy:{SCOPE}:deploymentgroup:{STACK}-X-1/{STACK}-Y-1"
    roles = f"arn:aws:iam::{ACCOUNT}:role/{STACK}"
    service, _, name = action.partition(":")
    if action == "iam:PassRole":
        role, principal = ("release", "codedeploy") if "DeploymentStyle" in properties else (
            "api_handler", "lambda")  # fmt: skip
        context = {"iam:PassedToService": f"{principal}.amazonaws.com"}
        return Access(action, f"{roles}-{role}", context)
    if service == "codedeploy" and "GetDeploymentConfig" in name:
        return Access(action, group)
    if service == "codedeploy" and "Revision" in name:
        return Access(action, application)
    if service == "codedeploy" and "Deployment" in name:
        return Access(action, deployments)
    if action in UNSCOPED:
        return Access(action, "*")
    if service == "s3":
        bundle = f"whatbreed-{ACCOUNT}-{REGION}/whatbreed/api/prod/bundles/x.zip"
        return Access(action, f"arn:aws:s3:::{bundle}")
    if service == "codedeploy" and "Tag" in name:
        return Access(action, resource)
    context = {"lambda:Principal": properties.get("Principal", "")}
    return Access(action, resource, context if name == "AddPermission" else {})


def denied(policy: dict[str, Any], resources: dict[str, Any]) -> list[str]:
    """Return each call of CloudFormation that the policy does not allow."""
    calls = handler_permissions.permissions()
    missing = []
    for name, definition in resources.items():
        kind, properties = definition["Type"], definition.get("Properties", {})
        actions = {each for handler in HANDLERS for each in calls[kind].get(handler, [])}
        tags = {each for each in calls[kind].get("tagging", []) if each.startswith("apigateway")}
        for action in sorted(actions - set(UNUSED.get(kind, {}))):
            for resource in arns(kind, name, properties):
                if not permits([policy], access(action, resource, properties)):
                    missing.append(f"{name}: {action} on {resource}")
        for action in sorted(tags):
            arn = f"{GATEWAY}/tags/arn%3Aaws%3Aapigateway%3A{REGION}%3A%3A%2Frestapis%2Fa1"
            if not permits([policy], Access(action, arn)):
                missing.append(f"{name}: {action} on {arn}")
    return missing


def test_the_policy_allows_every_call_for_every_resource(
    resources: dict[str, Any], policy: dict[str, Any]
) -> None:
    assert denied(policy, resources) == []


def test_a_missing_permission_is_found(resources: dict[str, Any], policy: dict[str, Any]) -> None:
    for action in (
        "cloudwatch:TagResource", "codedeploy:StopDeployment", "codedeploy:ListDeployments",
        "lambda:GetFunctionScalingConfig", "logs:DescribeResourcePolicies", "apigateway:DELETE",
        "iam:PassRole",
    ):  # fmt: skip
        statements = [
            {**each, "Action": [name for name in each["Action"] if name != action] or ["x:y"]}
            for each in policy["Statement"]
            for each in [{**each, "Action": as_list(each["Action"])}]
        ]
        assert denied({**policy, "Statement": statements}, resources), action


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_exceptions_are_calls_for_properties_that_the_template_lacks(
    resources: dict[str, Any],
) -> None:
    calls = handler_permissions.permissions()
    for kind, actions in UNUSED.items():
        known = {each for handler in HANDLERS for each in calls[kind].get(handler, [])}
        assert set(actions) <= known, kind
        properties = {
            name
            for each in resources.values()
            if each["Type"] == kind
            for name in each.get("Properties", {})
        }
        used = {reason for reason in actions.values() if reason in properties}
        assert not used, kind


def test_the_permissions_are_those_of_the_installed_schemas() -> None:
    vendored = json.loads(handler_permissions.FILE.read_text())
    installed = handler_permissions.of_cfn_lint()
    update = "python -m tests.aws_rules.handler_permissions"
    assert vendored == installed, f"the schemas have changed: {update}"


def test_the_policy_allows_what_the_resources_refer_to(
    resources: dict[str, Any], policy: dict[str, Any]
) -> None:
    def role(name: str) -> str:
        return f"arn:aws:iam::{ACCOUNT}:role/{STACK}-{name}"

    group = json.dumps(resources["APIHandlerDeploymentGroup"]["Properties"])
    [shift] = set(re.findall(r"(?:Canary|Linear)\w+", group))
    stack = f"arn:aws:cloudformation:{SCOPE}:stack/{STACK}/id"
    change_set = f"arn:aws:cloudformation:{SCOPE}:changeSet/{STACK}-123/id"
    for needed in [
        Access(
            "codedeploy:GetDeploymentConfig",
            f"arn:aws:codedeploy:{SCOPE}:deploymentconfig:CodeDeployDefault.Lambda{shift}",
        ),
        *(
            Access(f"apigateway:{method}", f"{GATEWAY}/{part}")
            for part in ("restapis", "apikeys", "usageplans")
            for method in ("GET", "POST")
        ),
        *(
            Access(f"cloudformation:{action}", arn)
            for action in ("DescribeChangeSet", "ExecuteChangeSet", "DeleteChangeSet")
            for arn in (stack, change_set)
        ),
        *(
            Access(f"cloudformation:{action}", stack)
            for action in (
                "CancelUpdateStack", "ContinueUpdateRollback", "DeleteStack", "DescribeStacks",
                "DescribeStackEvents", "GetTemplate", "TagResource", "UntagResource",
            )
        ),
    ]:  # fmt: skip
        assert permits([policy], needed), needed
    swapped = {"iam:PassedToService": "codedeploy.amazonaws.com"}
    assert not permits([policy], Access("iam:PassRole", role("api_handler"), swapped))

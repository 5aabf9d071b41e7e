"""Rules of buckets, roles, APIs, templates, dashboards and machines refuse; valid calls pass."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from aws import roles as roles_library
from tests.aws_rules import apigateway_definitions, cloudwatch_dashboards, requests
from tests.aws_rules.rules import Refused
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import ACCOUNT, BUCKET

TRUST = roles_library.trust("lambda.amazonaws.com")
INSIDE = f"arn:aws:s3:::{BUCKET}/*"


def call(service: str, operation: str, **parameters: Any) -> Any:
    return boto3.client(service)._make_api_call(operation, parameters)


def refused(service: str, operation: str, text: str, **parameters: Any) -> None:
    with pytest.raises(ClientError) as raised:
        call(service, operation, **parameters)
    assert text in str(raised.value)


def document(**statement: Any) -> str:
    base = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": INSIDE}
    return json.dumps({"Version": "2012-10-17", "Statement": [base | statement]})


def trust(**statement: Any) -> str:
    [base] = TRUST["Statement"]
    return json.dumps({**TRUST, "Statement": [base | statement]})


ABORT = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
RULE: dict[str, Any] = {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}, **ABORT}


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ([RULE, RULE], "unique"),
        ([{**RULE, "ID": "a" * 256}], "MalformedXML"),
        ([{"ID": "a", "Status": "Enabled", **ABORT}], "MalformedXML"),
        ([{"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}}], "MalformedXML"),
        ([{**RULE, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 0}}], "positive"),
    ],
)
def test_lifecycles(bucket: str, rules: list[dict[str, Any]], text: str) -> None:
    operation = "PutBucketLifecycleConfiguration"
    refused("s3", operation, text, Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    call("s3", operation, Bucket=bucket, LifecycleConfiguration={"Rules": [RULE]})


def test_buckets(bucket: str) -> None:
    s3 = boto3.client("s3", region_name="eu-west-1")
    for location in ({}, {"CreateBucketConfiguration": {"LocationConstraint": "eu-north-1"}}):
        with pytest.raises(ClientError, match="IllegalLocationConstraint"):
            s3.create_bucket(Bucket="elsewhere", **location)
    call("s3", "PutObject", Bucket=bucket, Key="a", Body=b"")
    refused("s3", "DeleteBucket", "BucketNotEmpty", Bucket=bucket)
    keys = [{"Key": str(number)} for number in range(1001)]
    refused("s3", "DeleteObjects", "MalformedXML", Bucket=bucket, Delete={"Objects": keys})
    call("s3", "DeleteObjects", Bucket=bucket, Delete={"Objects": [{"Key": "a"}]})
    call("s3", "DeleteBucket", Bucket=bucket)
    refused("s3", "CreateBucket", "OperationAborted", Bucket=bucket)
    call("s3", "CreateBucket", Bucket=bucket)


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (document(), "Principal"),
        (document(Principal="*", Resource="arn:aws:s3:::other/*"), "invalid resource"),
        (document(Principal="*"), "public policies"),
    ],
)
def test_policies_of_buckets(bucket: str, policy: str, text: str) -> None:
    block = {"BlockPublicPolicy": True, "BlockPublicAcls": True}
    call("s3", "PutPublicAccessBlock", Bucket=bucket, PublicAccessBlockConfiguration=block)
    refused("s3", "PutBucketPolicy", text, Bucket=bucket, Policy=policy)
    call("s3", "PutBucketPolicy", Bucket=bucket, Policy=document(Principal="*", Effect="Deny"))


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (document(Condition={"StringIs": {"aws:x": "y"}}), "operator"),
        (document(Condition={"StringLike": {"x": "y"}}), "invalid key"),
        (document(Comment="x"), "Comment"),
        (document(NotAction="s3:*"), "NotAction"),
    ],
)
def test_policies(aws: None, policy: str, text: str) -> None:
    refused("iam", "CreatePolicy", text, PolicyName="p", PolicyDocument=policy)
    condition = {"ForAllValues:StringLikeIfExists": {"aws:PrincipalTag/x": "y"}}
    call("iam", "CreatePolicy", PolicyName="p", PolicyDocument=document(Condition=condition))
    refused("iam", "CreatePolicy", "exists", PolicyName="P", PolicyDocument=document())


def test_roles(aws: None) -> None:
    me = f"arn:aws:iam::{ACCOUNT}:user/me"
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/b"
    of_me = {"RoleName": "r", "AssumeRolePolicyDocument": trust(Principal={"AWS": [me]})}
    refused("iam", "CreateRole", "Invalid principal", **of_me)
    refused("iam", "CreateRole", "Scope ARN", **{**of_me, "AssumeRolePolicyDocument": trust()},
            PermissionsBoundary=boundary)  # fmt: skip
    call("iam", "CreateUser", UserName="me")
    call("iam", "CreateRole", **of_me)
    refused("iam", "CreateRole", "exists", **{**of_me, "RoleName": "R"})
    session = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/r", "RoleSessionName": "session"}
    refused("sts", "AssumeRole", "MaxSessionDuration", **session, DurationSeconds=7200)
    long = {**session, "RoleSessionName": "a" * 65}
    refused("sts", "AssumeRole", "oleSessionName", **long)


def test_profiles_and_providers(aws: None) -> None:
    for name in ("r", "s"):
        call("iam", "CreateRole", RoleName=name, AssumeRolePolicyDocument=trust())
    call("iam", "CreateInstanceProfile", InstanceProfileName="p")
    call("iam", "AddRoleToInstanceProfile", InstanceProfileName="p", RoleName="r")
    for role in ("r", "s"):
        refused("iam", "AddRoleToInstanceProfile", "quota", InstanceProfileName="p", RoleName=role)
    refused("iam", "DeleteInstanceProfile", "remove roles", InstanceProfileName="p")
    url = "https://token.example"
    for wrong in ({"Url": "http://x.example"}, {"Url": url, "ThumbprintList": ["a" * 40] * 6}):
        with pytest.raises(ClientError):
            call("iam", "CreateOpenIDConnectProvider", **wrong)
    call("iam", "CreateOpenIDConnectProvider", Url=url, ThumbprintList=["a" * 40])


INTEGRATION = {"x-amazon-apigateway-integration": {"type": "aws_proxy", "uri": "arn"}}


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        ({"paths": {"/a b": {}}}, "path part"),
        ({"paths": {"/{all+}/x": {}}}, "greedy"),
        ({"paths": {"/{a}": {}, "/{b}": {}}}, "sibling"),
        ({"paths": {"/": {"get": {}}}}, "No integration"),
        ({"paths": {f"/{number}": {} for number in range(300)}}, "300"),
        ({"x-amazon-apigateway-binary-media-types": ["image"]}, "media type"),
        ({"x-amazon-apigateway-minimum-compression-size": -1}, "compression"),
        ({"definitions": {"A-b": {}}}, "alphanumeric"),
    ],
)
def test_definitions_of_apis(aws: None, definition: dict[str, Any], text: str) -> None:
    with pytest.raises(Refused, match=text):
        apigateway_definitions.check(definition)
    info = {"swagger": "2.0", "info": {"title": "x", "version": "1"}}
    body = json.dumps({"paths": {}, **info, **definition}).encode()
    refused("apigateway", "ImportRestApi", text, body=body)
    apigateway_definitions.check({"paths": {"/{a}/b": {"get": INTEGRATION}, "/{a}": {}}})


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ({"Resource": {}}, "Resource"),
        ({"Resources": {}}, "At least one"),
        ({"Resources": {"A-b": {"Type": "AWS::SNS::Topic"}}}, "alphanumeric"),
        ({"Resources": {"A": {"Type": "AWS::SNS::Topic", "Depends": "B"}}}, "Depends"),
        ({"Resources": {"A": {"Type": "AWS::SNS::Topic", "DependsOn": "B"}}}, "Unresolved"),
        (
            {"Resources": {"A": {"Type": "AWS::SNS::Topic", "DeletionPolicy": "Keep"}}},
            "DeletionPolicy",
        ),
        ({"Outputs": {"A": {"Value": {"Ref": "B"}}}}, "Unresolved"),
        ({"Outputs": {"A": {"Value": "x", "Description": "a" * 1025}}}, "1024"),
        ({"Description": "a" * 1025}, "1024"),
        ({"Parameters": {"P": {"Type": "String", "Default": "x", "AllowedPattern": "y"}}}, "P"),
    ],
)
def test_templates(aws: None, template: dict[str, Any], text: str) -> None:
    valid = {"Resources": {"A": {"Type": "AWS::SNS::Topic"}}}
    names = {"StackName": "stack", "ChangeSetName": "a", "ChangeSetType": "CREATE"}
    body = json.dumps(valid | template)
    refused("cloudformation", "CreateChangeSet", text.strip(), **names, TemplateBody=body)
    call("cloudformation", "CreateChangeSet", **names, TemplateBody=json.dumps(valid))


METRIC: dict[str, Any] = {"region": "eu-west-1", "metrics": [["A", "b"]]}


@pytest.mark.parametrize(
    "change",
    [
        {"width": 25},
        {"x": 20, "y": 0},
        {"x": 0},
        {"type": "graph"},
        {"type": "text"},
        {"properties": {**METRIC, "region": ""}},
        {"properties": {**METRIC, "metrics": []}},
        {"properties": {**METRIC, "metrics": [["A", "b", "dimension"]]}},
        {"properties": {**METRIC, "view": "chart"}},
        {"properties": {**METRIC, "period": 45}},
    ],
)
def test_dashboards(aws: None, change: dict[str, Any]) -> None:
    widget = {"type": "metric", "width": 12, "height": 6, "properties": METRIC}
    body = json.dumps({"widgets": [widget | change]})
    refused("cloudwatch", "PutDashboard", "widget 0", DashboardName="d", DashboardBody=body)
    cloudwatch_dashboards.check(json.dumps({"widgets": [widget]}))
    body = json.dumps({"widgets": [widget]})
    refused("cloudwatch", "PutDashboard", "DashboardName", DashboardName="d e", DashboardBody=body)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"InstanceType": "c5.huge"}, "InstanceType"),
        ({"InstanceType": "g4dn.xlarge", "MinCount": 20, "MaxCount": 20}, "VcpuLimitExceeded"),
        ({"SecurityGroupIds": [f"sg-{number}" for number in range(6)]}, "ecurity group"),
        (
            {"BlockDeviceMappings": [{"DeviceName": "root", "Ebs": {"VolumeSize": 50}}]},
            "device name",
        ),
        (
            {"BlockDeviceMappings": [
                {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 20_000, "VolumeType": "gp2"}}
            ]},
            "20000",
        ),
        ({"TagSpecifications": [{"ResourceType": "vpc", "Tags": []}]}, "taggable"),
    ],
)  # fmt: skip
def test_machines(aws: None, change: dict[str, Any], text: str) -> None:
    refused("ec2", "RunInstances", text, **requests.instances(**change))
    call("ec2", "RunInstances", **requests.instances())


def test_an_account_without_a_default_vpc(aws: None) -> None:
    ec2 = boto3.resource("ec2")
    for vpc in ec2.vpcs.all():
        vpc._is_default = False
    boto3.client("ec2")
    for subnet in ec2.subnets.all():
        subnet.delete()
    for vpc in ec2.vpcs.all():
        vpc.delete()
    refused("ec2", "RunInstances", "No default VPC", **requests.instances())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"environment": {"type": "LINUX_GPU_CONTAINER", "image": "x",
                          "computeType": "BUILD_GENERAL1_MEDIUM"}}, "not available"),
        ({"source": {"type": "S3", "location": "abc/d", "buildspec": "a: b\nc"}}, "YAML"),
        ({"source": {"type": "S3", "location": "abc/d", "buildspec": "version: 1\n"}}, "version"),
        ({"source": {"type": "S3", "location": "abc/d",
                     "buildspec": "version: 0.2\nphases: {run: {commands: [a]}}\n"}}, "phase"),
    ],
)  # fmt: skip
def test_builds(bucket: str, change: dict[str, Any], text: str) -> None:
    of_builds = json.dumps(roles_library.trust("codebuild.amazonaws.com"))
    call("iam", "CreateRole", RoleName="whatbreed-codebuild", AssumeRolePolicyDocument=of_builds)
    refused("codebuild", "CreateProject", text, **requests.project(**change))
    call("codebuild", "CreateProject", **requests.project())


def test_endpoints_and_tags(roles: None, bucket: str, emulator: State) -> None:
    model = {"ModelName": "m", "PrimaryContainer": {"Image": "registry.example/i"},
             "ExecutionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/whatbreed-serving",
             "Tags": [{"Key": str(number), "Value": "1"} for number in range(50)]}  # fmt: skip
    arn = call("sagemaker", "CreateModel", **model)["ModelArn"]
    refused("sagemaker", "CreateModel", "already existing", **model)
    tag = [{"Key": "new", "Value": "1"}]
    refused("sagemaker", "AddTags", "51 tags", ResourceArn=arn, Tags=tag)
    variant = {"VariantName": "a", "ModelName": "m",
               "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 6}}  # fmt: skip
    config = {"EndpointConfigName": "c", "ProductionVariants": [variant]}
    call("sagemaker", "CreateEndpointConfig", **config)
    refused("sagemaker", "CreateEndpointConfig", "already existing", **config)
    call("sagemaker", "CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    for name, text in (("E", "already existing"), ("f", "ResourceLimitExceeded")):
        refused("sagemaker", "CreateEndpoint", text, EndpointName=name, EndpointConfigName="c")


Refusal = tuple[str, str, dict[str, Any], str]
OTHERS: list[Refusal] = [
    ("sns", "CreateTopic", {"Name": "a b"}, "Topic Name"),
    ("sns", "Subscribe", {"TopicArn": f"arn:aws:sns:eu-west-1:{ACCOUNT}:t", "Protocol": "sms"},
     "TopicArn"),
    ("cloudwatch", "DescribeAlarms", {"AlarmNames": ["a"], "AlarmNamePrefix": "a"}, "both"),
    ("logs", "FilterLogEvents", {"logGroupName": "g", "startTime": 2, "endTime": 1}, "after"),
    ("service-quotas", "ListServiceQuotas", {"ServiceCode": "a_b!"}, "serviceCode"),
    ("budgets", "DescribeBudget", {"AccountId": ACCOUNT, "BudgetName": "a:b"}, "budgetName"),
]  # fmt: skip


@pytest.mark.parametrize(("service", "operation", "parameters", "text"), OTHERS)
def test_others(
    aws: None, service: str, operation: str, parameters: dict[str, Any], text: str
) -> None:
    with pytest.raises(ClientError) as raised:
        call(service, operation, **parameters)
    assert text.lower() in str(raised.value).lower()


@pytest.fixture
def function(aws: None) -> Callable[..., Any]:
    call("iam", "CreateRole", RoleName="r", AssumeRolePolicyDocument=trust())
    other = json.dumps(roles_library.trust("ec2.amazonaws.com"))
    call("iam", "CreateRole", RoleName="other", AssumeRolePolicyDocument=other)
    base = {"FunctionName": "f", "Runtime": "python3.13", "Handler": "app.app",
            "Role": f"arn:aws:iam::{ACCOUNT}:role/r", "Code": {"ZipFile": b"x"}}  # fmt: skip
    return lambda **changes: call("lambda", "CreateFunction", **{**base, **changes})


def test_functions(function: Callable[..., Any]) -> None:
    for change in (
        {"Role": f"arn:aws:iam::{ACCOUNT}:role/other"},
        {"VpcConfig": {"SubnetIds": ["subnet-1"]}},
        {"Architectures": ["arm64", "x86_64"]},
        {"Code": {"ZipFile": b"x", "S3Bucket": "abc", "S3Key": "k"}},
    ):
        with pytest.raises(ClientError):
            function(**change)
    function()
    permission = {"FunctionName": "f", "StatementId": "a", "Action": "lambda:InvokeFunction",
                  "Principal": "apigateway.amazonaws.com"}  # fmt: skip
    call("lambda", "AddPermission", **permission)
    refused("lambda", "AddPermission", "already exists", **permission)
    refused("lambda", "PublishVersion", "CodeSHA256", FunctionName="f", CodeSha256="x")

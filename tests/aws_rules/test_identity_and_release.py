"""What the rules of IAM, CloudFormation, Lambda and API Gateway refuse and accept."""

import io
import json
import zipfile
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.cloudformation.models import cloudformation_backends

from tests.aws_rules import apigateway
from tests.aws_rules.apigateway import gateway_status
from tests.aws_rules.lambda_ import check_provisioned
from tests.aws_rules.rules import Refused
from tests.emulator.fixtures import ACCOUNT, BUCKET, REGION

ROLE = f"arn:aws:iam::{ACCOUNT}:role/function"
ALLOW = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"},
         "Action": "sts:AssumeRole"}  # fmt: skip
GITHUB = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": list(statements)}, indent=4)


def large(characters: int) -> str:
    """A policy of this size, without its white space."""
    resource = "arn:aws:s3:::"
    empty = len(json.dumps(json.loads(document(ALLOW | {"Resource": resource})),
                           separators=(",", ":")))  # fmt: skip
    return document(ALLOW | {"Resource": resource + "b" * (characters - empty)})


def refusal(service: str, operation: str, **parameters: Any) -> str:
    """The code of the error of a call; "" if it succeeds."""
    client = boto3.client(service)
    try:
        client._make_api_call(operation, parameters)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def create_role(name: str = "function", **changes: Any) -> str:
    request = {"RoleName": name, "AssumeRolePolicyDocument": document(TRUST), **changes}
    return refusal("iam", "CreateRole", **request)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, ""),
        ({"RoleName": "a" * 64}, ""),
        ({"RoleName": "a" * 65}, "ValidationError"),
        ({"RoleName": "a b"}, "ValidationError"),
        ({"Path": "/a/b/"}, ""),
        ({"Path": "a"}, "ValidationError"),
        ({"Description": "a" * 1_001}, "ValidationError"),
        ({"MaxSessionDuration": 43_200}, ""),
        ({"MaxSessionDuration": 43_201}, "ValidationError"),
        (
            {"AssumeRolePolicyDocument": document(TRUST | {"Sid": "a" * 2_048})},
            "LimitExceeded",
        ),
        ({"AssumeRolePolicyDocument": document(TRUST | {"Resource": "*"})},
         "MalformedPolicyDocument"),
        ({"AssumeRolePolicyDocument": document(
            TRUST | {"Principal": {"Federated": GITHUB}})}, "MalformedPolicyDocument"),
        ({"AssumeRolePolicyDocument": document(TRUST | {
            "Principal": {"Federated": GITHUB}, "Condition": {"StringLike": {
                "token.actions.githubusercontent.com:sub": "*"}}})}, "MalformedPolicyDocument"),
    ],
)  # fmt: skip
def test_roles(aws: None, changes: dict[str, Any], code: str) -> None:
    assert create_role(**({"name": changes.pop("RoleName")} if "RoleName" in changes else {}),
                       **changes) == code  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        (large(6_144), ""),
        (large(6_145), "LimitExceeded"),
        (document(ALLOW | {"Sid": "a-b"}), "MalformedPolicyDocument"),
        (document(ALLOW | {"Sid": "a"}, ALLOW | {"Sid": "a"}), "MalformedPolicyDocument"),
        (document(ALLOW | {"Action": "GetObject"}), "MalformedPolicyDocument"),
        (document(ALLOW | {"Resource": "bucket"}), "MalformedPolicyDocument"),
        (document(ALLOW | {"Resource": []}), "MalformedPolicyDocument"),
        (document(ALLOW | {"Principal": "*"}), "MalformedPolicyDocument"),
        (document(ALLOW, version="2020-01-01"), "MalformedPolicyDocument"),
    ],
)
def test_managed_policies(aws: None, policy: str, code: str) -> None:
    assert refusal("iam", "CreatePolicy", PolicyName="p", PolicyDocument=policy) == code


@pytest.mark.parametrize(("kind", "limit"), [("Role", 10_240), ("Group", 5_120), ("User", 2_048)])
def test_inline_policies_count_together(aws: None, kind: str, limit: int) -> None:
    iam = boto3.client("iam")
    create_role("name")
    iam.create_group(GroupName="name")
    iam.create_user(UserName="name")
    put = {f"{kind}Name": "name"}

    def put_policy(name: str, size: int) -> str:
        return refusal("iam", f"Put{kind}Policy", PolicyName=name, PolicyDocument=large(size),
                       **put)  # fmt: skip

    assert put_policy("first", limit // 2) == ""
    assert put_policy("second", limit - limit // 2) == ""
    assert put_policy("second", limit - limit // 2 + 1) == "LimitExceeded"
    assert put_policy("first", limit // 2 - 1) == ""  # replaces


def test_ten_policies_and_five_versions(aws: None) -> None:
    iam = boto3.client("iam")
    create_role("name")
    arns = [
        iam.create_policy(PolicyName=f"p{number}", PolicyDocument=large(200))["Policy"]["Arn"]
        for number in range(11)
    ]
    codes = [refusal("iam", "AttachRolePolicy", RoleName="name", PolicyArn=arn) for arn in arns]
    assert codes == [""] * 10 + ["LimitExceeded"]
    versions = [
        refusal("iam", "CreatePolicyVersion", PolicyArn=arns[0], PolicyDocument=large(300))
        for _ in range(5)
    ]
    assert versions == [""] * 4 + ["LimitExceeded"]
    delete = {"PolicyArn": arns[0], "VersionId": "v1"}
    assert refusal("iam", "DeletePolicyVersion", **delete) == "DeleteConflict"
    assert refusal("iam", "DeletePolicy", PolicyArn=arns[0]) == "DeleteConflict"
    assert refusal("iam", "DeleteRole", RoleName="name") == "DeleteConflict"


def template(**sections: Any) -> str:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {}}
    return json.dumps({"Resources": {"Topic": topic}, **sections})


PARAMETER = {"Release": {"Type": "String", "AllowedPattern": "[0-9a-f]+"}}
ROLE_RESOURCE = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}}


def given(value: str, key: str = "Release") -> list[dict[str, str]]:
    return [{"ParameterKey": key, "ParameterValue": value}]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, ""),
        ({"TemplateBody": template(Description="a" * 51_200)}, "ValidationError"),
        ({"ChangeSetName": "1st"}, "ValidationError"),
        ({"ChangeSetName": "a" * 129}, "ValidationError"),
        ({"StackName": "a_b"}, "ValidationError"),
        ({"TemplateBody": template(Parameters=PARAMETER)}, "ValidationError"),
        ({"TemplateBody": template(Parameters=PARAMETER), "Parameters": given("ab")}, ""),
        ({"TemplateBody": template(Parameters=PARAMETER), "Parameters": given("x")},
         "ValidationError"),
        ({"TemplateBody": template(Parameters=PARAMETER), "Parameters": given("a" * 4_097)},
         "ValidationError"),
        ({"Parameters": given("ab")}, "ValidationError"),
        ({"TemplateBody": template(Transform="AWS::Serverless-2016-10-31")},
         "InsufficientCapabilitiesException"),
        ({"TemplateBody": template(Resources={"Role": ROLE_RESOURCE})},
         "InsufficientCapabilitiesException"),
        ({"TemplateBody": template(Resources={
            f"Topic{number}": {"Type": "AWS::SNS::Topic"} for number in range(501)})},
         "ValidationError"),
        ({"ChangeSetType": "UPDATE"}, "ValidationError"),
    ],
)  # fmt: skip
def test_change_sets(aws: None, changes: dict[str, Any], code: str) -> None:
    request = {"StackName": "stack", "ChangeSetName": "a", "ChangeSetType": "CREATE",
               "TemplateBody": template(), **changes}  # fmt: skip
    assert refusal("cloudformation", "CreateChangeSet", **request) == code


def test_templates_in_s3(aws: None) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for key, size in (("fits", 1_000_000), ("large", 1_048_577)):
        body = template(Metadata="a" * (size - len(template(Metadata=""))))
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    host = f"https://{BUCKET}.s3.{REGION}.amazonaws.com"
    urls = {"fits": "", "large": "ValidationError", "missing": "ValidationError"}
    for key, code in urls.items():
        request = {"StackName": "stack", "ChangeSetName": "a", "ChangeSetType": "CREATE",
                   "TemplateURL": f"{host}/{key}"}  # fmt: skip
        assert refusal("cloudformation", "CreateChangeSet", **request) == code, key
    elsewhere = {**request, "TemplateURL": "https://example.com/template.json"}
    assert refusal("cloudformation", "CreateChangeSet", **elsewhere) == "ValidationError"


def test_stacks_in_a_wrong_state(aws: None) -> None:
    change_set = {"StackName": "stack", "ChangeSetName": "a", "TemplateBody": template()}
    client = boto3.client("cloudformation")
    arn = client.create_change_set(**change_set, ChangeSetType="CREATE")["Id"]
    execute = {"ChangeSetName": "a"}
    assert refusal("cloudformation", "ExecuteChangeSet", **execute) == "ValidationError"
    client.execute_change_set(StackName="stack", ChangeSetName=arn)
    again = refusal("cloudformation", "ExecuteChangeSet", ChangeSetName=arn)
    assert again == "InvalidChangeSetStatus"
    [stack] = cloudformation_backends[ACCOUNT][REGION].stacks.values()
    for kind, status, accepted in (
        ("CREATE", "CREATE_COMPLETE", False),
        ("CREATE", "ROLLBACK_COMPLETE", False),
        ("UPDATE", "ROLLBACK_COMPLETE", False),
        ("UPDATE", "UPDATE_ROLLBACK_FAILED", False),
        ("UPDATE", "DELETE_FAILED", False),
        ("UPDATE", "UPDATE_IN_PROGRESS", False),
        ("UPDATE", "REVIEW_IN_PROGRESS", False),
        ("UPDATE", "UPDATE_ROLLBACK_COMPLETE", True),
    ):
        stack.status = status
        request = {**change_set, "ChangeSetType": kind, "ChangeSetName": f"a-{kind}"}
        code = refusal("cloudformation", "CreateChangeSet", **request)
        assert (code == "") == accepted, (kind, status)
    for operation in ("CancelUpdateStack", "ContinueUpdateRollback"):
        assert refusal("cloudformation", operation, StackName="stack") == "ValidationError"
    stack.status = "UPDATE_ROLLBACK_IN_PROGRESS"
    assert refusal("cloudformation", "DeleteStack", StackName="stack") == "ValidationError"


def bundle(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.py", content)
    return stream.getvalue()


def variables(**values: str) -> dict[str, Any]:
    return {"Environment": {"Variables": values}}


FUNCTION = {"FunctionName": "function", "Runtime": "python3.13", "Role": ROLE, "Handler": "app.app",
            "Code": {"ZipFile": bundle(app=b"x")}}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({"MemorySize": 128, "Timeout": 900}, True),
        ({"MemorySize": 10_241}, False),
        ({"Timeout": 901}, False),
        ({"EphemeralStorage": {"Size": 10_241}}, False),
        ({"FunctionName": "a" * 65}, False),
        ({"FunctionName": "a.b"}, False),
        ({"Description": "a" * 257}, False),
        ({"Layers": ["arn:aws:lambda:us-east-1:123456789012:layer:a:1"] * 6}, False),
        (variables(ENDPOINT_NAME="a"), True),
        (variables(A1="a" * 4_080), True),
        (variables(A1="a" * 4_090), False),
        (variables(AWS_REGION="a"), False),
        (variables(_HANDLER="a"), False),
        (variables(LAMBDA_TASK_ROOT="a"), False),
        ({"Environment": {"Variables": {"A-B": "a"}}}, False),
    ],
)
def test_functions(aws: None, changes: dict[str, Any], accepted: bool) -> None:
    create_role()
    assert (refusal("lambda", "CreateFunction", **{**FUNCTION, **changes}) == "") == accepted


def test_bundles(aws: None) -> None:
    create_role()
    large = bundle(app=b"\0" * (251 * 1024**2))
    code = refusal("lambda", "CreateFunction", **{**FUNCTION, "Code": {"ZipFile": large}})
    assert code == "InvalidParameterValueException"


def test_concurrency(aws: None) -> None:
    create_role()
    functions = boto3.client("lambda")
    for name in ("function", "other"):
        functions.create_function(**{**FUNCTION, "FunctionName": name})
    reserve = {"FunctionName": "other", "ReservedConcurrentExecutions": 850}
    assert refusal("lambda", "PutFunctionConcurrency", **reserve) == ""
    invalid = "InvalidParameterValueException"
    for reserved, code in ((50, ""), (51, invalid), (3, "")):
        reserve = {"FunctionName": "function", "ReservedConcurrentExecutions": reserved}
        assert refusal("lambda", "PutFunctionConcurrency", **reserve) == code
    check_provisioned(4, 4)
    check_provisioned(4, None)
    with pytest.raises(Refused, match="should not be greater"):
        check_provisioned(4, 3)


@pytest.mark.parametrize(
    ("name", "version", "weights", "accepted"),
    [
        ("live", "1", {}, True),
        ("1", "1", {}, False),
        ("live", "1", {"2": 0.1}, True),
        ("live", "1", {"1": 0.1}, False),
        ("live", "1", {"2": 1.1}, False),
        ("live", "1", {"2": 0.1, "3": 0.1}, False),
        ("live", "$LATEST", {"2": 0.1}, False),
    ],
)
def test_aliases(
    aws: None, name: str, version: str, weights: dict[str, float], accepted: bool
) -> None:
    create_role()
    functions = boto3.client("lambda")
    functions.create_function(**FUNCTION)
    for number in ("2", "3", "4"):
        functions.update_function_code(
            FunctionName="function", ZipFile=bundle(app=number.encode()), Publish=True
        )
    alias = {"FunctionName": "function", "Name": name, "FunctionVersion": version}
    if weights:
        alias["RoutingConfig"] = {"AdditionalVersionWeights": weights}  # type: ignore[assignment]
    assert (refusal("lambda", "CreateAlias", **alias) == "") == accepted


def test_a_status_code_of_the_default_replaces_those_of_other_types() -> None:
    throttled = apigateway.LAMBDA_THROTTLED
    assert gateway_status("INTEGRATION_TIMEOUT", {}) == 504
    assert gateway_status(throttled, {}) == 500
    default = {"DEFAULT_5XX": {"statusCode": 500}}
    assert gateway_status("INTEGRATION_TIMEOUT", default) == 500
    assert gateway_status("INTEGRATION_TIMEOUT", {"DEFAULT_5XX": {}}) == 504
    assert gateway_status(throttled, {throttled: {"statusCode": "503"}}) == 503
    assert gateway_status("INVALID_API_KEY", default) == 403


def test_gateway_responses(aws: None) -> None:
    gateway = boto3.client("apigateway")
    api = gateway.create_rest_api(name="api")["id"]
    for changes, code in (
        ({}, ""),
        ({"responseType": "LAMBDA_THROTTLED"}, "BadRequestException"),
        ({"statusCode": "5"}, "BadRequestException"),
        ({"responseParameters": {"gatewayresponse.header.Retry-After": "1"}},
         "BadRequestException"),
        ({"responseParameters": {"method.header.Retry-After": "'1'"}}, "BadRequestException"),
    ):  # fmt: skip
        request = {"restApiId": api, "responseType": "INTEGRATION_FAILURE", "statusCode": "503",
                   **changes}  # fmt: skip
        assert refusal("apigateway", "PutGatewayResponse", **request) == code, changes
    create = {"restApiId": api, "stageName": "a b"}
    assert refusal("apigateway", "CreateDeployment", **create) == "BadRequestException"
    tags = {"name": "api", "tags": {"aws:x": "y"}}
    assert refusal("apigateway", "CreateRestApi", **tags) == "BadRequestException"

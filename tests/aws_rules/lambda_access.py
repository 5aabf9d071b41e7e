"""The role, network and permissions of a function in Lambda."""

from typing import Any

from moto.awslambda.models import lambda_backends
from moto.iam.models import iam_backends

from tests.aws_rules.rules import Refused, Request, rule

API = "https://docs.aws.amazon.com/lambda/latest/api/API_"
GUIDE = "https://docs.aws.amazon.com/lambda/latest/dg"


@rule(
    "lambda",
    "CreateFunction",
    "UpdateFunctionConfiguration",
    source=f"{GUIDE}/lambda-intro-execution-role.html",
)
def role_trusts_lambda(request: Request) -> None:
    """The role exists, and Lambda may assume it."""
    arn = request.parameters.get("Role")
    roles = iam_backends[request.account]["aws"].roles.values()
    trust = next((role.assume_role_policy_document for role in roles if role.arn == arn), "")
    if arn and "lambda.amazonaws.com" not in trust:
        raise Refused(
            "InvalidParameterValueException",
            "The role defined for the function cannot be assumed by Lambda.",
        )


@rule("lambda", "CreateFunction", "UpdateFunctionConfiguration", source=f"{API}VpcConfig.html")
def networks_are_complete(request: Request) -> None:
    """A function in a VPC has up to 16 subnets and 5 security groups, and both kinds."""
    network = request.parameters.get("VpcConfig") or {}
    subnets, groups = network.get("SubnetIds") or [], network.get("SecurityGroupIds") or []
    if bool(subnets) != bool(groups) or len(subnets) > 16 or len(groups) > 5:
        raise Refused("InvalidParameterValueException", "The VpcConfig is not valid")


@rule("lambda", "AddPermission", source=f"{API}AddPermission.html")
def statements_are_added_once(request: Request) -> None:
    """The id of a statement is unique in the function's policy."""
    backend: Any = lambda_backends[request.account][request.region]
    name = request.parameters["FunctionName"].rpartition(":")[2]
    for function in backend.list_functions():
        policy = function.policy if function.function_name == name else None
        if policy and request.parameters["StatementId"] in [
            each["Sid"] for each in policy.statements
        ]:
            message = "The statement id provided already exists."
            raise Refused("ResourceConflictException", message, 409)


@rule("lambda", "CreateFunction", "UpdateFunctionCode", source=f"{API}CreateFunction.html")
def one_architecture(request: Request) -> None:
    """A function has one architecture, and its code comes from one place."""
    parameters = request.parameters
    code = parameters.get("Code") or parameters
    if len(parameters.get("Architectures") or []) > 1:
        raise Refused("InvalidParameterValueException", "Exactly one architecture is possible")
    if sum(bool(code.get(name)) for name in ("ZipFile", "S3Bucket", "ImageUri")) > 1:
        message = "Please do not provide other FunctionCode parameters when providing a ZipFile."
        raise Refused("InvalidParameterValueException", message)


@rule("lambda", "PublishVersion", source=f"{API}PublishVersion.html")
def code_has_not_changed(request: Request) -> None:
    """A version is published if the code has the SHA-256 that the caller expects."""
    expected = request.parameters.get("CodeSha256")
    backend: Any = lambda_backends[request.account][request.region]
    for function in backend.list_functions():
        named = function.function_name == request.parameters["FunctionName"]
        if named and expected and function.code_sha_256 != expected:
            message = f"CodeSHA256 ({expected}) is different from current CodeSHA256"
            raise Refused("InvalidParameterValueException", message)

"""What IAM refuses about roles, profiles, providers and those whom they name."""

import json
import re
from typing import Any

from moto.iam.models import IAMBackend, iam_backends

from tests.aws_rules.rules import Refused, Request, rule

API = "https://docs.aws.amazon.com/IAM/latest/APIReference/API_"
GUIDE = "https://docs.aws.amazon.com/IAM/latest/UserGuide"
QUOTAS = f"{GUIDE}/reference_iam-quotas.html"
_OPERATORS = re.compile(
    r"(ForAllValues:|ForAnyValue:)?(String(Not)?(Equals(IgnoreCase)?|Like)|Numeric(Not)?Equals"
    r"|Numeric(Less|Greater)Than(Equals)?|Date(Not)?Equals|Date(Less|Greater)Than(Equals)?|Bool"
    r"|BinaryEquals|(Not)?IpAddress|Arn(Not)?(Equals|Like))(IfExists)?|Null"
)
_ELEMENTS = {
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource",
    "Condition",
}  # fmt: skip
_WRITES = (
    "CreatePolicy", "CreatePolicyVersion", "PutRolePolicy", "PutUserPolicy", "PutGroupPolicy",
    "CreateRole", "UpdateAssumeRolePolicy",
)  # fmt: skip


def _backend(request: Request) -> IAMBackend:
    return iam_backends[request.account]["aws"]


def _statements(request: Request) -> list[dict[str, Any]]:
    parameters = request.parameters
    document = parameters.get("AssumeRolePolicyDocument") or parameters["PolicyDocument"]
    statements = json.loads(document)["Statement"]
    return statements if isinstance(statements, list) else [statements]


@rule("iam", "CreateRole", "CreatePolicy", "CreateInstanceProfile", source=QUOTAS)
def names_differ_in_more_than_case(request: Request) -> None:
    """Names of roles, policies and instance profiles are unique regardless of case."""
    kind = request.operation.removeprefix("Create")
    backend, name = _backend(request), request.parameters[f"{kind}Name"]
    own = [
        policy for policy in backend.managed_policies.values() if ":aws:policy/" not in policy.arn
    ]
    existing: dict[str, list[Any]] = {
        "Role": list(backend.roles.values()),
        "Policy": own,
        "InstanceProfile": list(backend.instance_profiles.values()),
    }
    if name.lower() in {each.name.lower() for each in existing[kind]}:
        raise Refused("EntityAlreadyExists", f"{kind} with name {name} already exists.", 409)


@rule("iam", *_WRITES, source=f"{GUIDE}/reference_policies_elements_condition_operators.html")
def conditions_have_known_operators(request: Request) -> None:
    """The operators of conditions are those of IAM, and each has at least one key."""
    for statement in _statements(request):
        for operator, keys in statement.get("Condition", {}).items():
            if not _OPERATORS.fullmatch(operator):
                raise _malformed(f"Unknown condition operator: {operator}")
            if not keys or not all(re.match(r"[A-Za-z0-9.-]+[:/]", key) for key in keys):
                raise _malformed(f"Condition {operator} has an invalid key")


@rule("iam", *_WRITES, source=f"{GUIDE}/reference_policies_elements.html")
def statements_have_known_elements(request: Request) -> None:
    """A statement has the documented elements, each with its opposite at most once."""
    for statement in _statements(request):
        if unknown := set(statement) - _ELEMENTS:
            raise _malformed(f"Syntax errors in policy: {', '.join(sorted(unknown))}")
        for name in ("Principal", "Action", "Resource"):
            if name in statement and f"Not{name}" in statement:
                raise _malformed(f"A statement has {name} or Not{name}")


@rule("iam", "CreateRole", "UpdateAssumeRolePolicy", source=f"{GUIDE}/troubleshoot_roles.html")
def principals_exist(request: Request) -> None:
    """A user or role of the account that a trust policy names exists."""
    backend = _backend(request)
    entities: list[Any] = [*backend.users.values(), *backend.roles.values()]
    known = {each.arn for each in entities}
    for statement in _statements(request):
        principal = statement.get("Principal", {})
        named = principal.get("AWS", []) if isinstance(principal, dict) else []
        for arn in named if isinstance(named, list) else [named]:
            own = re.fullmatch(rf"arn:[a-z-]+:iam::{request.account}:(user|role)/.+", arn)
            if own and arn not in known:
                raise _malformed(f'Invalid principal in policy: "AWS":"{arn}"')


@rule(
    "iam",
    *("CreateRole", "PutRolePermissionsBoundary"),
    source=f"{API}PutRolePermissionsBoundary.html",
)
def boundaries_exist(request: Request) -> None:
    """A permissions boundary is a managed policy that exists."""
    arn = request.parameters.get("PermissionsBoundary")
    if arn and arn not in _backend(request).managed_policies:
        raise Refused("NoSuchEntity", f"Scope ARN: {arn} does not exist.", 404)


@rule("iam", "CreateOpenIDConnectProvider", source=f"{API}CreateOpenIDConnectProvider.html")
def providers_are_valid(request: Request) -> None:
    """A provider has an HTTPS URL without a port, up to 5 thumbprints and 100 clients."""
    parameters = request.parameters
    if not re.fullmatch(r"https://[^/:?]+(/[^?]*)?", parameters["Url"]):
        raise Refused("ValidationError", "Invalid Open ID Connect Provider URL")
    if len(parameters.get("ThumbprintList") or []) > 5:
        raise Refused("InvalidInput", "Thumbprint list must contain fewer than 5 entries.")
    if len(parameters.get("ClientIDList") or []) > 100:
        raise Refused("LimitExceeded", "Cannot exceed quota for ClientIdsPerProvider: 100", 409)


@rule("iam", "AddRoleToInstanceProfile", source=QUOTAS)
def a_profile_has_one_role(request: Request) -> None:
    """An instance profile contains one role."""
    for profile in _backend(request).instance_profiles.values():
        if profile.name == request.parameters["InstanceProfileName"] and profile.roles:
            message = "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"
            raise Refused("LimitExceeded", message, 409)


@rule("iam", "DeleteInstanceProfile", source=f"{API}DeleteInstanceProfile.html")
def a_profile_is_empty(request: Request) -> None:
    """An instance profile is deleted after its role was removed."""
    for profile in _backend(request).instance_profiles.values():
        if profile.name == request.parameters["InstanceProfileName"] and profile.roles:
            message = "Cannot delete entity, must remove roles from instance profile first."
            raise Refused("DeleteConflict", message, 409)


@rule("iam", "DeleteOpenIDConnectProvider", source=f"{API}DeleteOpenIDConnectProvider.html")
def providers_are_named_by_arn(request: Request) -> None:
    """A provider is deleted by its ARN."""
    if ":oidc-provider/" not in request.parameters["OpenIDConnectProviderArn"]:
        raise Refused("InvalidInput", "The ARN is not that of an OpenID Connect provider")


def _malformed(message: str) -> Refused:
    return Refused("MalformedPolicyDocument", message)

"""What IAM refuses: quotas, names, and documents that are malformed."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from moto.iam.models import IAMBackend, iam_backends

from tests.aws_rules.rules import Refused, Request, rule

QUOTAS = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"
API = "https://docs.aws.amazon.com/IAM/latest/APIReference/API_"
MANAGED, TRUST, INLINE = 6_144, 2_048, {"Role": 10_240, "Group": 5_120, "User": 2_048}


def characters(document: str) -> int:
    """Return the size of a document as IAM counts it: without white space outside of strings."""
    return len(json.dumps(json.loads(document), separators=(",", ":"), ensure_ascii=False))


def _backend(request: Request) -> IAMBackend:
    return iam_backends[request.account]["aws"]


def _quota(what: str, limit: int) -> Refused:
    return Refused("LimitExceeded", f"Cannot exceed quota for {what}: {limit}", 409)


@rule("iam", "CreatePolicy", "CreatePolicyVersion", source=QUOTAS)
def managed_policy_fits(request: Request) -> None:
    """A managed policy has at most 6,144 characters without white space."""
    if characters(request.parameters["PolicyDocument"]) > MANAGED:
        raise _quota("PolicySize", MANAGED)


@rule("iam", "PutRolePolicy", "PutGroupPolicy", "PutUserPolicy", source=QUOTAS)
def inline_policies_fit(request: Request) -> None:
    """All inline policies of a user have 2,048 characters, of a group 5,120, of a role 10,240."""
    kind = re.sub("Put|Policy", "", request.operation)
    name, policy = request.parameters[f"{kind}Name"], request.parameters["PolicyName"]
    existing = _inline(_backend(request), kind, name)
    documents = existing | {policy: request.parameters["PolicyDocument"]}
    if sum(map(characters, documents.values())) > INLINE[kind]:
        message = f"Maximum policy size of {INLINE[kind]} bytes exceeded for {kind.lower()} {name}"
        raise Refused("LimitExceeded", message, 409)


def _inline(backend: IAMBackend, kind: str, name: str) -> dict[str, str]:
    if kind == "User":
        return dict(backend.users[name].policies) if name in backend.users else {}
    if kind == "Group":
        return dict(backend.groups[name].policies) if name in backend.groups else {}
    roles = {role.name: role for role in backend.roles.values()}
    return dict(roles[name].policies) if name in roles else {}


@rule("iam", "CreateRole", "UpdateAssumeRolePolicy", source=QUOTAS)
def trust_policy_fits(request: Request) -> None:
    """A trust policy has at most 2,048 characters."""
    document = request.parameters.get("AssumeRolePolicyDocument")
    if characters(document or request.parameters["PolicyDocument"]) > TRUST:
        raise _quota("ACLSizePerRole", TRUST)


@rule("iam", "AttachRolePolicy", "AttachGroupPolicy", "AttachUserPolicy", source=QUOTAS)
def ten_managed_policies(request: Request) -> None:
    """At most 10 managed policies are attached to a role, a group or a user."""
    kind = re.sub("Attach|Policy", "", request.operation)
    backend, name = _backend(request), request.parameters[f"{kind}Name"]
    kinds: dict[str, dict[str, Any]] = {
        "User": backend.users,
        "Group": backend.groups,
        "Role": {role.name: role for role in backend.roles.values()},
    }
    entities = kinds[kind]
    attached = set(entities[name].managed_policies) if name in entities else set()
    if len(attached | {request.parameters["PolicyArn"]}) > 10:
        raise _quota(f"PoliciesPer{kind}", 10)


@rule("iam", "CreatePolicyVersion", source=QUOTAS)
def five_versions(request: Request) -> None:
    """A managed policy has at most 5 versions."""
    policy = _backend(request).managed_policies.get(request.parameters["PolicyArn"])
    if policy and len(policy.versions) >= 5:
        raise Refused(
            "LimitExceeded",
            "A managed policy can have up to 5 versions. Before you create a new version, you must "
            "delete an existing version.",
            409,
        )


@rule("iam", "DeletePolicyVersion", source=f"{API}DeletePolicyVersion.html")
def default_version_stays(request: Request) -> None:
    """The default version of a policy cannot be deleted."""
    policy = _backend(request).managed_policies.get(request.parameters["PolicyArn"])
    if policy and policy.default_version_id == request.parameters["VersionId"]:
        raise Refused("DeleteConflict", "Cannot delete the default version of a policy.", 409)


@rule("iam", "DeletePolicy", source=f"{API}DeletePolicy.html")
def policy_is_free(request: Request) -> None:
    """A policy is deleted after it is detached and its other versions are deleted."""
    policy = _backend(request).managed_policies.get(request.parameters["PolicyArn"])
    if policy and policy.attachment_count:
        message = "Cannot delete a policy attached to entities."
        raise Refused("DeleteConflict", message, 409)
    if policy and len(policy.versions) > 1:
        message = "This policy has more than one version. Before you delete a policy, you must "
        raise Refused("DeleteConflict", f"{message}delete the policy's versions.", 409)


@rule("iam", "DeleteRole", source=f"{API}DeleteRole.html")
def role_is_empty(request: Request) -> None:
    """A role is deleted after its policies are, and after it left its instance profiles."""
    name, backend = request.parameters["RoleName"], _backend(request)
    for role in backend.roles.values():
        if role.name == name and (role.policies or role.managed_policies):
            raise Refused("DeleteConflict", "Must delete policies first.", 409)
    for profile in backend.instance_profiles.values():
        if any(role.name == name for role in profile.roles):
            message = "Cannot delete entity, must remove roles from instance profile first."
            raise Refused("DeleteConflict", message, 409)


@rule(
    "iam",
    *("CreatePolicy", "CreatePolicyVersion", "PutRolePolicy", "PutUserPolicy", "PutGroupPolicy"),
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html",
)
def policy_is_well_formed(request: Request) -> None:
    """Statements have an effect, actions with a service, ARNs or *, and unique Sids of letters."""
    _check(request.parameters["PolicyDocument"], _statement_of_identity)


@rule(
    "iam",
    *("CreateRole", "UpdateAssumeRolePolicy"),
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html",
)
def trust_is_well_formed(request: Request) -> None:
    """Statements of a trust policy name a principal and no resource, and one of GitHub a subject.

    The subject: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc_secure-by-default.html
    """
    document = request.parameters.get("AssumeRolePolicyDocument")
    _check(document or request.parameters["PolicyDocument"], _statement_of_trust)


def _check(document: str, check: Callable[[dict[str, Any]], Iterator[str]]) -> None:
    policy = json.loads(document)
    if policy.get("Version") not in (None, "2008-10-17", "2012-10-17"):
        raise Refused("MalformedPolicyDocument", "The policy must contain a valid version string")
    statements = policy["Statement"]
    statements = statements if isinstance(statements, list) else [statements]
    sids = [statement["Sid"] for statement in statements if "Sid" in statement]
    if len(set(sids)) < len(sids):
        raise Refused("MalformedPolicyDocument", "Statement IDs (SID) in a policy must be unique.")
    for statement in statements:
        for problem in check(statement):
            raise Refused("MalformedPolicyDocument", problem)


def _statement_of_identity(statement: dict[str, Any]) -> Iterator[str]:
    if not re.fullmatch("[A-Za-z0-9]*", statement.get("Sid", "")):
        yield "Statement IDs (SID) must be letters and digits."
    if statement.get("Effect") not in ("Allow", "Deny"):
        yield "Policy statement must contain an effect of Allow or Deny."
    if "Principal" in statement:
        yield "Policy document should not specify a principal."
    actions = _list(statement.get("Action", statement.get("NotAction", [])))
    resources = _list(statement.get("Resource", statement.get("NotResource", [])))
    if not actions:
        yield "Policy statement must contain actions."
    if not resources:
        yield "Policy statement must contain resources."
    for action in actions:
        if not re.fullmatch(r"\*|[a-z0-9-]+:[A-Za-z0-9*?]+", action):
            yield f"Actions/Conditions must be prefaced by a vendor: {action}"
    for resource in resources:
        if not re.fullmatch(r"\*|arn:[a-z*-]+:[a-z0-9*-]+:[^:]*:[^:]*:.+", resource):
            yield f'Resource {resource} must be in ARN format or "*".'


def _statement_of_trust(statement: dict[str, Any]) -> Iterator[str]:
    if "Resource" in statement:
        yield "Has prohibited field Resource"
    if "Principal" not in statement:
        yield "Missing required field Principal"
    federated = str(statement.get("Principal", {}).get("Federated", ""))
    if "token.actions.githubusercontent.com" in federated:
        conditions = statement.get("Condition", {})
        subjects = [
            subject
            for operator, keys in conditions.items()
            if operator.startswith("String")
            for key, values in keys.items()
            if key == "token.actions.githubusercontent.com:sub"
            for subject in _list(values)
        ]
        if not subjects or any(subject.startswith(("*", "?")) for subject in subjects):
            yield "The trust policy must evaluate token.actions.githubusercontent.com:sub"


def _list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]

"""The roles of the API and their permissions boundary, which an administrator creates.

A release creates no role, because IAM cannot limit whom a new role trusts.
"""

import json
from functools import partial

from aws import policy_statements, role_policies, roles, stages
from aws.account import Account, or_none
from aws.errors import AwsError
from aws.policy_statements import Policy, allow
from aws.stages import Stage

_LAMBDA = "lambda.amazonaws.com"
_CODEDEPLOY = "codedeploy.amazonaws.com"


def function_role(stage: Stage) -> str:
    """Return the name of the function's role. Chalice chose it, so the stack uses it too."""
    return f"{stage.function}-api_handler"


def release_role(stage: Stage) -> str:
    """Return the name of the role with which CodeDeploy shifts the traffic of a stack."""
    return f"{stage.function}-release"


def boundary_arn(account: Account, stage: Stage) -> str:
    """Return the ARN of the permissions boundary of the function's role."""
    return f"arn:{account.partition}:iam::{account.id}:policy/{stage.function}-boundary"


def traffic_shifting(account: Account, stage: Stage) -> Policy:
    """Return the policy with which CodeDeploy shifts the traffic of the alias.

    https://docs.aws.amazon.com/codedeploy/latest/userguide/getting-started-create-service-role.html
    """
    function = account.arn("lambda", f"function:{stage.function}")
    return policy_statements.policy(
        allow(
            "ShiftTraffic",
            ["lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"],
            [function, f"{function}:live"],
        ),
        # CodeDeploy describes all alarms of a deployment group in one call
        allow("ReadAlarms", "cloudwatch:DescribeAlarms", account.arn("cloudwatch", "alarm:*")),
    )


def documents(account: Account, stage: Stage) -> dict[str, Policy]:
    """Return the policies of the stage's roles, by the role."""
    needed = role_policies.lambda_(account, stage)
    documents = {"boundary": needed, function_role(stage): needed}
    if stages.has_stack(stage.name):
        documents[release_role(stage)] = traffic_shifting(account, stage)
    return documents


def ensure(account: Account, stage: Stage) -> list[str]:
    """Create or update the boundary and the roles of the stage. Return a line for each change.

    Chalice writes the policy of the function's role itself; the boundary is what limits it.
    """
    changes = []
    needed, boundary = role_policies.lambda_(account, stage), f"{stage.function}-boundary"
    if roles.ensure_policy(account, boundary, needed):
        changes.append(f"policy {boundary} written")
    stack, name = stages.has_stack(stage.name), function_role(stage)
    if roles.ensure_role(account, name, roles.trust(_LAMBDA), needed if stack else None):
        changes.append(f"role {name} created")
    account.client("iam").put_role_permissions_boundary(
        RoleName=name, PermissionsBoundary=boundary_arn(account, stage)
    )
    if stack:
        name, policy = release_role(stage), traffic_shifting(account, stage)
        if roles.ensure_role(account, name, roles.trust(_CODEDEPLOY), policy):
            changes.append(f"role {name} created")
    return changes


def check_trust(account: Account, stage: Stage) -> None:
    """Raise AwsError if a role of the stage trusts more than its service.

    The roles of a stack must exist. Chalice creates the function's role if the caller may.
    """
    stack, iam = stages.has_stack(stage.name), account.client("iam")
    trusted = {function_role(stage): _LAMBDA}
    if stack:
        trusted[release_role(stage)] = _CODEDEPLOY
    fix = f"`python -m ops policy --role boundary --stage {stage.name} --apply`"
    for name, service in trusted.items():
        response = or_none(partial(iam.get_role, RoleName=name))
        if response is None:
            if stack:
                raise AwsError(
                    f"Role {name} does not exist. Ask an administrator to create it with {fix}."
                )
            continue
        for statement in response["Role"]["AssumeRolePolicyDocument"]["Statement"]:
            if statement.get("Principal") != {"Service": service}:
                raise AwsError(
                    f"Role {name} trusts {json.dumps(statement.get('Principal'))}, not only "
                    f"{service}. Ask an administrator to restore its trust policy with {fix}."
                )

"""The roles of the pipeline, one a stage: who may take them, and what they can and cannot do.

GitHub's OIDC token is exchanged for an hour of the stage's role (.github/workflows/pipeline.yml).
The boundary is the second lock: whatever the pipeline writes into a role of the API, that role can
do no more than the API needs.
"""

import json
import re
from typing import Any

from botocore.exceptions import ClientError

from aws import policy_statements, role_policies, roles, stages
from aws.account import Account, is_missing
from aws.policy_statements import Policy
from aws.stages import Stage
from cli.errors import SettingsError
from ops.iam import release_policy

ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"


def role(stage: Stage) -> str:
    """The name of the stage's pipeline role; it starts unlike all that the role may touch."""
    application = stage.function.removesuffix(f"-{stage.name}")
    return f"{application}-pipeline-{stage.name}"


def trust(account: Account, stage: Stage, repository: str) -> Policy:
    """Who may take the role: the jobs of `repository` in the GitHub environment of the stage.

    Raises `SettingsError` where `repository` is not `OWNER/NAME`: a wildcard would let in others.
    """
    if not re.fullmatch(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+", repository):
        raise SettingsError(f"--repository {repository!r} is not OWNER/NAME, as GitHub writes it")
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": _provider_arn(account)},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {
                        f"{ISSUER}:aud": AUDIENCE,
                        f"{ISSUER}:sub": f"repo:{repository}:environment:{stage.name}",
                    }
                },
            }
        ],
    }


def policy(account: Account, stage: Stage) -> Policy:
    """What the stage's role may do."""
    make = release_policy.stack if stages.has_stack(stage.name) else release_policy.chalice
    return make(account, stage)


def boundary(account: Account, stage: Stage) -> Policy:
    """What no role of the stage can go beyond: what its function needs; in a stack also what
    CodeDeploy needs to move the traffic, which https://docs.aws.amazon.com/codedeploy/latest/
    userguide/getting-started-create-service-role.html lists for all functions.
    """
    document = role_policies.lambda_(account, stage)
    if not stages.has_stack(stage.name):
        return document
    return policy_statements.policy(*document["Statement"], *_release(account, stage))


def _release(account: Account, stage: Stage) -> list[policy_statements.Statement]:
    arn = account.arn("lambda", f"function:{stage.function}")
    return [
        policy_statements.allow(
            "MoveTheTraffic",
            ["lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"],
            [arn, f"{arn}:live"],
        ),
        # CodeDeploy asks for all alarms of the group at once; IAM scopes that by `*` alone.
        policy_statements.allow(
            "HearTheAlarms", "cloudwatch:DescribeAlarms", account.arn("cloudwatch", "alarm:*")
        ),
    ]


def ensure_boundary(account: Account, stage: Stage) -> bool:
    """Let the stage's boundary be what it should be; returns whether anything had to change."""
    client, arn = account.client("iam"), release_policy.boundary_arn(account, stage)
    wanted = boundary(account, stage)
    try:
        version = client.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    except ClientError as error:
        if not is_missing(error):
            raise
        client.create_policy(
            PolicyName=arn.rpartition("/")[2],
            PolicyDocument=json.dumps(wanted),
            Description=f"What no role of the API's stage {stage.name} can go beyond",
            Tags=account.settings.tag_list(),
        )
        return True
    found = client.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
    if found["Document"] == wanted:
        return False
    # IAM keeps five versions: only the one in force is of use.
    for old in client.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not old["IsDefaultVersion"]:
            client.delete_policy_version(PolicyArn=arn, VersionId=old["VersionId"])
    client.create_policy_version(
        PolicyArn=arn, PolicyDocument=json.dumps(wanted), SetAsDefault=True
    )
    return True


def ensure(account: Account, stage: Stage, repository: str) -> list[str]:
    """Make all that the pipeline of `stage` needs, or bring it up to date; what was done, in lines.

    The identity provider, the boundary, the function's role where Chalice would have to create it,
    and the pipeline's role itself.
    """
    done = []
    trusted = trust(account, stage, repository)  # refuses a wrong name before anything is made
    if _ensure_provider(account):
        done.append(f"identity provider {ISSUER} created")
    if ensure_boundary(account, stage):
        done.append(f"policy {stage.function}-boundary written")
    client = account.client("iam")
    if not stages.has_stack(stage.name):
        name = release_policy.function_role(stage)
        new = _ensure_role(account, name, roles.trust("lambda.amazonaws.com"))
        client.put_role_permissions_boundary(
            RoleName=name, PermissionsBoundary=release_policy.boundary_arn(account, stage)
        )
        done += [f"role {name} created"] if new else []
    name = role(stage)
    new = _ensure_role(account, name, trusted)
    client.put_role_policy(
        RoleName=name, PolicyName=roles.POLICY, PolicyDocument=json.dumps(policy(account, stage))
    )
    done.append(f"role {account.role_arn(name)} {'created' if new else 'is up to date'}")
    return done


def _provider_arn(account: Account) -> str:
    return f"arn:{account.partition}:iam::{account.id}:oidc-provider/{ISSUER}"


def _ensure_provider(account: Account) -> bool:
    client = account.client("iam")
    listed = client.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    if _provider_arn(account) in {one["Arn"] for one in listed}:
        return False
    # No thumbprint: AWS verifies GitHub's certificate by its own list of authorities.
    client.create_open_id_connect_provider(
        Url=f"https://{ISSUER}", ClientIDList=[AUDIENCE], Tags=account.settings.tag_list()
    )
    return True


def _ensure_role(account: Account, name: str, trusted: dict[str, Any]) -> bool:
    """Let the role exist and be trusted so; returns whether it is new."""
    client, document = account.client("iam"), json.dumps(trusted)
    try:
        client.get_role(RoleName=name)
    except ClientError as error:
        if not is_missing(error):
            raise
        client.create_role(
            RoleName=name, AssumeRolePolicyDocument=document, Tags=account.settings.tag_list()
        )
        return True
    client.update_assume_role_policy(RoleName=name, PolicyDocument=document)
    return False

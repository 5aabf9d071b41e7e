"""The IAM role that GitHub Actions assumes to release a stage, and the permissions boundary.

The workflow exchanges GitHub's OIDC token for one hour of the role. The boundary limits every role
of the API, whatever policy the workflow writes into it.
"""

import json
import re

from aws import policy_statements, role_policies, roles, stages
from aws.account import Account, or_none
from aws.policy_statements import Policy, allow
from aws.stages import Stage
from cli.errors import SettingsError
from ops.iam import release_policy

ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"


def role_name(stage: Stage) -> str:
    """Return the name of the role, which matches no resource that the role may change."""
    application = stage.function.removesuffix(f"-{stage.name}")
    return f"{application}-pipeline-{stage.name}"


def trust(account: Account, stage: Stage, repository: str) -> Policy:
    """Return the trust policy for jobs of `repository` in the stage's GitHub environment.

    Raises SettingsError unless `repository` is OWNER/NAME: a wildcard would admit others.
    """
    if not re.fullmatch(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+", repository):
        raise SettingsError(f'--repository is "{repository}": write OWNER/NAME as on GitHub.')
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
    """Return the policy of the role: release this stage."""
    release = release_policy.stack if stages.has_stack(stage.name) else release_policy.chalice
    return release(account, stage)


def boundary(account: Account, stage: Stage) -> Policy:
    """Return the permissions boundary of the stage's roles: what its function needs.

    In a CloudFormation stack it also allows what CodeDeploy needs to shift traffic, see
    https://docs.aws.amazon.com/codedeploy/latest/userguide/getting-started-create-service-role.html
    """
    document = role_policies.lambda_(account, stage)
    if not stages.has_stack(stage.name):
        return document
    function = account.arn("lambda", f"function:{stage.function}")
    return policy_statements.policy(
        *document["Statement"],
        allow(
            "ShiftTraffic",
            ["lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"],
            [function, f"{function}:live"],
        ),
        # CodeDeploy describes all alarms of a deployment group in one call
        allow("ReadAlarms", "cloudwatch:DescribeAlarms", account.arn("cloudwatch", "alarm:*")),
    )


def ensure_boundary(account: Account, stage: Stage) -> bool:
    """Create the stage's boundary or update it. Return whether anything changed."""
    iam, arn = account.client("iam"), release_policy.boundary_arn(account, stage)
    document = boundary(account, stage)
    response = or_none(lambda: iam.get_policy(PolicyArn=arn))
    if response is None:
        iam.create_policy(
            PolicyName=arn.rpartition("/")[2],
            PolicyDocument=json.dumps(document),
            Description=f"Permissions boundary of the roles of the API's stage {stage.name}",
            Tags=account.settings.tag_list(),
        )
        return True
    current = response["Policy"]["DefaultVersionId"]
    version = iam.get_policy_version(PolicyArn=arn, VersionId=current)["PolicyVersion"]
    if version["Document"] == document:
        return False
    # IAM keeps at most five versions of a policy
    for old in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not old["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=old["VersionId"])
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document), SetAsDefault=True)
    return True


def ensure(account: Account, stage: Stage, repository: str) -> list[str]:
    """Create or update what the workflow needs to release `stage`. Return a line for each change.

    That is the identity provider, the boundary, the workflow's role and, if Chalice deploys the
    stage, the function's role.
    """
    trust_policy = trust(account, stage, repository)  # first: it validates the repository
    changes = []
    if _ensure_provider(account):
        changes.append(f"identity provider {ISSUER} created")
    if ensure_boundary(account, stage):
        changes.append(f"policy {stage.function}-boundary written")
    if not stages.has_stack(stage.name):
        name = release_policy.function_role(stage)
        if roles.ensure_role(account, name, roles.trust("lambda.amazonaws.com")):
            changes.append(f"role {name} created")
        account.client("iam").put_role_permissions_boundary(
            RoleName=name, PermissionsBoundary=release_policy.boundary_arn(account, stage)
        )
    name = role_name(stage)
    new = roles.ensure_role(account, name, trust_policy, policy(account, stage))
    changes.append(f"role {account.role_arn(name)} {'created' if new else 'is up to date'}")
    return changes


def _provider_arn(account: Account) -> str:
    return f"arn:{account.partition}:iam::{account.id}:oidc-provider/{ISSUER}"


def _ensure_provider(account: Account) -> bool:
    iam = account.client("iam")
    providers = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    if _provider_arn(account) in {provider["Arn"] for provider in providers}:
        return False
    # AWS verifies GitHub's certificate without a thumbprint
    iam.create_open_id_connect_provider(
        Url=f"https://{ISSUER}", ClientIDList=[AUDIENCE], Tags=account.settings.tag_list()
    )
    return True

"""The role that releases a stage: who may assume it, and what only it may do.

GitHub Actions exchanges its OIDC token for one hour of the role; people assume it with their own
credentials.
"""

import re
from collections.abc import Sequence
from typing import Any

from aws import policy_statements, roles, s3_storage, stages
from aws.account import Account, or_none
from aws.policy_statements import Policy, Statement
from aws.stages import Stage
from cli.errors import SettingsError
from ops.api import rest_api
from ops.iam import api_roles, release_policy

ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
# GitHub's rules for owners (39 characters) and repositories (100), with the ids of `gh api`.
_OWNER, _NAME, _ID = "[A-Za-z0-9][A-Za-z0-9_-]{0,38}", "[A-Za-z0-9._-]{1,100}", "[1-9][0-9]{0,18}"
_IDS_COMMAND = "gh api repos/{} --jq '\"\\(.owner.login)@\\(.owner.id)/\\(.name)@\\(.id)\"'"
OLD_FORM = "old:"
"""What marks a repository whose tokens have subjects without ids."""


def role_name(stage: Stage) -> str:
    """Return the name of the role, which matches no resource that the role may change."""
    application = stage.function.removesuffix(f"-{stage.name}")
    return f"{application}-pipeline-{stage.name}"


def subject(repository: str, environment: str) -> str:
    """Return the subject of the tokens of jobs in an environment of a repository.

    `repository` is OWNER@OWNER_ID/NAME@REPOSITORY_ID: subjects have contained the ids since
    2026-07-15, so that a new owner of a name gets no access. Repositories that
    were created and last renamed before send the old form, `old:OWNER/NAME`. Raises SettingsError
    with the command that prints the ids.

    https://github.blog/changelog/2026-04-23-immutable-subject-claims-for-github-actions-oidc-tokens/
    """
    with_ids = rf"{_OWNER}@{_ID}/{_NAME}@{_ID}"
    name = repository.removeprefix(OLD_FORM)
    if not re.fullmatch(with_ids, repository):
        plain = re.fullmatch(f"{_OWNER}/{_NAME}", name)
        if not plain:
            raise SettingsError(
                f'--repository is "{repository}": write OWNER@OWNER_ID/NAME@REPOSITORY_ID; '
                f"`{_IDS_COMMAND.format('OWNER/NAME')}` prints it for a repository OWNER/NAME."
            )
        if repository == name:
            raise SettingsError(
                f'--repository is "{repository}", without the ids that GitHub\'s tokens contain: '
                f"write what `{_IDS_COMMAND.format(name)}` prints. Only for a repository that was "
                f"created, renamed or transferred last before 2026-07-15, write {OLD_FORM}{name}."
            )
    # GitHub replaces the separator in the name of an environment
    return f"repo:{name}:environment:{environment.replace(':', '%3A')}"


def trust(account: Account, stage: Stage, repository: str, releasers: Sequence[str]) -> Policy:
    """Return the trust policy for jobs in the stage's GitHub environment, and for `releasers`.

    `repository` is "" or as `subject` takes it. Raises SettingsError if it is not, or if a releaser
    is not the ARN of a user or role of this account: a wildcard would admit others.
    """
    statements = []
    if repository:
        condition = {
            f"{ISSUER}:aud": AUDIENCE,
            f"{ISSUER}:sub": subject(repository, stage.name),
        }
        statements.append(
            {
                "Effect": "Allow",
                "Principal": {"Federated": _provider_arn(account)},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": condition},
            }
        )
    for releaser in releasers:
        scope = f"arn:{account.partition}:iam::{account.id}:"
        if not re.fullmatch(rf"{scope}(user|role)/[\w+=,.@/-]+", releaser):
            raise SettingsError(
                f'--releaser is "{releaser}": write the ARN of a user or role of this account, '
                f"such as {scope}user/NAME."
            )
    if releasers:
        statements.append(
            {
                "Effect": "Allow",
                "Principal": {"AWS": list(releasers)},
                "Action": "sts:AssumeRole",
            }
        )
    document = policy_statements.policy(*statements)
    size = policy_statements.characters(document)
    if size > policy_statements.TRUST_CHARACTERS:
        raise SettingsError(
            f"The trust policy of {role_name(stage)} has {size} characters; IAM accepts "
            f"{policy_statements.TRUST_CHARACTERS}. Name fewer people with --releaser, or one role "
            "that they share."
        )
    return document


def policy(account: Account, stage: Stage) -> Policy:
    """Return the policy of the role: release this stage."""
    release = release_policy.stack if stages.has_stack(stage.name) else release_policy.chalice
    return release(account, stage)


def bucket_statements(account: Account, stage: Stage) -> list[Statement]:
    """Return what the bucket's policy refuses: releases written by others, or written twice.

    Empty for a stage that stores no releases. IAM compares the ARN of the role, whatever the name
    of its session.
    """
    if not stages.has_stack(stage.name):
        return []
    name = stage.name.title().replace("-", "").replace("_", "")
    refuse = {
        "Effect": "Deny",
        "Principal": "*",
        "Resource": policy_statements.below(account, f"api/{stage.name}"),
    }
    role = account.role_arn(role_name(stage))
    return [
        {
            "Sid": f"OnlyReleaseRoleWrites{name}",
            **refuse,
            "Action": ["s3:PutObject*", "s3:Replicate*"],
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": role}},
        },
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
        {
            "Sid": f"WriteOnce{name}",
            **refuse,
            "Action": "s3:PutObject",
            "Condition": {"Null": {"s3:if-none-match": "true"}},
        },
    ]


def documents(
    account: Account, stage: Stage, repository: str, releasers: Sequence[str]
) -> dict[str, Any]:
    """Return the name, trust policy and policy of the role, and the bucket's statements."""
    return {
        "role": role_name(stage),
        "trust": trust(account, stage, repository, releasers),
        "policy": policy(account, stage),
        "bucket": bucket_statements(account, stage),
    }


def ensure(account: Account, stage: Stage, repository: str, releasers: Sequence[str]) -> list[str]:
    """Create or update what a release of `stage` needs. Return a line for each change.

    That is the identity provider, the API's roles, the release role, the statements of the bucket's
    policy, and, if Chalice deploys the stage, its REST API.
    """
    trust_policy = trust(account, stage, repository, releasers)  # first: it validates
    changes = []
    if repository and (change := _ensure_provider(account)):
        changes.append(change)
    changes += api_roles.ensure(account, stage)
    if not stages.has_stack(stage.name):
        changes.append(f"REST API {rest_api.ensure(account, stage)} is tagged {stage.function}")
    elif s3_storage.exists(account):
        s3_storage.put_statements(account, bucket_statements(account, stage))
        changes.append(f"bucket {account.bucket} accepts releases only from the role")
    else:
        changes.append(
            f"bucket {account.bucket} does not exist: create it with `python -m training upload "
            "--create-bucket` and run this command again to protect its releases"
        )
    name = role_name(stage)
    new = roles.ensure_role(account, name, trust_policy, policy(account, stage))
    changes.append(f"role {account.role_arn(name)} {'created' if new else 'is up to date'}")
    return changes


def _provider_arn(account: Account) -> str:
    return f"arn:{account.partition}:iam::{account.id}:oidc-provider/{ISSUER}"


def _ensure_provider(account: Account) -> str:
    """Create the identity provider, or let it admit our audience. Return what was done, or ""."""
    iam, arn = account.client("iam"), _provider_arn(account)
    provider = or_none(lambda: iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn))
    if provider is None:
        # AWS verifies GitHub's certificate without a thumbprint
        iam.create_open_id_connect_provider(
            Url=f"https://{ISSUER}", ClientIDList=[AUDIENCE], Tags=account.settings.tag_list()
        )
        return f"identity provider {ISSUER} created"
    if AUDIENCE not in provider["ClientIDList"]:
        iam.add_client_id_to_open_id_connect_provider(
            OpenIDConnectProviderArn=arn, ClientID=AUDIENCE
        )
        return f"identity provider {ISSUER} admits the audience {AUDIENCE}"
    return ""

"""Write the least-privilege IAM policies of the API, of service roles, and of people.

--stage writes .chalice/policy-STAGE.json for `chalice deploy` and `chalice package`: invoke that
stage's endpoint and write the function's own log. --role prints the policy of a role; --apply
creates or updates the role. --role deploy is for people: several policies by topic, which --apply
writes as managed policies to attach to a group, a role or a permission set. --role key is the
policy of the KMS key of [aws], for the service roles and for every account --reader. --role
boundary is for the roles of the API and the boundary of its function's role. --role pipeline adds,
per stage, the role that releases it, for GitHub Actions and for each --releaser, and what the
bucket's policy refuses to others. With --account and --region no call to AWS is made.

example:
  python -m ops policy --stage dev
  python -m ops policy --stage prod --account 123456789012 --region eu-central-1
  python -m ops policy --role training --apply
  python -m ops policy --role pipeline --repository OWNER@1/NAME@2 --stage dev --apply
  python -m ops policy --role pipeline --releaser arn:aws:iam::123456789012:user/NAME --apply
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from aws import account as accounts
from aws import kms_key, role_policies, roles, stages, training_image
from aws.account import Account
from aws.policy_statements import Policy
from aws.settings import Ec2Settings, FitSettings, ServingSettings
from cli import commands
from cli.errors import SettingsError
from cli.files import write_atomically
from ops.endpoint import codebuild
from ops.iam import api_roles, github_oidc, operator_policy


@dataclass(frozen=True, slots=True)
class Role:
    """A role for an AWS service: its principal, name and policy."""

    service: str
    name: Callable[[Account], str]
    policy: Callable[[Account], Policy]


def _training(account: Account) -> Policy:
    fit = FitSettings.read()
    return role_policies.training(account, training_image.uri(account, fit), fit)


def _ec2(account: Account) -> Policy:
    return role_policies.ec2(account, FitSettings.read())


def _serving(account: Account) -> Policy:
    endpoints = [stages.read(name).endpoint for name in stages.names()]
    return role_policies.serving(account, ServingSettings.read().repository, endpoints)


def _codebuild(account: Account) -> Policy:
    return codebuild.policy(account, ServingSettings.read().repository)


def _key(account: Account, readers: Sequence[str]) -> Policy:
    for reader in readers:
        if not re.fullmatch(r"\d{12}", reader):
            raise SettingsError(f'--reader is "{reader}": an account number has 12 digits.')
    return kms_key.key_policy(account, _service_role_names(account), readers)


def _service_role_names(account: Account) -> list[str]:
    return [role.name(account) for role in SERVICE_ROLES.values()]


def operator(account: Account) -> Policy:
    """Return all statements for people who train the model and operate the endpoint."""
    repository = ServingSettings.read().repository
    return operator_policy.policy(account, repository, _service_role_names(account))


def operator_documents(account: Account) -> dict[str, Policy]:
    """Return the same statements as managed policies, by their names."""
    repository = ServingSettings.read().repository
    return operator_policy.documents(account, repository, _service_role_names(account))


SERVICE_ROLES = {
    "training": Role("sagemaker", lambda account: account.settings.training_role, _training),
    "serving": Role("sagemaker", lambda account: account.settings.serving_role, _serving),
    "ec2": Role("ec2", lambda _: Ec2Settings.read().role, _ec2),
    "codebuild": Role("codebuild", lambda _: codebuild.ROLE, _codebuild),
}
OPERATOR = "deploy"
KEY = "key"
STAGE_ROLES = ("pipeline", "boundary")


@commands.command(__doc__)
@click.option("--stage", help="Stage in .chalice/config.json: write its function's policy.")
@click.option(
    "--role",
    type=click.Choice([*SERVICE_ROLES, OPERATOR, KEY, *STAGE_ROLES]),
    help="Print the policy of this role.",
)
@click.option(
    "--repository",
    default="",
    metavar="OWNER@ID/NAME@ID",
    help="Repository on GitHub with its ids, for --role pipeline. old:OWNER/NAME for tokens "
    "without ids.",
)
@click.option(
    "--releaser",
    "releasers",
    multiple=True,
    metavar="ARN",
    help="User or role that may assume the role of --role pipeline. Repeatable.",
)
@click.option(
    "--reader",
    "readers",
    multiple=True,
    metavar="ACCOUNT",
    help="Account that may decrypt the photos, for --role key. Repeatable.",
)
@click.option("--account", "account_id", help="Account number. Default: the caller's account.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write. Default with --role: stdout.",
)
@click.option("--apply", is_flag=True, help="With --role: create or update the role.")
@commands.dry_run_option
@accounts.options()
def command(
    account: Account,
    stage: str | None,
    role: str | None,
    repository: str,
    releasers: tuple[str, ...],
    readers: tuple[str, ...],
    account_id: str | None,
    output: Path | None,
    apply: bool,
    dry_run: bool,
) -> None:
    if account_id:
        if not re.fullmatch(r"\d{12}", account_id):
            raise SettingsError(f'--account is "{account_id}": an account number has 12 digits.')
        account.id = account_id  # so that STS is not called
    if role in STAGE_ROLES:
        if role == "pipeline" and not (repository or releasers):
            raise SettingsError(
                "--role pipeline needs --repository OWNER@ID/NAME@ID or --releaser ARN."
            )
        selected = [stages.read(name) for name in ([stage] if stage else stages.names())]
        if apply and not dry_run:
            for each in selected:
                if role == "boundary":
                    changes = api_roles.ensure(account, each)
                else:
                    changes = github_oidc.ensure(account, each, repository, releasers)
                print("\n".join(changes or [f"the roles of stage {each.name} are up to date"]))
            return
        documents = {}
        for each in selected:
            documents[each.name] = api_roles.documents(account, each)
            if role == "pipeline":
                documents[each.name] |= github_oidc.documents(account, each, repository, releasers)
        _write(documents, None if dry_run else output)
    elif bool(stage) == bool(role):
        raise SettingsError(f"Give --stage or --role; both only with {' or '.join(STAGE_ROLES)}.")
    elif stage:
        path = output or stages.folder() / f"policy-{stage}.json"
        policy = role_policies.lambda_(account, stages.read(stage))
        _write(policy, None if dry_run else path)
    elif role == KEY:
        document = _key(account, readers)
        if apply and not dry_run:
            kms_key.put_statements(account, document["Statement"])
            print(f"policy of {account.settings.kms_key} written")
        else:
            _write(document, None if dry_run else output)
    elif apply and not dry_run:
        if role == OPERATOR:
            _apply_operator_policies(account)
        else:
            _apply_service_role(account, str(role))
    else:
        if role == OPERATOR:
            document = operator_documents(account)
        else:
            document = SERVICE_ROLES[str(role)].policy(account)
        _write(document, None if dry_run else output)


def _apply_operator_policies(account: Account) -> None:
    documents = operator_documents(account)
    for name, document in documents.items():
        changed = roles.ensure_policy(account, name, document)
        print(f"policy {name} {'written' if changed else 'is up to date'}")
    pages = account.client("iam").get_paginator("list_policies").paginate(Scope="Local")
    existing = [policy["PolicyName"] for page in pages for policy in page["Policies"]]
    for name in existing:
        if name.startswith(operator_policy.prefix(account)) and name not in documents:
            print(roles.remove_policy(account, name))
    print("Attach these policies to the group, role or permission set of your operators.")


def _apply_service_role(account: Account, role: str) -> None:
    service_role = SERVICE_ROLES[role]
    name = service_role.name(account)
    trust = roles.trust(f"{service_role.service}.amazonaws.com")
    created = roles.ensure_role(account, name, trust, service_role.policy(account))
    if role == "ec2":
        roles.ensure_instance_profile(account, name)
    print(f"role {name} {'created' if created else 'is up to date'}")


def _write(document: dict[str, Any], output: Path | None) -> None:
    text = json.dumps(document, indent=2) + "\n"
    if output is None:
        print(text, end="")
        return
    write_atomically(output, text)
    print(f"wrote {output}")

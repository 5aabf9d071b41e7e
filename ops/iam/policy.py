"""Write the least-privilege policies: of the API's function, and of the roles of these commands.

--stage writes .chalice/policy-STAGE.json, which `chalice deploy` and `chalice package` use: invoke
exactly that stage's endpoint, write the function's own log, nothing else. --role prints the policy
of a role; --apply creates the role, or brings it up to date. --role pipeline prints, for each stage
or the one of --stage, the trust policy for GitHub's OIDC, the policy to deploy with, and the
boundary that no role of the API can go beyond; --role boundary is the last of these alone. With
--account and --region nothing is asked of AWS.

example:
  python -m training policy --stage dev
  python -m training policy --stage prod --account 123456789012 --region eu-central-1
  python -m training policy --role training --apply
  python -m training policy --role pipeline --repository OWNER/NAME --stage dev --apply
"""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aws import account as accounts
from aws import role_policies, roles, stages, training_image
from aws.account import Account, told_in_one_line
from aws.errors import AwsError
from aws.policy_statements import Policy
from aws.settings import Ec2Settings, FitSettings, ServingSettings
from cli.errors import SettingsError
from ops.endpoint import codebuild
from ops.iam import github_oidc, operator_policy


@dataclass(frozen=True, slots=True)
class Role:
    """A role that `--role` knows: who takes it, under which name, with what policy."""

    service: str
    name: Callable[[Account], str]
    policy: Callable[[Account], Policy]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--stage", help="stage of .chalice/config.json: write its function's policy"
    )
    parser.add_argument(
        "--role", choices=[*ROLES, *OF_A_STAGE], help="print the policy of this role"
    )
    parser.add_argument(
        "--repository",
        default=os.environ.get("GITHUB_REPOSITORY", ""),
        help="OWNER/NAME at GitHub, for --role pipeline (default: of GITHUB_REPOSITORY)",
    )
    parser.add_argument("--account", help="12 digits (default: asked of AWS)")
    parser.add_argument("--output", type=Path, help="file to write (default of --role: stdout)")
    parser.add_argument("--apply", action="store_true", help="with --role: create the role")
    parser.add_argument("--dry-run", action="store_true", help="print only, write nothing")
    accounts.add_options(parser)


@told_in_one_line
def run(arguments: argparse.Namespace) -> None:
    account = accounts.open_account(arguments)
    if arguments.account:
        if not (len(arguments.account) == 12 and arguments.account.isdigit()):
            raise SettingsError(f"--account {arguments.account!r} is not 12 digits")
        account.id = arguments.account  # and STS is not asked
    if arguments.role in OF_A_STAGE:
        _of_stages(account, arguments)
        return
    if bool(arguments.stage) == bool(arguments.role):
        raise SettingsError(
            f"name --stage or --role; both only with --role {' or '.join(OF_A_STAGE)}"
        )
    if arguments.stage:
        stage = stages.read(arguments.stage)
        policy = role_policies.lambda_(account, stage)
        output = arguments.output or stages.CONFIG.with_name(f"policy-{stage.name}.json")
        _write(policy, None if arguments.dry_run else output)
        return
    role = ROLES[arguments.role]
    policy = role.policy(account)
    if not arguments.apply or arguments.dry_run:
        _write(policy, None if arguments.dry_run else arguments.output)
        return
    if not role.service:
        raise AwsError(
            f"the {arguments.role} policy belongs to a person or a pipeline, not to a service: "
            "attach what is printed to your user or group"
        )
    name = role.name(account)
    created = roles.ensure_role(account, name, role.service, policy)
    if arguments.role == "ec2":
        roles.ensure_instance_profile(account, name)
    print(f"role {name} {'created' if created else 'is up to date'}")


def _of_stages(account: Account, arguments: argparse.Namespace) -> None:
    """The roles and boundaries of the API, each of one stage."""
    names = [arguments.stage] if arguments.stage else stages.names()
    chosen = [stages.read(name) for name in names]
    for_pipeline = arguments.role == "pipeline"
    if for_pipeline and not arguments.repository:
        raise SettingsError("--role pipeline needs --repository OWNER/NAME: who may take the role")
    if not arguments.apply or arguments.dry_run:
        documents = {
            stage.name: {
                **(
                    {
                        "role": github_oidc.role(stage),
                        "trust": github_oidc.trust(account, stage, arguments.repository),
                        "policy": github_oidc.policy(account, stage),
                    }
                    if for_pipeline
                    else {}
                ),
                "boundary": github_oidc.boundary(account, stage),
            }
            for stage in chosen
        }
        _write(documents, None if arguments.dry_run else arguments.output)
        return
    for stage in chosen:
        if for_pipeline:
            print("\n".join(github_oidc.ensure(account, stage, arguments.repository)))
        else:
            changed = github_oidc.ensure_boundary(account, stage)
            name = f"policy {stage.function}-boundary"
            print(f"{name} {'written' if changed else 'is up to date'}")


def _write(policy: Policy, output: Path | None) -> None:
    text = json.dumps(policy, indent=2) + "\n"
    if output is None:
        print(text, end="")
        return
    output.write_text(text, encoding="utf-8")
    print(f"wrote {output}")


def _training(account: Account) -> Policy:
    return role_policies.training(account, training_image.uri(account, FitSettings.read()))


def _serving(account: Account) -> Policy:
    endpoints = [stages.read(name).endpoint for name in stages.names()]
    return role_policies.serving(account, ServingSettings.read().repository, endpoints)


def _codebuild(account: Account) -> Policy:
    return codebuild.policy(account, ServingSettings.read().repository)


def _deploy(account: Account) -> Policy:
    cloud = account.settings
    roles = [cloud.training_role, cloud.serving_role, Ec2Settings.read().role, codebuild.ROLE]
    return operator_policy.policy(account, ServingSettings.read().repository, roles)


ROLES = {
    "training": Role(
        "sagemaker.amazonaws.com", lambda account: account.settings.training_role, _training
    ),
    "serving": Role(
        "sagemaker.amazonaws.com", lambda account: account.settings.serving_role, _serving
    ),
    "ec2": Role("ec2.amazonaws.com", lambda _: Ec2Settings.read().role, role_policies.ec2),
    "codebuild": Role("codebuild.amazonaws.com", lambda _: codebuild.ROLE, _codebuild),
    "deploy": Role("", lambda _: "", _deploy),
    "watch": Role("", lambda _: "", operator_policy.watching),
}
OF_A_STAGE = ("pipeline", "boundary")

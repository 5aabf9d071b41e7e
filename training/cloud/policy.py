"""Write the least-privilege policies: of the API's function, and of the roles of these commands.

--stage writes .chalice/policy-STAGE.json, which `chalice deploy` and `chalice package` use: invoke
exactly that stage's endpoint, write the function's own log, nothing else. --role prints the policy
of a role; --apply creates the role, or brings it up to date. With --account and --region nothing is
asked of AWS.

example:
  python -m training policy --stage dev
  python -m training policy --stage prod --account 123456789012 --region eu-central-1
  python -m training policy --role training --apply
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.cloud import account as accounts
from training.cloud import codebuild, deployer, iam, permissions, settings, stages, trainer
from training.cloud.account import Account, told_in_one_line
from training.cloud.settings import Ec2, Serving, Training
from training.cloud.statements import Policy
from training.errors import CloudError, SettingsError


@dataclass(frozen=True, slots=True)
class Role:
    """A role that `--role` knows: who takes it, under which name, with what policy."""

    service: str
    name: Callable[[Account], str]
    policy: Callable[[Account], Policy]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--stage", help="stage of .chalice/config.json: write its function's policy")
    what.add_argument("--role", choices=ROLES, help="print the policy of this role")
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
    if arguments.stage:
        stage = stages.read(arguments.stage)
        policy = permissions.lambda_(account, stage)
        output = arguments.output or stages.CONFIG.with_name(f"policy-{stage.name}.json")
        _write(policy, None if arguments.dry_run else output)
        return
    role = ROLES[arguments.role]
    policy = role.policy(account)
    if not arguments.apply or arguments.dry_run:
        _write(policy, None if arguments.dry_run else arguments.output)
        return
    if not role.service:
        raise CloudError(
            f"the {arguments.role} policy belongs to a person or a pipeline, not to a service: "
            "attach what is printed to your user or group"
        )
    name = role.name(account)
    created = iam.ensure_role(account, name, role.service, policy)
    if arguments.role == "ec2":
        iam.ensure_instance_profile(account, name)
    print(f"role {name} {'created' if created else 'is up to date'}")


def _write(policy: Policy, output: Path | None) -> None:
    text = json.dumps(policy, indent=2) + "\n"
    if output is None:
        print(text, end="")
        return
    output.write_text(text, encoding="utf-8")
    print(f"wrote {output}")


def _training(account: Account) -> Policy:
    return permissions.training(account, trainer.image(account, settings.read(Training)))


def _serving(account: Account) -> Policy:
    endpoints = [stages.read(name).endpoint for name in stages.names()]
    return permissions.serving(account, settings.read(Serving).repository, endpoints)


def _codebuild(account: Account) -> Policy:
    return codebuild.policy(account, settings.read(Serving).repository)


def _deploy(account: Account) -> Policy:
    cloud = account.cloud
    roles = [cloud.training_role, cloud.serving_role, settings.read(Ec2).role, codebuild.ROLE]
    return deployer.policy(account, settings.read(Serving).repository, roles)


ROLES = {
    "training": Role(
        "sagemaker.amazonaws.com", lambda account: account.cloud.training_role, _training
    ),
    "serving": Role(
        "sagemaker.amazonaws.com", lambda account: account.cloud.serving_role, _serving
    ),
    "ec2": Role("ec2.amazonaws.com", lambda _: settings.read(Ec2).role, permissions.ec2),
    "codebuild": Role("codebuild.amazonaws.com", lambda _: codebuild.ROLE, _codebuild),
    "deploy": Role("", lambda _: "", _deploy),
}

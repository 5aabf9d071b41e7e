"""The roles of the release workflow: who may assume them, and that they allow no more than needed.

tests/ops/api/test_pipeline_role.py runs a release under them.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tests.emulator.fixtures import ACCOUNT, Change, Command
from tests.emulator.iam_enforcement import Access, permits
from tests.ops.iam.test_policy import as_list

OFFLINE = ("--repository", "owner/name", "--account", ACCOUNT, "--region", "eu-central-1")
ISSUER = "token.actions.githubusercontent.com"
EVERY_METHOD = {f"apigateway:{method}" for method in ("DELETE", "GET", "PATCH", "POST", "PUT")}
# Resources without our name: AWS generates the id, lists by prefix, or owns the resource.
NAMELESS = {
    "arn:aws:logs:eu-central-1:123456789012:log-group:*": {"logs:DescribeLogGroups"},
    "arn:aws:apigateway:eu-central-1::/restapis": {"apigateway:GET", "apigateway:POST"},
    "arn:aws:apigateway:eu-central-1::/apikeys": {"apigateway:GET", "apigateway:POST"},
    "arn:aws:apigateway:eu-central-1::/usageplans": {"apigateway:GET", "apigateway:POST"},
    "arn:aws:apigateway:eu-central-1::/tags/*": {"apigateway:POST", "apigateway:PUT"},
    "arn:aws:cloudformation:eu-central-1:aws:transform/Serverless-2016-10-31": {
        "cloudformation:CreateChangeSet"
    },
    "arn:aws:codedeploy:eu-central-1:123456789012:deploymentconfig:CodeDeployDefault.Lambda*": {
        "codedeploy:GetDeploymentConfig"
    },
    "arn:aws:apigateway:eu-central-1::/restapis/*/deployments": {"apigateway:POST"},
    "arn:aws:apigateway:eu-central-1::/restapis/*": EVERY_METHOD,
    "arn:aws:apigateway:eu-central-1::/apikeys/*": EVERY_METHOD,
    "arn:aws:apigateway:eu-central-1::/usageplans/*": EVERY_METHOD,
}


@pytest.fixture
def generated(credentials: None, command: Command, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The output of `--role pipeline`, by stage, without credentials."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    outcome = command("ops", "policy", "--role", "pipeline", *OFFLINE)
    assert outcome.code == 0, outcome.err
    return outcome.json


def grants(policy: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield each action and resource, with context keys that meet the conditions."""
    for statement in policy["Statement"]:
        context = {
            key: as_list(value)[0]
            for keys in statement.get("Condition", {}).values()
            for key, value in keys.items()
        }
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                yield action, resource, context


def too_wide(policy: dict[str, Any], stage: str) -> list[str]:
    """Return what a policy allows on resources of others, or without its condition."""
    excess = []
    for action, resource, context in grants(policy):
        if "whatbreed" not in resource:
            if action not in NAMELESS.get(resource, set()):
                excess.append(f"{action} on {resource}")
            if stage == "dev" and "/restapis/" in resource:
                for tags in ({}, {"aws:ResourceTag/api": "whatbreed-prod"}):
                    if permits([policy], Access(action, resource.replace("*", "a1"), tags)):
                        excess.append(f"{action} on an API with the tags {tags}")
            continue
        others = [resource.replace("whatbreed", "payroll")]
        others.append(resource.replace("-dev", "-test").replace("-prod", "-test"))
        others += [] if resource.endswith("*") else [f"{resource}-2"]
        for other in others:
            if other != resource and permits([policy], Access(action, other, context)):
                excess.append(f"{action} on {other}")
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:PassRole", "lambda:AddPermission"):
        for granted, resource, context in grants(policy):
            if granted == action:
                wrong = dict.fromkeys(context, "arn:aws:iam::aws:policy/AdministratorAccess")
                for attempt in ({}, wrong):
                    if permits([policy], Access(action, resource, attempt)):
                        excess.append(f"{action} on {resource} with {attempt}")
    return excess


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_policy_is_least_privilege(generated: Any, stage: str) -> None:
    policy = generated[stage]["policy"]
    assert too_wide(policy, stage) == []
    actions = {action for action, _, _ in grants(policy)}
    assert not any("*" in action for action in actions)
    assert not {action for action in actions if action.split(":")[0] in ("sagemaker", "ec2", "sts")}
    assert not actions & {
        "iam:CreateRole", "iam:DeleteRole", "iam:AttachRolePolicy", "iam:CreatePolicyVersion",
        "iam:CreateUser",
        "iam:DeleteRolePermissionsBoundary", "iam:PutRolePermissionsBoundary",
        "iam:UpdateAssumeRolePolicy", "lambda:InvokeFunction",
    }  # fmt: skip


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_mutation_of_any_statement_is_found(generated: Any, stage: str) -> None:
    policy = generated[stage]["policy"]
    for index, statement in enumerate(policy["Statement"]):
        wide = copy.deepcopy(policy)
        wide["Statement"][index]["Resource"] = "*"
        assert too_wide(wide, stage), statement["Sid"]
        service = as_list(statement["Action"])[0].partition(":")[0]
        wild = copy.deepcopy(policy)
        wild["Statement"].append({"Effect": "Allow", "Action": f"{service}:*", "Resource": "*"})
        assert too_wide(wild, stage), statement["Sid"]
        if set(statement.get("Condition", {})) == {"StringEquals"}:
            unbound = copy.deepcopy(policy)
            del unbound["Statement"][index]["Condition"]
            assert too_wide(unbound, stage), statement["Sid"]


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_limits_of_iam(generated: Any, stage: str) -> None:
    limits = {"trust": 2_048, "policy": 6_144, "boundary": 6_144}  # characters without spaces
    for kind, limit in limits.items():
        assert len(json.dumps(generated[stage][kind], separators=(",", ":"))) <= limit
    sids = [statement["Sid"] for statement in generated[stage]["policy"]["Statement"]]
    assert len(set(sids)) == len(sids)
    assert all(sid.isalnum() for sid in sids)


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_only_the_github_environment_of_the_stage_may_assume_the_role(
    generated: Any, stage: str
) -> None:
    [statement] = generated[stage]["trust"]["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Principal"] == {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}"}
    assert statement["Condition"] == {
        "StringEquals": {
            f"{ISSUER}:aud": "sts.amazonaws.com",
            f"{ISSUER}:sub": f"repo:owner/name:environment:{stage}",
        }
    }


def test_the_boundary_is_what_the_function_needs(generated: Any, command: Command) -> None:
    offline = ("--account", ACCOUNT, "--region", "eu-central-1", "--dry-run")
    for stage in ("dev", "prod"):
        function = command("ops", "policy", "--stage", stage, *offline).json
        boundary = generated[stage]["boundary"]
        assert boundary == function == generated[stage][f"whatbreed-{stage}-api_handler"]
        alone = command("ops", "policy", "--role", "boundary", "--stage", stage, *offline).json
        assert alone[stage].items() <= generated[stage].items()
        assert alone[stage]["boundary"] == boundary
    shifting = {action for action, _, _ in grants(generated["prod"]["whatbreed-prod-release"])}
    assert shifting == {
        "cloudwatch:DescribeAlarms",
        "lambda:GetAlias",
        "lambda:GetProvisionedConcurrencyConfig",
        "lambda:UpdateAlias",
    }


def test_in_china(command: Command, credentials: None) -> None:
    outcome = command(
        "ops", "policy", "--role", "pipeline", "--stage", "prod", "--repository", "owner/name",
        "--account", ACCOUNT, "--region", "cn-north-1",
    )  # fmt: skip
    assert set(outcome.json) == {"prod"}
    assert "arn:aws:" not in outcome.out
    assert f"https://whatbreed-{ACCOUNT}-cn-north-1.s3.cn-north-1.amazonaws.com.cn/" in outcome.out


def test_the_bucket_prefix_and_key_of_the_settings(
    command: Command, credentials: None, change_settings: Change
) -> None:
    key = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1"
    change_settings("aws", bucket="ours", prefix="dogs", kms_key=key)
    outcome = command("ops", "policy", "--role", "pipeline", "--stage", "prod", *OFFLINE)
    prod = outcome.json["prod"]
    allowed = {(action, resource) for action, resource, _ in grants(prod["policy"])}
    assert ("s3:PutObject", "arn:aws:s3:::ours/dogs/api/prod/*") in allowed
    assert ("kms:Decrypt", key) in allowed
    for statement in prod["bucket"]:
        assert statement["Resource"] == ["arn:aws:s3:::ours/dogs/api/prod/*"]


def test_dev_stores_nothing_in_the_bucket(generated: Any) -> None:
    assert not [action for action, _, _ in grants(generated["dev"]["policy"]) if "s3:" in action]
    assert generated["dev"]["bucket"] == []


def test_people_assume_the_role_with_their_own_credentials(
    credentials: None, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    people = [f"arn:aws:iam::{ACCOUNT}:user/ann", f"arn:aws:iam::{ACCOUNT}:role/a/sso/Releaser_1"]
    releasers = [option for arn in people for option in ("--releaser", arn)]
    offline = OFFLINE[2:]
    for repository in ((), ("--repository", "owner/name")):
        outcome = command("ops", "policy", "--role", "pipeline", *repository, *releasers, *offline)
        statements = outcome.json["prod"]["trust"]["Statement"]
        assert len(statements) == 1 + len(repository) // 2
        assert statements[-1] == {
            "Effect": "Allow",
            "Principal": {"AWS": people},
            "Action": "sts:AssumeRole",
        }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--role", "pipeline"], "--repository OWNER/NAME"),
        (["--role", "pipeline", "--repository", "name"], "OWNER/NAME"),
        (["--role", "pipeline", "--repository", "owner/*"], "OWNER/NAME"),
        (["--role", "pipeline", "--repository", "o/n", "--stage", "test"], "no stage"),
        (["--role", "pipeline", "--releaser", "ann"], "write the ARN of a user or role"),
        (["--role", "pipeline", "--releaser", f"arn:aws:iam::{ACCOUNT}:root"], "user or role"),
        (["--role", "pipeline", "--releaser", f"arn:aws:iam::{ACCOUNT}:user/*"], "user or role"),
        (["--role", "pipeline", "--releaser", "arn:aws:iam::1:user/ann"], "of this account"),
        (["--role", "serving", "--stage", "dev"], "Give --stage or --role"),
        ([], "Give --stage or --role"),
    ],
)
def test_errors_of_the_user(
    aws: None, command: Command, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    outcome = command("ops", "policy", *options)
    assert outcome.code == 2
    [line] = outcome.err.splitlines()
    assert message in line


def test_apply_creates_everything_once(
    aws: None, command: Command, change_settings: Change
) -> None:
    dry = command(
        "ops", "policy", "--role", "pipeline", "--repository", "o/n", "--apply", "--dry-run"
    )
    iam = boto3.client("iam")
    assert set(dry.json) == {"dev", "prod"}
    assert iam.list_roles()["Roles"] == []

    first = command("ops", "policy", "--role", "pipeline", "--repository", "o/n", "--apply")
    assert first.code == 0, first.err
    assert f"role arn:aws:iam::{ACCOUNT}:role/whatbreed-pipeline-prod created" in first.out
    [provider] = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    oidc = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider["Arn"])
    assert (oidc["Url"], oidc["ClientIDList"]) == (ISSUER, ["sts.amazonaws.com"])
    for stage in ("dev", "prod"):
        inline = iam.get_role_policy(RoleName=f"whatbreed-pipeline-{stage}", PolicyName="whatbreed")
        assert inline["PolicyDocument"] == dry.json[stage]["policy"]
        role = iam.get_role(RoleName=f"whatbreed-pipeline-{stage}")["Role"]
        assert role["AssumeRolePolicyDocument"] == dry.json[stage]["trust"]
    function = iam.get_role(RoleName="whatbreed-dev-api_handler")["Role"]
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/whatbreed-dev-boundary"
    assert function["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary

    again = command("ops", "policy", "--role", "pipeline", "--repository", "o/n", "--apply")
    assert "created" not in again.out + again.err
    assert "written" not in again.out
    # without a bucket, nothing protects the releases
    assert "run this command again to protect its releases" in again.out


def test_apply_protects_the_releases_and_the_bucket_keeps_it(
    aws: None, command: Command, bucket: str
) -> None:
    apply = ("ops", "policy", "--role", "pipeline", "--repository", "o/n", "--apply")
    assert command(*apply).code == 0
    # hardening and sharing the bucket keep the statements
    assert command("training", "upload", "--create-bucket").code == 0
    assert command("training", "upload", "--grant", "210987654321", "--apply").code == 0
    assert command(*apply).code == 0
    policy = json.loads(boto3.client("s3").get_bucket_policy(Bucket=bucket)["Policy"])
    sids = [statement["Sid"] for statement in policy["Statement"]]
    assert sorted(sids) == [
        "List210987654321", "OnlyReleaseRoleWritesProd", "Read210987654321", "TlsOnly",
        "WriteOnceProd",
    ]  # fmt: skip
    [only] = [item for item in policy["Statement"] if item["Sid"] == "OnlyReleaseRoleWritesProd"]
    role = f"arn:aws:iam::{ACCOUNT}:role/whatbreed-pipeline-prod"
    assert only["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": role}}
    assert only["Effect"] == "Deny"


def test_apply_restores_what_the_roles_of_the_api_trust(aws: None, command: Command) -> None:
    apply = ("ops", "policy", "--role", "boundary", "--stage", "prod", "--apply")
    command(*apply)
    iam = boto3.client("iam")
    names = {"whatbreed-prod-api_handler": "lambda", "whatbreed-prod-release": "codedeploy"}
    for name in names:
        anybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [anybody]})
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=document)
    command(*apply)
    for name, service in names.items():
        [statement] = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": f"{service}.amazonaws.com"}


def test_a_boundary_follows_the_config(aws: None, command: Command) -> None:
    """For example if a stage gets another endpoint, or tracing."""
    iam = boto3.client("iam")
    first = command("ops", "policy", "--role", "boundary", "--stage", "prod", "--apply")
    assert first.out.splitlines() == [
        "policy whatbreed-prod-boundary written",
        "role whatbreed-prod-api_handler created",
        "role whatbreed-prod-release created",
    ]
    arn = f"arn:aws:iam::{ACCOUNT}:policy/whatbreed-prod-boundary"
    statement = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
    other = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    for _ in range(4):  # IAM keeps five
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=other)
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    iam.set_default_policy_version(PolicyArn=arn, VersionId=versions[-1]["VersionId"])
    assert "written" in command("ops", "policy", "--role", "boundary", "--apply").out
    default = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    version = iam.get_policy_version(PolicyArn=arn, VersionId=default)["PolicyVersion"]
    assert (
        version["Document"]
        == command("ops", "policy", "--role", "boundary").json["prod"]["boundary"]
    )
    again = command("ops", "policy", "--role", "boundary", "--stage", "prod", "--apply")
    assert again.out == "the roles of stage prod are up to date\n"

"""The roles of the release workflow: who may assume them, and that they allow no more than needed.

tests/ops/api/test_pipeline_role.py runs a release under them.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from aws.policy_statements import UNSCOPED, characters
from tests.aws_rules import web_identity
from tests.emulator.fixtures import ACCOUNT, Change, Command
from tests.emulator.iam_enforcement import Access, permits
from tests.ops.iam.test_policy import as_list

OFFLINE = ("--repository", "owner@1/name@2", "--account", ACCOUNT, "--region", "eu-central-1")
ISSUER = "token.actions.githubusercontent.com"
EVERY_METHOD = {f"apigateway:{method}" for method in ("DELETE", "GET", "PATCH", "POST", "PUT")}
# Resources without our name: AWS generates the id, lists by prefix, or owns the resource.
NAMELESS = {
    "*": {
        "cloudwatch:DescribeAlarms", "logs:DescribeIndexPolicies", "logs:DescribeLogGroups",
        "logs:DescribeResourcePolicies",
    },
    "arn:aws:logs:eu-central-1:123456789012:log-group:*": {"logs:DescribeLogGroups"},
    "arn:aws:cloudformation:eu-central-1:aws:transform/Serverless-2016-10-31": {
        "cloudformation:CreateChangeSet"
    },
    "arn:aws:codedeploy:eu-central-1:123456789012:deploymentconfig:CodeDeployDefault.Lambda*": {
        "codedeploy:GetDeploymentConfig"
    },
    "arn:aws:apigateway:eu-central-1::/restapis/*/deployments": {"apigateway:POST"},
    **{
        f"arn:aws:apigateway:eu-central-1::/{part}{end}": EVERY_METHOD
        for part in ("restapis", "apikeys", "usageplans", "tags")
        for end in ("", "/*")
    },
}  # fmt: skip


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
        if not set(as_list(statement["Action"])) <= UNSCOPED:
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
            f"{ISSUER}:sub": f"repo:owner@1/name@2:environment:{stage}",
        }
    }


IDS = "'\"\\(.owner.login)@\\(.owner.id)/\\(.name)@\\(.id)\"'"


@pytest.mark.parametrize(
    ("repository", "admitted"),
    [("owner@1/name@2", "owner@1/name@2"), ("old:owner/name", "owner/name")],
)
def test_sts_admits_the_tokens_of_the_repository(
    aws: None, command: Command, repository: str, admitted: str
) -> None:
    apply = ("ops", "policy", "--role", "pipeline", "--repository", repository, "--apply")
    outcome = command(*apply, "--stage", "dev")
    assert outcome.code == 0, outcome.err
    others = {"owner@1/name@2", "owner/name", "owner@1/name@3", "owner@3/name@2", "Owner/name"}
    subjects = {f"repo:{name}:environment:dev" for name in others}
    subjects |= {f"repo:{admitted}:environment:prod", f"repo:{admitted}:ref:refs/heads/main"}
    accepted = [subject for subject in sorted(subjects) if assumes(web_identity.token(subject))]
    assert accepted == [f"repo:{admitted}:environment:dev"]
    subject = f"repo:{admitted}:environment:dev"
    assert not assumes(web_identity.token(subject, audience="https://github.com/owner"))


def assumes(token: str) -> bool:
    try:
        boto3.client("sts").assume_role_with_web_identity(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/whatbreed-pipeline-dev",
            RoleSessionName="pipeline",
            WebIdentityToken=token,
        )
    except ClientError:
        return False
    return True


def test_a_provider_without_our_audience_gets_it(aws: None, command: Command) -> None:
    iam = boto3.client("iam")
    arn = iam.create_open_id_connect_provider(
        Url=f"https://{ISSUER}", ClientIDList=["https://github.com/owner"]
    )["OpenIDConnectProviderArn"]
    apply = ("ops", "policy", "--role", "pipeline", "--repository", "o@1/n@2", "--apply")
    assert "admits the audience sts.amazonaws.com" in command(*apply).out
    assert "identity provider" not in command(*apply).out
    provider = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert set(provider["ClientIDList"]) == {"https://github.com/owner", "sts.amazonaws.com"}


@pytest.mark.parametrize(
    ("repository", "message"),
    [
        ("owner/name", f"`gh api repos/owner/name --jq {IDS}`"),
        ("owner/name", "write old:owner/name."),
        ("name", f"`gh api repos/OWNER/NAME --jq {IDS}`"),
        ("owner/*", "OWNER@OWNER_ID/NAME@REPOSITORY_ID"),
        ("owner@1/name", "OWNER@OWNER_ID/NAME@REPOSITORY_ID"),
        ("owner/name@2", "OWNER@OWNER_ID/NAME@REPOSITORY_ID"),
        ("owner@x/name@2", "OWNER@OWNER_ID/NAME@REPOSITORY_ID"),
        ("owner@0/name@2", "OWNER@OWNER_ID/NAME@REPOSITORY_ID"),
        ("owner@1/name@2:ref", "OWNER@OWNER_ID/NAME@REPOSITORY_ID"),
        ("owner@1/na*me@2", "OWNER@OWNER_ID/NAME@REPOSITORY_ID"),
        ("old:owner@1/name@2", "OWNER@OWNER_ID/NAME@REPOSITORY_ID"),
        ("https://github.com/owner/name", "OWNER@OWNER_ID/NAME@REPOSITORY_ID"),
    ],
)
def test_a_repository_without_valid_ids_is_refused_with_the_command_that_prints_them(
    aws: None, command: Command, repository: str, message: str
) -> None:
    outcome = command("ops", "policy", "--role", "pipeline", "--repository", repository)
    assert outcome.code == 2
    [line] = outcome.err.splitlines()
    assert f'--repository is "{repository}"' in line
    assert message in line


def test_a_trust_policy_that_is_too_long_is_refused(aws: None, command: Command) -> None:
    people = [f"arn:aws:iam::{ACCOUNT}:user/{'a' * 60}{number}" for number in range(30)]
    options = [option for arn in people for option in ("--releaser", arn)]
    outcome = command("ops", "policy", "--role", "pipeline", *options)
    assert outcome.code == 2
    assert "IAM accepts 2048" in outcome.err


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


def test_in_us_gov(command: Command, credentials: None) -> None:
    outcome = command(
        "ops", "policy", "--role", "pipeline", "--repository", "owner@1/name@2",
        "--account", ACCOUNT, "--region", "us-gov-west-1",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "arn:aws:" not in outcome.out
    assert f"arn:aws-us-gov:iam::{ACCOUNT}:oidc-provider/{ISSUER}" in outcome.out
    bucket = f"whatbreed-{ACCOUNT}-us-gov-west-1"
    assert f"https://{bucket}.s3.us-gov-west-1.amazonaws.com/" in outcome.out
    for stage in ("dev", "prod"):
        assert characters(outcome.json[stage]["policy"]) <= 6_144


@pytest.mark.parametrize(
    ("region", "partition"), [("cn-north-1", "aws-cn"), ("eusc-de-east-1", "aws-eusc")]
)
def test_other_partitions_are_refused_by_name(
    command: Command, credentials: None, region: str, partition: str
) -> None:
    outcome = command(
        "ops", "policy", "--role", "pipeline", "--repository", "owner@1/name@2",
        "--account", ACCOUNT, "--region", region,
    )  # fmt: skip
    assert outcome.code == 1
    [line] = outcome.err.splitlines()
    assert f"Region {region} is in the partition {partition}" in line


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
    people = [f"arn:aws:iam::{ACCOUNT}:user/ann", f"arn:aws:iam::{ACCOUNT}:role/a/sso/Releaser_1"]
    releasers = [option for arn in people for option in ("--releaser", arn)]
    offline = OFFLINE[2:]
    for repository in ((), ("--repository", "owner@1/name@2")):
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
        (["--role", "pipeline"], "--repository OWNER@ID/NAME@ID"),
        (["--role", "pipeline", "--repository", "o@1/n@2", "--stage", "test"], "no stage"),
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
    outcome = command("ops", "policy", *options)
    assert outcome.code == 2
    [line] = outcome.err.splitlines()
    assert message in line


def test_apply_creates_everything_once(
    aws: None, command: Command, change_settings: Change
) -> None:
    dry = command(
        "ops", "policy", "--role", "pipeline", "--repository", "o@1/n@2", "--apply", "--dry-run"
    )
    iam = boto3.client("iam")
    assert set(dry.json) == {"dev", "prod"}
    assert iam.list_roles()["Roles"] == []

    first = command("ops", "policy", "--role", "pipeline", "--repository", "o@1/n@2", "--apply")
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

    again = command("ops", "policy", "--role", "pipeline", "--repository", "o@1/n@2", "--apply")
    assert "created" not in again.out + again.err
    assert "written" not in again.out
    # without a bucket, nothing protects the releases
    assert "run this command again to protect its releases" in again.out


def test_apply_protects_the_releases_and_the_bucket_keeps_it(
    aws: None, command: Command, bucket: str
) -> None:
    apply = ("ops", "policy", "--role", "pipeline", "--repository", "o@1/n@2", "--apply")
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

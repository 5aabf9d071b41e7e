"""The pipeline's roles as they are generated: who is let in, and that nothing is wider than said.

That a release runs under them is shown by tests/deployment/test_pipeline_role.py.
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
EVERY_METHOD = {f"apigateway:{one}" for one in ("DELETE", "GET", "PATCH", "POST", "PUT")}
# What has no name of ours in it: AWS chooses ids itself, lists by prefix, or owns the thing.
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
    """What `--role pipeline` prints, by stage, with no account to ask."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    outcome = command("policy", "--role", "pipeline", *OFFLINE)
    assert outcome.code == 0, outcome.err
    return outcome.json


def grants(policy: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Each action on each resource, with keys that meet the statement's conditions."""
    for statement in policy["Statement"]:
        context = {
            key: as_list(value)[0]
            for keys in statement.get("Condition", {}).values()
            for key, value in keys.items()
        }
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                yield action, resource, context


def too_wide(policy: dict[str, Any]) -> list[str]:
    """What a policy allows on things of others, or without the condition that binds it."""
    found = []
    for action, resource, context in grants(policy):
        if "whatbreed" not in resource:
            if action not in NAMELESS.get(resource, set()):
                found.append(f"{action} on {resource}")
            continue
        others = [resource.replace("whatbreed", "payroll")]
        others.append(resource.replace("-dev", "-test").replace("-prod", "-test"))
        others += [] if resource.endswith("*") else [f"{resource}-2"]
        for other in others:
            if other != resource and permits([policy], Access(action, other, context)):
                found.append(f"{action} on {other}")
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:PassRole", "lambda:AddPermission"):
        for granted, resource, context in grants(policy):
            if granted == action:
                wrong = dict.fromkeys(context, "arn:aws:iam::aws:policy/AdministratorAccess")
                for attempt in ({}, wrong):
                    if permits([policy], Access(action, resource, attempt)):
                        found.append(f"{action} on {resource} with {attempt}")
    return found


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_nothing_is_wider_than_it_must_be(generated: Any, stage: str) -> None:
    policy = generated[stage]["policy"]
    assert too_wide(policy) == []
    actions = {action for action, _, _ in grants(policy)}
    assert not any("*" in action for action in actions)
    assert not {one for one in actions if one.split(":")[0] in ("sagemaker", "ec2", "sts")}
    assert not actions & {
        "iam:AttachRolePolicy", "iam:CreatePolicyVersion", "iam:CreateUser",
        "iam:DeleteRolePermissionsBoundary", "iam:PutRolePermissionsBoundary",
        "iam:UpdateAssumeRolePolicy", "lambda:InvokeFunction",
    }  # fmt: skip


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_mutation_of_any_statement_is_found(generated: Any, stage: str) -> None:
    policy = generated[stage]["policy"]
    for index, statement in enumerate(policy["Statement"]):
        wide = copy.deepcopy(policy)
        wide["Statement"][index]["Resource"] = "*"
        assert too_wide(wide), statement["Sid"]
        service = as_list(statement["Action"])[0].partition(":")[0]
        wild = copy.deepcopy(policy)
        wild["Statement"].append({"Effect": "Allow", "Action": f"{service}:*", "Resource": "*"})
        assert too_wide(wild), statement["Sid"]
        if set(statement.get("Condition", {})) == {"StringEquals"}:
            unbound = copy.deepcopy(policy)
            del unbound["Statement"][index]["Condition"]
            assert too_wide(unbound), statement["Sid"]


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_iam_takes_them(generated: Any, stage: str) -> None:
    limits = {"trust": 2_048, "policy": 10_240, "boundary": 6_144}  # characters without spaces
    for kind, limit in limits.items():
        assert len(json.dumps(generated[stage][kind], separators=(",", ":"))) <= limit
    sids = [one["Sid"] for one in generated[stage]["policy"]["Statement"]]
    assert len(set(sids)) == len(sids)
    assert all(sid.isalnum() for sid in sids)


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_only_the_stages_environment_of_the_repository_is_let_in(
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
        function = command("policy", "--stage", stage, *offline).json
        boundary = generated[stage]["boundary"]
        assert boundary["Statement"][:2] == function["Statement"]
        alone = command("policy", "--role", "boundary", "--stage", stage, *offline).json
        assert alone == {stage: {"boundary": boundary}}
    assert len(generated["dev"]["boundary"]["Statement"]) == 2
    more = {action for action, _, _ in grants(generated["prod"]["boundary"])}
    assert more - {"sagemaker:InvokeEndpoint", "logs:CreateLogStream", "logs:PutLogEvents"} == {
        "cloudwatch:DescribeAlarms",
        "lambda:GetAlias",
        "lambda:GetProvisionedConcurrencyConfig",
        "lambda:UpdateAlias",
    }


def test_in_china(command: Command, credentials: None) -> None:
    outcome = command(
        "policy", "--role", "pipeline", "--stage", "prod", "--repository", "owner/name",
        "--account", ACCOUNT, "--region", "cn-north-1",
    )  # fmt: skip
    assert set(outcome.json) == {"prod"}
    assert "arn:aws:" not in outcome.out
    assert f"https://whatbreed-{ACCOUNT}-cn-north-1.s3.cn-north-1.amazonaws.com.cn/" in outcome.out


def test_the_bucket_prefix_and_key_of_the_settings(
    command: Command, credentials: None, change_settings: Change
) -> None:
    key = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1"
    change_settings("cloud", bucket="ours", prefix="dogs", kms_key=key)
    policy = command("policy", "--role", "pipeline", "--stage", "dev", *OFFLINE).json["dev"][
        "policy"
    ]
    allowed = {(action, resource) for action, resource, _ in grants(policy)}
    assert ("s3:PutObject", "arn:aws:s3:::ours/dogs/api/dev/*") in allowed
    assert ("kms:Decrypt", key) in allowed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--role", "pipeline"], "--repository OWNER/NAME"),
        (["--role", "pipeline", "--repository", "name"], "OWNER/NAME"),
        (["--role", "pipeline", "--repository", "owner/*"], "OWNER/NAME"),
        (["--role", "pipeline", "--repository", "o/n", "--stage", "test"], "no stage 'test'"),
        (["--role", "serving", "--stage", "dev"], "name --stage or --role"),
        ([], "name --stage or --role"),
    ],
)
def test_what_a_user_got_wrong_is_told_in_one_line(
    aws: None, command: Command, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    outcome = command("policy", *options)
    assert outcome.code == 2
    [line] = outcome.err.splitlines()
    assert said in line


def test_apply_makes_everything_and_then_changes_nothing(
    aws: None, command: Command, change_settings: Change
) -> None:
    dry = command("policy", "--role", "pipeline", "--repository", "o/n", "--apply", "--dry-run")
    iam = boto3.client("iam")
    assert set(dry.json) == {"dev", "prod"}
    assert iam.list_roles()["Roles"] == []

    first = command("policy", "--role", "pipeline", "--repository", "o/n", "--apply")
    assert first.code == 0, first.err
    assert f"role arn:aws:iam::{ACCOUNT}:role/whatbreed-pipeline-prod created" in first.out
    [provider] = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider["Arn"])
    assert (found["Url"], found["ClientIDList"]) == (ISSUER, ["sts.amazonaws.com"])
    for stage in ("dev", "prod"):
        held = iam.get_role_policy(RoleName=f"whatbreed-pipeline-{stage}", PolicyName="whatbreed")
        assert held["PolicyDocument"] == dry.json[stage]["policy"]
        role = iam.get_role(RoleName=f"whatbreed-pipeline-{stage}")["Role"]
        assert role["AssumeRolePolicyDocument"] == dry.json[stage]["trust"]
    function = iam.get_role(RoleName="whatbreed-dev-api_handler")["Role"]
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/whatbreed-dev-boundary"
    assert function["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary

    again = command("policy", "--role", "pipeline", "--repository", "o/n", "--apply")
    assert "created" not in again.out + again.err
    assert "written" not in again.out


def test_a_boundary_follows_the_config(aws: None, command: Command) -> None:
    """As when a stage gets another endpoint, or tracing."""
    iam = boto3.client("iam")
    first = command("policy", "--role", "boundary", "--stage", "prod", "--apply")
    assert first.out == "policy whatbreed-prod-boundary written\n"
    arn = f"arn:aws:iam::{ACCOUNT}:policy/whatbreed-prod-boundary"
    statement = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
    other = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    for _ in range(4):  # IAM keeps no more than five
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=other)
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    iam.set_default_policy_version(PolicyArn=arn, VersionId=versions[-1]["VersionId"])
    assert "written" in command("policy", "--role", "boundary", "--apply").out
    default = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    found = iam.get_policy_version(PolicyArn=arn, VersionId=default)["PolicyVersion"]["Document"]
    assert found == command("policy", "--role", "boundary").json["prod"]["boundary"]
    again = command("policy", "--role", "boundary", "--stage", "prod", "--apply")
    assert again.out == "policy whatbreed-prod-boundary is up to date\n"

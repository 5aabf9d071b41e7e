"""The audit finds each fault that was put into an account, and none in a clean one."""

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from moto.iam.models import iam_backends
from moto.iam.responses import IamResponse

from aws import role_policies, stages
from aws.account import Account
from aws.settings import AwsSettings
from ops.audit.grants import wildcards
from tests.emulator.fixtures import ACCOUNT, Change, Command


def give_full_access(name: str) -> None:
    """What the write-ups gave their Lambda; moto loads AWS's own policies only on demand."""
    iam = boto3.client("iam")
    statement = {"Effect": "Allow", "Action": "sagemaker:*", "Resource": "*"}
    policy = iam.create_policy(
        PolicyName="AmazonSageMakerFullAccess",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )["Policy"]
    iam.attach_role_policy(RoleName=name, PolicyArn=policy["Arn"])


def role(name: str, document: dict[str, Any] | None = None, service: str = "lambda") -> str:
    """Create a role that holds `document`, and return its ARN."""
    iam = boto3.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": f"{service}.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    if document:
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(document))
    return str(made["Arn"])


def function(name: str, role_arn: str) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("app.py", "")
    boto3.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=role_arn,
        Handler="app.app",
        Code={"ZipFile": stream.getvalue()},
    )


@pytest.fixture
def summary(aws: None) -> Iterator[dict[str, int]]:
    """What IAM says of the root user; moto says always the same."""
    answer = {"AccountMFAEnabled": 1, "AccountAccessKeysPresent": 0}
    original = IamResponse.get_account_summary

    def get_account_summary(self: Any) -> Any:
        result = original(self)
        result.result["SummaryMap"] = answer
        return result

    with patch.object(IamResponse, "get_account_summary", get_account_summary):
        yield answer


@pytest.fixture
def clean(
    summary: dict[str, int],
    command: Command,
    image: str,
    tiny_model_dir: Path,
    change_settings: Change,
) -> dict[str, int]:
    """An account as our own commands leave it: bucket, roles, function, endpoint that scales."""
    change_settings("cloud", kms_key=f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1")
    change_settings("cloud.serving", serverless=False)
    assert command("upload", "--create-bucket").code == 0
    for name in ("training", "serving", "ec2"):
        assert command("policy", "--role", name, "--apply").code == 0
    pipeline = command("policy", "--role", "pipeline", "--repository", "owner/name", "--apply")
    assert pipeline.code == 0
    stage = stages.read("dev")
    document = role_policies.lambda_(Account(AwsSettings.read()), stage)
    function(stage.function, role("whatbreed-dev-api", document))
    assert command("deploy", "--stage", "dev", "--model", tiny_model_dir).code == 0
    assert command("scale", "--stage", "dev").code == 0
    return summary


def findings(command: Command) -> list[tuple[str, str]]:
    """Resource and problem of each finding."""
    outcome = command("ops", "audit", "--json")
    found = [(one["resource"], one["problem"]) for one in outcome.json]
    assert outcome.code == (1 if found else 0)
    assert all(one["mend"] for one in outcome.json)
    return found


def test_a_clean_account(clean: None, command: Command) -> None:
    assert findings(command) == []
    assert command("ops", "audit").out == "no findings\n"


def test_root(clean: dict[str, int], command: Command) -> None:
    clean.update(AccountMFAEnabled=0, AccountAccessKeysPresent=1)
    assert findings(command) == [
        ("root user", "has no MFA"),
        ("root user", "has access keys, which can do everything"),
    ]


def test_a_role_with_full_access(clean: None, command: Command) -> None:
    role("api")
    give_full_access("api")
    assert findings(command) == [("role api", "holds AmazonSageMakerFullAccess")]


def test_a_role_with_a_wildcard_policy(clean: None, command: Command) -> None:
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    role("loose", {"Version": "2012-10-17", "Statement": [statement]})
    assert findings(command) == [("role loose", "policy p allows s3:* on *")]


def test_a_role_that_nobody_takes(clean: None, command: Command) -> None:
    role("old")
    [found] = [one for one in iam_backends[ACCOUNT]["aws"].roles.values() if one.name == "old"]
    found.create_date = datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    assert findings(command) == [("role old", "was not taken since 2020-01-01")]


def test_a_function_with_more_than_it_needs(clean: None, command: Command) -> None:
    """As the write-ups had it: FullAccess on the API's own role."""
    give_full_access("whatbreed-dev-api")
    found = dict(findings(command))
    assert set(found) == {"role whatbreed-dev-api", "function whatbreed-dev"}
    assert "may do more than it needs" in found["function whatbreed-dev"]


def test_a_function_one_action_too_far(clean: None, command: Command) -> None:
    arn = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/whatbreed-dev"
    statement = {"Effect": "Allow", "Action": "sagemaker:DescribeEndpoint", "Resource": arn}
    boto3.client("iam").put_role_policy(
        RoleName="whatbreed-dev-api",
        PolicyName="q",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    [(resource, problem)] = findings(command)
    assert resource == "function whatbreed-dev"
    assert "sagemaker:DescribeEndpoint" in problem


def test_an_endpoint_without_anything(clean: None, command: Command, roles_exist: str) -> None:
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_model(
        ModelName="m", ExecutionRoleArn=roles_exist, PrimaryContainer={"Image": "i"}
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "m",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="loose", EndpointConfigName="c")
    found = findings(command)
    assert {resource for resource, _ in found} == {"endpoint loose"}
    problems = " ".join(problem for _, problem in found)
    assert len(found) == 3
    assert "does not scale" in problems
    assert "not encrypted" in problems
    assert "may reach the network" in problems


@pytest.fixture
def roles_exist() -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/whatbreed-serving"


def test_a_public_bucket(clean: None, command: Command) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="public")
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::public/*",
    }
    s3.put_bucket_policy(
        Bucket="public",
        Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    s3.delete_bucket_encryption(Bucket="public")
    problems = [problem for resource, problem in findings(command) if resource == "bucket public"]
    assert problems[0] == "is public"
    assert "answers calls without TLS" in problems
    # and what is named as the cure is one
    assert command("upload", "--create-bucket", "--bucket", "public").code == 0
    remaining = dict(findings(command))
    assert remaining.get("bucket public") in (None, "is public")


BLOCKED = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
)


@pytest.fixture
def plain(clean: None) -> Any:
    """A private bucket that lacks nothing; its S3 client."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="plain")
    s3.put_public_access_block(Bucket="plain", PublicAccessBlockConfiguration=BLOCKED)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(Bucket="plain", ServerSideEncryptionConfiguration={"Rules": [rule]})
    refuse_plain_text(s3)
    return s3


def refuse_plain_text(s3: Any, secure: str = "false") -> None:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::plain", "arn:aws:s3:::plain/*"],
        "Condition": {"Bool": {"aws:SecureTransport": secure}},
    }
    document = {"Version": "2012-10-17", "Statement": [statement]}
    s3.put_bucket_policy(Bucket="plain", Policy=json.dumps(document))


def test_a_bucket_that_lacks_nothing(plain: Any, command: Command) -> None:
    assert findings(command) == []


def test_a_bucket_that_lacks_only_encryption(plain: Any, command: Command) -> None:
    plain.delete_bucket_encryption(Bucket="plain")
    assert findings(command) == [("bucket plain", "does not encrypt by default")]


def test_a_bucket_that_lacks_only_tls(plain: Any, command: Command) -> None:
    plain.delete_bucket_policy(Bucket="plain")
    assert findings(command) == [("bucket plain", "answers calls without TLS")]
    refuse_plain_text(plain, secure="true")  # the wrong way round
    assert findings(command) == [("bucket plain", "answers calls without TLS")]


def test_a_bucket_that_lacks_only_the_block(plain: Any, command: Command) -> None:
    plain.put_public_access_block(
        Bucket="plain",
        PublicAccessBlockConfiguration={**BLOCKED, "RestrictPublicBuckets": False},
    )
    assert findings(command) == [("bucket plain", "could be made public: nothing blocks it")]


def test_a_stage_without_reserved_concurrency(
    clean: None, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = stages.read
    monkeypatch.setattr(
        stages, "read", lambda name: replace(original(name), reserved_concurrency=None)
    )
    assert findings(command) == [
        ("stage dev", "no reserved concurrency: the API can use up the account's")
    ]


def test_more_functions_than_the_endpoint_holds(clean: None, command: Command) -> None:
    command("scale", "--stage", "dev", "--target-per-minute", 60, "--max-instances", 1)
    [(resource, problem)] = findings(command)
    assert resource == "stage dev"
    assert "5 functions ask up to 17 requests/s, 1 instances hold 2" in problem


def test_what_may_not_be_looked_at_is_said(
    clean: None, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import ClientError

    from ops.audit import command

    def denied(_: Account) -> Iterator[Any]:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListRoles")

    monkeypatch.setitem(command.CHECKS, "roles", denied)
    [(resource, problem)] = findings(command)
    assert resource == "the check of roles"
    assert "ListRoles is not allowed" in problem


def test_the_table(clean: dict[str, int], command: Command) -> None:
    clean["AccountMFAEnabled"] = 0
    outcome = command("ops", "audit", "--only", "root")
    assert outcome.code == 1
    assert outcome.out.startswith("HIGH    root user  has no MFA")
    assert "mend:" in outcome.out


def test_without_credentials(
    credentials: None, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "no AWS credentials" in command("ops", "audit").err


def test_what_is_a_wildcard() -> None:
    def of(action: str, resource: str) -> list[str]:
        statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        return [str(one) for one in wildcards({"Statement": statement})]

    assert of("s3:GetObject", "arn:aws:s3:::b/*") == []
    assert of("ecr:GetAuthorizationToken", "*") == []
    assert of("s3:GetObject", "*") == ["s3:GetObject on *"]
    assert of("s3:Get*", "arn:aws:s3:::b/*") == ["s3:Get* on arn:aws:s3:::b/*"]

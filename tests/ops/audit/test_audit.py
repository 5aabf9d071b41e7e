"""The audit finds every fault of an account, and nothing in a clean one."""

import io
import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.iam.models import iam_backends

from aws import role_policies, stages
from aws.account import Account
from aws.settings import AwsSettings
from ops.audit import capacity
from ops.audit.policy_analysis import wildcards
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import ACCOUNT, Change, Command


def give_full_access(name: str) -> None:
    """Attach AmazonSageMakerFullAccess, which moto loads only on demand."""
    iam = boto3.client("iam")
    statement = {"Effect": "Allow", "Action": "sagemaker:*", "Resource": "*"}
    policy = iam.create_policy(
        PolicyName="AmazonSageMakerFullAccess",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )["Policy"]
    iam.attach_role_policy(RoleName=name, PolicyArn=policy["Arn"])


def role(name: str, document: dict[str, Any] | None = None, service: str = "lambda") -> str:
    """Create a role with the policy `document`, and return its ARN."""
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
    created = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    if document:
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(document))
    return str(created["Arn"])


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
def clean(
    command: Command, image: str, key: str, tiny_model_dir: Path, change_settings: Change
) -> None:
    """An account set up by the commands: bucket, roles, function, endpoint with autoscaling."""
    change_settings("serving", serverless=False)
    assert command("training", "upload", "--create-bucket").code == 0
    for name in ("training", "serving", "ec2"):
        assert command("ops", "policy", "--role", name, "--apply").code == 0
    pipeline = command(
        "ops", "policy", "--role", "pipeline", "--repository", "owner@1/name@2", "--apply"
    )
    assert pipeline.code == 0
    stage = stages.read("dev")
    document = role_policies.lambda_(Account(AwsSettings.read()), stage)
    function(stage.function, role("whatbreed-dev-api", document))
    assert (
        command("ops", "endpoint", "deploy", "--stage", "dev", "--model", tiny_model_dir).code == 0
    )
    assert command("ops", "endpoint", "scale", "--stage", "dev").code == 0


def findings(command: Command) -> list[tuple[str, str]]:
    """Resource and problem of each finding."""
    outcome = command("ops", "audit", "--json")
    assert outcome.code == (1 if outcome.json else 0)
    assert all(finding["fix"] for finding in outcome.json)
    return [(finding["resource"], finding["problem"]) for finding in outcome.json]


def test_a_clean_account(clean: None, command: Command) -> None:
    assert findings(command) == []
    assert command("ops", "audit").out == "no findings\n"


def test_root(clean: None, command: Command, emulator: State) -> None:
    emulator.root_user = {"AccountMFAEnabled": 0, "AccountAccessKeysPresent": 1}
    assert findings(command) == [
        ("root user", "has no MFA"),
        ("root user", "has access keys with unlimited permissions"),
    ]


def test_a_role_with_full_access(clean: None, command: Command) -> None:
    role("api")
    give_full_access("api")
    assert findings(command) == [("role api", "has AmazonSageMakerFullAccess")]


def test_a_role_with_a_wildcard_policy(clean: None, command: Command) -> None:
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    role("loose", {"Version": "2012-10-17", "Statement": [statement]})
    assert findings(command) == [("role loose", "policy p allows s3:* on *")]


def test_an_unused_role(clean: None, command: Command) -> None:
    role("old")
    [old] = [role for role in iam_backends[ACCOUNT]["aws"].roles.values() if role.name == "old"]
    old.create_date = datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    assert findings(command) == [("role old", "has not been used since 2020-01-01")]


def test_a_function_with_more_than_it_needs(clean: None, command: Command) -> None:
    """FullAccess on the API's own role."""
    give_full_access("whatbreed-dev-api")
    problems = dict(findings(command))
    assert set(problems) == {"role whatbreed-dev-api", "function whatbreed-dev"}
    assert "may do more than it needs" in problems["function whatbreed-dev"]


def test_a_function_with_one_extra_action(clean: None, command: Command) -> None:
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


def test_an_unprotected_endpoint(clean: None, command: Command) -> None:
    sagemaker = boto3.client("sagemaker")
    role_arn = f"arn:aws:iam::{ACCOUNT}:role/whatbreed-serving"
    sagemaker.create_model(
        ModelName="m", ExecutionRoleArn=role_arn, PrimaryContainer={"Image": "i"}
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "m",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="loose", EndpointConfigName="c")
    results = findings(command)
    assert {resource for resource, _ in results} == {"endpoint loose"}
    problems = " ".join(problem for _, problem in results)
    assert len(results) == 3
    assert "has no autoscaling" in problems
    assert "not encrypted" in problems
    assert "has no network isolation" in problems


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
    assert "accepts requests without TLS" in problems
    # the suggested fix works
    for _ in range(2):  # S3 keeps a public statement only if the policy is not written again
        outcome = command("training", "upload", "--create-bucket", "--bucket", "public")
        assert outcome.code == 0, outcome.err
    remaining = dict(findings(command))
    assert remaining.get("bucket public") in (None, "is public")


BLOCKED = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
)


@pytest.fixture
def plain(clean: None) -> Any:
    """A private bucket without faults; its S3 client."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="plain")
    s3.put_public_access_block(Bucket="plain", PublicAccessBlockConfiguration=BLOCKED)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(Bucket="plain", ServerSideEncryptionConfiguration={"Rules": [rule]})
    require_tls(s3)
    return s3


def require_tls(s3: Any, secure: str = "false") -> None:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::plain", "arn:aws:s3:::plain/*"],
        "Condition": {"Bool": {"aws:SecureTransport": secure}},
    }
    document = {"Version": "2012-10-17", "Statement": [statement]}
    s3.put_bucket_policy(Bucket="plain", Policy=json.dumps(document))


def test_a_bucket_without_faults(plain: Any, command: Command) -> None:
    assert findings(command) == []


def test_a_bucket_that_lacks_only_encryption(plain: Any, command: Command) -> None:
    plain.delete_bucket_encryption(Bucket="plain")
    assert findings(command) == [("bucket plain", "has no default encryption")]


def test_a_bucket_that_lacks_only_tls(plain: Any, command: Command) -> None:
    plain.delete_bucket_policy(Bucket="plain")
    assert findings(command) == [("bucket plain", "accepts requests without TLS")]
    require_tls(plain, secure="true")  # inverted
    assert findings(command) == [("bucket plain", "accepts requests without TLS")]


def test_a_bucket_that_lacks_only_the_block(plain: Any, command: Command) -> None:
    plain.put_public_access_block(
        Bucket="plain",
        PublicAccessBlockConfiguration={**BLOCKED, "RestrictPublicBuckets": False},
    )
    assert findings(command) == [("bucket plain", "does not block public access")]


def test_a_stage_without_reserved_concurrency(clean: None) -> None:
    stage = replace(stages.read("dev"), reserved_concurrency=None)
    [finding] = capacity.check_stage(Account(AwsSettings.read()), stage)
    assert finding.resource == "stage dev"
    assert finding.problem.startswith("has no reserved concurrency")


def test_more_concurrency_than_the_endpoint_can_take(clean: None, command: Command) -> None:
    command(
        "ops",
        "endpoint",
        "scale",
        "--stage",
        "dev",
        "--target-per-minute",
        60,
        "--max-instances",
        1,
    )
    [(resource, problem)] = findings(command)
    assert resource == "stage dev"
    assert "5 functions send up to 17 requests/s, 1 instances take 2" in problem


def test_a_check_that_aws_refuses(clean: None, command: Command, emulator: State) -> None:
    emulator.refused["ListRoles"] = ("AccessDenied", "no permission")
    [(resource, problem)] = findings(command)
    assert resource == "check roles"
    assert "ListRoles is not allowed" in problem


def test_the_table(aws: None, command: Command, emulator: State) -> None:
    emulator.root_user = {"AccountMFAEnabled": 0}
    outcome = command("ops", "audit", "--only", "root")
    assert outcome.code == 1
    heads, finding, fix = outcome.out.splitlines()
    assert heads.split() == ["severity", "resource", "problem"]
    assert finding.split(maxsplit=1) == ["HIGH", "root user  has no MFA"]
    assert fix.strip().startswith("fix: as root: IAM console")


def test_without_credentials(
    credentials: None, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "No AWS credentials" in command("ops", "audit").err


def test_wildcards() -> None:
    def of(action: str, resource: str) -> list[str]:
        statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        return [" on ".join(grant) for grant in wildcards({"Statement": statement})]

    assert of("s3:GetObject", "arn:aws:s3:::b/*") == []
    assert of("ecr:GetAuthorizationToken", "*") == []
    assert of("s3:GetObject", "*") == ["s3:GetObject on *"]
    assert of("s3:Get*", "arn:aws:s3:::b/*") == ["s3:Get* on arn:aws:s3:::b/*"]


def test_a_statement_with_not_action_is_a_wildcard() -> None:
    statement = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}
    assert list(wildcards({"Statement": statement})) == [("*", "*")]

"""Least privilege of the generated policies, tested with an IAM that enforces them."""

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import settings as moto_settings
from moto.core.authorization import ActionAuthenticatorMixin

from aws import role_policies, stages
from aws.account import Account
from aws.policy_statements import UNSCOPED, characters
from aws.settings import AwsSettings
from ops.iam import policy
from tests.emulator.fixtures import ACCOUNT, BUCKET, REGION, Change, Command

ENDPOINT = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/whatbreed-dev"


@pytest.fixture
def generated(aws: None, command: Command, tmp_path: Path) -> dict[str, Any]:
    """The policy of stage dev that the command writes."""
    output = tmp_path / "policy.json"
    assert command("ops", "policy", "--stage", "dev", "--output", output).code == 0
    document: dict[str, Any] = json.loads(output.read_text())
    return document


@contextmanager
def enforced() -> Iterator[None]:
    """Let moto check permissions inside a `with` block."""
    before = moto_settings.INITIAL_NO_AUTH_ACTION_COUNT
    moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    ActionAuthenticatorMixin.request_count = 0
    try:
        yield
    finally:
        moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = before


def session_under(document: dict[str, Any]) -> boto3.Session:
    """Return a session with the credentials of a role that has only the policy `document`."""
    iam = boto3.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    role = iam.create_role(RoleName="api", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    iam.put_role_policy(RoleName="api", PolicyName="p", PolicyDocument=json.dumps(document))
    response = boto3.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="api")
    keys = response["Credentials"]
    return boto3.Session(
        keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name=REGION
    )


def may(call: Callable[[], object]) -> bool:
    """Return whether IAM permits a call, whatever the service then answers."""
    try:
        call()
    except ClientError as error:
        return "AccessDenied" not in str(error.response["Error"])  # moto: code or text
    return True


def wrong(document: dict[str, Any]) -> list[str]:
    """Return what a role with `document` may do and should not, or should do and may not."""
    session = session_under(document)
    runtime, sagemaker = session.client("sagemaker-runtime"), session.client("sagemaker")
    logs, s3, iam = session.client("logs"), session.client("s3"), session.client("iam")

    def invoke(name: str) -> Callable[[], object]:
        return lambda: runtime.invoke_endpoint(EndpointName=name, Body=b"{}")

    def log(function: str) -> Callable[[], object]:
        group = f"/aws/lambda/{function}"
        return lambda: logs.create_log_stream(logGroupName=group, logStreamName="x")

    probes: list[tuple[str, bool, Callable[[], object]]] = [
        ("its endpoint", True, invoke("whatbreed-dev")),
        ("its endpoint, capitalized", True, invoke("WhatBreed-Dev")),
        ("its log", True, log("whatbreed-dev")),
        ("another endpoint", False, invoke("whatbreed-prod")),
        ("a name that starts the same", False, invoke("whatbreed-dev-2")),
        ("a name that ends the same", False, invoke("my-whatbreed-dev")),
        ("another function's log", False, log("whatbreed-prod")),
        ("a log that starts the same", False, log("whatbreed-dev-2")),
        ("listing endpoints", False, sagemaker.list_endpoints),
        ("describing its endpoint", False, lambda: sagemaker.describe_endpoint(EndpointName="x")),
        ("deleting its endpoint", False, lambda: sagemaker.delete_endpoint(EndpointName="x")),
        ("listing buckets", False, s3.list_buckets),
        ("reading an object", False, lambda: s3.get_object(Bucket=BUCKET, Key="x")),
        ("listing roles", False, iam.list_roles),
        ("a policy for itself", False, lambda: _escalate(iam)),
        ("creating a log group", False, lambda: logs.create_log_group(logGroupName="x")),
    ]
    with enforced():
        return [name for name, expected, call in probes if may(call) is not expected]


def _escalate(iam: Any) -> None:
    iam.put_role_policy(RoleName="api", PolicyName="q", PolicyDocument='{"Statement": []}')


def test_the_generated_policy_is_enforced(generated: dict[str, Any]) -> None:
    assert wrong(generated) == []


def _resource(value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["Statement"][0].update(Resource=value)


def _action(value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["Statement"][0].update(Action=value)


@pytest.mark.parametrize(
    "mutate",
    [
        pytest.param(_resource("*"), id="any resource"),
        pytest.param(_resource(ENDPOINT + "*"), id="a wildcard at the end"),
        pytest.param(_resource(ENDPOINT.replace("/whatbreed", "/*whatbreed")), id="and before"),
        pytest.param(_resource(ENDPOINT.replace("breed-dev", "Breed-dev")), id="capitals"),
        pytest.param(_resource(ENDPOINT.replace("-dev", "-prod")), id="another endpoint"),
        pytest.param(_resource([ENDPOINT, ENDPOINT + "-2"]), id="one more endpoint"),
        pytest.param(_action("sagemaker:InvokeEndpointAsync"), id="the wrong action"),
        pytest.param(
            lambda document: document["Statement"].append(
                {"Effect": "Allow", "Action": "sagemaker:List*", "Resource": "*"}
            ),
            id="listing",
        ),
        pytest.param(
            lambda document: document["Statement"].append(
                {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
            ),
            id="S3",
        ),
        pytest.param(
            lambda document: document["Statement"].append(
                {"Effect": "Allow", "Action": "iam:PutRolePolicy", "Resource": "*"}
            ),
            id="IAM",
        ),
        pytest.param(lambda document: document["Statement"][1].update(Resource="*"), id="any log"),
        pytest.param(lambda document: document["Statement"].pop(1), id="no log"),
    ],
)
def test_a_mutation_is_found(
    generated: dict[str, Any], mutate: Callable[[dict[str, Any]], None]
) -> None:
    document = copy.deepcopy(generated)
    mutate(document)
    assert wrong(document) != []


def test_the_policy_of_the_function(generated: dict[str, Any]) -> None:
    assert generated == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "InvokeTheEndpoint",
                "Effect": "Allow",
                "Action": "sagemaker:InvokeEndpoint",
                "Resource": ENDPOINT,
            },
            {
                "Sid": "WriteTheLog",
                "Effect": "Allow",
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:"
                "/aws/lambda/whatbreed-dev:*",
            },
        ],
    }


def test_offline_and_in_us_gov(
    command: Command, credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    outcome = command(
        "ops", "policy", "--stage", "prod", "--account", "210987654321",
        "--region", "us-gov-west-1", "--dry-run",
    )  # fmt: skip
    [invoke, log] = outcome.json["Statement"]
    prefix = "arn:aws-us-gov:sagemaker:us-gov-west-1:210987654321"
    assert invoke["Resource"] == f"{prefix}:endpoint/whatbreed-prod"
    assert log["Resource"].startswith("arn:aws-us-gov:logs:us-gov-west-1:210987654321")


def test_endpoint_names_are_lowercased(aws: None) -> None:
    stage = stages.Stage("dev", "WhatBreed-Dev", "whatbreed-dev", None, False)
    document = role_policies.lambda_(Account(AwsSettings.read()), stage)
    assert document["Statement"][0]["Resource"] == ENDPOINT


def test_tracing_adds_a_statement(aws: None) -> None:
    stage = stages.Stage("dev", "whatbreed-dev", "whatbreed-dev", None, True)
    document = role_policies.lambda_(Account(AwsSettings.read()), stage)
    assert document["Statement"][2]["Action"] == [
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    ]


def as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


@pytest.mark.parametrize("role", [*policy.SERVICE_ROLES, policy.OPERATOR])
@pytest.mark.parametrize("vpc", [False, True])
def test_policies_have_no_wildcards(
    aws: None, command: Command, change_settings: Change, role: str, vpc: bool
) -> None:
    if vpc:
        change_settings("aws", subnets=["subnet-1"], security_groups=["sg-1"])
        change_settings("aws", kms_key="arn:aws:kms:us-east-1:123456789012:key/1")
    outcome = command("ops", "policy", "--role", role)
    assert outcome.code == 0, outcome.err
    document = outcome.json
    if role == policy.OPERATOR:
        # each fits a managed policy: a group or permission set takes 10
        assert max(map(characters, document.values())) <= 6_144
        assert 1 < len(document) <= 10
        statements = [each for part in document.values() for each in part["Statement"]]
    else:
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
        assert characters(document) <= 10_240
        statements = document["Statement"]
    allowed = [item for item in statements if item["Effect"] == "Allow"]
    for statement in allowed:
        actions = as_list(statement["Action"])
        assert not any("*" in action for action in actions), statement
        for resource in as_list(statement["Resource"]):
            if resource == "*":
                assert set(actions) <= UNSCOPED, statement
            else:
                assert resource.startswith("arn:aws:")
                assert ":*:" not in resource.replace("::*", "")
    writes = {action for statement in allowed for action in as_list(statement["Action"])}
    assert not {"iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:CreateRole"} & writes


def test_a_training_job_writes_only_jobs_and_checkpoints(aws: None, command: Command) -> None:
    for statement in command("ops", "policy", "--role", "training").json["Statement"]:
        if "s3:PutObject" in as_list(statement["Action"]):
            base = f"arn:aws:s3:::{BUCKET}/whatbreed"
            assert statement["Resource"] == [f"{base}/jobs/*", f"{base}/checkpoints/*"]


@pytest.mark.parametrize("role", ["training", "serving", "ec2", "codebuild"])
def test_apply_creates_the_role(aws: None, command: Command, role: str) -> None:
    assert "created" in command("ops", "policy", "--role", role, "--apply").out
    assert "up to date" in command("ops", "policy", "--role", role, "--apply").out
    iam = boto3.client("iam")
    [created] = iam.list_roles()["Roles"]
    attached = iam.get_role_policy(RoleName=created["RoleName"], PolicyName="whatbreed")
    assert attached["PolicyDocument"] == command("ops", "policy", "--role", role).json
    service = role if role in ("ec2", "codebuild") else "sagemaker"
    principal = created["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
    assert principal == {"Service": f"{service}.amazonaws.com"}


def test_the_policies_of_people_are_applied_as_managed_policies(
    aws: None, command: Command
) -> None:
    """All of it is larger than IAM allows for one."""
    apply = ("ops", "policy", "--role", "deploy", "--apply")
    assert "policy whatbreed-operator-storage written" in command(*apply).out
    assert "policy whatbreed-operator-serving is up to date" in command(*apply).out
    iam = boto3.client("iam")
    documents = command("ops", "policy", "--role", "deploy").json
    for name, document in documents.items():
        arn = f"arn:aws:iam::{ACCOUNT}:policy/{name}"
        version = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
        assert version["Document"] == document
    assert documents["whatbreed-operator-storage"]["Statement"][0]["Effect"] == "Deny"


def test_apply_makes_room_for_a_version_and_removes_obsolete_policies(
    aws: None, command: Command
) -> None:
    apply = ("ops", "policy", "--role", "deploy", "--apply")
    iam = boto3.client("iam")
    other = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}],
        }
    )
    for number in (1, 2):  # names of an earlier version of this program
        iam.create_policy(PolicyName=f"whatbreed-operator-{number}", PolicyDocument=other)
    iam.create_policy(PolicyName="whatbreed-operators", PolicyDocument=other)
    iam.create_group(GroupName="staff")
    attached = f"arn:aws:iam::{ACCOUNT}:policy/whatbreed-operator-2"
    iam.attach_group_policy(GroupName="staff", PolicyArn=attached)
    arn = f"arn:aws:iam::{ACCOUNT}:policy/whatbreed-operator-training"
    command(*apply)
    for _ in range(4):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=other, SetAsDefault=True)
    iam.create_policy(PolicyName="whatbreed-operator-1", PolicyDocument=other)
    outcome = command(*apply)
    assert outcome.code == 0, outcome.err
    assert "policy whatbreed-operator-1 deleted" in outcome.out
    assert (
        "policy whatbreed-operator-2 is obsolete: detach it from group staff and run this again"
        in outcome.out
    )
    versions = [each["VersionId"] for each in iam.list_policy_versions(PolicyArn=arn)["Versions"]]
    assert versions == ["v2", "v3", "v4", "v5", "v6"]
    names = {policy["PolicyName"] for policy in iam.list_policies(Scope="Local")["Policies"]}
    assert "whatbreed-operators" in names


def test_operators_change_no_release(aws: None, command: Command, bucket: str) -> None:
    """Even if another of their policies allows everything in S3 and CloudWatch."""
    document = command("ops", "policy", "--role", "deploy").json["whatbreed-operator-storage"]
    document["Statement"].append({"Effect": "Allow", "Action": ["s3:*"], "Resource": "*"})
    s3 = session_under(document).client("s3")
    release = "whatbreed/api/prod/bundles/x.zip"
    probes: list[tuple[str, bool, Callable[[], object]]] = [
        ("a model", True, lambda: s3.put_object(Bucket=BUCKET, Key="whatbreed/models/x")),
        ("a release", False, lambda: s3.put_object(Bucket=BUCKET, Key=release)),
        ("a state", False, lambda: s3.put_object(Bucket=BUCKET, Key="whatbreed/api/x.json")),
        ("deleting one", False, lambda: s3.delete_object(Bucket=BUCKET, Key=release)),
        ("the policy", False, lambda: s3.put_bucket_policy(Bucket=BUCKET, Policy="{}")),
        ("no policy", False, lambda: s3.delete_bucket_policy(Bucket=BUCKET)),
        ("the bucket", False, lambda: s3.delete_bucket(Bucket=BUCKET)),
    ]
    with enforced():
        assert [name for name, expected, call in probes if may(call) is not expected] == []


def test_an_account_has_12_digits(aws: None, command: Command) -> None:
    assert "12 digits" in command("ops", "policy", "--stage", "dev", "--account", "me").err

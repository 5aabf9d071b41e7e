"""The pipeline's roles: a release runs under them, and nothing beside it."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.ops.api import enforcement
from tests.ops.api import project as projects
from tests.ops.api.aws_server import aws_server
from tests.ops.api.programs import Programs, api
from tests.ops.api.project import ACCOUNT, REGION

pytestmark = pytest.mark.server

DOCUMENT = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}],
    }
)
BUCKET = f"whatbreed-{ACCOUNT}-{REGION}"
Client = Callable[[str], Any]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file in which the server notes each call that it let through."""
    return tmp_path_factory.mktemp("record") / "calls.jsonl"


@pytest.fixture(scope="module")
def aws(record: Path) -> Iterator[str]:
    """The address of an AWS of our own that tells what it was asked for."""
    os.environ[enforcement.RECORD] = str(record)
    try:
        with aws_server() as address:
            yield address
    finally:
        del os.environ[enforcement.RECORD]


def clients(address: str, keys: dict[str, str]) -> Client:
    session = boto3.Session(
        keys["AccessKeyId"],
        keys["SecretAccessKey"],
        keys.get("SessionToken"),
        region_name=REGION,
    )
    return lambda service: session.client(service, endpoint_url=address)


@pytest.fixture(scope="module")
def account(
    aws: str, client: Client, bucket: str, environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, dict[str, str]]:  # fmt: skip
    """The keys of an administrator, and of the pipeline in each stage, in an account in which the
    administrator has done what docs/operations.md says. From here on IAM enforces.
    """
    project = projects.copy(tmp_path_factory.mktemp("administrator") / "project")
    command = [sys.executable, "-m", "training", "policy", "--role", "pipeline", "--apply"]
    for _ in range(2):  # the second time it finds everything there
        subprocess.run(
            [*command, "--repository", "owner/name"],
            cwd=project,
            env={**os.environ, **environment},
            check=True,
            timeout=300,
        )
    iam, sts = client("iam"), client("sts")
    iam.create_user(UserName="administrator")
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.put_user_policy(
        UserName="administrator",
        PolicyName="all",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": everything}),
    )
    keys = {"administrator": iam.create_access_key(UserName="administrator")["AccessKey"]}
    for stage in ("dev", "prod"):
        keys[stage] = sts.assume_role_with_web_identity(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/whatbreed-pipeline-{stage}",
            RoleSessionName="pipeline",
            WebIdentityToken="a-token-of-github",
        )["Credentials"]
    plain = {"Content-Type": "text/plain"}
    reset = urllib.request.Request(f"{aws}/moto-api/reset-auth", b"0", plain, method="POST")
    urllib.request.urlopen(reset).close()
    return keys


@pytest.fixture
def pipeline(
    account: dict[str, dict[str, str]], aws: str, project: Path
) -> Iterator[Callable[[str], Programs]]:
    """`make deploy` as the pipeline of a stage runs it."""
    with api() as behind:

        def pipeline(stage: str) -> Programs:
            keys = account[stage]
            environment = {
                "AWS_ENDPOINT_URL": aws,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
                "AWS_SESSION_TOKEN": keys["SessionToken"],
            }
            return Programs(project, environment, behind)

        yield pipeline


@pytest.fixture
def administrator(account: dict[str, dict[str, str]], aws: str) -> Client:
    """Clients of somebody who may look at everything."""
    return clients(aws, account["administrator"])


def policy_of(stage: str, administrator: Client) -> dict[str, Any]:
    found = administrator("iam").get_role_policy(
        RoleName=f"whatbreed-pipeline-{stage}", PolicyName="whatbreed"
    )
    document: dict[str, Any] = found["PolicyDocument"]
    return document


def calls(record: Path, stage: str) -> list[enforcement.Asked]:
    """What the pipeline of the stage was let do."""
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    who = f":assumed-role/whatbreed-pipeline-{stage}/"
    return [enforcement.Asked(*rest) for arn, *rest in lines if who in arn]


def change_memory(project: Path) -> None:
    file = project / ".chalice" / "config.json"
    config = json.loads(file.read_text())
    config["lambda_memory_size"] *= 2
    file.write_text(json.dumps(config))


def test_dev_is_released_under_its_role_and_every_permission_is_used(
    pipeline: Callable[[str], Programs], administrator: Client, record: Path
) -> None:
    programs = pipeline("dev")
    first = programs.deploy("dev")
    assert first.returncode == 0, first.stderr
    role = administrator("iam").get_role(RoleName="whatbreed-dev-api_handler")["Role"]
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/whatbreed-dev-boundary"
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    change_memory(programs.project)
    second = programs.deploy("dev")
    assert second.returncode == 0, second.stderr
    again = programs.deploy("dev")
    assert "nothing has changed" in again.stdout, again.stderr

    policy, made = policy_of("dev", administrator), calls(record, "dev")
    for statement in policy["Statement"]:
        rest = {"Statement": [one for one in policy["Statement"] if one is not statement]}
        lost = [one for one in made if not enforcement.permits([rest], one)]
        assert lost, f"{statement['Sid']} is not needed"
    used = {one.action for one in made}
    allowed = {action for one in policy["Statement"] for action in enforcement._list(one["Action"])}
    assert allowed - used == {
        # What `chalice deploy` asks for where config.json changes (no concurrency, other tags), and
        # while Lambda, other than moto, is at work on a function.
        "lambda:DeleteFunctionConcurrency",
        "lambda:GetFunctionConfiguration",
        "lambda:RemovePermission",
        "lambda:TagResource",
        "lambda:UntagResource",
    }


def test_prod_is_released_under_its_role(
    pipeline: Callable[[str], Programs], administrator: Client, record: Path
) -> None:
    programs = pipeline("prod")
    first = programs.deploy("prod")
    assert first.returncode == 0, first.stderr
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/whatbreed-prod-boundary"
    for name in ("whatbreed-prod-api_handler", "whatbreed-prod-release"):
        role = administrator("iam").get_role(RoleName=name)["Role"]
        assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    change_memory(programs.project)
    second = programs.deploy("prod")
    assert second.returncode == 0, second.stderr
    assert programs.deploy("prod", "--rollback").returncode == 0
    used = {one.action for one in calls(record, "prod")}
    assert {"cloudformation:ExecuteChangeSet", "s3:PutObject", "apigateway:GET"} <= used


def denied(call: Callable[[], object]) -> bool:
    try:
        call()
    except ClientError as error:
        return "AccessDenied" in str(error.response["Error"])
    return False


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_what_lies_outside_is_denied(
    account: dict[str, dict[str, str]], aws: str, stage: str
) -> None:
    client, other = clients(aws, account[stage]), "prod" if stage == "dev" else "dev"
    iam, s3, functions = client("iam"), client("s3"), client("lambda")
    sagemaker, logs = client("sagemaker"), client("logs")
    own, theirs = f"whatbreed-{stage}-api_handler", f"whatbreed-{other}-api_handler"
    probes: dict[str, Callable[[], object]] = {
        "another function": lambda: functions.get_function(FunctionName=f"whatbreed-{other}"),
        "another function's code": lambda: functions.update_function_code(
            FunctionName="payroll", ZipFile=b"x"
        ),
        "a function that starts the same": lambda: functions.get_function(
            FunctionName=f"whatbreed-{stage}-2"
        ),
        "its function open to everybody": lambda: functions.add_permission(
            FunctionName=f"whatbreed-{stage}",
            StatementId="x",
            Action="lambda:InvokeFunction",
            Principal="*",
        ),
        "its function with another role": lambda: functions.update_function_configuration(
            FunctionName=f"whatbreed-{stage}", Role=f"arn:aws:iam::{ACCOUNT}:role/admin"
        ),
        "calling its function": lambda: functions.invoke(FunctionName=f"whatbreed-{stage}"),
        "another role's policy": lambda: iam.put_role_policy(
            RoleName=theirs, PolicyName="x", PolicyDocument=DOCUMENT
        ),
        "its own policy": lambda: iam.put_role_policy(
            RoleName=f"whatbreed-pipeline-{stage}", PolicyName="x", PolicyDocument=DOCUMENT
        ),
        "its own trust": lambda: iam.update_assume_role_policy(
            RoleName=f"whatbreed-pipeline-{stage}", PolicyDocument=DOCUMENT
        ),
        "an admin's role": lambda: iam.create_role(
            RoleName="admin", AssumeRolePolicyDocument=DOCUMENT
        ),
        "a role without the boundary": lambda: iam.create_role(
            RoleName=own, AssumeRolePolicyDocument=DOCUMENT
        ),
        "a role with another boundary": lambda: iam.create_role(
            RoleName=own,
            AssumeRolePolicyDocument=DOCUMENT,
            PermissionsBoundary="arn:aws:iam::aws:policy/AdministratorAccess",
        ),
        "taking the boundary off": lambda: iam.delete_role_permissions_boundary(RoleName=own),
        "another boundary": lambda: iam.put_role_permissions_boundary(
            RoleName=own, PermissionsBoundary="arn:aws:iam::aws:policy/AdministratorAccess"
        ),
        "a wider boundary": lambda: iam.create_policy_version(
            PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/whatbreed-{stage}-boundary",
            PolicyDocument=DOCUMENT,
            SetAsDefault=True,
        ),
        "AdministratorAccess": lambda: iam.attach_role_policy(
            RoleName=own, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"
        ),
        "a user": lambda: iam.create_user(UserName="x"),
        "a key": lambda: iam.create_access_key(UserName="administrator"),
        "another bucket": lambda: s3.list_objects_v2(Bucket="elsewhere"),
        "the photos": lambda: s3.get_object(Bucket=BUCKET, Key="whatbreed/data/x"),
        "the models": lambda: s3.put_object(Bucket=BUCKET, Key="whatbreed/models/x", Body=b""),
        "the other stage's releases": lambda: s3.put_object(
            Bucket=BUCKET, Key=f"whatbreed/api/{other}/deployed.json", Body=b""
        ),
        "removing a release": lambda: s3.delete_object(
            Bucket=BUCKET, Key=f"whatbreed/api/{stage}/deployed.json"
        ),
        "the endpoint": lambda: sagemaker.delete_endpoint(EndpointName=f"whatbreed-{stage}"),
        "endpoints": sagemaker.list_endpoints,
        "another stack": lambda: client("cloudformation").describe_stacks(StackName="network"),
        "a domain of API Gateway": client("apigateway").get_domain_names,
        "another log": lambda: logs.create_log_group(logGroupName="/aws/lambda/payroll"),
        "reading the log": lambda: logs.get_log_events(
            logGroupName=f"/aws/lambda/whatbreed-{stage}", logStreamName="x"
        ),
    }
    assert [what for what, call in probes.items() if not denied(call)] == []


def test_a_role_that_lost_its_boundary_is_out_of_reach(
    account: dict[str, dict[str, str]], aws: str, administrator: Client
) -> None:
    """The lock is on the role: what was made without the boundary cannot be written to."""
    name = "whatbreed-dev-api_handler"
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/whatbreed-dev-boundary"
    write = {"RoleName": name, "PolicyName": "x", "PolicyDocument": DOCUMENT}
    iam = clients(aws, account["dev"])("iam")
    iam.put_role_policy(**write)
    administrator("iam").delete_role_permissions_boundary(RoleName=name)
    try:
        assert denied(lambda: iam.put_role_policy(**write))
    finally:
        administrator("iam").put_role_permissions_boundary(
            RoleName=name, PermissionsBoundary=boundary
        )
        administrator("iam").delete_role_policy(RoleName=name, PolicyName="x")


def test_a_template_from_elsewhere_is_denied(administrator: Client) -> None:
    policy = policy_of("prod", administrator)
    stack = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/whatbreed-prod/id"
    url = f"https://{BUCKET}.s3.{REGION}.amazonaws.com/whatbreed/api/prod/templates/1.json"
    asked = enforcement.Asked(
        "cloudformation:CreateChangeSet", stack, {"cloudformation:TemplateUrl": url}
    )
    assert enforcement.permits([policy], asked)
    for context in ({}, {"cloudformation:TemplateUrl": url.replace("prod/templates", "x")}):
        assert not enforcement.permits([policy], replace(asked, context=context))


def test_without_the_functions_role_it_says_who_makes_it(
    pipeline: Callable[[str], Programs], account: dict[str, dict[str, str]]
) -> None:
    """As after `make undeploy STAGE=dev`, which removes the role that the pipeline may not make."""
    programs = pipeline("dev")
    keys = account["administrator"]
    administrator = {
        **programs.environment,
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
    }
    del administrator["AWS_SESSION_TOKEN"]
    removed = replace(programs, environment=administrator).undeploy("dev", "--yes")
    assert removed.returncode == 0, removed.stderr
    ended = programs.deploy("dev")
    assert ended.returncode == 1
    [line] = ended.stderr.strip().splitlines()
    assert "when calling the CreateRole operation" in line
    assert line.endswith(
        "; an administrator makes whatbreed-dev-api_handler with "
        "`python -m training policy --role pipeline --stage dev --repository OWNER/NAME --apply`"
    )

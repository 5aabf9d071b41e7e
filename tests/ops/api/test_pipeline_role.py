"""The pipeline's roles: a release works with them, and nothing else does."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from aws.account import Account
from aws.settings import AwsSettings
from ops.__main__ import main as ops
from ops.iam import policy
from tests.aws_rules.web_identity import token
from tests.emulator.iam_enforcement import Access, as_list, permits
from tests.ops.api.api_commands import ApiCommands
from tests.ops.api.conftest import Client, post
from tests.ops.api.project import ACCOUNT, REGION, change_config
from training.__main__ import main as training

pytestmark = pytest.mark.server


def allowed(action: str, resource: str) -> dict[str, str]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def document(statements: list[Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


DOCUMENT = json.dumps(document([allowed("s3:ListAllMyBuckets", "*")]))
BUCKET = f"whatbreed-{ACCOUNT}-{REGION}"
Environment = dict[str, str]


def client_of(environment: Environment) -> Client:
    session = boto3.Session(
        environment["AWS_ACCESS_KEY_ID"],
        environment["AWS_SECRET_ACCESS_KEY"],
        environment.get("AWS_SESSION_TOKEN"),
        region_name=REGION,
    )
    return lambda service: session.client(service, endpoint_url=environment["AWS_ENDPOINT_URL"])


@pytest.fixture(scope="module")
def identities(
    environment: Environment, client: Client, bucket: str, access_log: Path
) -> dict[str, Environment]:
    """The environments of everybody who may be in the account, with enforced policies.

    An administrator has set up the pipelines as in docs/operations.md: `dev` and `prod` are their
    roles. `operator` has the policy of `--role deploy`, `developer` may do everything in S3 except
    configure the bucket, and `person` may assume the role that releases prod.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setenv("WHATBREED_SETTINGS", os.devnull)
        client("iam").create_user(UserName="person")  # IAM admits no one who does not exist
        apply = ["policy", "--role", "pipeline", "--repository", "owner@1/name@2", "--apply"]
        for _ in range(2):  # the second run finds everything
            assert ops([*apply, "--releaser", f"arn:aws:iam::{ACCOUNT}:user/person"]) == 0
        assert training(["upload", "--create-bucket"]) == 0  # keeps the bucket's policy
        assert ops(["policy", "--role", "deploy", "--apply"]) == 0
        operator = list(policy.operator_documents(Account(AwsSettings.read())))
    iam, sts = client("iam"), client("sts")
    users = {
        "administrator": [allowed("*", "*")],
        "operator": [],
        "developer": [allowed("s3:*Object*", "*"), allowed("s3:List*", "*")],
        "person": [allowed("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/whatbreed-*")],
    }
    keys = {}
    for name, statements in users.items():
        if name != "person":
            iam.create_user(UserName=name)
        if statements:
            iam.put_user_policy(
                UserName=name, PolicyName="p", PolicyDocument=json.dumps(document(statements))
            )
        keys[name] = iam.create_access_key(UserName=name)["AccessKey"]
    for name in operator:
        arn = f"arn:aws:iam::{ACCOUNT}:policy/{name}"
        iam.attach_user_policy(UserName="operator", PolicyArn=arn)
    for stage in ("dev", "prod"):
        keys[stage] = sts.assume_role_with_web_identity(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/whatbreed-pipeline-{stage}",
            RoleSessionName="pipeline",
            WebIdentityToken=token(f"repo:owner@1/name@2:environment:{stage}"),
        )["Credentials"]
    access_log.unlink(missing_ok=True)
    post(environment, "reset-auth", b"0")
    return {name: with_key(environment, key) for name, key in keys.items()}


@pytest.fixture
def commands_of(
    api_commands: ApiCommands, identities: dict[str, Environment]
) -> Callable[[str], ApiCommands]:
    """The commands as an identity runs them: `commands_of("dev")`."""
    return lambda name: replace(api_commands, environment=identities[name])


@pytest.fixture
def administrator(identities: dict[str, Environment]) -> Client:
    """Clients that may do everything."""
    return client_of(identities["administrator"])


def policy_of(stage: str, administrator: Client) -> dict[str, Any]:
    response = administrator("iam").get_role_policy(
        RoleName=f"whatbreed-pipeline-{stage}", PolicyName="whatbreed"
    )
    document: dict[str, Any] = response["PolicyDocument"]
    return document


def accesses(access_log: Path, stage: str) -> list[Access]:
    """What the stage's pipeline did and was allowed to do."""
    lines = [json.loads(line) for line in access_log.read_text().splitlines()]
    role = f":assumed-role/whatbreed-pipeline-{stage}/"
    return [Access(*values) for arn, *values in lines if role in arn]


def test_dev_is_released_with_its_role_and_every_permission_is_used(
    commands_of: Callable[[str], ApiCommands], administrator: Client, access_log: Path
) -> None:
    pipeline = commands_of("dev")
    first = pipeline.release("dev")
    assert first.code == 0, first.err
    role = administrator("iam").get_role(RoleName="whatbreed-dev-api_handler")["Role"]
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/whatbreed-dev-boundary"
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    change_config(pipeline.project, lambda_memory_size=1024)
    second = pipeline.release("dev")
    assert second.code == 0, second.err
    again = pipeline.release("dev")
    assert "Nothing changed." in again.out, again.err

    statements = policy_of("dev", administrator)["Statement"]
    used = accesses(access_log, "dev")
    for statement in statements:
        others = {"Statement": [other for other in statements if other is not statement]}
        denied_without = [access for access in used if not permits([others], access)]
        assert denied_without, f"{statement['Sid']} is not needed"
    actions = {action for statement in statements for action in as_list(statement["Action"])}
    assert actions - {access.action for access in used} == {
        # Used by `chalice deploy` after other changes of config.json, such as no concurrency,
        # and while Lambda is still updating a function, which moto never is.
        "lambda:DeleteFunctionConcurrency",
        "lambda:GetFunctionConfiguration",
        "lambda:RemovePermission",
    }


def test_prod_is_released_with_its_role(
    commands_of: Callable[[str], ApiCommands], administrator: Client, access_log: Path
) -> None:
    pipeline = commands_of("prod")
    first = pipeline.release("prod")
    assert first.code == 0, first.err
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/whatbreed-prod-boundary"
    role = administrator("iam").get_role(RoleName="whatbreed-prod-api_handler")["Role"]
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    change_config(pipeline.project, lambda_memory_size=1024)
    second = pipeline.release("prod")
    assert second.code == 0, second.err
    assert pipeline.release("prod", "--rollback").code == 0
    actions = {access.action for access in accesses(access_log, "prod")}
    assert {"cloudformation:ExecuteChangeSet", "s3:PutObject", "apigateway:GET"} <= actions
    assert not {action for action in actions if action.startswith("iam:")} - {"iam:GetRole"}


def test_a_person_releases_prod_as_its_role(
    commands_of: Callable[[str], ApiCommands], identities: dict[str, Environment]
) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:role/whatbreed-pipeline-prod"
    sts = client_of(identities["person"])("sts")
    key = sts.assume_role(RoleArn=arn, RoleSessionName="person")["Credentials"]
    environment = with_key(identities["person"], key)
    outcome = replace(commands_of("person"), environment=environment).release("prod")
    assert outcome.code == 0, outcome.err
    assert commands_of("person").release("prod").code == 1


def test_only_the_release_role_changes_what_is_released(
    commands_of: Callable[[str], ApiCommands],
    identities: dict[str, Environment],
    administrator: Client,
) -> None:
    s3 = administrator("s3")
    base = "whatbreed/api/prod"
    [bundle, *_] = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{base}/bundles/")["Contents"]
    rules = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])
    assert {"TlsOnly", "OnlyReleaseRoleWritesProd", "WriteOnceProd"} == {
        statement["Sid"] for statement in rules["Statement"]
    }
    rules["Statement"] = rules["Statement"][:1]

    def attempts(client: Client) -> dict[str, Callable[[], object]]:
        s3, keys = (
            client("s3"),
            [bundle["Key"], f"{base}/templates/x.json", f"{base}/deployed.json"],
        )
        writes: dict[str, Callable[[], object]] = {
            f"writing {key}": partial(s3.put_object, Bucket=BUCKET, Key=key, Body=b"evil")
            for key in keys
        }
        return writes | {
            "writing once": lambda: s3.put_object(
                Bucket=BUCKET, Key=f"{base}/bundles/new.zip", Body=b"evil", IfNoneMatch="*"
            ),
            "copying": lambda: s3.copy_object(
                Bucket=BUCKET, Key=f"{base}/bundles/new.zip", CopySource=f"{BUCKET}/whatbreed/x"
            ),
            "the bucket's policy": lambda: s3.put_bucket_policy(
                Bucket=BUCKET, Policy=json.dumps(rules)
            ),
            "removing the bucket's policy": lambda: s3.delete_bucket_policy(Bucket=BUCKET),
            "expiring releases": lambda: s3.put_bucket_lifecycle_configuration(
                Bucket=BUCKET,
                LifecycleConfiguration={
                    "Rules": [
                        {"ID": "x", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}
                    ]
                },
            ),
        }

    for name in ("operator", "developer", "dev"):
        client = client_of(identities[name])
        done = [attempt for attempt, call in attempts(client).items() if not denied(call)]
        assert done == [], name
    operator = client_of(identities["operator"])
    assert denied(lambda: operator("s3").delete_object(Bucket=BUCKET, Key=bundle["Key"]))
    # The operator's own work continues.
    operator("s3").put_object(Bucket=BUCKET, Key="whatbreed/models/x", Body=b"")
    operator("s3").delete_object(Bucket=BUCKET, Key="whatbreed/models/x")
    # The role itself cannot overwrite a release, and the bucket refuses even an administrator.
    role = client_of(identities["prod"])("s3")
    assert denied(lambda: role.put_object(Bucket=BUCKET, Key=bundle["Key"], Body=b"evil"))
    assert denied(lambda: s3.put_object(Bucket=BUCKET, Key=bundle["Key"], Body=b"evil"))
    outcome = commands_of("administrator").release("prod")
    assert outcome.code == 1
    assert "PutObject is not allowed" in outcome.err


def test_dev_reaches_no_other_rest_api(
    identities: dict[str, Environment], administrator: Client
) -> None:
    gateway, dev = administrator("apigateway"), client_of(identities["dev"])("apigateway")
    untagged = gateway.create_rest_api(name="whatbreed")["id"]
    ids = {api["id"]: api.get("tags", {}) for api in gateway.get_rest_apis()["items"]}
    [own] = [api for api, tags in ids.items() if tags.get("api") == "whatbreed-dev"]
    assert len(ids) == 3  # with that of prod
    patch = [{"op": "replace", "path": "/description", "value": "x"}]
    for api in ids:
        calls: list[Callable[[], object]] = [
            partial(dev.get_rest_api, restApiId=api),
            partial(dev.update_rest_api, restApiId=api, patchOperations=patch),
            partial(dev.create_deployment, restApiId=api, stageName="x"),
            partial(dev.get_resources, restApiId=api),
        ]
        assert [denied(call) for call in calls] == [api != own] * len(calls)
    arn = f"arn:aws:apigateway:{REGION}::/restapis/{untagged}"
    for call in (
        partial(dev.put_rest_api, restApiId=untagged, mode="overwrite", body="{}"),
        partial(dev.tag_resource, resourceArn=arn, tags={"api": "whatbreed-dev"}),
        partial(dev.create_rest_api, name="x", tags={"api": "whatbreed-dev"}),
        partial(dev.delete_rest_api, restApiId=own),
    ):
        assert denied(call), call
    gateway.delete_rest_api(restApiId=untagged)


def with_key(environment: Environment, key: dict[str, str]) -> Environment:
    return {
        **environment,
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        **({"AWS_SESSION_TOKEN": key["SessionToken"]} if "SessionToken" in key else {}),
    }


def denied(call: Callable[[], object]) -> bool:
    try:
        call()
    except ClientError as error:
        return "AccessDenied" in str(error.response["Error"])
    return False


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_everything_else_is_denied(identities: dict[str, Environment], stage: str) -> None:
    client, other = client_of(identities[stage]), "prod" if stage == "dev" else "dev"
    iam, s3, functions = client("iam"), client("s3"), client("lambda")
    sagemaker, logs = client("sagemaker"), client("logs")
    role, other_role = f"whatbreed-{stage}-api_handler", f"whatbreed-{other}-api_handler"
    attempts: dict[str, Callable[[], object]] = {
        "another function": lambda: functions.get_function(FunctionName=f"whatbreed-{other}"),
        "another function's code": lambda: functions.update_function_code(
            FunctionName="payroll", ZipFile=b"x"
        ),
        "a function with the same prefix": lambda: functions.get_function(
            FunctionName=f"whatbreed-{stage}-2"
        ),
        "its function, made public": lambda: functions.add_permission(
            FunctionName=f"whatbreed-{stage}",
            StatementId="x",
            Action="lambda:InvokeFunction",
            Principal="*",
        ),
        "its function with another role": lambda: functions.update_function_configuration(
            FunctionName=f"whatbreed-{stage}", Role=f"arn:aws:iam::{ACCOUNT}:role/admin"
        ),
        "invoking its function": lambda: functions.invoke(FunctionName=f"whatbreed-{stage}"),
        "another role's policy": lambda: iam.put_role_policy(
            RoleName=other_role, PolicyName="x", PolicyDocument=DOCUMENT
        ),
        "its own policy": lambda: iam.put_role_policy(
            RoleName=f"whatbreed-pipeline-{stage}", PolicyName="x", PolicyDocument=DOCUMENT
        ),
        "its own trust policy": lambda: iam.update_assume_role_policy(
            RoleName=f"whatbreed-pipeline-{stage}", PolicyDocument=DOCUMENT
        ),
        "an admin's role": lambda: iam.create_role(
            RoleName="admin", AssumeRolePolicyDocument=DOCUMENT
        ),
        "a role without the boundary": lambda: iam.create_role(
            RoleName=role, AssumeRolePolicyDocument=DOCUMENT
        ),
        "a role with another boundary": lambda: iam.create_role(
            RoleName=role,
            AssumeRolePolicyDocument=DOCUMENT,
            PermissionsBoundary="arn:aws:iam::aws:policy/AdministratorAccess",
        ),
        "a role with its boundary": lambda: iam.create_role(
            RoleName=role,
            AssumeRolePolicyDocument=DOCUMENT,
            PermissionsBoundary=f"arn:aws:iam::{ACCOUNT}:policy/whatbreed-{stage}-boundary",
        ),
        "whom a role trusts": lambda: iam.update_assume_role_policy(
            RoleName=role, PolicyDocument=DOCUMENT
        ),
        "removing the boundary": lambda: iam.delete_role_permissions_boundary(RoleName=role),
        "another boundary": lambda: iam.put_role_permissions_boundary(
            RoleName=role, PermissionsBoundary="arn:aws:iam::aws:policy/AdministratorAccess"
        ),
        "a wider boundary": lambda: iam.create_policy_version(
            PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/whatbreed-{stage}-boundary",
            PolicyDocument=DOCUMENT,
            SetAsDefault=True,
        ),
        "AdministratorAccess": lambda: iam.attach_role_policy(
            RoleName=role, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"
        ),
        "a user": lambda: iam.create_user(UserName="x"),
        "a key": lambda: iam.create_access_key(UserName="administrator"),
        "another bucket": lambda: s3.list_objects_v2(Bucket="elsewhere"),
        "the photos": lambda: s3.get_object(Bucket=BUCKET, Key="whatbreed/data/x"),
        "the models": lambda: s3.put_object(Bucket=BUCKET, Key="whatbreed/models/x", Body=b""),
        "the other stage's releases": lambda: s3.put_object(
            Bucket=BUCKET, Key=f"whatbreed/api/{other}/deployed.json", Body=b""
        ),
        "deleting a release": lambda: s3.delete_object(
            Bucket=BUCKET, Key=f"whatbreed/api/{stage}/deployed.json"
        ),
        "the endpoint": lambda: sagemaker.delete_endpoint(EndpointName=f"whatbreed-{stage}"),
        "endpoints": sagemaker.list_endpoints,
        "another stack": lambda: client("cloudformation").describe_stacks(StackName="network"),
        "API Gateway's domains": client("apigateway").get_domain_names,
        "another log": lambda: logs.create_log_group(logGroupName="/aws/lambda/payroll"),
        "reading the log": lambda: logs.get_log_events(
            logGroupName=f"/aws/lambda/whatbreed-{stage}", logStreamName="x"
        ),
    }
    assert [name for name, call in attempts.items() if not denied(call)] == []


def test_a_role_without_its_boundary_cannot_be_changed(
    identities: dict[str, Environment], administrator: Client
) -> None:
    name = "whatbreed-dev-api_handler"
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/whatbreed-dev-boundary"
    policy = {"RoleName": name, "PolicyName": "x", "PolicyDocument": DOCUMENT}
    iam = client_of(identities["dev"])("iam")
    iam.put_role_policy(**policy)
    administrator("iam").delete_role_permissions_boundary(RoleName=name)
    try:
        assert denied(lambda: iam.put_role_policy(**policy))
    finally:
        administrator("iam").put_role_permissions_boundary(
            RoleName=name, PermissionsBoundary=boundary
        )
        administrator("iam").delete_role_policy(RoleName=name, PolicyName="x")


def test_a_template_from_elsewhere_is_denied(administrator: Client) -> None:
    policy = policy_of("prod", administrator)
    stack = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/whatbreed-prod/id"
    url = f"https://{BUCKET}.s3.{REGION}.amazonaws.com/whatbreed/api/prod/templates/1.json"
    access = Access("cloudformation:CreateChangeSet", stack, {"cloudformation:TemplateUrl": url})
    assert permits([policy], access)
    for context in ({}, {"cloudformation:TemplateUrl": url.replace("prod/templates", "x")}):
        assert not permits([policy], replace(access, context=context))


def test_a_missing_function_role_is_an_error_with_the_command_that_creates_it(
    commands_of: Callable[[str], ApiCommands],
) -> None:
    """`make undeploy STAGE=dev` removes the role, which the pipeline must not create."""
    removed = commands_of("administrator").remove("dev", "--yes")
    assert removed.code == 0, removed.err
    outcome = commands_of("dev").release("dev")
    assert outcome.code == 1
    [line] = outcome.err.splitlines()
    assert "CreateRestApi is not allowed" in line
    assert line.endswith(
        "Ask an administrator to create whatbreed-dev-api_handler and the REST API with "
        "`python -m ops policy --role pipeline --stage dev --repository OWNER@ID/NAME@ID --apply`."
    )


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_doctor_of_the_pipeline_names_what_it_may_not_check(
    commands_of: Callable[[str], ApiCommands], stage: str
) -> None:
    outcome = commands_of(stage).doctor(stage)
    assert outcome.code == 0, outcome.out
    assert "could not check: needs servicequotas:ListServiceQuotas" in outcome.out

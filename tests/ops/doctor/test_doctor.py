"""Each fault that `doctor` finds, its fix, and the exit code."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from moto.cloudformation.models import cloudformation_backends
from moto.sagemaker.models import sagemaker_backends

from aws.stages import PROJECT_VARIABLE
from ops.doctor import policy_sizes
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import BUCKET, REGION, Change, Command
from tests.ops.api import project as projects

Line = dict[str, str]


@pytest.fixture
def doctor(command: Command, emulator: State) -> Callable[..., list[Line]]:
    """Run `doctor` and return its lines: `doctor("prod")`. Checks that the exit code fits."""

    def doctor(stage: str = "dev", *options: str) -> list[Line]:
        outcome = command("ops", "doctor", "--stage", stage, "--json", *options)
        lines: list[Line] = outcome.json
        blocked = any(line["status"] == "blocks" for line in lines)
        assert outcome.code == (1 if blocked else 0), outcome.err
        assert all(line["fix"] for line in lines if line["status"] in ("blocks", "warning"))
        return lines

    return doctor


@pytest.fixture
def project(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A copy of the project, whose config.json a test changes."""
    folder = projects.copy(tmp_path / "project")
    monkeypatch.setenv(PROJECT_VARIABLE, str(folder))
    return folder


def of(lines: list[Line], subject: str) -> list[tuple[str, str]]:
    return [(line["status"], line["detail"]) for line in lines if line["subject"] == subject]


def test_an_empty_account_can_be_brought_up(doctor: Any, change_settings: Change) -> None:
    change_settings("alerts", email="me@example.com")
    for stage in ("dev", "prod"):
        lines = doctor(stage)
        assert {line["status"] for line in lines} == {"ok", "to do", "warning"}
        [warning] = [line for line in lines if line["status"] == "warning"]
        assert "AWSServiceRoleForEC2Spot" in warning["detail"]


def test_a_table_with_the_fix_below_its_line(command: Command, emulator: State) -> None:
    emulator.quotas["ml.c6i.large for endpoint usage"] = 1
    outcome = command("ops", "doctor", "--stage", "dev")
    assert outcome.code == 1
    line, fix = outcome.out[outcome.out.index("blocks ") :].splitlines()[:2]
    assert "stage dev needs 2 while a new version starts next to the old one" in line
    assert fix.strip().startswith('fix: request 2 of "ml.c6i.large for endpoint usage"')
    assert outcome.err.startswith("ops doctor: quota: 1 ml.c6i.large")


QUOTAS = [
    ("ml.c6i.large for endpoint usage", 0, "blocks", "needs 1 to start"),
    ("ml.c6i.large for endpoint usage", 1, "blocks", "needs 2 while a new version starts"),
    ("ml.c6i.large for endpoint usage", 3, "warning", "needs 4 at the maximum of [scaling]"),
    ("ml.g5.xlarge for spot training job usage", 1, "warning", "the settings need 2"),
    ("ml.c6i.xlarge for transform job usage", 0, "warning", "the settings need 1"),
    ("Concurrently running builds for Linux/Small environment", 0, "blocks", "need 1"),
    ("All G and VT Spot Instance Requests", 3, "warning", "the settings need 4"),
]


@pytest.mark.parametrize(("name", "value", "status", "detail"), QUOTAS)
def test_a_quota_that_is_too_low(
    doctor: Any, emulator: State, name: str, value: float, status: str, detail: str
) -> None:
    emulator.quotas[name] = value
    [line] = [line for line in doctor() if line["subject"] == "quota" and name in line["detail"]]
    assert line["status"] == status
    assert detail in line["detail"]
    assert "Service Quotas" in line["fix"]


def test_instances_of_the_other_stage_count(
    doctor: Any, emulator: State, command: Command, bucket: str, roles: None, image: str
) -> None:
    assert command("ops", "endpoint", "deploy", "--stage", "prod").code == 0
    emulator.quotas["ml.c6i.large for endpoint usage"] = 2
    details = of(doctor("dev"), "quota")
    assert details[0][0] == "blocks"
    assert "besides 1 of other stages" in details[0][1]


def test_a_warm_pool_and_a_serverless_endpoint_have_quotas_of_their_own(
    doctor: Any, emulator: State, change_settings: Change
) -> None:
    emulator.quotas["ml.g5.xlarge for training warm pool usage"] = 0
    change_settings("fit", spot=False, warm_pool_s=600)
    change_settings("serving", serverless=True, serverless_concurrency=20)
    found = {detail: status for status, detail in of(doctor(), "quota")}
    assert "0 ml.g5.xlarge for training warm pool usage; the settings need 1" in found
    assert [status for detail, status in found.items() if "serverless" in detail] == ["blocks"]


def test_an_instance_type_that_service_quotas_does_not_list(
    doctor: Any, change_settings: Change
) -> None:
    change_settings("serving", instance_type="ml.c9x.large")
    assert of(doctor(), "quota")[0][0] == "unknown"


def test_a_quota_that_has_only_a_default_value(doctor: Any, emulator: State) -> None:
    emulator.not_applied.add("ml.c6i.large for endpoint usage")
    details = [line["detail"] for line in doctor() if line["subject"] == "quota"]
    assert "20 ml.c6i.large for endpoint usage" in details


def test_machines_on_demand_have_a_quota_of_their_own(
    doctor: Any, emulator: State, change_settings: Change
) -> None:
    emulator.quotas["Running On-Demand G and VT instances"] = 0
    change_settings("ec2", spot=False)
    assert ("warning", "0 Running On-Demand G and VT instances; the settings need 4") in of(
        doctor(), "quota"
    )


@pytest.mark.parametrize(("total", "status"), [(10, "blocks"), (104, "blocks"), (105, "ok")])
def test_lambda_keeps_100_functions_unreserved(
    doctor: Any, emulator: State, total: int, status: str
) -> None:
    emulator.quotas["Concurrent executions"] = total
    assert of(doctor(), "Lambda concurrency")[0][0] == status


CONFIG: list[tuple[dict[str, Any], str, str]] = [
    ({"lambda_timeout": 60}, "warning", "API Gateway answers 504 after 29 s"),
    ({"lambda_timeout": 20}, "blocks", "may take 25 s, lambda_timeout is 20 s"),
    ({"reserved_concurrency": 3}, "blocks", "2 provisioned functions need 4 during a release"),
    (
        {"environment_variables": {"ENDPOINT_NAME": "whatbreed-dev"}},
        "blocks",
        "stages prod and dev share the endpoint",
    ),
    ({"environment_variables": {"ENDPOINT_NAME": "what_breed"}}, "blocks", "ENDPOINT_NAME is"),
    ({"environment_variables": {"ENDPOINT_NAME": "a" * 60}}, "blocks", "ENDPOINT_NAME is"),
    (
        {"environment_variables": {"ENDPOINT_NAME": "x", "FETCH_TIMEOUT": "3"}},
        "blocks",
        "Unknown environment variable FETCH_TIMEOUT",
    ),
]


@pytest.mark.parametrize(("values", "status", "detail"), CONFIG)
def test_numbers_of_config_json(
    doctor: Any, project: Any, values: dict[str, Any], status: str, detail: str
) -> None:
    projects.change_config(project, "prod", **values)
    found = of(doctor("prod"), "config.json")
    assert [line for line in found if line[0] == status and detail in line[1]], found


def test_a_function_that_may_not_run(doctor: Any, project: Any) -> None:
    projects.change_config(project, "dev", reserved_concurrency=0)
    [(status, detail)] = of(doctor("dev"), "config.json")
    assert status == "blocks"
    assert "no function may run" in detail


def test_provisioned_functions_above_the_reserved_ones_are_an_error(
    command: Command, project: Any, aws: None
) -> None:
    projects.change_config(project, "prod", reserved_concurrency=1)
    outcome = command("ops", "doctor", "--stage", "prod")
    assert outcome.code == 2
    assert "above reserved_concurrency 1" in outcome.err


def test_without_credentials_it_says_so_and_checks_the_rest(
    doctor: Any, emulator: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    lines = doctor()
    assert of(lines, "credentials")[0][0] == "blocks"
    assert of(lines, "config.json")[0][0] == "ok"
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("code", "message"),
    [("ExpiredToken", "The security token is expired"), ("InvalidClientTokenId", "no such key")],
)
def test_credentials_that_aws_refuses(
    doctor: Any, emulator: State, code: str, message: str
) -> None:
    emulator.refused["GetCallerIdentity"] = (code, message)
    [(status, detail)] = of(doctor(), "credentials")
    assert status == "blocks"
    assert message in detail


def test_no_region(doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert of(doctor(), "region")[0][0] == "blocks"


@pytest.mark.parametrize(
    ("region", "status"),
    [("us-gov-west-1", "ok"), ("cn-north-1", "blocks"), ("mars-north-1", "blocks")],
)
def test_regions(doctor: Any, region: str, status: str) -> None:
    assert of(doctor("dev", "--region", region), "region")[0][0] == status


@pytest.mark.parametrize(
    ("operation", "action", "subject"),
    [
        ("ListServiceQuotas", "servicequotas:ListServiceQuotas", "endpoint instances"),
        ("GetAccountSettings", "lambda:GetAccountSettings", "Lambda concurrency"),
        ("GetRole", "iam:GetRole", "roles"),
        ("GetOpenIDConnectProvider", "iam:GetOpenIDConnectProvider", "OIDC provider"),
        ("DescribeImages", "ecr:DescribeImages", "serving image"),
        ("DescribeBudget", "budgets:ViewBudget", "budget"),
        ("ListSubscriptionsByTopic", "sns:ListSubscriptionsByTopic", "alarms"),
    ],
)
def test_a_missing_permission_is_named_and_stops_nothing(
    doctor: Any,
    emulator: State,
    change_settings: Change,
    operation: str,
    action: str,
    subject: str,
) -> None:
    change_settings("alerts", email="me@example.com")
    message = f"User: x is not authorized to perform: {action} on resource: y"
    emulator.refused[operation] = ("AccessDeniedException", message)
    lines = doctor("prod")
    assert of(lines, subject) == [("unknown", f"could not check: needs {action}")]
    assert len(lines) > 15


def test_a_service_that_does_not_answer_stops_nothing(doctor: Any, emulator: State) -> None:
    emulator.refused["GetAccountSettings"] = ("ServiceException", "try later")
    assert of(doctor(), "Lambda concurrency")[0][0] == "unknown"


@pytest.mark.parametrize(
    ("code", "detail"),
    [("403", "belongs to another account"), ("301", f"is not in {REGION}")],
)
def test_a_bucket_of_others(doctor: Any, emulator: State, code: str, detail: str) -> None:
    emulator.refused["HeadBucket"] = (code, "")
    [(status, found)] = of(doctor(), "bucket")
    assert status == "blocks"
    assert detail in found


def test_a_bucket_in_another_region(doctor: Any) -> None:
    west = {"LocationConstraint": "us-west-2"}
    boto3.client("s3", "us-west-2").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=west)
    [(status, detail)] = of(doctor(), "bucket")
    assert status == "blocks"
    assert "us-west-2" in detail


OCI = "application/vnd.oci.image.manifest.v1+json"


@pytest.mark.parametrize(
    ("media_type", "tag", "status"),
    [
        (OCI, "amd64-0123456789ab", "blocks"),
        ("application/vnd.oci.image.index.v1+json", "amd64-0123456789ab", "blocks"),
        ("application/vnd.docker.distribution.manifest.v2+json", "amd64-0123456789ab", "ok"),
        ("application/vnd.docker.distribution.manifest.v2+json", "arm64-0123456789ab", "to do"),
    ],
)
def test_serving_images(doctor: Any, media_type: str, tag: str, status: str) -> None:
    ecr = boto3.client("ecr")
    ecr.create_repository(repositoryName="whatbreed-serving")
    manifest = json.dumps({"schemaVersion": 2, "mediaType": media_type})
    ecr.put_image(
        repositoryName="whatbreed-serving",
        imageManifest=manifest,
        imageManifestMediaType=media_type,
        imageTag=tag,
    )
    assert of(doctor(), "serving image")[0][0] == status


KEY = "arn:aws:kms:us-east-1:123456789012:key/x"


@pytest.mark.parametrize(
    ("table", "instance_type", "status"),
    [
        ("serving", "ml.g5.xlarge", "blocks"),
        ("serving", "ml.m5d.large", "blocks"),
        ("serving", "ml.c6gd.large", "blocks"),
        ("fit", "ml.p4d.24xlarge", "warning"),
        ("transform", "ml.g4dn.xlarge", "warning"),
    ],
)
def test_a_key_and_local_disks(
    doctor: Any, change_settings: Change, table: str, instance_type: str, status: str
) -> None:
    change_settings("aws", kms_key=KEY)
    change_settings(table, instance_type=instance_type)
    found = of(doctor(), "KMS key")
    starts = [(line[0], line[1].partition(" has")[0]) for line in found]
    assert (status, f"{instance_type} of [{table}]") in starts


@pytest.mark.parametrize(("state", "status"), [("enabled", "ok"), ("disabled", "blocks")])
def test_a_key_that_is_disabled(
    doctor: Any, change_settings: Change, state: str, status: str
) -> None:
    kms = boto3.client("kms")
    key = kms.create_key()["KeyMetadata"]
    if state == "disabled":
        kms.disable_key(KeyId=key["KeyId"])
    change_settings("aws", kms_key=key["Arn"])
    change_settings("fit", instance_type="ml.m5.xlarge")
    assert of(doctor(), "KMS key")[0][0] == status


@pytest.fixture
def vpc(change_settings: Change, aws: None) -> dict[str, str]:
    """A VPC with one subnet and one security group, which the settings name."""
    ec2 = boto3.client("ec2")
    name = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=name, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=name)["GroupId"]
    change_settings("aws", subnets=[subnet], security_groups=[group])
    [table] = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [name]}])[
        "RouteTables"
    ]
    return {"vpc": name, "subnet": subnet, "group": group, "table": table["RouteTableId"]}


def test_a_vpc_that_does_not_exist(doctor: Any, change_settings: Change) -> None:
    change_settings("aws", subnets=["subnet-0"], security_groups=["sg-0"])
    [(status, detail)] = of(doctor(), "network")
    assert status == "blocks"
    assert "subnet-0" in detail


def test_a_security_group_that_does_not_exist(
    doctor: Any, vpc: dict[str, str], change_settings: Change
) -> None:
    change_settings("aws", security_groups=["sg-0"])
    assert "sg-0" in str([line for line in of(doctor(), "network") if line[0] == "blocks"])


def test_a_key_that_does_not_exist(doctor: Any, change_settings: Change) -> None:
    change_settings("aws", kms_key=KEY)
    change_settings("fit", instance_type="ml.m5.xlarge")
    assert of(doctor(), "volumes")[0][0] == "blocks"


def test_an_endpoint_that_failed(
    doctor: Any, command: Command, emulator: State, bucket: str, roles: None, image: str
) -> None:
    assert of(doctor(), "endpoint") == [("to do", "whatbreed-dev does not exist")]
    assert command("ops", "endpoint", "deploy", "--stage", "dev").code == 0
    assert of(doctor(), "endpoint")[0][0] == "ok"
    [endpoint] = sagemaker_backends["123456789012"][REGION].endpoints.values()
    for status in ("Failed", "Updating"):
        endpoint.endpoint_status = status
        assert of(doctor(), "endpoint")[0][0] == "warning"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("CREATE_COMPLETE", "ok"),
        ("UPDATE_IN_PROGRESS", "blocks"),
        ("UPDATE_ROLLBACK_FAILED", "warning"),
        ("ROLLBACK_COMPLETE", "warning"),
        ("DELETE_FAILED", "warning"),
        ("REVIEW_IN_PROGRESS", "ok"),
    ],
)
def test_the_status_of_the_stack(doctor: Any, status: str, expected: str) -> None:
    topic = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    boto3.client("cloudformation").create_stack(
        StackName="whatbreed-prod", TemplateBody=json.dumps(topic)
    )
    [stack] = cloudformation_backends["123456789012"][REGION].stacks.values()
    stack.status = status
    assert of(doctor("prod"), "stack")[0][0] == expected


def test_a_vpc_without_routes(doctor: Any, vpc: dict[str, str], change_settings: Change) -> None:
    change_settings("fit", instance_count=2)
    found = of(doctor(), "network")
    assert [status for status, _ in found] == ["blocks", "warning", "warning"]
    assert "no S3 gateway endpoint" in found[0][1]
    assert "no route to the internet" in found[1][1]
    assert "no security group admits itself" in found[2][1]


def test_a_vpc_with_all_routes(doctor: Any, vpc: dict[str, str], change_settings: Change) -> None:
    ec2 = boto3.client("ec2")
    change_settings("fit", instance_count=2)
    ec2.create_vpc_endpoint(
        VpcId=vpc["vpc"],
        ServiceName=f"com.amazonaws.{REGION}.s3",
        VpcEndpointType="Gateway",
        RouteTableIds=[vpc["table"]],
    )
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=vpc["subnet"], AllocationId=address)["NatGateway"]
    ec2.create_route(
        RouteTableId=vpc["table"],
        DestinationCidrBlock="0.0.0.0/0",
        NatGatewayId=nat["NatGatewayId"],
    )
    pair = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": vpc["group"]}]}
    ec2.authorize_security_group_ingress(GroupId=vpc["group"], IpPermissions=[pair])
    assert [status for status, _ in of(doctor(), "network")] == ["ok"]


def test_service_linked_roles(doctor: Any) -> None:
    iam = boto3.client("iam")
    iam.create_service_linked_role(AWSServiceName="spot.amazonaws.com")
    [pair] = [line for line in of(doctor(), "service-linked role") if "EC2Spot" in line[1]]
    assert pair[0] in ("ok", "warning")


def test_an_identity_provider_for_another_audience(doctor: Any) -> None:
    url = "https://token.actions.githubusercontent.com"
    iam = boto3.client("iam")
    arn = iam.create_open_id_connect_provider(Url=url, ClientIDList=["other"])
    assert of(doctor(), "OIDC provider")[0][0] == "warning"
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn["OpenIDConnectProviderArn"])
    iam.create_open_id_connect_provider(Url=url, ClientIDList=["sts.amazonaws.com"])
    assert of(doctor(), "OIDC provider")[0][0] == "ok"


def test_a_policy_that_iam_would_refuse(doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # settings.toml limits all values, so that no valid one makes a policy this long
    monkeypatch.setattr(policy_sizes, "INLINE_ROLE_CHARACTERS", 1000)
    found = of(doctor(), "policy")
    assert found
    assert {status for status, _ in found} == {"blocks"}


def test_the_budget(doctor: Any, command: Command, change_settings: Change) -> None:
    assert of(doctor(), "budget") == [("warning", "no one is notified of the bill")]
    change_settings("alerts", email="me@example.com")
    assert of(doctor(), "budget")[0][0] == "to do"
    assert command("ops", "up", "--stage", "dev", "--yes", "--part", "setup").code == 0
    assert of(doctor(), "budget") == [("ok", "$150.00 to me@example.com")]
    change_settings("alerts", email="you@example.com")
    assert of(doctor(), "budget")[0][0] == "warning"


def test_an_alarm_topic_of_another_region(doctor: Any, change_settings: Change) -> None:
    change_settings("serving", alarm_topic="arn:aws:sns:eu-north-1:123456789012:ours")
    [line] = [line for line in doctor() if line["subject"] == "alarms"]
    assert line["status"] == "blocks"
    assert line["detail"].endswith("ours is not in us-east-1")


def test_subscriptions_to_the_alarms(doctor: Any, emulator: State) -> None:
    assert of(doctor("dev"), "alarms") == []
    assert of(doctor("prod"), "alarms")[0][0] == "to do"
    sns = boto3.client("sns")
    topic = sns.create_topic(Name="whatbreed-prod-alarms")["TopicArn"]
    assert of(doctor("prod"), "alarms") == [("warning", "whatbreed-prod-alarms notifies no one")]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="me@example.com")
    [(status, detail)] = of(doctor("prod"), "alarms")
    assert status == "warning"
    assert "me@example.com has not confirmed" in detail
    emulator.confirmed.add("me@example.com")
    assert of(doctor("prod"), "alarms")[0][0] == "ok"


def test_it_changes_nothing(doctor: Any, emulator: State) -> None:
    doctor("prod")
    reads = ("Describe", "Get", "List", "Head", "BatchGet", "View")
    names = {action.partition(":")[2] for action in emulator.actions}
    assert all(name.startswith(reads) for name in names), names

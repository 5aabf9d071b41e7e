"""Machines that run and cost, open ports, and what is reserved or kept without use."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto.awslambda.models import lambda_backends
from moto.sagemaker.models import sagemaker_backends

from aws.settings import AwsSettings
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import ACCOUNT, REGION, Change, Command
from tests.ops.audit.test_audit import function, role


@pytest.fixture
def findings(command: Command, aws: None) -> Any:
    """`findings("machines")` runs one check and returns its findings by resource."""

    def findings(check: str) -> dict[str, dict[str, str]]:
        outcome = command("ops", "audit", "--only", check, "--json")
        assert outcome.code == (1 if outcome.json else 0), outcome.err
        assert len({finding["resource"] for finding in outcome.json}) == len(outcome.json)
        return {finding["resource"]: finding for finding in outcome.json}

    return findings


def start_instance(kind: str, tags: dict[str, str]) -> str:
    ec2 = boto3.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    specification = [
        {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
    ]
    started = ec2.run_instances(
        ImageId=image, InstanceType=kind, MinCount=1, MaxCount=1, TagSpecifications=specification
    )
    return str(started["Instances"][0]["InstanceId"])


def test_running_instances(findings: Any) -> None:
    ours = start_instance("g4dn.xlarge", {"Name": "whatbreed-a", **AwsSettings.read().tags})
    others = start_instance("u-24tb1.112xlarge", {"Name": "big"})
    stopped = start_instance("g4dn.xlarge", {"Name": "old"})
    boto3.client("ec2").stop_instances(InstanceIds=[stopped])
    found = findings("machines")
    assert set(found) == {f"instance {ours}", f"instance {others}"}
    assert (
        "g4dn.xlarge whatbreed-a, one of ours, has run since"
        in (found[f"instance {ours}"]["problem"])
    )
    assert found[f"instance {ours}"]["problem"].endswith("and costs $12.62 per day")
    assert "of others" in found[f"instance {others}"]["problem"]
    assert "no ec2 price" in found[f"instance {others}"]["problem"]
    assert found[f"instance {ours}"]["fix"].endswith(ours)


def open_group(name: str, *rules: dict[str, Any]) -> str:
    ec2 = boto3.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group: str = ec2.create_security_group(GroupName=name, Description="d", VpcId=vpc)["GroupId"]
    if rules:
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=list(rules))
    return group


def tcp(port: int, *cidrs: str) -> dict[str, Any]:
    return {
        "IpProtocol": "tcp",
        "FromPort": port,
        "ToPort": port,
        "IpRanges": [{"CidrIp": cidr} for cidr in cidrs if ":" not in cidr],
        "Ipv6Ranges": [{"CidrIpv6": cidr} for cidr in cidrs if ":" in cidr],
    }


@pytest.mark.parametrize(
    ("rule", "ports"),
    [
        (tcp(22, "0.0.0.0/0"), "tcp port 22"),
        (tcp(8888, "::/0"), "tcp port 8888"),
        (tcp(3389, "10.0.0.0/8", "0.0.0.0/1", "128.0.0.0/1"), "tcp port 3389"),
        ({**tcp(0, "0.0.0.0/0"), "ToPort": 65535}, "all of tcp"),
        ({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "all ports"),
        ({**tcp(8000, "0.0.0.0/0"), "ToPort": 8100}, "tcp ports 8000 to 8100"),
    ],
)
def test_an_open_security_group(findings: Any, rule: dict[str, Any], ports: str) -> None:
    group = open_group("loose", rule)
    finding = findings("security-groups")[f"security group {group}"]
    assert finding["problem"] == f"loose is open to the world on {ports}"
    assert f"--group-id {group}" in finding["fix"]
    assert "10.0.0.0/8" not in finding["fix"]  # only what is open is revoked


def test_restricted_security_groups_and_web_servers(findings: Any) -> None:
    open_group("private", tcp(22, "10.0.0.0/8"), tcp(22, "203.0.113.7/32"))
    open_group("web", tcp(443, "0.0.0.0/0", "::/0"), tcp(80, "0.0.0.0/0"))
    open_group("closed")
    assert findings("security-groups") == {}


def notebook(name: str, **options: Any) -> None:
    boto3.client("sagemaker").create_notebook_instance(
        NotebookInstanceName=name,
        InstanceType="ml.m5.xlarge",
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/x",
        **options,
    )


def test_a_running_notebook_instance(findings: Any) -> None:
    notebook("lab", DirectInternetAccess="Disabled")
    finding = findings("machines")["notebook instance lab"]
    assert finding["problem"].startswith("ml.m5.xlarge has run since")
    assert finding["problem"].endswith("and costs $5.52 per day")
    boto3.client("sagemaker").stop_notebook_instance(NotebookInstanceName="lab")
    assert findings("machines") == {}


def test_a_notebook_instance_in_an_open_security_group(command: Command, aws: None) -> None:
    group = open_group("loose", tcp(22, "0.0.0.0/0"))
    closed = open_group("closed", tcp(22, "10.0.0.0/8"))
    notebook("lab", SecurityGroupIds=[closed, group], DirectInternetAccess="Enabled")
    boto3.client("sagemaker").stop_notebook_instance(NotebookInstanceName="lab")
    results = command("ops", "audit", "--only", "machines", "--json").json
    assert [(item["severity"], item["problem"]) for item in results] == [
        (1, f"is in security group {group}, which is open to the world"),
        (2, "has internet access that no VPC controls"),
    ]


def test_a_studio_app(findings: Any, emulator: State) -> None:
    app = {
        "AppName": "default",
        "AppType": "JupyterLab",
        "DomainId": "d-1",
        "SpaceName": "anna",
        "Status": "InService",
        "ResourceSpec": {"InstanceType": "ml.m5.xlarge"},
    }
    emulator.studio_apps = [app, {**app, "AppName": "gone", "Status": "Deleted"}]
    assert findings("machines")["studio app default"]["problem"] == (
        "ml.m5.xlarge of anna runs and costs $5.52 per day"
    )


@pytest.fixture
def endpoint(
    command: Command,
    image: str,
    roles: None,
    bucket: str,
    tiny_model_dir: Any,
    change_settings: Change,
) -> str:
    """The endpoint of stage dev on an instance, eight days old."""
    change_settings("serving", serverless=False)
    deploy = ("ops", "endpoint", "deploy", "--stage", "dev", "--model", tiny_model_dir)
    assert command(*deploy).code == 0
    age("whatbreed-dev", days=8)
    return "whatbreed-dev"


def age(endpoint: str, days: int) -> None:
    created = datetime.now(UTC) - timedelta(days=days)
    sagemaker_backends[ACCOUNT][REGION].endpoints[endpoint].creation_time = created


def put_metric(namespace: str, name: str, dimensions: dict[str, str], value: float) -> None:
    boto3.client("cloudwatch").put_metric_data(
        Namespace=namespace,
        MetricData=[
            {
                "MetricName": name,
                "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
                "Timestamp": datetime.now(UTC) - timedelta(days=2),
                "Value": value,
            }
        ],
    )


def test_an_endpoint_that_nobody_invokes(findings: Any, command: Command, endpoint: str) -> None:
    problems = command("ops", "audit", "--only", "endpoints", "--json").json
    [problem] = [item for item in problems if "not invoked" in item["problem"]]
    assert problem["problem"] == ("was not invoked for 7 days; its instances cost $74.46 per month")
    assert problem["fix"] == "python -m ops endpoint teardown --stage dev"


def test_endpoints_in_use_or_new(command: Command, endpoint: str) -> None:
    def problems() -> str:
        return command("ops", "audit", "--only", "endpoints", "--json").out

    age(endpoint, days=6)
    assert "not invoked" not in problems()
    age(endpoint, days=8)
    dimensions = {"EndpointName": endpoint, "VariantName": "AllTraffic"}
    put_metric("AWS/SageMaker", "Invocations", dimensions, 1)
    assert "not invoked" not in problems()


def test_a_log_group_without_retention(findings: Any) -> None:
    logs = boto3.client("logs")
    for name in ("/aws/lambda/kept", "/aws/sagemaker/Endpoints/x"):
        logs.create_log_group(logGroupName=name)
    logs.put_retention_policy(logGroupName="/aws/lambda/kept", retentionInDays=30)
    found = findings("logs")
    assert set(found) == {"log group /aws/sagemaker/Endpoints/x"}
    assert "put-retention-policy" in next(iter(found.values()))["fix"]


@pytest.mark.parametrize(("used", "unused"), [(0, True), (1, True), (2, False)])
def test_reserved_concurrency_without_use(
    findings: Any, roles: None, used: int, unused: bool
) -> None:
    function("api", role("api-role"))
    boto3.client("lambda").put_function_concurrency(
        FunctionName="api", ReservedConcurrentExecutions=10
    )
    put_metric("AWS/Lambda", "ConcurrentExecutions", {"FunctionName": "api"}, used)
    assert findings("functions") == {}  # it is new
    [backend_function] = lambda_backends[ACCOUNT][REGION].list_functions()
    backend_function.last_modified = (datetime.now(UTC) - timedelta(days=9)).isoformat()
    found = findings("functions")
    assert bool(found) == unused
    if unused:
        expected = f"reserves 10 concurrent executions and used {used} of them at most in 7 days"
        assert expected in found["function api"]["problem"]

"""`training upload`: what is sent, what is skipped, and who may read it."""

import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import ACCOUNT, BUCKET, Change, Command, create_bucket
from tests.training.jobs.conftest import Network

# sagemaker imports deprecated modules.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos, an index, and hidden files that must not be sent."""
    for name, content in {
        "train/Akita/1.jpg": b"one",
        "train/Akita/2.jpg": b"two",
        "index.csv": b"file,split,label\n",
        ".DS_Store": b"junk",
        ".git/config": b"junk",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


def keys() -> set[str]:
    objects = boto3.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return {item["Key"] for item in objects}


def test_a_new_bucket_is_secured(aws: None, command: Command) -> None:
    assert command("training", "upload", "--create-bucket").code == 0
    s3 = boto3.client("s3")
    access = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert all(access.values())
    assert len(access) == 4
    assert s3.get_bucket_encryption(Bucket=BUCKET)
    [statement] = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert "secured existing" in command("training", "upload", "--create-bucket").out


def test_the_name_of_a_deleted_bucket_is_free_after_some_time(
    bucket: str, command: Command
) -> None:
    boto3.client("s3").delete_bucket(Bucket=bucket)
    outcome = command("training", "upload", "--create-bucket")
    assert outcome.code == 0, outcome.err


def test_rules_of_a_bucket_that_exists_stay(bucket: str, command: Command) -> None:
    s3 = boto3.client("s3")
    own = {"ID": "mine", "Status": "Enabled", "Filter": {"Prefix": "x"}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [own]})
    for _ in range(2):
        assert command("training", "upload", "--create-bucket").code == 0
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert [rule["ID"] for rule in rules] == ["mine", "abort-interrupted-uploads"]


def test_a_bucket_that_cannot_be_secured_is_deleted(emulator: State, command: Command) -> None:
    emulator.refused["PutBucketPolicy"] = ("AccessDenied", "no")
    outcome = command("training", "upload", "--create-bucket")
    assert outcome.code == 1
    assert "PutBucketPolicy is not allowed" in outcome.err
    assert boto3.client("s3").list_buckets()["Buckets"] == []


def test_only_changes_are_sent(bucket: str, folder: Path, command: Command) -> None:
    assert "sent 3 files" in command("training", "upload", "--data", folder).out
    assert keys() == {
        "whatbreed/data/train/Akita/1.jpg",
        "whatbreed/data/train/Akita/2.jpg",
        "whatbreed/data/index.csv",
    }
    assert "sent 0 files" in command("training", "upload", "--data", folder).out
    (folder / "train/Akita/2.jpg").write_bytes(b"TWO")  # same size
    assert "sent 1 files" in command("training", "upload", "--data", folder).out


def test_an_etag_other_than_md5_is_no_change(bucket: str, folder: Path, command: Command) -> None:
    """With KMS keys, the checksum in the metadata decides."""
    command("training", "upload", "--data", folder)
    s3 = boto3.client("s3")
    head = s3.head_object(Bucket=bucket, Key="whatbreed/data/index.csv")
    parts = s3.create_multipart_upload(
        Bucket=bucket, Key="whatbreed/data/index.csv", Metadata=head["Metadata"]
    )
    target = {
        "Bucket": bucket,
        "Key": "whatbreed/data/index.csv",
        "UploadId": parts["UploadId"],
    }
    part = s3.upload_part(**target, PartNumber=1, Body=(folder / "index.csv").read_bytes())
    s3.complete_multipart_upload(
        **target, MultipartUpload={"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    )
    assert "sent 0 files" in command("training", "upload", "--data", folder).out


def test_dry_run_sends_nothing(bucket: str, folder: Path, command: Command) -> None:
    outcome = command("training", "upload", "--data", folder, "--dry-run")
    assert "would send 3 files" in outcome.out
    assert keys() == set()


def test_a_folder_without_photos_is_refused(bucket: str, folder: Path, command: Command) -> None:
    shutil.rmtree(folder / "train")
    outcome = command("training", "upload", "--data", folder)
    assert outcome.code == 1
    assert "has no photos (.avif, .bmp, " in outcome.err
    assert keys() == set()


def test_grant(bucket: str, command: Command) -> None:
    printed = command("training", "upload", "--grant", "210987654321").json
    assert {statement["Sid"] for statement in printed["Statement"]} == {
        "TlsOnly",
        "Read210987654321",
        "List210987654321",
    }
    assert command("training", "upload", "--grant", "210987654321", "--apply").code == 0
    assert command("training", "upload", "--grant", "210987654321", "--apply").code == 0
    policy = json.loads(boto3.client("s3").get_bucket_policy(Bucket=bucket)["Policy"])
    allow = [item for item in policy["Statement"] if item["Effect"] == "Allow"]
    assert [item["Action"] for item in allow] == ["s3:GetObject", "s3:ListBucket"]
    assert allow[0]["Resource"] == f"arn:aws:s3:::{BUCKET}/whatbreed/data/*"
    assert command("training", "upload", "--grant", "me").code == 1


def test_check_network(vpc: Network, command: Command) -> None:
    ec2 = boto3.client("ec2")
    outcome = command("training", "upload", "--check-network")
    assert outcome.code == 1
    assert "no S3 gateway endpoint" in outcome.err
    endpoint = vpc.add_s3_endpoint()
    outcome = command("training", "upload", "--check-network")
    assert outcome.code == 1
    assert "not in the route tables" in outcome.err
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddRouteTableIds=[vpc.route_table])
    assert "pip cannot reach PyPI" in command("training", "upload", "--check-network").err
    vpc.add_nat()
    outcome = command("training", "upload", "--check-network")
    assert outcome.code == 0, outcome.err
    assert endpoint in outcome.out
    assert "pip reaches PyPI" in outcome.out


def test_an_internet_gateway_is_no_way_to_pypi(vpc: Network, command: Command) -> None:
    """A job's network interface has no public address."""
    ec2 = boto3.client("ec2")
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc.vpc)
    vpc.add_route(GatewayId=gateway)
    endpoint = vpc.add_s3_endpoint()
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddRouteTableIds=[vpc.route_table])
    assert "pip cannot reach PyPI" in command("training", "upload", "--check-network").err


@pytest.mark.parametrize(
    ("values", "report"),
    [
        ({"pip_index_url": "https://pypi.example.com/simple"}, "pip uses https://pypi.example.com"),
        ({"network_isolation": True}, "jobs install no packages"),
    ],
)
def test_jobs_that_do_not_need_pypi(
    vpc: Network, command: Command, change_settings: Change, values: dict[str, Any], report: str
) -> None:
    endpoint = vpc.add_s3_endpoint()
    ec2 = boto3.client("ec2")
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddRouteTableIds=[vpc.route_table])
    change_settings("fit", **values)
    outcome = command("training", "upload", "--check-network")
    assert outcome.code == 0, outcome.err
    assert report in outcome.out


def test_several_instances_need_a_group_that_admits_itself(
    vpc: Network, roles: None, bucket: str, command: Command
) -> None:
    boto3.client("s3").put_object(Bucket=bucket, Key="whatbreed/data/train/A/1.jpg", Body=b"x")
    vpc.add_nat()
    fit = ("training", "fit", "--instance-count", 2, "--detach")
    outcome = command(*fit)
    assert outcome.code == 1
    assert f"--group-id {vpc.group} --protocol -1 --source-group {vpc.group}" in outcome.err
    assert command("training", "fit", "--detach").code == 0, "one instance needs no such rule"
    boto3.client("ec2").authorize_security_group_ingress(
        GroupId=vpc.group,
        IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": vpc.group}]}],
    )
    assert command(*fit).code == 0


def test_a_bucket_of_another_account(aws: None, command: Command, folder: Path) -> None:
    """HeadBucket answers 200 for someone else's bucket that admits the caller."""
    create_bucket("210987654321", BUCKET)
    outcome = command("training", "upload", "--data", folder)
    assert outcome.code == 1
    assert "belongs to another account" in outcome.err


def test_a_bucket_in_another_region(aws: None, command: Command, folder: Path) -> None:
    location = {"LocationConstraint": "eu-west-1"}
    boto3.client("s3", region_name="eu-west-1").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration=location
    )
    outcome = command("training", "upload", "--data", folder)
    assert outcome.code == 1
    assert f"{BUCKET} is in eu-west-1, not in us-east-1" in outcome.err


def test_every_call_names_the_owner_of_the_bucket(
    bucket: str, roles: None, command: Command, folder: Path, emulator: State
) -> None:
    """The calls of boto3's transfers and of the SageMaker SDK, too."""
    for arguments in (
        ("upload", "--data", folder, "--create-bucket"),
        ("upload", "--grant", "210987654321", "--apply"),
        ("fit", "--detach"),
        ("tune-job", "--detach"),
        ("ec2", "--instance-type", "c5.xlarge"),
    ):
        outcome = command("training", *arguments)
        assert outcome.code == 0, outcome.err
    assert {operation for operation, _ in emulator.s3_calls} >= {"PutObject", "HeadBucket"}
    assert [call for call in emulator.s3_calls if call[1] != ACCOUNT] == []


@pytest.mark.parametrize(
    "name", ["Mine", "my_bucket", "ab", "192.168.5.4", "a..b", "xn--a", "a-s3alias"]
)
def test_a_name_that_s3_refuses(aws: None, command: Command, name: str) -> None:
    outcome = command("training", "upload", "--create-bucket", "--bucket", name)
    assert outcome.code == 2
    assert "is not a bucket name" in outcome.err


@pytest.mark.parametrize("name", ["ab1", "a-s3alias", "192.168.5.4", "ab.mrap"])
def test_s3_refuses_names(aws: None, name: str) -> None:
    allowed = name == "ab1"
    with nullcontext() if allowed else pytest.raises(ClientError, match="InvalidBucketName"):
        boto3.client("s3").create_bucket(Bucket=name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "Folder nowhere does not exist"),
        ([], "Nothing to do"),
        (["--data", ".", "--bucket", "missing"], "--create-bucket"),
    ],
)
def test_errors_say_what_to_do(
    aws: None, command: Command, arguments: list[str], message: str
) -> None:
    outcome = command("training", "upload", *arguments)
    assert outcome.code != 0
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


def test_without_credentials(
    credentials: None, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    outcome = command("training", "upload", "--create-bucket")
    assert outcome.code == 1
    assert "No AWS credentials" in outcome.err


def test_without_region(
    credentials: None, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    outcome = command("training", "upload", "--create-bucket")
    assert outcome.code == 1
    assert "No region" in outcome.err


def test_the_account_in_the_name(aws: None, command: Command) -> None:
    assert ACCOUNT in command("training", "upload", "--create-bucket", "--dry-run").out

"""The bare machine: what is launched, and its script, run with stand-ins for AWS's commands."""

import base64
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from aws.account import Account
from model_code import inference
from tests.emulator.fixtures import BUCKET, COLOURS, Command
from training.jobs import ec2, source_code

AWS = """#!/bin/sh
# aws s3 cp|sync --region R --only-show-errors FROM TO, with folders for buckets
shift; what=$1; shift 4
from=$(echo "$1" | sed "s#^s3://#$S3/#"); to=$(echo "$2" | sed "s#^s3://#$S3/#")
case $what in
    cp) mkdir -p "$(dirname "$to")" && cp "$from" "$to" ;;
    sync) mkdir -p "$from" "$to" && cp -r "$from/." "$to/" ;;
esac
"""
PYTHON = """#!/bin/sh
mkdir -p venv/bin
printf '#!/bin/sh\\necho pip "$@"\\n' > venv/bin/pip
printf '#!/bin/sh\\nexec {python} "$@"\\n' > venv/bin/python
chmod +x venv/bin/*
"""
SHUTDOWN = '#!/bin/sh\necho "$@" >> "$S3/shutdown"\n'


@pytest.fixture
def machine(bucket: str) -> Any:
    """The machine that the last `ec2` started."""

    def machine() -> dict[str, Any]:
        [reservation] = boto3.client("ec2").describe_instances()["Reservations"]
        return dict(reservation["Instances"][0])

    return machine


OPTIONS = ("--instance-type", "c5.xlarge", "--machine-image", "ami-12345678")


def test_the_launch(command: Command, machine: Any) -> None:
    outcome = command("ec2", *OPTIONS, "--epochs", 3, "--pretrained", "false")
    assert outcome.code == 0, outcome.err
    found = machine()
    assert found["InstanceType"] == "c5.xlarge"
    assert found["InstanceLifecycle"] == "spot"
    assert found["IamInstanceProfile"]["Arn"].endswith("instance-profile/whatbreed-ec2")
    tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
    assert tags == {"project": "whatbreed", "Name": "whatbreed-ec2"}
    client = boto3.client("ec2")
    script = client.describe_instance_attribute(
        InstanceId=found["InstanceId"], Attribute="userData"
    )["UserData"]["Value"]
    text = base64.b64decode(script).decode()
    assert "--epochs 3 --pretrained false" in text
    assert f"s3://{BUCKET}/whatbreed/ec2/ec2" in text
    ending = client.describe_instance_attribute(
        InstanceId=found["InstanceId"], Attribute="instanceInitiatedShutdownBehavior"
    )
    assert ending["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    keys = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert [item["Key"] for item in keys] == ["whatbreed/ec2/ec2/source.tar.gz"]


def test_the_profile_has_least_privilege(command: Command, machine: Any) -> None:
    command("ec2", *OPTIONS)
    iam = boto3.client("iam")
    profile = iam.get_instance_profile(InstanceProfileName="whatbreed-ec2")["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] == ["whatbreed-ec2"]
    policy = iam.get_role_policy(RoleName="whatbreed-ec2", PolicyName="whatbreed")
    statements = policy["PolicyDocument"]["Statement"]
    actions = {action for one in statements for action in _as_list(one["Action"])}
    assert actions == {
        "s3:ListBucket",
        "s3:GetObject",
        "s3:PutObject",
        "s3:AbortMultipartUpload",
    }
    [write] = [one for one in statements if "s3:PutObject" in _as_list(one["Action"])]
    assert write["Resource"] == [f"arn:aws:s3:::{BUCKET}/whatbreed/ec2/*"]


def test_one_machine_a_run(command: Command, machine: Any) -> None:
    command("ec2", *OPTIONS)
    assert "trains ec2 already" in command("ec2", *OPTIONS).out
    machine()


def test_a_refused_launch_leaves_no_upload(
    command: Command, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        error = {"Code": "MaxSpotInstanceCountExceeded", "Message": "quota of spot instances"}
        raise ClientError({"Error": error}, "RunInstances")

    monkeypatch.setattr(ec2, "_launch", refuse)
    outcome = command("ec2", *OPTIONS)
    assert outcome.code == 1
    assert "quota" in outcome.err
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=BUCKET)


def test_dry_run_prints_all_of_it(command: Command, bucket: str) -> None:
    outcome = command("ec2", *OPTIONS, "--dry-run")
    assert outcome.code == 0
    printed, _, script = outcome.out.partition("#!/bin/bash")
    assert set(json.loads(printed)) == {"request", "policy"}
    assert "shutdown -h now" in script
    assert boto3.client("iam").list_roles()["Roles"] == []
    assert boto3.client("ec2").describe_instances()["Reservations"] == []


def test_images_by_type(aws: None) -> None:
    options = Ec2Settings.read({"instance_type": "c5.xlarge"})
    assert ec2.machine_image(Account(AwsSettings.read()), options).startswith("ami-")


@pytest.fixture
def run_script(colour_photos: Path, tmp_path: Path, credentials: None) -> Any:
    """Run the machine's script with folders for S3; returns its exit code and its words."""
    s3, commands = tmp_path / "s3", tmp_path / "bin"
    prefix = s3 / "bucket" / "whatbreed"
    shutil.copytree(colour_photos, prefix / "data")
    packed = tmp_path / "packed"
    packed.mkdir()
    source_code.pack(packed)
    (prefix / "ec2" / "r").mkdir(parents=True)
    with tarfile.open(prefix / "ec2" / "r" / "source.tar.gz", "w:gz") as archive:
        archive.add(packed, ".")
    commands.mkdir()
    texts = {"aws": AWS, "python3.11": PYTHON.format(python=sys.executable), "shutdown": SHUTDOWN}
    for name, text in texts.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)

    def run_script(*train_options: str) -> tuple[int, str]:
        account = Account(AwsSettings.read({"bucket": "bucket"}))
        options = Ec2Settings.read()
        text = ec2.user_data(account, options, "r", list(train_options))
        work = tmp_path / "machine"
        shutil.rmtree(work, ignore_errors=True)  # a new machine each time
        done = subprocess.run(
            ["bash", "-c", text],
            env={
                **os.environ,
                "PATH": f"{commands}:{os.environ['PATH']}",
                "S3": str(s3),
                "WORK": str(work),
                "OMP_NUM_THREADS": "1",
            },
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run_script


SMALL = (
    "--backbone", "tf_efficientnet_lite0", "--size", "64", "--train-size", "64",
    "--cache-size", "80", "--batch-size", "8",
)  # fmt: skip


@pytest.mark.server
def test_the_script_trains_and_ends_the_machine(run_script: Any, tmp_path: Path) -> None:
    code, said = run_script(*SMALL, "--epochs", "1")
    assert code == 0, said
    there = tmp_path / "s3" / "bucket" / "whatbreed" / "ec2" / "r"
    with tarfile.open(there / "model.tar.gz") as archive:
        archive.extractall(tmp_path / "model", filter="data")
    assert set(inference.model_fn(tmp_path / "model").artifact.labels) == set(COLOURS)
    assert (there / "run" / "checkpoint.pt").exists()
    orders = (tmp_path / "s3" / "shutdown").read_text().splitlines()
    assert orders[0].startswith("-h +480")
    assert orders[-1] == "-h now"


@pytest.mark.server
def test_the_machine_ends_on_an_error_too(run_script: Any, tmp_path: Path) -> None:
    code, said = run_script("--epochs", "many")
    assert code != 0
    assert "ended with" in said
    assert (tmp_path / "s3" / "shutdown").read_text().splitlines()[-1] == "-h now"


def _as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)

"""`training ec2`: the request, and its script, run with replacements for AWS's commands."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.ec2.models import ec2_backends
from moto.ssm.models import ssm_backends

from aws.account import Account
from aws.settings import AwsSettings, Ec2Settings
from model_code import inference
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import ACCOUNT, BUCKET, COLOURS, REGION, Command
from training.jobs import ec2_request, source_code
from training.run_result import Result

AWS = """#!/bin/sh
# aws s3 cp|sync --region R --only-show-errors FROM TO, with folders as buckets
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
def uploaded(bucket: str) -> str:
    """A bucket with a photo where `upload` copies them."""
    boto3.client("s3").put_object(Bucket=bucket, Key="whatbreed/data/train/A/1.jpg", Body=b"x")
    return bucket


@pytest.fixture
def instance(uploaded: str) -> Callable[[], dict[str, Any]]:
    """Describe the only instance of the account."""

    def instance() -> dict[str, Any]:
        [reservation] = boto3.client("ec2").describe_instances()["Reservations"]
        return dict(reservation["Instances"][0])

    return instance


OPTIONS = ("--instance-type", "c5.xlarge")


def run_keys() -> list[str]:
    page = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="whatbreed/ec2/")
    return [item["Key"] for item in page.get("Contents", [])]


def test_the_launch(command: Command, instance: Callable[[], dict[str, Any]]) -> None:
    outcome = command("training", "ec2", *OPTIONS, "--epochs", 3, "--pretrained", "false")
    assert outcome.code == 0, outcome.err
    launched = instance()
    assert launched["InstanceType"] == "c5.xlarge"
    assert launched["InstanceLifecycle"] == "spot"
    assert launched["IamInstanceProfile"]["Arn"].endswith("instance-profile/whatbreed-ec2")
    tags = {tag["Key"]: tag["Value"] for tag in launched["Tags"]}
    assert tags.pop("Name").startswith("whatbreed-ec2-20")
    assert tags == {"project": "whatbreed"}
    client = boto3.client("ec2")
    script = client.describe_instance_attribute(
        InstanceId=launched["InstanceId"], Attribute="userData"
    )["UserData"]["Value"]
    text = base64.b64decode(script).decode()
    assert "--pretrained false --epochs 3" in text
    assert f"s3://{BUCKET}/whatbreed/ec2/ec2-20" in text
    ending = client.describe_instance_attribute(
        InstanceId=launched["InstanceId"], Attribute="instanceInitiatedShutdownBehavior"
    )
    assert ending["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    assert {key.rpartition("/")[2] for key in run_keys()} == {"source.tar.gz", "run.json"}


def test_the_profile_has_least_privilege(
    command: Command, instance: Callable[[], dict[str, Any]]
) -> None:
    command("training", "ec2", *OPTIONS)
    iam = boto3.client("iam")
    profile = iam.get_instance_profile(InstanceProfileName="whatbreed-ec2")["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] == ["whatbreed-ec2"]
    policy = iam.get_role_policy(RoleName="whatbreed-ec2", PolicyName="whatbreed")
    statements = policy["PolicyDocument"]["Statement"]
    actions = {action for item in statements for action in _as_list(item["Action"])}
    assert actions == {
        "s3:ListBucket",
        "s3:GetObject",
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    }
    [write] = [item for item in statements if "s3:PutObject" in _as_list(item["Action"])]
    assert write["Resource"] == [f"arn:aws:s3:::{BUCKET}/whatbreed/ec2/*"]


def test_a_run_is_trained_once(command: Command, instance: Callable[[], dict[str, Any]]) -> None:
    assert command("training", "ec2", *OPTIONS, "--run", "big").code == 0
    again = command("training", "ec2", *OPTIONS, "--run", "big")
    assert again.code == 2
    assert "Run big exists: resume it with `python -m training ec2 --resume big`" in again.err
    identifier = instance()["InstanceId"]  # one only
    resumed = command("training", "ec2", "--resume", "big")
    assert resumed.code == 1
    assert f"Run big is being trained by {identifier}" in resumed.err


def test_an_interrupted_run_resumes_with_its_settings(
    command: Command, instance: Callable[[], dict[str, Any]]
) -> None:
    command("training", "ec2", *OPTIONS, "--run", "big", "--epochs", 3, "--spot", "false")
    client = boto3.client("ec2")
    client.terminate_instances(InstanceIds=[instance()["InstanceId"]])
    refused = command("training", "ec2", "--resume", "big", "--epochs", 4)
    assert refused.code == 2
    assert "Run big was started with --epochs 3, not 4: omit --epochs" in refused.err
    outcome = command("training", "ec2", "--resume", "big", "--workers", 2)
    assert outcome.code == 0, outcome.err
    [latest] = [
        each
        for reservation in client.describe_instances()["Reservations"]
        for each in reservation["Instances"]
        if each["State"]["Name"] == "running"
    ]
    assert latest["InstanceType"] == "c5.xlarge"
    assert "InstanceLifecycle" not in latest
    script = client.describe_instance_attribute(
        InstanceId=latest["InstanceId"], Attribute="userData"
    )["UserData"]["Value"]
    assert "--epochs 3 --workers 2" in base64.b64decode(script).decode()


def test_a_finished_run_says_so(command: Command, instance: Callable[[], dict[str, Any]]) -> None:
    command("training", "ec2", *OPTIONS, "--run", "big")
    boto3.client("ec2").terminate_instances(InstanceIds=[instance()["InstanceId"]])
    key = "whatbreed/ec2/big/model.tar.gz"
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"x")
    outcome = command("training", "ec2", "--resume", "big")
    assert outcome.code == 2
    assert f"Run big is finished: its model is at s3://{BUCKET}/{key}" in outcome.err


def test_without_photos(command: Command, bucket: str) -> None:
    """An instance that finds nothing to train on would be billed until it has installed."""
    boto3.client("s3").put_object(Bucket=bucket, Key="whatbreed/data/train/A/._1.jpg", Body=b"x")
    outcome = command("training", "ec2", *OPTIONS)
    assert outcome.code == 1
    assert "None of the 1 files" in outcome.err
    assert boto3.client("ec2").describe_instances()["Reservations"] == []


def test_a_refused_launch_leaves_no_upload(
    command: Command, uploaded: str, emulator: State
) -> None:
    emulator.refused["RunInstances"] = ("MaxSpotInstanceCountExceeded", "quota of spot instances")
    outcome = command("training", "ec2", *OPTIONS)
    assert outcome.code == 1
    assert "quota" in outcome.err
    assert run_keys() == []


def test_dry_run_prints_everything(command: Command, uploaded: str) -> None:
    outcome = command("training", "ec2", *OPTIONS, "--dry-run")
    assert outcome.code == 0
    printed, _, script = outcome.out.partition("#!/bin/bash")
    summary = json.loads(printed)
    assert summary["cost_at_most_usd"] == pytest.approx(8 * 0.17)
    assert summary["spot_usd_per_hour"] == 0.00001  # moto's
    assert "shutdown -h now" in script
    assert boto3.client("iam").list_roles()["Roles"] == []
    assert boto3.client("ec2").describe_instances()["Reservations"] == []


@dataclass(frozen=True)
class MachineImages:
    """Images of AWS and Canonical that moto lacks, by their SSM parameter."""

    ids: dict[str, str]

    def add(self, parameter: str, architecture: str, device: str, size_gb: int) -> None:
        image = ec2_backends[ACCOUNT][REGION].register_image(parameter)
        image.architecture, image.root_device_name = architecture, device
        image.ebs_snapshot.volume.size = size_gb
        backend = ssm_backends[ACCOUNT][REGION]
        backend.put_parameter("x", "", image.id, "String", "", "", False, [], "text", "", "")
        # only AWS can write parameters of such names
        backend._parameters[parameter] = backend._parameters.pop("x")
        self.ids[image.id] = parameter


@pytest.fixture
def machine_images(aws: None) -> MachineImages:
    images = MachineImages({})
    for system, device in (("amazon-linux-2023", "/dev/xvda"), ("ubuntu-24.04", "/dev/sda1")):
        for architecture in ("x86_64", "arm64"):
            name = f"{architecture}/base-oss-nvidia-driver-gpu-{system}/latest/ami-id"
            images.add(f"/aws/service/deeplearning/ami/{name}", architecture, device, 75)
    for dpkg, architecture in (("amd64", "x86_64"), ("arm64", "arm64")):
        name = f"server/24.04/stable/current/{dpkg}/hvm/ebs-gp3/ami-id"
        images.add(f"/aws/service/canonical/ubuntu/{name}", architecture, "/dev/sda1", 8)
    return images


@pytest.mark.parametrize(
    ("instance_type", "system", "parameter", "device"),
    [
        ("g5.xlarge", "amazon-linux", "x86_64/base-oss-nvidia-driver-gpu-amazon", "/dev/xvda"),
        ("g5g.xlarge", "amazon-linux", "arm64/base-oss-nvidia-driver-gpu-amazon", "/dev/xvda"),
        ("gr6.4xlarge", "ubuntu", "x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04", "/dev/sda1"),
        ("p6e-gb200.36xlarge", "ubuntu", "arm64/base-oss-nvidia-driver-gpu-ubuntu", "/dev/sda1"),
        ("c7g.xlarge", "ubuntu", "24.04/stable/current/arm64/hvm", "/dev/sda1"),
        ("c5.xlarge", "ubuntu", "24.04/stable/current/amd64/hvm", "/dev/sda1"),
    ],
)
def test_the_default_image(
    machine_images: MachineImages, instance_type: str, system: str, parameter: str, device: str
) -> None:
    account = Account(AwsSettings.read())
    options = Ec2Settings.read({"instance_type": instance_type, "system": system})
    image = ec2_request.machine_image(account, options)
    assert parameter in machine_images.ids[image["ImageId"]]
    request = ec2_request.launch_request(account, options, "r", image)
    assert request["BlockDeviceMappings"][0]["DeviceName"] == device


def test_the_disk_holds_the_image(
    machine_images: MachineImages, uploaded: str, command: Command
) -> None:
    options = ("--instance-type", "g5.xlarge", "--volume-gb", 74)
    outcome = command("training", "ec2", *options)
    assert outcome.code == 2
    assert "--volume-gb 74 is below the 75 GB of ami-" in outcome.err


def test_the_image_has_the_architecture_of_the_type(
    machine_images: MachineImages, uploaded: str, command: Command
) -> None:
    [image, *_] = machine_images.ids
    options = ("--machine-image", image, "--instance-type", "g5g.xlarge")
    outcome = command("training", "ec2", *options)
    assert outcome.code == 2
    assert f"{image} is for x86_64, but g5g.xlarge needs arm64" in outcome.err


def test_an_image_that_does_not_exist(uploaded: str, command: Command) -> None:
    outcome = command("training", "ec2", *OPTIONS, "--machine-image", "ami-12345678")
    assert outcome.code == 1
    assert "EC2 has no image ami-12345678" in outcome.err


@pytest.mark.parametrize("refused", [False, True])
def test_the_role_of_spot_instances(
    uploaded: str, command: Command, emulator: State, refused: bool
) -> None:
    """An account's first spot request needs it; later ones must not need the right to create it."""
    iam = boto3.client("iam")
    if refused:
        iam.create_service_linked_role(AWSServiceName="spot.amazonaws.com")
        emulator.refused["CreateServiceLinkedRole"] = ("AccessDenied", "no")
    assert command("training", "ec2", *OPTIONS).code == 0
    assert iam.get_role(RoleName="AWSServiceRoleForEC2Spot")


def test_a_spot_role_that_only_an_administrator_may_create(
    uploaded: str, command: Command, emulator: State
) -> None:
    emulator.refused["CreateServiceLinkedRole"] = ("AccessDenied", "no")
    outcome = command("training", "ec2", *OPTIONS)
    assert outcome.code == 1
    assert "create-service-linked-role --aws-service-name spot.amazonaws.com" in outcome.err
    assert command("training", "ec2", *OPTIONS, "--spot", "false").code == 0


def test_dry_run_says_why_the_cost_is_unknown(command: Command, uploaded: str) -> None:
    options = ("--instance-type", "x9.large", "--dry-run")
    summary = json.loads(command("training", "ec2", *options).out.partition("#!/bin/bash")[0])
    assert summary["cost_at_most_usd"] is None
    assert "The price of x9.large (ec2) is unknown" in summary["cost_note"]


@pytest.fixture
def run_script(colour_photos: Path, tmp_path: Path, credentials: None) -> Any:
    """Run the script with folders as buckets; returns its exit code and output."""
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

    def run_script(without: str = "dnf", **values: Any) -> tuple[int, str]:
        # `command -v` as on a machine that lacks a command
        hide = f'command() {{ test "$2" != {without} && builtin command "$@"; }}\n'
        account = Account(AwsSettings.read({"bucket": "bucket"}))
        text = hide + ec2_request.user_data(
            account, Ec2Settings.read(), account.uri("data"), account.uri("ec2", "r"), values
        )
        work = tmp_path / "machine"
        shutil.rmtree(work, ignore_errors=True)  # a new instance each time
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


SMALL = {
    "backbone": "tf_efficientnet_lite0",
    "size": 64,
    "train-size": 64,
    "cache-size": 80,
    "batch-size": 8,
}


@pytest.mark.server
def test_the_script_trains_and_shuts_down(run_script: Any, tmp_path: Path) -> None:
    code, output = run_script(**SMALL, epochs=1)
    assert code == 0, output
    results = tmp_path / "s3" / "bucket" / "whatbreed" / "ec2" / "r"
    with tarfile.open(results / "model.tar.gz") as archive:
        archive.extractall(tmp_path / "model", filter="data")
    assert set(inference.model_fn(tmp_path / "model").artifact.labels) == set(COLOURS)
    assert (results / "run" / "checkpoint.pt").exists()
    assert Result.parse((results / "run" / "result.json").read_bytes()) is not None
    times = dict(map(str.split, (results / "times.txt").read_text().splitlines()))
    assert list(times) == ["installed", "downloaded", "trained", "exported"]
    assert [int(at) for at in times.values()] == sorted(int(at) for at in times.values())
    log = (results / "log.txt").read_text()
    assert "valid_top1=" in log
    assert "whatbreed: exit code 0" in log
    orders = (tmp_path / "s3" / "shutdown").read_text().splitlines()
    assert orders[0].startswith("-h +480")
    assert orders[-1] == "-h now"


@pytest.mark.server
def test_the_script_prints_metrics(tmp_path: Path) -> None:
    text = ec2_request.SCRIPT.read_text(encoding="utf-8").replace("$$", "$")
    start, end = text.index("cpu_times() {"), text.index("finish() {")
    code = text[start:end] + "\nread -r total idle < <(cpu_times)\nprint_metrics $total $idle\n"
    done = subprocess.run(["bash", "-euc", code], capture_output=True, text=True, check=True)
    assert re.match(r"metrics: cpu \d+ %, memory \d+ %\n", done.stdout)


UBUNTU = """#!/bin/sh
echo "$@" >> "$S3/apt"
"""


@pytest.mark.server
def test_the_script_installs_python_on_ubuntu(run_script: Any, tmp_path: Path) -> None:
    """Its Python is 3.12; Canonical's image has neither venv nor AWS's command."""
    (tmp_path / "bin" / "python3.11").rename(tmp_path / "bin" / "python3")
    for name in ("apt-get", "snap"):
        (tmp_path / "bin" / name).write_text(UBUNTU)
        (tmp_path / "bin" / name).chmod(0o755)
    code, output = run_script(epochs="many", without="python3.11")
    assert code != 0, "the options are wrong on purpose"
    assert "--epochs" in output, output
    assert "install --quiet --yes python3-venv" in (tmp_path / "s3" / "apt").read_text()


@pytest.mark.server
def test_the_script_shuts_down_after_an_error(run_script: Any, tmp_path: Path) -> None:
    code, output = run_script(epochs="many")
    assert code != 0
    assert f"exit code {code}" in output
    assert (tmp_path / "s3" / "shutdown").read_text().splitlines()[-1] == "-h now"


def _as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)

"""Train on a bare EC2 machine: it installs, trains, uploads the model and ends itself.

On demand or spot. The checkpoints go to S3 while it trains: where a spot machine is taken away, the
same command goes on from them. The machine may read the photos and write below ec2/, nothing more;
it ends itself at the end, on any error, and after max_hours whatever happens. --dry-run prints the
request, the role's policy and the script that the machine runs.

example:
  python -m training ec2 --run big --epochs 30 --instance-type g5.xlarge
  python -m training ec2 --run big --spot false --dry-run
"""

import argparse
import json
import re
import shlex
import tarfile
import time
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

from botocore.exceptions import ClientError

from aws import account as accounts
from aws import role_policies, roles, s3_storage, settings
from aws.account import Account, told_in_one_line
from aws.errors import AwsError
from aws.instance_types import architecture
from aws.s3_layout import DATA
from aws.settings import Ec2Settings
from cli.errors import SettingsError
from training import settings as configuration
from training.jobs import source_code

SCRIPT = Path(__file__).with_name("ec2_user_data.sh")
POLL_S = 5.0
_SSM = "/aws/service/"
_CPU_IMAGE = _SSM + "ami-amazon-linux-latest/al2023-ami-kernel-default-{arch}"
_GPU_IMAGE = (
    _SSM + "deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id"
)
_GPU_FAMILIES = re.compile(r"(p|g)\d")
_ROLE_IS_YOUNG = re.compile(r"Invalid IAM Instance Profile|iamInstanceProfile", re.IGNORECASE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", default="ec2", help="name; the same name goes on (default ec2)")
    parser.add_argument("--dry-run", action="store_true", help="print all of it, start nothing")
    accounts.add_options(parser)
    settings.add_options(parser, Ec2Settings)
    configuration.add_train_options(parser)


@told_in_one_line
def run(arguments: argparse.Namespace) -> None:
    account = accounts.open_account(arguments)
    options = Ec2Settings.read(vars(arguments))
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9-]{0,40}", arguments.run):
        raise SettingsError(f"--run {arguments.run!r} must be letters, digits and hyphens")
    script = user_data(account, options, arguments.run, _train_options(arguments))
    policy = role_policies.ec2(account)
    request = launch_request(account, options, arguments.run, machine_image(account, options))
    if arguments.dry_run:
        print(json.dumps({"request": request, "policy": policy}, indent=2))
        print(script)
        return
    if not s3_storage.exists(account):
        raise AwsError(f"bucket {account.bucket} does not exist: upload --create-bucket makes it")
    if (running := _running(account, arguments.run)) is not None:
        print(f"{running} trains {arguments.run} already; its log: {log_command(account, running)}")
        return
    roles.ensure_role(account, options.role, "ec2.amazonaws.com", policy)
    roles.ensure_instance_profile(account, options.role)
    package = upload_source(account, arguments.run)
    try:
        machine = _launch(account, {**request, "UserData": script})
    except BaseException:
        s3_storage.delete(account, [package])
        raise
    print(f"started {machine}: {options.instance_type}, {'spot' if options.spot else 'on demand'}")
    print(f"log:   {log_command(account, machine)}")
    print(f"model: {account.uri('ec2', arguments.run, 'model.tar.gz')} when it is done")


def user_data(account: Account, options: Ec2Settings, run: str, train_options: list[str]) -> str:
    """The script that the machine runs as root at its first start."""
    text = Template(SCRIPT.read_text(encoding="utf-8")).substitute(
        region=shlex.quote(account.region),
        data=shlex.quote(account.uri(DATA)),
        run=shlex.quote(account.uri("ec2", run)),
        minutes=60 * options.max_hours,
        options=shlex.join(train_options),
    )
    if len(text.encode()) > 16_384:
        raise SettingsError("EC2 takes 16 KB of user data at most: give fewer options")
    return text


def launch_request(account: Account, options: Ec2Settings, run: str, image: str) -> dict[str, Any]:
    """The members of RunInstances but the user data."""
    tags = [*account.settings.tag_list(), {"Key": "Name", "Value": _name(account, run)}]
    request: dict[str, Any] = {
        "ImageId": image,
        "InstanceType": options.instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "IamInstanceProfile": {"Name": options.role},
        # `shutdown` in the script is what ends the machine, and its bill.
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/xvda",
                "Ebs": {
                    "VolumeSize": options.volume_gb,
                    "VolumeType": "gp3",
                    "Encrypted": True,
                    "DeleteOnTermination": True,
                },
            }
        ],
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")
        ],
    }
    if options.spot:
        request["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {
                "SpotInstanceType": "one-time",
                "InstanceInterruptionBehavior": "terminate",
            },
        }
    if account.settings.subnets:
        request["SubnetId"] = account.settings.subnets[0]
        request["SecurityGroupIds"] = account.settings.security_groups
    return request


def machine_image(account: Account, options: Ec2Settings) -> str:
    """The AMI's id: as set, or what AWS's public parameter names today."""
    name = options.machine_image
    if name.startswith("ami-"):
        return name
    if not name:
        arm = architecture(options.instance_type) == "arm64"
        gpu = _GPU_FAMILIES.match(options.instance_type) is not None
        name = _GPU_IMAGE if gpu else _CPU_IMAGE.format(arch="arm64" if arm else "x86_64")
    try:
        return str(account.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
    except ClientError as error:
        if "ParameterNotFound" not in str(error):
            raise
        raise AwsError(f"AWS names no machine image {name}: set --machine-image ami-…") from None


def upload_source(account: Account, run: str) -> str:
    """Send the packed code of the run (see `source_code.pack`) and return its key in the bucket."""
    key = f"{account.settings.prefix}/ec2/{run}/source.tar.gz"
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "source"
        folder.mkdir()
        source_code.pack(folder)
        archive = Path(scratch) / "source.tar.gz"
        with tarfile.open(archive, "w:gz") as stream:
            stream.add(folder, ".")
        account.client("s3").upload_file(str(archive), account.bucket, key)
    return key


def log_command(account: Account, machine: str) -> str:
    """The command that shows what the machine has said so far."""
    return (
        f"aws ec2 get-console-output --latest --output text --region {account.region} "
        f"--instance-id {machine}"
    )


def _launch(account: Account, request: dict[str, Any]) -> str:
    """Start the machine and return its id; a role that is seconds old is waited for."""
    attempts = 12
    while True:
        attempts -= 1
        try:
            answer = account.client("ec2").run_instances(**request)
            return str(answer["Instances"][0]["InstanceId"])
        except ClientError as error:
            if not attempts or not _ROLE_IS_YOUNG.search(str(error)):
                raise
        time.sleep(POLL_S)


def _running(account: Account, run: str) -> str | None:
    """The machine that trains `run` now, if there is one."""
    found = account.client("ec2").describe_instances(
        Filters=[
            {"Name": "tag:Name", "Values": [_name(account, run)]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
    )["Reservations"]
    return str(found[0]["Instances"][0]["InstanceId"]) if found else None


def _name(account: Account, run: str) -> str:
    return f"{account.settings.prefix}-{run}"


def _train_options(arguments: argparse.Namespace) -> list[str]:
    """The options of [train] that were given, checked, as `train` takes them."""
    known = configuration.table("train")
    checked = configuration.train_settings(vars(arguments))
    options: list[str] = []
    for key in vars(arguments):
        if key in known:
            value = getattr(checked, key)
            text = str(value).lower() if isinstance(value, bool) else str(value)
            options += [f"--{key.replace('_', '-')}", text]
    return options

"""Train on one EC2 instance, which installs, trains, uploads the model and terminates itself.

The instance writes checkpoints to S3: if a spot instance is interrupted, run the same command again
to resume. It may read the photos and write below ec2/ of the bucket. It terminates at the end, on
any error, and after max_hours. --dry-run prints the request, the role's policy and the script.

example:
  python -m training ec2 --run big --epochs 30 --instance-type g5.xlarge
  python -m training ec2 --run big --spot false --dry-run
"""

import json
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import click

from aws import account as accounts
from aws import prices, role_policies, roles, s3_layout, s3_storage
from aws.account import Account, or_none
from aws.errors import AwsError
from aws.instance_types import architecture, has_gpu
from aws.polling import retry
from aws.settings import Ec2Settings
from cli import commands
from cli.errors import SettingsError
from training.jobs import hyperparameters, source_code
from training.settings import TrainSettings

SCRIPT = Path(__file__).with_name("ec2_user_data.sh")
MAX_USER_DATA_BYTES = 16_384  # a limit of EC2
# SSM parameters of AWS and Canonical, by operating system. {arch} is x86_64 or arm64.
_CPU_IMAGES = {
    "amazon-linux": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{arch}",
    "ubuntu": (
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/{dpkg_arch}/hvm/ebs-gp3/ami-id"
    ),
}
_GPU_IMAGE = (
    "/aws/service/deeplearning/ami/{arch}/base-oss-nvidia-driver-gpu-{system}/latest/ami-id"
)
_GPU_SYSTEMS = {"amazon-linux": "amazon-linux-2023", "ubuntu": "ubuntu-24.04"}


@commands.command(__doc__)
@click.option("--run", default="ec2", show_default=True, help="Name. The same name resumes a run.")
@commands.dry_run_option
@accounts.options(Ec2Settings, TrainSettings)
def command(
    account: Account, run: str, dry_run: bool, ec2: Ec2Settings, train: TrainSettings
) -> None:
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9-]{0,40}", run):
        raise SettingsError(f'--run "{run}" must be at most 41 letters, digits and hyphens.')
    script = user_data(account, ec2, run, hyperparameters.changed(train))
    policy = role_policies.ec2(account)
    request = launch_request(account, ec2, run, machine_image(account, ec2))
    price = prices.instance_usd_per_hour("ec2", ec2.instance_type)
    cost = None if price is None else round(price * ec2.max_hours, 2)
    if dry_run:
        unknown = {} if price else {"cost_note": prices.unknown("ec2", ec2.instance_type)}
        summary = {"request": request, "policy": policy, "cost_at_most_usd": cost, **unknown}
        print(json.dumps(summary, indent=2))
        print(script)
        return
    s3_storage.require(account)
    if (running := _running_instance(account, run)) is not None:
        print(f"{running} is already training {run}; its log: {log_command(account, running)}")
        return
    roles.ensure_role(account, ec2.role, roles.trust("ec2.amazonaws.com"), policy)
    roles.ensure_instance_profile(account, ec2.role)
    if ec2.spot:
        roles.ensure_service_linked_role(account, "spot.amazonaws.com")
    package = upload_source(account, run)
    try:
        # EC2 accepts a new instance profile only after some seconds.
        response = retry(
            account,
            lambda: account.client("ec2").run_instances(**request, UserData=script),
            lambda error: "iaminstanceprofile" in str(error).lower().replace(" ", ""),
        )
    except BaseException:
        s3_storage.delete(account, [package])
        raise
    instance = response["Instances"][0]["InstanceId"]
    print(f"started {instance}: {ec2.instance_type}, {'spot' if ec2.spot else 'on demand'}")
    print(f"log:   {log_command(account, instance)}")
    print(f"model: {account.uri(s3_layout.EC2, run, 'model.tar.gz')} at the end")


def user_data(account: Account, ec2: Ec2Settings, run: str, values: Mapping[str, Any]) -> str:
    """Return the script that the instance runs as root at its first boot.

    `values` are options of `train`. Raises SettingsError if the script becomes too large.
    """
    options: list[str] = []
    for name, value in values.items():
        options += [f"--{name}", json.dumps(value) if isinstance(value, bool) else str(value)]
    text = Template(SCRIPT.read_text(encoding="utf-8")).substitute(
        region=shlex.quote(account.region),
        data=shlex.quote(account.uri(s3_layout.DATA)),
        run=shlex.quote(account.uri(s3_layout.EC2, run)),
        minutes=60 * ec2.max_hours,
        options=shlex.join(options),
    )
    if len(text.encode()) > MAX_USER_DATA_BYTES:
        raise SettingsError("The script exceeds the 16 KB of EC2's user data: give fewer options.")
    return text


def launch_request(
    account: Account, ec2: Ec2Settings, run: str, image: dict[str, Any]
) -> dict[str, Any]:
    """Return the request of RunInstances without the user data.

    `image` is EC2's description of it. Raises SettingsError if the instance type or the disk does
    not fit.
    """
    _require_fit(ec2, image)
    tags = [
        *account.settings.tag_list(),
        {"Key": "Name", "Value": f"{account.settings.prefix}-{run}"},
    ]
    request: dict[str, Any] = {
        "ImageId": image["ImageId"],
        "InstanceType": ec2.instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "IamInstanceProfile": {"Name": ec2.role},
        # The script's `shutdown` must end the bill, not just stop the instance.
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "BlockDeviceMappings": [
            {
                # /dev/xvda in Amazon Linux, /dev/sda1 in Ubuntu
                "DeviceName": image["RootDeviceName"],
                "Ebs": {
                    "VolumeSize": ec2.volume_gb,
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
    if ec2.spot:
        # EC2's defaults: a one-time request, and termination if the instance is interrupted.
        request["InstanceMarketOptions"] = {"MarketType": "spot"}
    if account.settings.subnets:
        request["SubnetId"] = account.settings.subnets[0]
        request["SecurityGroupIds"] = account.settings.security_groups
    return request


def machine_image(account: Account, ec2: Ec2Settings) -> dict[str, Any]:
    """Return EC2's description of the AMI: [ec2].machine_image, or AWS's latest of the system.

    Raises AwsError if it does not exist.
    """
    name = ec2.machine_image or _default_image(ec2)
    if not name.startswith("ami-"):
        parameter = or_none(lambda: account.client("ssm").get_parameter(Name=name))
        if parameter is None:
            raise AwsError(f"SSM has no parameter {name}: set --machine-image ami-….")
        name = str(parameter["Parameter"]["Value"])
    images = or_none(lambda: account.client("ec2").describe_images(ImageIds=[name]))
    if not images or not images["Images"]:
        raise AwsError(f"EC2 has no image {name} in {account.region}: set another --machine-image.")
    return dict(images["Images"][0])


def _default_image(ec2: Ec2Settings) -> str:
    arch = architecture(ec2.instance_type)
    names = {"arch": "arm64" if arch == "arm64" else "x86_64", "dpkg_arch": arch}
    if has_gpu(ec2.instance_type):
        return _GPU_IMAGE.format(system=_GPU_SYSTEMS[ec2.system], **names)
    return _CPU_IMAGES[ec2.system].format(**names)


def _require_fit(ec2: Ec2Settings, image: dict[str, Any]) -> None:
    name = image["ImageId"]
    needed = "arm64" if architecture(ec2.instance_type) == "arm64" else "x86_64"
    if image.get("Architecture", needed) != needed:
        raise SettingsError(
            f"{name} is for {image['Architecture']}, but {ec2.instance_type} needs {needed}: set "
            "another --machine-image, or none."
        )
    root: dict[str, Any] = next(
        (
            mapping.get("Ebs", {})
            for mapping in image.get("BlockDeviceMappings", [])
            if mapping["DeviceName"] == image["RootDeviceName"]
        ),
        {},
    )
    if ec2.volume_gb < root.get("VolumeSize", 0):
        raise SettingsError(
            f"--volume-gb {ec2.volume_gb} is below the {root['VolumeSize']} GB of {name}."
        )


def upload_source(account: Account, run: str) -> str:
    """Upload the code of the run as a tar archive, and return its key in the bucket."""
    key = f"{account.settings.prefix}/{s3_layout.EC2}/{run}/source.tar.gz"
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "source"
        source_code.pack(folder)
        archive = shutil.make_archive(str(folder), "gztar", folder)
        account.client("s3").upload_file(archive, account.bucket, key)
    return key


def log_command(account: Account, instance: str) -> str:
    """Return the shell command that prints the instance's console log."""
    return (
        f"aws ec2 get-console-output --latest --output text --region {account.region} "
        f"--instance-id {instance}"
    )


def _running_instance(account: Account, run: str) -> str | None:
    reservations = account.client("ec2").describe_instances(
        Filters=[
            {"Name": "tag:Name", "Values": [f"{account.settings.prefix}-{run}"]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
    )["Reservations"]
    return str(reservations[0]["Instances"][0]["InstanceId"]) if reservations else None

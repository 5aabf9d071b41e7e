"""The request of the EC2 instance that trains: its image, disk, tags and first-boot script."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from aws.account import Account, or_none
from aws.errors import AwsError
from aws.instance_types import architecture, has_gpu
from aws.settings import Ec2Settings
from cli.errors import SettingsError

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


def user_data(
    account: Account, ec2: Ec2Settings, data: str, folder: str, values: Mapping[str, Any]
) -> str:
    """Return the script that the instance runs as root at its first boot.

    `data` and `folder` are the S3 prefixes of the photos and of the run, `values` options of
    `train`. Raises SettingsError if the script becomes too large.
    """
    options: list[str] = []
    for name, value in values.items():
        options += [f"--{name}", json.dumps(value) if isinstance(value, bool) else str(value)]
    text = Template(SCRIPT.read_text(encoding="utf-8")).substitute(
        region=shlex.quote(account.region),
        data=shlex.quote(data),
        run=shlex.quote(folder),
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

"""Instances, their images and volumes in EC2."""

import base64
from typing import Any

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends

from tests.aws_rules.rules import Refused, Request, rule

_RUN = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html"
_USER_DATA = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html"
_MAPPING = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html"
_GRAVITON = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-types.html"
_PROFILE = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
    "troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_errors-no-permissions"
)
_SPOT = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/service-linked-roles-spot-instance-requests.html"
_METADATA = (
    "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceMetadataOptionsRequest.html"
)


@rule("ec2", "RunInstances", source=_USER_DATA)
def user_data_fits(request: Request) -> None:
    """User data has at most 16 KB before it is encoded."""
    script = base64.b64decode(request.parameters.get("UserData") or "")
    if len(script) > 16_384:
        raise Refused("InvalidParameterValue", "User data is limited to 16384 bytes")


@rule("ec2", "RunInstances", source=_MAPPING)
def volumes_hold_their_snapshots(request: Request) -> None:
    """A volume is at least as large as the image's snapshot, and at most 65,536 GiB."""
    image = _image(request)
    for mapping in request.parameters.get("BlockDeviceMappings") or []:
        size = (mapping.get("Ebs") or {}).get("VolumeSize")
        if size is None:
            continue
        least = _snapshot_gib(image, mapping["DeviceName"])
        if int(size) < least:
            raise Refused(
                "InvalidBlockDeviceMapping",
                f"Volume of size {size}GB is smaller than snapshot, expect size >= {least}GB",
            )
        if not 1 <= int(size) <= 65_536:
            raise Refused("InvalidParameterValue", f"Invalid volume size: {size}")


@rule("ec2", "RunInstances", source=_GRAVITON)
def architectures_match(request: Request) -> None:
    """Arm instance types, a1, and those with a g after the generation, boot arm64 images only."""
    family = request.parameters["InstanceType"].partition(".")[0]
    arm = (
        family == "a1"
        or family.startswith("p6e-gb")
        or "g" in family.lstrip("abcdefghijklmnopqrstuvwxyz")
    )
    needed = "arm64" if arm else "x86_64"
    architecture = getattr(_image(request), "architecture", needed)
    if architecture not in (needed, None):
        raise Refused(
            "InvalidParameterValue",
            f"The architecture '{needed}' of the specified instance type does not match the "
            f"architecture '{architecture}' of the specified AMI.",
        )


@rule("ec2", "RunInstances", source=_PROFILE)
def instance_profiles_take_seconds(request: Request) -> None:
    """EC2 does not see an instance profile for some seconds after it was created."""
    name = (request.parameters.get("IamInstanceProfile") or {}).get("Name")
    profiles = iam_backends[request.account]["aws"].instance_profiles.values()
    profile = next((each for each in profiles if each.name == name), None)
    if name and (profile is None or not profile.roles or not hasattr(profile, "seen_by_ec2")):
        if profile is not None and profile.roles:
            setattr(profile, "seen_by_ec2", True)  # noqa: B010 (not an attribute of moto's)
        raise Refused(
            "InvalidParameterValue",
            f"Value ({name}) for parameter iamInstanceProfile.name is invalid. "
            "Invalid IAM Instance Profile name",
        )


@rule("ec2", "RunInstances", source=_SPOT)
def spot_has_its_role(request: Request) -> None:
    """Spot instances need the role AWSServiceRoleForEC2Spot; EC2 creates it for administrators."""
    market = (request.parameters.get("InstanceMarketOptions") or {}).get("MarketType")
    roles = {role.name for role in iam_backends[request.account]["aws"].roles.values()}
    if market == "spot" and "AWSServiceRoleForEC2Spot" not in roles:
        raise Refused(
            "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
            "The provided credentials do not have permission to create the service-linked role "
            "for EC2 Spot Instances.",
        )


@rule("ec2", "RunInstances", source=_RUN)
def requests_are_consistent(request: Request) -> None:
    """Counts ascend, device names and tagged types are unique, spot instances cannot stop."""
    parameters = request.parameters
    if not 1 <= int(parameters["MinCount"]) <= int(parameters["MaxCount"]):
        raise Refused("InvalidParameterValue", "MinCount must be 1 to MaxCount")
    devices = [each["DeviceName"] for each in parameters.get("BlockDeviceMappings") or []]
    kinds = [each["ResourceType"] for each in parameters.get("TagSpecifications") or []]
    for names in (devices, kinds):
        if len(set(names)) < len(names):
            raise Refused("InvalidParameterValue", f"Duplicate values: {', '.join(names)}")
    market = parameters.get("InstanceMarketOptions") or {}
    stops = parameters.get("InstanceInitiatedShutdownBehavior") == "stop"
    if market.get("MarketType") == "spot" and stops:
        raise Refused("InvalidParameterCombination", "A one-time spot instance cannot be stopped")


@rule("ec2", "RunInstances", source=_METADATA)
def metadata_options_are_valid(request: Request) -> None:
    """Tokens are optional or required, and travel 1 to 64 hops."""
    options = request.parameters.get("MetadataOptions") or {}
    if options.get("HttpTokens", "required") not in ("optional", "required"):
        raise Refused("InvalidParameterValue", f"Invalid HttpTokens: {options['HttpTokens']}")
    if not 1 <= int(options.get("HttpPutResponseHopLimit", 1)) <= 64:
        raise Refused("InvalidParameterValue", "HttpPutResponseHopLimit must be 1 to 64")


@rule("ec2", "RunInstances", source=_RUN)
def network_exists(request: Request) -> None:
    """The subnet and the security groups exist and are in one VPC."""
    subnet_id = request.parameters.get("SubnetId")
    backend = ec2_backends[request.account][request.region]
    groups: list[Any] = [
        backend.get_security_group_from_id(group)
        for group in request.parameters.get("SecurityGroupIds") or []
    ]
    if None in groups:
        raise Refused("InvalidGroup.NotFound", "A security group does not exist")
    if subnet_id and groups:
        vpc = backend.get_subnet(subnet_id).vpc_id
        if any(group.vpc_id != vpc for group in groups):
            raise Refused("InvalidParameter", f"Security groups and {subnet_id} are in two VPCs")


def _image(request: Request) -> Any:
    images = ec2_backends[request.account][request.region].amis
    if request.parameters["ImageId"] not in images:
        message = f"The image id '[{request.parameters['ImageId']}]' does not exist"
        raise Refused("InvalidAMIID.NotFound", message)
    return images[request.parameters["ImageId"]]


def _snapshot_gib(image: Any, device: str) -> int:
    """Return the size of the snapshot of the image's root volume; 1 for other devices."""
    return int(image.ebs_snapshot.volume.size) if image.root_device_name == device else 1

"""Instance types, quotas, disks and networks that EC2 requires of a new instance."""

import re

from moto.core.utils import get_service_model
from moto.ec2.models import ec2_backends

from aws.instance_types import vcpus
from tests.aws_rules.rules import Refused, Request, rule
from tests.emulator.corrected_account import quota

API = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_"
GUIDE = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide"
_FAMILIES = {
    "g": ("All G and VT Spot Instance Requests", "Running On-Demand G and VT instances"),
    "p": ("All P4, P3 and P2 Spot Instance Requests", "Running On-Demand P instances"),
    "": (
        "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
    ),
}
_VOLUMES = {  # GiB
    "gp2": (1, 16_384), "gp3": (1, 65_536), "io1": (4, 16_384), "io2": (4, 65_536),
    "st1": (125, 16_384), "sc1": (125, 16_384), "standard": (1, 1_024),
}  # fmt: skip


def _is_spot(request: Request) -> bool:
    options = request.parameters.get("InstanceMarketOptions") or {}
    return bool(options.get("MarketType") == "spot")


@rule("ec2", "RunInstances", source=f"{API}RunInstances.html")
def instance_types_exist(request: Request) -> None:
    """The instance type is one of EC2's."""
    kind = request.parameters["InstanceType"]
    if kind not in get_service_model("ec2").shape_for("InstanceType").enum:
        raise Refused("InvalidParameterValue", f"Invalid value '{kind}' for InstanceType.")


@rule(
    "ec2",
    "RunInstances",
    source=f"{GUIDE}/ec2-on-demand-instances.html#ec2-on-demand-instances-limits",
)
def vcpus_are_within_the_quota(request: Request) -> None:
    """The vCPUs of a family are limited, for spot and on demand separately."""
    kind = request.parameters["InstanceType"]
    family = kind[0] if kind[0] in "gp" else ""
    spot, on_demand = _FAMILIES[family]
    needed = vcpus(kind) * int(request.parameters["MaxCount"])
    if _is_spot(request) and needed > (quota(spot) or 0):
        raise Refused("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    if not _is_spot(request) and needed > (quota(on_demand) or 0):
        raise Refused(
            "VcpuLimitExceeded",
            "You have requested more vCPU capacity than your current vCPU limit of "
            f"{quota(on_demand)} allows for the instance bucket that the specified instance type "
            "belongs to.",
        )


@rule(
    "ec2",
    "RunInstances",
    source="https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html",
)
def instances_without_a_subnet_need_the_default_vpc(request: Request) -> None:
    """Without a subnet, the instance goes to the default VPC, which an account may lack."""
    backend = ec2_backends[request.account][request.region]
    interfaces = request.parameters.get("NetworkInterfaces")
    if request.parameters.get("SubnetId") or interfaces:
        return
    if not any(str(vpc.is_default).lower() == "true" for vpc in backend.vpcs.values()):
        raise Refused(
            "VPCIdNotSpecified",
            "No default VPC for this user. GroupName is only supported for "
            "EC2-Classic and default VPC.",
        )


@rule("ec2", "RunInstances", source=f"{API}RunInstances.html")
def groups_are_few(request: Request) -> None:
    """A network interface has at most 5 security groups, which are given once."""
    groups = request.parameters.get("SecurityGroupIds") or []
    if len(groups) > 5:
        raise Refused("SecurityGroupsPerInterfaceLimitExceeded", "More than 5 security groups")
    if len(set(groups)) < len(groups):
        raise Refused("InvalidParameterValue", "A security group is given twice")


@rule("ec2", "RunInstances", source=f"{API}EbsBlockDevice.html")
def volumes_have_the_sizes_of_their_types(request: Request) -> None:
    """The size is possible for the volume type, and deleted volumes are not named."""
    for mapping in request.parameters.get("BlockDeviceMappings") or []:
        disk = mapping.get("Ebs") or {}
        least, most = _VOLUMES.get(disk.get("VolumeType", "gp2"), (0, 0))
        if disk.get("VolumeSize") and not least <= int(disk["VolumeSize"]) <= most:
            raise Refused(
                "InvalidParameterValue",
                f"Volume size {disk['VolumeSize']} is not valid for {disk.get('VolumeType')}",
            )
        if not re.fullmatch(r"/dev/(sd|xvd)[a-z]{1,2}\d{0,2}", mapping["DeviceName"]):
            name = mapping["DeviceName"]
            raise Refused("InvalidBlockDeviceMapping", f"Invalid device name {name}")


@rule("ec2", "RunInstances", source=f"{API}TagSpecification.html")
def what_is_tagged_is_created(request: Request) -> None:
    """RunInstances tags instances, volumes, interfaces, and spot requests if it makes one."""
    allowed = {"instance", "volume", "network-interface", "elastic-gpu", "elastic-inference"}
    allowed |= {"spot-instances-request"} if _is_spot(request) else set()
    for each in request.parameters.get("TagSpecifications") or []:
        if each["ResourceType"] not in allowed:
            message = f"'{each['ResourceType']}' is not a valid taggable resource type for this"
            raise Refused("InvalidParameterValue", f"{message} operation.")


@rule("ec2", "RunInstances", source=f"{API}InstanceMarketOptionsRequest.html")
def spot_options_are_consistent(request: Request) -> None:
    """A one-time spot request is not stopped or hibernated when it is interrupted."""
    market = request.parameters.get("InstanceMarketOptions") or {}
    options = market.get("SpotOptions") or {}
    one_time = options.get("SpotInstanceType", "one-time") == "one-time"
    if one_time and options.get("InstanceInterruptionBehavior", "terminate") != "terminate":
        message = "A one-time spot instance is terminated when it is interrupted"
        raise Refused("InvalidParameterCombination", message)

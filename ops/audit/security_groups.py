"""Audit security groups: ports that the whole internet can reach."""

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

from aws.account import Account
from ops.audit.finding import Finding, Severity

# Half of the internet or more, so that 0.0.0.0/1 and 128.0.0.0/1 do not pass as restricted.
_WORLD_PREFIX_LENGTH = 1
_PUBLIC_PORTS = ((80, 80), (443, 443))  # web servers serve the whole internet


def check(account: Account) -> Iterator[Finding]:
    """Yield a finding for each security group and rule that admits the whole internet."""
    groups = account.client("ec2").get_paginator("describe_security_groups").paginate()
    for group in groups.search("SecurityGroups[]"):
        name = group["GroupId"]
        resource = f"security group {name}"
        for rule in filter(_admits_the_world, group["IpPermissions"]):
            problem = f"{group['GroupName']} is open to the world on {_ports(rule)}"
            fix = (
                f"aws ec2 revoke-security-group-ingress --group-id {name} --ip-permissions "
                f"'{_shorthand(rule)}', then admit only the addresses that need it"
            )
            yield Finding(Severity.HIGH, resource, problem, fix)


def open_to_the_world(account: Account, groups: Sequence[str]) -> list[str]:
    """Return those of `groups`, which are ids, that admit the whole internet."""
    if not groups:
        return []
    described = account.client("ec2").describe_security_groups(GroupIds=list(groups))
    return [
        group["GroupId"]
        for group in described["SecurityGroups"]
        if any(map(_admits_the_world, group["IpPermissions"]))
    ]


def _admits_the_world(rule: dict[str, Any]) -> bool:
    if (rule.get("FromPort"), rule.get("ToPort")) in _PUBLIC_PORTS and rule["IpProtocol"] == "tcp":
        return False
    return bool(_world(rule))


def _world(rule: dict[str, Any]) -> list[str]:
    ranges = [item["CidrIp"] for item in rule.get("IpRanges", [])]
    ranges += [item["CidrIpv6"] for item in rule.get("Ipv6Ranges", [])]
    return [cidr for cidr in ranges if ipaddress.ip_network(cidr).prefixlen <= _WORLD_PREFIX_LENGTH]


def _ports(rule: dict[str, Any]) -> str:
    protocol = rule["IpProtocol"]
    if protocol == "-1":
        return "all ports"
    first, last = rule.get("FromPort"), rule.get("ToPort")
    if protocol not in ("tcp", "udp") or (first, last) == (0, 65535):
        return f"all of {protocol}"
    return f"{protocol} port {first}" if first == last else f"{protocol} ports {first} to {last}"


def _shorthand(rule: dict[str, Any]) -> str:
    """Return the open part of a rule in the AWS CLI's shorthand syntax."""
    world = _world(rule)
    parts = [f"IpProtocol={rule['IpProtocol']}"]
    parts += [f"{key}={rule[key]}" for key in ("FromPort", "ToPort") if key in rule]
    if v4 := [f"{{CidrIp={cidr}}}" for cidr in world if ":" not in cidr]:
        parts.append(f"IpRanges=[{','.join(v4)}]")
    if v6 := [f"{{CidrIpv6={cidr}}}" for cidr in world if ":" in cidr]:
        parts.append(f"Ipv6Ranges=[{','.join(v6)}]")
    return ",".join(parts)

"""IP addresses: resolving a host name, and telling public addresses from all others."""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from typing import Any

from chalicelib.deadline import Deadline

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# `is_global` follows IANA's special-purpose registries. It accepts these networks, which are
# multicast, reserved, or embed an IPv4 address.
_NOT_PUBLIC_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "192.0.0.0/24",  # IETF protocol assignments
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved
    )
)
_GLOBAL_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")  # RFC 4291
_NOT_PUBLIC_V6 = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments: Teredo, ORCHID, benchmarking
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: embeds an IPv4 address
        "3fff::/20",  # documentation, RFC 9637
    )
)
# Well-known prefix of NAT64, RFC 6052: the last 32 bits are the IPv4 address that is contacted.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

_NUMERIC_LABEL = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)


class UnknownHost(Exception):
    """The host name has no address."""


def is_public(address: Address) -> bool:
    """Return whether `address` is on the public internet."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in _NOT_PUBLIC_V4)
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return (
        address.is_global
        and address in _GLOBAL_UNICAST_V6
        and not any(address in network for network in _NOT_PUBLIC_V6)
    )


def is_loopback(address: Address) -> bool:
    """Return whether `address` is this machine's own, including IPv4 mapped into IPv6."""
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_nonstandard_ipv4(host: str) -> bool:
    """Return whether `host` is an IPv4 address in a form that only some programs accept.

    These forms are decimal, octal, hexadecimal, or have fewer than four parts. See the "ends in a
    number" checker of https://url.spec.whatwg.org.
    """
    last_label = host.rstrip(".").rpartition(".")[2]
    if not _NUMERIC_LABEL.fullmatch(last_label):
        return False
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return True
    return False


def resolve(
    host: str,
    port: int,
    deadline: Deadline,
    getaddrinfo: Callable[..., Sequence[Any]] = socket.getaddrinfo,
) -> Sequence[Address]:
    """Return the distinct addresses of `host`, in the resolver's order.

    Raises `UnknownHost`, and `TimeoutError` if the resolver is too slow.
    """
    try:
        # getaddrinfo has no timeout.
        entries = deadline.call(lambda: getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (socket.gaierror, UnicodeError):
        raise UnknownHost(host) from None
    texts = (str(socket_address[0]).partition("%")[0] for *_, socket_address in entries)
    return tuple(dict.fromkeys(map(ipaddress.ip_address, texts)))

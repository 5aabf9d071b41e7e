"""Which addresses on the internet are public, and where a host name leads."""

import ipaddress
import re
import socket
from collections.abc import Sequence

from chalicelib.deadline import Deadline

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Python's `is_global` follows IANA's special-purpose registries, in which these look public:
# multicast is its own registry, and the others carry an IPv4 address or none of their own.
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
# Only 2000::/3 has been given to anyone (RFC 4291); these parts of it lead elsewhere.
_GIVEN_V6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments: Teredo, ORCHID, benchmarking
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",  # documentation, RFC 9637
    )
)

_NUMBER_LABEL = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)


class UnknownHost(Exception):
    """A host name that leads nowhere."""


def is_public(address: Address) -> bool:
    """Whether `address` belongs to the open internet, and to no network behind us."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in _NOT_PUBLIC_V4)
    return (
        address.is_global
        and address in _GIVEN_V6
        and not any(address in network for network in _NOT_PUBLIC_V6)
    )


def is_loopback(address: Address) -> bool:
    """Whether `address` is this machine's own, IPv4 in IPv6 included."""
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_disguised(host: str) -> bool:
    """Whether `host` is an IPv4 address in a form that only some programs read as one: decimal,
    octal, hexadecimal, or with fewer than four parts ("ends in a number" of url.spec.whatwg.org).
    """
    last = host.rstrip(".").rpartition(".")[2]
    if not _NUMBER_LABEL.fullmatch(last):
        return False
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return True
    return False


def resolve(host: str, port: int, deadline: Deadline) -> Sequence[Address]:
    """Every address that `host` leads to, each once, in the resolver's order.

    Raises `UnknownHost`, and `TimeoutError` where the resolver takes too long: `getaddrinfo`
    itself knows no timeout.
    """
    try:
        answers = deadline.call(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (socket.gaierror, UnicodeError):
        raise UnknownHost(host) from None
    # a dictionary keeps their order
    found = {ipaddress.ip_address(str(answer[4][0]).partition("%")[0]): None for answer in answers}
    return tuple(found)

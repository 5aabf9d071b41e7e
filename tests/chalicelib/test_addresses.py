import ipaddress
import threading
import time

import pytest

from chalicelib import addresses
from chalicelib.deadline import Deadline

PUBLIC = ["8.8.8.8", "93.184.215.14", "1.1.1.1", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]
PUBLIC += ["64:ff9b::8.8.8.8", "64:ff9b::5db8:d70e"]  # NAT64
NOT_PUBLIC = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",  # carrier-grade NAT
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",  # metadata of EC2
    "169.254.170.2",  # metadata of ECS and Lambda
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",  # metadata of Oracle's cloud
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:8.8.8.8",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::a9fe:a9fe",  # NAT64 of 169.254.169.254
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::",
    "64:ff9b::1:808:808",  # outside of the prefix
    "64:ff9b:1::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",  # Teredo
    "2001:db8::1",
    "2002:a9fe:a9fe::1",  # 6to4 of 169.254.169.254
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",  # metadata of EC2
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_public(text: str) -> None:
    assert addresses.is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_not_public(text: str) -> None:
    assert not addresses.is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True)]
    + [("10.0.0.1", False), ("169.254.169.254", False), ("::", False), ("8.8.8.8", False)],
)
def test_loopback(text: str, expected: bool) -> None:
    assert addresses.is_loopback(ipaddress.ip_address(text)) is expected


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "0x7f.1", "127.1", "017700000001", "0177.0.0.1", "127.0.0.1."]
    + ["1", "0", "1.2.3.4.5", "example.0x7f", "127.0.0.01", "0x"],
)
def test_nonstandard_addresses(host: str) -> None:
    assert addresses.is_nonstandard_ipv4(host)


@pytest.mark.parametrize("host", ["8.8.8.8", "127.0.0.1", "example.com", "3com.com", "::1", "a.b1"])
def test_plain_hosts(host: str) -> None:
    assert not addresses.is_nonstandard_ipv4(host)


def test_resolve_localhost() -> None:
    resolved = addresses.resolve("localhost", 80, Deadline(5))
    assert resolved
    assert all(addresses.is_loopback(address) for address in resolved)
    assert len(set(resolved)) == len(resolved)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".example"])
def test_a_host_that_does_not_exist(host: str) -> None:
    with pytest.raises(addresses.UnknownHost):
        addresses.resolve(host, 80, Deadline(5))


def test_resolve_after_the_deadline() -> None:
    with pytest.raises(TimeoutError):
        addresses.resolve("localhost", 80, Deadline(-1))


def test_a_resolver_that_hangs_is_abandoned() -> None:
    released = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        released.wait(30)
        return []

    start = time.monotonic()
    with pytest.raises(TimeoutError):
        addresses.resolve("slow.example", 80, Deadline(0.1), getaddrinfo=hang)
    assert time.monotonic() - start < 15
    released.set()

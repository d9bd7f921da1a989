"""Which hosts images may be fetched from."""

import ipaddress
import socket
from collections.abc import Mapping
from typing import Any

import pytest

from sparsedet.image_options import AllowedHost
from sparsedet.integrations.label_studio.images.hosts import (
    HostRules,
    is_public,
    is_same_machine,
    literal_address,
)
from sparsedet.integrations.label_studio.images.unreadable import Unreadable

PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        (PUBLIC, True),
        ("2606:4700::1", True),
        ("::ffff:93.184.215.14", True),
        ("64:ff9b::5db8:d70e", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.0.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.251", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fec0::1", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:a9fe:a9fe::1", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize(
    ("text", "host", "port", "address", "fits"),
    [
        ("images.lan", "images.lan", 80, "10.0.0.5", True),
        ("images.lan", "IMAGES.lan.", 443, "10.0.0.5", True),
        ("images.lan", "other.lan", 80, "10.0.0.5", False),
        ("images.lan:9000", "images.lan", 9000, "10.0.0.5", True),
        ("images.lan:9000", "images.lan", 80, "10.0.0.5", False),
        ("10.0.0.5", "images.lan", 80, "10.0.0.5", True),
        ("10.0.0.5:9000", "10.0.0.5", 9000, "10.0.0.5", True),
        ("10.0.0.5:9000", "10.0.0.5", 9001, "10.0.0.5", False),
        ("10.1.0.0/16", "images.lan", 80, "10.1.200.3", True),
        ("10.1.0.0/16", "images.lan", 80, "10.2.0.1", False),
        ("[fd00::5]:9000", "fd00::5", 9000, "fd00::5", True),
        ("fd00::5", "fd00::5", 1, "fd00::5", True),
    ],
)
def test_allowed_hosts(text: str, host: str, port: int, address: str, fits: bool) -> None:
    assert AllowedHost.parse(text).fits(host, port, ipaddress.ip_address(address)) is fits


@pytest.mark.parametrize(
    "text", ["", "http://images.lan", "images.lan/x", "me@images.lan", "a:99999", "a b", "a:b"]
)
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid host .*: write images\.lan"):
        AllowedHost.parse(text)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("[::1]", "::1"),
        ("images.lan", None),
    ],
)
def test_addresses_in_other_spellings(host: str, address: str | None) -> None:
    assert literal_address(host) == (ipaddress.ip_address(address) if address else None)


def resolving(names: Mapping[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have names resolve to addresses, in turn; an address resolves to itself."""

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        found = names[host].pop(0).split() if host in names else [host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_every_address_of_a_name_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving({"a.example": [f"{PUBLIC} 192.168.0.1"]}, monkeypatch)
    with pytest.raises(Unreadable, match=r"a\.example \(192\.168\.0\.1\) is on this machine or"):
        HostRules("http://labels.example").addresses("a.example", 80)


def test_connections_are_made_to_what_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving({"a.example": [PUBLIC, "127.0.0.1"]}, monkeypatch)
    rules = HostRules("http://labels.example")
    assert rules.addresses("a.example", 80) == [ipaddress.ip_address(PUBLIC)]
    with pytest.raises(Unreadable, match="private network"):
        rules.addresses("a.example", 80)


def test_label_studio_itself_may_be_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving({"labels.lan": ["10.0.0.2", "10.0.0.2"]}, monkeypatch)
    rules = HostRules("http://labels.lan:8080")
    assert rules.addresses("labels.lan", 8080) == [ipaddress.ip_address("10.0.0.2")]
    with pytest.raises(Unreadable, match=r'add "labels\.lan:9000" to \[images\] allow_hosts'):
        rules.addresses("labels.lan", 9000)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://localhost:8080/x", "http://127.0.0.1:8080", True),
        ("http://[::1]:8080/x", "http://localhost:8080", True),
        ("http://localhost/x", "http://127.0.0.1:80", True),
        ("http://localhost:8081/x", "http://127.0.0.1:8080", False),
        ("https://localhost:8080/x", "http://127.0.0.1:8080", False),
        ("http://labels.lan:8080/x", "http://labels.lan:8080", False),
        ("http://[::1", "http://localhost", False),
    ],
)
def test_names_of_this_machine(one: str, other: str, same: bool) -> None:
    assert is_same_machine(one, other) is same

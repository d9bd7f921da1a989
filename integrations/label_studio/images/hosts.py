"""Rules for hosts that images may be downloaded from.

Task data is untrusted, and its addresses are fetched from inside the network of the user who pulls:
they must not reach routers, metadata services or other internal hosts.
"""

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from sparsedet.image_options import Address, AllowedHost

from .unreadable import Kind, Unreadable

_PORTS = {"http": 80, "https": 443}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class HostRules:
    """Decides which network addresses may be connected to.

    These are all public ones, Label Studio itself, and those that the settings allow.

    Args:
        server: Label Studio's address.
        allowed: `[images] allow_hosts`.
    """

    def __init__(self, server: str, allowed: Iterable[str] = ()) -> None:
        self._server = host_and_port(server)
        self._allowed = [AllowedHost.parse(host) for host in allowed]

    def addresses(self, host: str, port: int) -> list[Address]:
        """Resolve a host name, after checking that all its addresses may be connected to.

        Connections use exactly these addresses, since a name may resolve to others a moment later.

        Raises:
            Unreadable: if the host is unknown or not allowed.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, OverflowError, ValueError):
            raise Unreadable(Kind.NOT_CONNECTED, f"unknown host {shown_host(host)}") from None
        # A link-local address has its interface after a %.
        addresses = [ipaddress.ip_address(str(entry[4][0]).split("%")[0]) for entry in found]
        for address in addresses:
            self.check(host, port, address)
        return list(dict.fromkeys(addresses))

    def check(self, host: str, port: int, address: Address) -> None:
        """Refuse a connection that is not allowed.

        Args:
            host: as named in the link.
            port: port of the connection.
            address: the resolved address.

        Raises:
            Unreadable: naming the setting that allows it.
        """
        if (host.lower(), port) == self._server or is_public(address):
            return
        if any(allowed.fits(host, port, address) for allowed in self._allowed):
            return
        shown = shown_host(host)
        resolved = "" if host == str(address) else f" ({address})"
        name = f"[{shown}]" if ":" in shown else shown
        raise Unreadable(
            Kind.NOT_ALLOWED,
            f"{shown}{resolved} is on this machine or in a private network, and not Label Studio "
            f'itself; to allow downloads from there, add "{name}:{port}" to [images] '
            "allow_hosts in sparsedet.toml",
        )


def is_public(address: Address) -> bool:
    """Return whether an address is public.

    An IPv6 address that maps an IPv4 address is judged by the latter.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def literal_address(host: str) -> Address | None:
    """Return the address that a host name spells out, also as 127.1, 0x7f000001 or 2130706433."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError, ValueError):
        return None


def is_same_machine(one: str, other: str) -> bool:
    """Return whether two addresses name the same local server: localhost is 127.0.0.1."""
    try:
        (host, port), (other_host, other_port) = host_and_port(one), host_and_port(other)
    except ValueError:
        return False
    same_scheme = urlsplit(one).scheme == urlsplit(other).scheme
    return same_scheme and port == other_port and {host, other_host} <= _LOOPBACK


def host_and_port(url: str) -> tuple[str, int]:
    """Return host (in lower case) and port of a web address.

    Raises:
        ValueError: if it is invalid.
    """
    parts = urlsplit(url)
    if parts.hostname is None or parts.scheme not in _PORTS:
        raise ValueError(url)
    return parts.hostname, parts.port or _PORTS[parts.scheme]


def shown_host(host: str) -> str:
    """Return a host name for an error message, on one line and shortened."""
    shown = "".join(character if character.isprintable() else "?" for character in host)
    return shown if len(shown) <= 100 else f"{shown[:100]}..."

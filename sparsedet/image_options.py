"""How a project's images are fetched: limits, and allowed hosts.

A task's data may contain any address, and its server may send anything.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

StorageAccess = Literal["label-studio", "direct"]
"""Who reads images in cloud storage: the annotation tool, with its own credentials, or this
machine, with the user's."""

MOST_MEGAPIXELS = 1000.0
"""OpenCV decodes no image of more than 2 ** 30 pixels."""

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[^\s:/@\[\]?#]+)(?::(?P<port>[0-9]{1,5}))?")
_MAX_PORT = 65535

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
"""Port of a host."""


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """How images are fetched."""

    max_megabytes: float = 100.0
    """Maximum size of a file, as sent and unpacked; 1 MB is 1,000,000 bytes."""
    max_megapixels: float = 100.0
    """Maximum width times height of an image."""
    max_seconds: float = 300.0
    """Maximum time for a file, from the first connection to the last byte."""
    allow_hosts: tuple[str, ...] = ()
    """Hosts that may be contacted even on this machine or a private network; see `AllowedHost`."""
    storage: StorageAccess = "label-studio"
    """Who reads s3://, gs:// and azure-blob:// addresses."""
    refresh: bool = False
    """Whether to compare cached images with the current content of their addresses."""

    @property
    def max_bytes(self) -> int:
        """`max_megabytes` in bytes."""
        return int(self.max_megabytes * 1e6)

    @property
    def max_pixels(self) -> int:
        """`max_megapixels` in pixels."""
        return int(self.max_megapixels * 1e6)


@dataclass(frozen=True, slots=True)
class AllowedHost:
    """A host from `[images] allow_hosts`: a name, an address, or a whole network."""

    name: str | None
    """In lower case; None: see `network`."""
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    port: int | None
    """None: any."""

    @classmethod
    def parse(cls, text: str) -> "AllowedHost":
        """Read `images.lan`, `10.0.0.5:9000`, `[fd00::5]:9000`, `fd00::5` or `10.1.0.0/16`.

        Raises:
            ValueError: when the text is none of these.
        """
        try:
            return cls(None, ipaddress.ip_network(text, strict=False), None)
        except ValueError:
            pass
        found = _HOST.fullmatch(text)
        port = int(found["port"]) if found and found["port"] else None
        if found is None or not (port is None or 0 < port <= _MAX_PORT):
            raise ValueError(
                f"invalid host {text!r}: write images.lan, 10.0.0.5:9000 or a network such as "
                "10.1.0.0/16, without http://"
            )
        name = found["name"].strip("[]").lower()
        try:
            return cls(None, ipaddress.ip_network(name), port)
        except ValueError:
            return cls(name, None, port)

    def fits(self, host: str, port: int, address: Address) -> bool:
        """Return whether a connection is to this host.

        Args:
            host: as in the link.
            port: of the connection.
            address: that the host's name resolved to.
        """
        if self.port not in (None, port):
            return False
        if self.network is not None:
            return address in self.network
        return host.lower().rstrip(".") == self.name

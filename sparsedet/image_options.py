"""What is fetched when images of a project are: limits, and the hosts that may be asked.

The data of a task may hold any address, and whatever answers there may send anything.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

StorageAccess = Literal["label-studio", "direct"]
"""Who reads images in a cloud storage: the annotation tool, with the key that it has, or this
machine, with the user's own credentials."""

MOST_MEGAPIXELS = 1000.0
"""OpenCV decodes no image of more than 2 ** 30 pixels."""

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[^\s:/@\[\]?#]+)(?::(?P<port>[0-9]{1,5}))?")
_MAX_PORT = 65535

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
"""Of a host on the network."""


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """How images are fetched."""

    max_megabytes: float = 100.0
    """Of one file, as it is sent and unpacked; 1 MB is 1,000,000 bytes."""
    max_megapixels: float = 100.0
    """Of one image, width times height."""
    max_seconds: float = 300.0
    """That one file may take, from the first connection to the last byte."""
    allow_hosts: tuple[str, ...] = ()
    """Hosts that may be asked though they are on this machine or in a private network; see
    `AllowedHost`."""
    storage: StorageAccess = "label-studio"
    """Who reads s3://, gs:// and azure-blob:// addresses."""
    refresh: bool = False
    """Whether images that are there already are compared with what their addresses hold now."""

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
    """A host as `[images] allow_hosts` names it: by name, by address, or a whole network."""

    name: str | None
    """In lower case; None: `network` says which."""
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    port: int | None
    """None: any."""

    @classmethod
    def parse(cls, text: str) -> "AllowedHost":
        """Read `images.lan`, `10.0.0.5:9000`, `[fd00::5]:9000`, `fd00::5` or `10.1.0.0/16`.

        Raises:
            ValueError: when it is none of these.
        """
        try:
            return cls(None, ipaddress.ip_network(text, strict=False), None)
        except ValueError:
            pass
        found = _HOST.fullmatch(text)
        port = int(found["port"]) if found and found["port"] else None
        if found is None or not (port is None or 0 < port <= _MAX_PORT):
            raise ValueError(
                f"{text!r} is no host; write images.lan, 10.0.0.5:9000 or a network such as "
                "10.1.0.0/16, without http://"
            )
        name = found["name"].strip("[]").lower()
        try:
            return cls(None, ipaddress.ip_network(name), port)
        except ValueError:
            return cls(name, None, port)

    def fits(self, host: str, port: int, address: Address) -> bool:
        """Return whether a connection is one to this host.

        Args:
            host: as the link names it.
            port: of the connection.
            address: that the host's name resolved to.
        """
        if self.port not in (None, port):
            return False
        if self.network is not None:
            return address in self.network
        return host.lower().rstrip(".") == self.name

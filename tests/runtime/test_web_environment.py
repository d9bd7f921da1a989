"""Proxies and certificates that can't be used."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sparsedet.errors import ConfigError, SetupError
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.modeling.weights.download import fetch
from sparsedet.runtime.web_environment import checked_proxies, trusted_certificates

PASSWORD = "hunter2hunter2"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    trusted_certificates.cache_clear()


def connect() -> None:
    """Connect to a server that can only be reached through the proxy."""
    Connection("http://label-studio.invalid", "k" * 40)


def download() -> None:
    """Download weights."""
    fetch("http://weights.invalid/weights.pth")


@pytest.mark.parametrize("use", [connect, download])
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ALL_PROXY", f"socks5://ann:{PASSWORD}@127.0.0.1:9", "SOCKS proxies need another package"),
        ("http_proxy", f"ftp://ann:{PASSWORD}@127.0.0.1:9", "proxies must look like http://"),
        ("HTTP_PROXY", f"http://ann:{PASSWORD}@127.0.0.1:port", "proxies must look like http://"),
        ("Http_Proxy", f"http://ann:{PASSWORD}@127.0.0.1:port", "proxies must look like http://"),
    ],
)
def test_a_proxy_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, use: Callable[[], None], name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises((SetupError, ConfigError), match=f"{name}: .*{says}") as raised:
        use()
    assert PASSWORD not in str(raised.value)


def test_a_proxy_of_no_variable_has_a_place_too() -> None:
    """On macOS, proxies are in the system's settings."""
    with pytest.raises(SetupError, match=r"^system settings: not valid"), checked_proxies():
        raise ValueError


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_without_certificates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "own.pem"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(SetupError, match="SSL_CERT_FILE: no certificates can be read there"):
        connect()

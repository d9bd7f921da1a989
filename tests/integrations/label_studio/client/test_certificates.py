"""Servers whose certificate is not trusted, on a real TLS connection."""

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio.client.connection import Connection
from tests.integrations.label_studio.images.conftest import KEY

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="makes certificates")


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[str]:
    """The address of a server with a certificate of its own."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.1,))
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_a_certificate_that_is_not_trusted_is_named_with_the_remedy(self_signed: str) -> None:
    says = r"has a certificate that can't be trusted \(self-signed certificate\); .*SSL_CERT_FILE"
    with pytest.raises(ToolError, match=says) as raised:
        Connection(self_signed, KEY)
    assert "is it running" not in str(raised.value)

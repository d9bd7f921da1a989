"""An S3 bucket connected to a project on a real server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import cv2
import pytest

from sparsedet.image_options import ImageOptions
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.tool import ToolOptions
from tests.integrations.label_studio.samples import scene

pytestmark = pytest.mark.label_studio

KEY = "a folder/größe 1.jpg"
LISTING = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>
<KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>
<Contents><Key>{key}</Key><LastModified>2026-06-01T10:00:00.000Z</LastModified>
<ETag>"a"</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>
</ListBucketResult>"""


@dataclass
class Bucket:
    """A server that answers like S3, with one image in one bucket."""

    url: str
    image: bytes
    keys_seen: list[str | None] = field(default_factory=list)
    """What requests for the image were authorized with: a signature of theirs in the headers, by
    Label Studio, or None, with one in the link."""


@contextmanager
def running_bucket(image: bytes) -> Iterator[Bucket]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._send(b"", "application/xml")

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path.strip("/") == "bucket":
                listing = LISTING.format(key=KEY, size=len(image))
                self._send(listing.encode(), "application/xml")
                return
            bucket.keys_seen.append(self.headers["Authorization"])
            assert self.headers["Authorization"] or "X-Amz-Signature" in parse_qs(parts.query)
            self._send(image, "image/jpeg")

        def _send(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"a"')
            self.send_header("Last-Modified", "Mon, 01 Jun 2026 10:00:00 GMT")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    bucket = Bucket(f"http://127.0.0.1:{server.server_port}", image)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("presign", [True, False])
def test_images_of_a_connected_bucket(
    label_studio: LocalServer, tool: LabelStudioTool, project: int, tmp_path: Path, presign: bool
) -> None:
    with running_bucket(cv2.imencode(".jpg", scene())[1].tobytes()) as bucket:
        storages = tool.connection.client.import_storage.s3
        storage = storages.create(
            project=project,
            bucket="bucket",
            s3endpoint=bucket.url,
            aws_access_key_id="a",
            aws_secret_access_key="b",
            regex_filter=".*jpg",
            use_blob_urls=True,
            presign=presign,
        )
        storages.sync(id=storage.id or 0)
        hosts = (bucket.url.removeprefix("http://"),) if presign else ()
        options = ToolOptions(images=ImageOptions(allow_hosts=hosts))
        allowed = LabelStudioTool(label_studio.url, options, api_key=label_studio.api_key)
        bucket.keys_seen.clear()
        dataset = allowed.pull(str(project), tmp_path / "images")
        (image,) = dataset.images
        assert image.file_name == f"{image.tool_id}-größe_1.jpg"
        assert (tmp_path / "images" / image.file_name).read_bytes() == bucket.image
        # Label Studio reads it with its own credentials, or signs a link for us; nobody sees ours.
        (key,) = bucket.keys_seen
        assert (key is None) is presign
        assert label_studio.api_key not in str(key)
        assert allowed.pull(str(project), tmp_path / "images") == dataset
        assert len(bucket.keys_seen) == 1

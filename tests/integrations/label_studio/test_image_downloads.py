"""Addresses of images, and names for their files."""

import pytest

from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio.project_pull import cache_name, image_url

SERVER = "http://labels.example:8080"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/upload/3/ab12cd34-cells.jpg", "7-ab12cd34-cells.jpg"),
        ("/data/local-files/?d=set/a%20b.png", "7-a_b.png"),
        ("/data/local-files/?d=..%2F..%2Fetc%2Fpasswd", "7-passwd"),
        ("/data/local-files/?d=c:%5Cwindows%5Cx.jpg", "7-x.jpg"),
        ("https://cdn.example/x/photo.JPG?signature=secret", "7-photo.JPG"),
        ("https://cdn.example/", "7-image"),
        ("/data/upload/3/..", "7-image"),
        ("/data/upload/3/.hidden", "7-hidden"),
        ("/data/upload/3/%2e%2e%2fx.jpg", "7-x.jpg"),
        ("/data/upload/3/a%00b;$(rm).jpg", "7-a_b_rm_.jpg"),
        ("/data/upload/3/Größe.jpg", "7-Größe.jpg"),
    ],
)
def test_file_names_are_safe(address: str, name: str) -> None:
    assert cache_name(7, address) == name


def test_long_names_keep_their_ending() -> None:
    name = cache_name(7, f"/data/upload/3/{'ü' * 300}.jpg")
    assert len(name.encode()) < 200
    assert name.endswith(".jpg")


@pytest.mark.parametrize(
    ("server", "address", "url"),
    [
        (SERVER, "/data/upload/3/x.jpg", f"{SERVER}/data/upload/3/x.jpg"),
        (SERVER, "data/upload/3/x.jpg", f"{SERVER}/data/upload/3/x.jpg"),
        (SERVER, "/data/local-files/?d=x.jpg", f"{SERVER}/data/local-files/?d=x.jpg"),
        (SERVER, "https://cdn.example/x.jpg", "https://cdn.example/x.jpg"),
        # A server below a path may or may not write it into its tasks.
        (f"{SERVER}/ls", "/data/upload/x.jpg", f"{SERVER}/ls/data/upload/x.jpg"),
        (f"{SERVER}/ls", "/ls/data/upload/x.jpg", f"{SERVER}/ls/data/upload/x.jpg"),
    ],
)
def test_addresses_become_urls(server: str, address: str, url: str) -> None:
    assert image_url(server, 7, address) == url


@pytest.mark.parametrize(
    "address", ["s3://bucket/x.jpg", "file:///etc/passwd", "data:image/png;base64,AA", "//host/x"]
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(ToolError, match="task 7: can't download the image"):
        image_url(SERVER, 7, address)

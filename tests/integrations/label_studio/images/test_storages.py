"""Images in cloud storages, read by Label Studio or directly; and inline in addresses."""

import base64
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import fsspec
import pytest

from sparsedet.errors import SetupError
from sparsedet.integrations.label_studio.images import storages
from tests.hostile.odd_server import Answer, OddServer, picture

from .conftest import Pull, asked, with_image

ADDRESS = "s3://bucket/a folder/x?.png"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> fsspec.AbstractFileSystem:
    """Have fsspec's storage in memory take the place of S3."""
    monkeypatch.setitem(storages.STORAGE_SCHEMES, "s3", "memory")
    memory = fsspec.filesystem("memory")
    memory.pipe("bucket/a folder/x?.png", picture((7, 9)))
    return memory


def test_label_studio_is_asked_to_resolve(
    server: OddServer, elsewhere: OddServer, pull: Pull
) -> None:
    with_image(server, ADDRESS)
    signed = f"{elsewhere.url}/images/x.png?X-Amz-Signature=a"
    server.answers["/tasks/1/resolve/"] = Answer(b"", 303, headers={"Location": signed})
    dataset = pull(allow_hosts=(elsewhere.url.removeprefix("http://"),))
    assert [image.file_name for image in dataset.images] == ["1-x", "2-2.png"]
    (headers,) = [headers for request, headers in elsewhere.seen if "/images/" in request]
    assert "Authorization" not in headers


def test_the_address_of_a_resolved_image() -> None:
    url = storages.resolve_url("http://labels.example/ls", 7, "s3://bucket/größe.png")
    assert url.startswith("http://labels.example/ls/tasks/7/resolve/?fileuri=")
    (name,) = parse_qs(urlsplit(url).query)["fileuri"]
    assert base64.urlsafe_b64decode(name).decode() == "s3://bucket/größe.png"


def test_a_signed_link_into_a_private_network_names_the_setting(
    server: OddServer, elsewhere: OddServer, pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    with_image(server, ADDRESS)
    server.answers["/tasks/1/resolve/"] = Answer(b"", 303, headers={"Location": elsewhere.url})
    assert pull().unread == {"1"}
    assert re.search(r'add "127\.0\.0\.1:\d+" to \[images\] allow_hosts', caplog.text)


def test_a_storage_that_is_read_directly(
    server: OddServer, pull: Pull, bucket: fsspec.AbstractFileSystem
) -> None:
    with_image(server, ADDRESS)
    dataset = pull(storage="direct")
    assert (dataset.images[0].width, dataset.images[0].height) == (7, 9)
    assert asked(server) == ["/images/2.png"]
    bucket.pipe("bucket/a folder/x?.png", picture((8, 9)))
    assert pull(storage="direct").images[0].width == 7
    assert pull(storage="direct", refresh=True).images[0].width == 8


def test_what_a_storage_does_not_have(
    server: OddServer,
    pull: Pull,
    bucket: fsspec.AbstractFileSystem,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with_image(server, "s3://bucket/none.png")
    assert pull(storage="direct").unread == {"1"}
    assert "s3://bucket/none.png is missing: the storage has no such file" in caplog.text


def test_limits_hold_for_storages_too(
    server: OddServer,
    pull: Pull,
    bucket: fsspec.AbstractFileSystem,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bucket.pipe("bucket/large.png", bytes(50_000))
    with_image(server, "s3://bucket/large.png")
    assert pull(storage="direct", max_megabytes=0.01).unread == {"1"}
    assert "more than 0.01 MB" in caplog.text


def test_a_full_disk_is_not_a_fault_of_the_storage(bucket: fsspec.AbstractFileSystem) -> None:
    with pytest.raises(OSError, match="No space left"), storages.open_in_storage(ADDRESS):
        raise OSError(28, "No space left on device")


def test_the_library_of_a_storage_that_is_missing(
    server: OddServer, pull: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    with_image(server, ADDRESS)
    with pytest.raises(SetupError, match=r"pip install 'sparsedet\[storage\]'"):
        pull(storage="direct")


@pytest.mark.parametrize(
    "link",
    [
        f"data:image/png;base64,{base64.b64encode(picture((7, 9))).decode()}",
        f"DATA:image/png;name=x.png;base64,{base64.b64encode(picture((7, 9))).decode()}",
        f" data:image/png;base64,{base64.encodebytes(picture((7, 9))).decode()}",
        "data:image/png;base64," + base64.b64encode(picture((7, 9))).decode().replace("+", "%2B"),
        "data:image/png," + "".join(f"%{byte:02x}" for byte in picture((7, 9))),
    ],
    ids=["plain", "parameters", "lines", "escaped", "without base64"],
)
def test_an_image_in_its_address(server: OddServer, pull: Pull, tmp_path: Path, link: str) -> None:
    with_image(server, link)
    (image, _) = pull().images
    assert (image.width, image.height) == (7, 9)
    assert re.fullmatch(r"1-[0-9a-f]{16}\.png", image.file_name)
    assert "base64" not in str(image.extra)
    assert pull().images[0] == image

"""Downloading images: addresses, file names, and a real server's files."""

import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import cv2
import pytest

from sparsedet.annotations import check_images
from sparsedet.errors import ToolError
from sparsedet.image_options import ImageOptions
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.demo.project_setup import import_tasks
from sparsedet.integrations.label_studio.images.addresses import (
    cache_name,
    image_url,
    shown_address,
    shows_another,
)
from sparsedet.integrations.label_studio.images.unreadable import Unreadable
from sparsedet.tool import ToolOptions
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.samples import scene

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


@pytest.mark.parametrize(
    ("file_name", "address", "another"),
    [
        ("7-a.jpg", "/data/upload/3/a.jpg", False),
        ("7-a.jpg", "/data/upload/3/b.jpg", True),
        ("train/7-a.jpg", "/data/upload/9/a.jpg", False),
        ("7-a.jpg", None, False),
        ("a.jpg", "/data/upload/3/b.jpg", False),  # not named by a pull
        ("71-a.jpg", "/data/upload/3/b.jpg", False),
    ],
)
def test_a_task_that_shows_another_image(file_name: str, address: object, another: bool) -> None:
    assert shows_another(file_name, 7, address) is another


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


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://host/x.jpg", "//host/x", "x:y"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(Unreadable, match="sparsedet fetches images that Label Studio serves"):
        image_url(SERVER, 7, address)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("/data/upload/3/a.jpg", "/data/upload/3/a.jpg"),
        ("/data/local-files/?d=set/a.jpg", "/data/local-files/?d=set/a.jpg"),
        ("/data/upload/3/a.jpg?token=hunter2", "/data/upload/3/a.jpg"),
        ("https://me:hunter2@cdn.example:8443/a.jpg", "https://cdn.example:8443/a.jpg"),
        ("https://me:hun@ter2@cdn.example/a.jpg", "https://cdn.example/a.jpg"),
        ("https://me:hunter2/@cdn.example/a.jpg", "https://.../a.jpg"),
        ("https://hunter2@cdn.example/a.jpg", "https://cdn.example/a.jpg"),
        ("https://cdn.example/a@b.jpg", "https://cdn.example/a@b.jpg"),
        ("https://cdn.example/a.jpg?sig=hunter2", "https://cdn.example/a.jpg"),
        ("https://cdn.example/a.jpg#hunter2", "https://cdn.example/a.jpg"),
        ("https://[::1]:80/a.jpg", "https://[::1]:80/a.jpg"),
        ("https://me:hunter2@[::1", "https://..."),
        ("ht\ntps://me:hunter2@cdn.example/a.jpg", "https://cdn.example/a.jpg"),
        ("//me:hunter2@cdn.example/a.jpg", "//cdn.example/a.jpg"),
        ("s3://bucket/größe.jpg?versionId=hunter2", "s3://bucket/größe.jpg"),
        ("azure_blob://me:hunter2@c/a.jpg", "azure_blob://c/a.jpg"),
        ("data:image/png;base64,hunter2", "data:image/png;base64,..."),
        ("https://cdn.example/\x1b[31m\x9b.jpg", "https://cdn.example/%1B[31m%C2%9B.jpg"),
        ("https://cdn.example/" + "a" * 500, "https://cdn.example/" + "a" * 180 + "..."),
        (["a.jpg"], "list"),
    ],
)
def test_addresses_are_shown_without_secrets(address: object, shown: str) -> None:
    assert shown_address(address) == shown


@pytest.mark.label_studio
def test_local_files_with_awkward_names(
    label_studio: LocalServer, tool: LabelStudioTool, project: int, tmp_path: Path
) -> None:
    name = "an image; $(touch x) é.jpg"
    folder = label_studio.data_dir.parent / "documents" / "set"
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(tmp_path / "x.jpg"), scene())
    shutil.move(tmp_path / "x.jpg", folder / name)
    storage = tool.connection.client.import_storage.local.create(
        project=project, path=str(folder), regex_filter=".*jpg", use_blob_urls=True
    )
    assert storage.id
    tool.connection.client.import_storage.local.sync(storage.id)
    dataset = tool.pull(str(project), tmp_path / "images")
    (image,) = dataset.images
    assert image.file_name == f"{image.id}-an_image_touch_x_é.jpg"
    check_images(dataset, tmp_path / "images")


class _Elsewhere(BaseHTTPRequestHandler):
    """An image server that is not Label Studio."""

    keys_seen: list[str | None]
    picture: bytes

    def do_GET(self) -> None:
        type(self).keys_seen.append(self.headers["Authorization"])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.picture)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[str]:
    _Elsewhere.keys_seen = []
    _Elsewhere.picture = cv2.imencode(".jpg", scene())[1].tobytes()
    with HTTPServer(("127.0.0.1", 0), _Elsewhere) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.label_studio
def test_other_hosts_never_see_the_key(
    label_studio: LocalServer,
    tool: LabelStudioTool,
    project: int,
    tmp_path: Path,
    elsewhere: str,
) -> None:
    import_tasks(tool.connection, project, [{"data": {"image": f"{elsewhere}/a/b.jpg?x=1"}}])
    with pytest.raises(ToolError, match=r"to \[images\] allow_hosts in sparsedet\.toml"):
        tool.pull(str(project), tmp_path / "images")
    assert _Elsewhere.keys_seen == []
    options = ToolOptions(images=ImageOptions(allow_hosts=("127.0.0.1",)))
    allowed = LabelStudioTool(label_studio.url, options, api_key=label_studio.api_key)
    dataset = allowed.pull(str(project), tmp_path / "images")
    assert dataset.images[0].file_name.endswith("-b.jpg")
    assert _Elsewhere.keys_seen == [None]


@pytest.mark.label_studio
@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("/data/upload/1/gone.jpg", "/data/upload/1/gone.jpg is missing: .* status 500"),
        ("/data/local-files/?d=set/gone.jpg", "is missing: the server answered with status 404"),
        ("/health", r"the response is not a readable image \(text/html"),
        ("http://127.0.0.1:9/x.jpg?signature=secret", r"http://127.0.0.1:9/x.jpg is missing"),
        ("s3://bucket/x.jpg", r"s3://bucket/x.jpg is missing: .* is its storage connected"),
        (["a.jpg", "b.jpg"], r"no image under 'image' \(found a list\)"),
        ("", r"no image under 'image' \(found an empty text\)"),
    ],
)
def test_an_image_that_can_not_be_had_names_its_task(
    tool: LabelStudioTool, project: int, tmp_path: Path, image: object, message: str
) -> None:
    (task,) = import_tasks(tool.connection, project, [{"data": {"image": image}}])
    with pytest.raises(ToolError, match=message) as caught:
        tool.pull(str(project), tmp_path / "images")
    assert str(caught.value).startswith(f"task {task}: ")
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "images").exists() or not list((tmp_path / "images").iterdir())


@pytest.mark.label_studio
def test_an_interrupted_pull_resumes(
    tool: LabelStudioTool, pulled: Pulled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = tmp_path / "interrupted"
    monkeypatch.setattr("sparsedet.integrations.label_studio.images.downloads.THREADS", 1)

    def interrupt(what: str, done: int, total: int) -> None:
        if what == "downloading images" and done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tool.pull(pulled.project, images, interrupt)
    there = {path: path.stat().st_mtime_ns for path in images.iterdir()}
    assert 1 <= len(there) < len(pulled.dataset.images)
    dataset = tool.pull(pulled.project, images)
    assert dataset == pulled.dataset
    assert {path.name for path in images.iterdir()} == {image.file_name for image in dataset.images}
    assert {path: path.stat().st_mtime_ns for path in there} == there

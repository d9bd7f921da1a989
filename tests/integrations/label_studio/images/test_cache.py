"""The image cache: heals itself, follows changes on request, and sends no other requests."""

import os
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import Mock

import pytest

from sparsedet.annotations.image_index import index_file, read_index
from sparsedet.annotations.image_names import original_name
from sparsedet.integrations.label_studio.images import cache
from sparsedet.integrations.label_studio.images.addresses import shows_another
from sparsedet.integrations.label_studio.images.cache import find_cached
from tests.hostile.odd_server import Answer, OddServer, picture

from .conftest import Pull, asked, with_image

OLD, NEW = picture((40, 30)), picture((20, 50))
NAME = "1-1.png"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return tmp_path / "images"


def serve(server: OddServer, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    """Have the server hold an image for both tasks."""
    server.answers["/images/"] = Answer(body, kind="image/png", headers=headers or {})


def test_nothing_is_asked_for_twice(server: OddServer, pull: Pull, images: Path) -> None:
    first = pull()
    assert asked(server) == ["/images/1.png", "/images/2.png"]
    assert pull() == first
    assert asked(server) == []
    index = read_index(index_file(images))
    assert {name: known.size for name, known in index.items()} == {
        "1-1.png": (40, 30),
        "2-2.png": (40, 30),
    }
    assert b"/images/" not in index_file(images).read_bytes()


def test_a_file_that_lost_its_end_is_fetched_again(
    server: OddServer, pull: Pull, images: Path
) -> None:
    first = pull()
    (images / NAME).write_bytes(OLD[:-30])
    assert pull() == first
    assert asked(server) == ["/images/1.png"]
    assert (images / NAME).read_bytes() == OLD


def test_a_file_that_was_damaged_in_place_is_fetched_again(
    server: OddServer, pull: Pull, images: Path
) -> None:
    first = pull()
    (images / NAME).write_bytes(OLD[:-20] + bytes(20))
    os.utime(images / NAME, (1, 1))
    assert pull() == first
    assert asked(server) == ["/images/1.png"]
    assert (images / NAME).read_bytes() == OLD


def test_a_file_that_was_copied_is_read_once(server: OddServer, pull: Pull, images: Path) -> None:
    first = pull()
    os.utime(images / NAME, (1, 1))
    assert pull() == first
    assert asked(server) == []
    assert read_index(index_file(images))[NAME].modified_ns == 1_000_000_000


@pytest.mark.parametrize("index", [b"", b"\xff", b"[]", b'{"version": 9, "images": {}}', None])
def test_a_workspace_without_a_usable_index_is_taken_over(
    server: OddServer, pull: Pull, images: Path, index: bytes | None
) -> None:
    first = pull()
    known = read_index(index_file(images))[NAME]
    index_file(images).unlink()
    if index is not None:
        index_file(images).write_bytes(index)
    (images / "2-2.png").write_bytes(OLD[:60])
    assert pull() == first
    assert asked(server) == ["/images/2.png"]
    taken_over = read_index(index_file(images))[NAME]
    assert (taken_over.sha256, taken_over.size) == (known.sha256, known.size)


def test_another_address_is_another_image(server: OddServer, pull: Pull, images: Path) -> None:
    pull()
    with_image(server, "/images/newer/1.png")
    server.answers["/images/newer/"] = Answer(NEW, kind="image/png")
    image = pull().image_by_id[1]
    assert image.width == 20
    assert asked(server) == ["/images/newer/1.png"]
    # The old one keeps its file: without it, nobody could say what its reviews are about.
    assert (images / NAME).read_bytes() == OLD
    assert original_name(image.file_name, image.tool_id) == "1.png"
    assert not shows_another(image.file_name, 1, "/images/newer/1.png")
    assert find_cached(images, {1: "/images/newer/1.png"}) == {1: image.file_name}
    assert find_cached(images, {1: "/images/1.png"}) == {1: NAME}
    assert pull().image_by_id[1] == image
    assert asked(server) == []
    with_image(server, "/images/1.png")
    assert pull().image_by_id[1].file_name == NAME
    assert asked(server) == []


def test_the_index_is_read_once_for_many_requests(
    server: OddServer, pull: Pull, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A live backend looks up an image per request; a large index takes a second to read."""
    reading = Mock(wraps=read_index)
    monkeypatch.setattr(cache, "read_index", reading)
    pull()
    reading.reset_mock()
    for _ in range(3):
        assert find_cached(images, {1: "/images/1.png"}) == {1: NAME}
    assert reading.call_count == 1
    with_image(server, "/images/newer/1.png")
    server.answers["/images/newer/"] = Answer(NEW, kind="image/png")
    newer = pull().image_by_id[1].file_name
    assert find_cached(images, {1: "/images/newer/1.png"}) == {1: newer}


def test_an_image_that_moved_keeps_its_file(server: OddServer, pull: Pull, images: Path) -> None:
    first = pull()
    with_image(server, "/images/newer/1.png")
    assert pull() == first
    assert asked(server) == ["/images/newer/1.png"]
    assert pull() == first
    assert asked(server) == []
    assert sorted(path.name for path in images.iterdir()) == ["1-1.png", "2-2.png"]


def test_a_link_that_is_signed_once_more_is_the_same_image(server: OddServer, pull: Pull) -> None:
    with_image(server, f"{server.url}/images/1.png?id=5&X-Amz-Date=1&X-Amz-Signature=a")
    pull()
    with_image(server, f"{server.url}/images/1.png?id=5&X-Amz-Date=2&X-Amz-Signature=b")
    pull()
    assert asked(server) == []
    with_image(server, f"{server.url}/images/1.png?id=6&X-Amz-Date=2&X-Amz-Signature=b")
    pull()
    assert asked(server) == ["/images/1.png"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"ETag": '"a"'}, {"ETag": '"b"'}),
        ({"Last-Modified": "Mon, 01 Jun 2026 10:00:00 GMT"},
         {"Last-Modified": "Tue, 02 Jun 2026 10:00:00 GMT"}),
        ({}, {}),
    ],
    ids=["etag", "date", "neither"],
)  # fmt: skip
def test_an_overwritten_image_is_found_by_a_refresh(
    server: OddServer,
    pull: Pull,
    images: Path,
    caplog: pytest.LogCaptureFixture,
    old: Mapping[str, str],
    new: Mapping[str, str],
) -> None:
    serve(server, OLD, old)
    pull()
    serve(server, NEW, new)
    assert pull().images[0].width == 40
    assert asked(server) == []
    refreshed = pull(refresh=True)
    assert "2 images have changed since they were pulled (tasks 1, 2)" in caplog.text
    assert asked(server) == ["/images/1.png", "/images/2.png"]
    assert [image.width for image in refreshed.images] == [20, 20]
    assert (images / NAME).read_bytes() == NEW
    assert pull() == refreshed
    assert asked(server) == []


@pytest.mark.parametrize(
    "headers",
    [{"ETag": '"a"'}, {"Last-Modified": "Mon, 01 Jun 2026 10:00:00 GMT"}],
    ids=["etag", "date"],
)
@pytest.mark.parametrize("knows_conditions", [True, False])
def test_a_refresh_leaves_what_has_not_changed(
    server: OddServer,
    pull: Pull,
    images: Path,
    headers: Mapping[str, str],
    knows_conditions: bool,
) -> None:
    serve(server, OLD, headers)
    first = pull()
    before = (images / NAME).stat()
    if knows_conditions:
        server.answers["/images/"] = Answer(b"", 304, headers=headers)
    assert pull(refresh=True) == first
    assert (images / NAME).stat().st_ino == before.st_ino
    sent = next(headers for request, headers in server.seen if request == "GET /images/1.png")
    condition = "If-None-Match" if "ETag" in headers else "If-Modified-Since"
    assert sent[condition] == next(iter(headers.values()))


def test_a_refresh_that_fails_keeps_what_is_there(
    server: OddServer, pull: Pull, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = pull()
    server.answers["/images/1.png"] = Answer(b"", 404)
    assert pull(refresh=True) == first
    assert "1 image was not refreshed" in caplog.text
    assert "(task 1)" in caplog.text
    assert (images / NAME).read_bytes() == OLD


def test_an_image_that_is_gone_from_the_server_stays_in_the_project(
    server: OddServer, pull: Pull
) -> None:
    first = pull()
    server.answers["/images/"] = Answer(b"", 404)
    assert pull() == first


def test_what_an_earlier_process_left_half_written_goes(
    server: OddServer, pull: Pull, images: Path
) -> None:
    images.mkdir()
    (images / ".1-1.png.4711.tmp").write_bytes(b"half")
    pull()
    assert sorted(path.name for path in images.iterdir()) == ["1-1.png", "2-2.png"]


def test_names_of_deleted_tasks_leave_the_index_with_their_files(
    server: OddServer, pull: Pull, images: Path
) -> None:
    pull()
    (images / NAME).unlink()
    with_image(server, "/images/other.png")
    pull()
    assert sorted(read_index(index_file(images))) == ["1-other.png", "2-2.png"]

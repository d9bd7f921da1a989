"""Pulling from a real server: images, annotations as they really are, and what goes wrong."""

import logging
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from sparsedet.annotations import check_images
from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.demo.project_setup import (
    COMPLETE_CHOICE,
    create_project,
    import_tasks,
    labelling_config,
    upload_images,
)
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.samples import DRAWN_BY_PEOPLE, HEIGHT, WIDTH, scene

pytestmark = pytest.mark.label_studio

PLACE = {"x": 10, "y": 10, "width": 20, "height": 20, "rotation": 0}


def region(label: str = "cat", **changes: Any) -> dict[str, Any]:
    whole = {
        "id": "r1",
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "value": {**PLACE, "rectanglelabels": [label]},
    }
    return whole | changes


def annotation(*regions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"result": list(regions), **more}


@pytest.fixture
def project(tool: LabelStudioTool, request: pytest.FixtureRequest) -> int:
    """An empty project with the labels cat and dog."""
    config = labelling_config(["cat", "dog"])
    return create_project(tool.connection, request.node.name[:50], config)


@pytest.fixture
def address(tool: LabelStudioTool, project: int, tmp_path: Path) -> str:
    """The address of an image in that project."""
    path = tmp_path / "scene.png"
    cv2.imwrite(str(path), scene())
    return upload_images(tool.connection, project, [path])[0]


def test_images_and_boxes_arrive(pulled: Pulled) -> None:
    dataset = pulled.dataset
    check_images(dataset, pulled.folder / "images")
    assert [image.id for image in dataset.images] == sorted(image.id for image in dataset.images)
    assert [image.tool_id for image in dataset.images] == [str(i.id) for i in dataset.images]
    assert [category.name for category in dataset.categories] == ["orange", "parcel"]
    for boxes in dataset.boxes_by_image.values():
        assert {box.tool_id: box.category_id for box in boxes} == {
            name: category for name, (category, _) in DRAWN_BY_PEOPLE.items()
        }
        for box in boxes:
            assert box.xyxy == pytest.approx(DRAWN_BY_PEOPLE[box.tool_id or ""][1])
            assert box.origin == "human"


def test_a_personal_access_token_does_the_same(
    label_studio: LocalServer, tool: LabelStudioTool, pulled: Pulled
) -> None:
    token = tool.connection.client.tokens.create().token
    assert token
    by_token = LabelStudioTool(label_studio.url, api_key=token)
    images = pulled.folder / "again"
    assert by_token.pull(pulled.project, images) == pulled.dataset
    check_images(pulled.dataset, images)


def test_an_empty_project_is_an_empty_dataset(
    tool: LabelStudioTool, project: int, tmp_path: Path
) -> None:
    dataset = tool.pull(str(project), tmp_path / "images")
    assert (dataset.images, dataset.boxes) == ((), ())
    assert [category.name for category in dataset.categories] == ["cat", "dog"]


def test_a_turned_photo_has_its_upright_size(
    tool: LabelStudioTool, project: int, tmp_path: Path
) -> None:
    photo = PIL.Image.fromarray(np.zeros((100, 200, 3), np.uint8))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # the browser shows it turned by 90 degrees
    photo.save(tmp_path / "turned.jpg", exif=exif)
    address = upload_images(tool.connection, project, [tmp_path / "turned.jpg"])[0]
    task = {"data": {"image": address}, "annotations": [annotation(region())]}
    import_tasks(tool.connection, project, [task])
    dataset = tool.pull(str(project), tmp_path / "images")
    assert (dataset.images[0].width, dataset.images[0].height) == (100, 200)
    assert dataset.boxes[0].xyxy == pytest.approx((10, 20, 30, 60))
    check_images(dataset, tmp_path / "images")


def test_files_uploaded_by_hand_are_found(
    tool: LabelStudioTool, project: int, tmp_path: Path
) -> None:
    path = tmp_path / "by hand.jpg"
    cv2.imwrite(str(path), scene())
    with path.open("rb") as file:
        form = {"file": (path.name, file, "image/jpeg")}
        where = f"api/projects/{project}/import"
        tool.connection.post_files(where, {}, form, "uploading")
    dataset = tool.pull(str(project), tmp_path / "images")
    assert len(dataset.images) == 1
    check_images(dataset, tmp_path / "images")


def test_odd_annotations_are_counted_in_one_warning(
    tool: LabelStudioTool,
    project: int,
    address: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd = [
        region("bird", id="a"),
        region(id="b", value={"rectanglelabels": ["cat"], "x": 1, "y": 1, "height": 5}),
        region(id="c", value={**PLACE, "x": "12", "rectanglelabels": ["cat"]}),
        region(id="d", value=PLACE),
        region(id="e", value={**PLACE, "rectanglelabels": ["cat", "dog"]}),
        region(id="f", type="polygonlabels", from_name="polygon", value={"points": [[1, 2]]}),
        region(id="g", value={**PLACE, "x": 90, "rectanglelabels": ["dog"]}),
        region(id="h", value={**PLACE, "x": 40, "rotation": 45, "rectanglelabels": ["dog"]}),
        region("dog", id="i", meta={"text": ["unsure"]}),
        region("dog", id="j", meta={"text": ["unsure"]}, origin="prediction-changed"),
    ]
    data = {"image": address}
    tasks = [{"data": data}, {"data": data, "annotations": [annotation(*odd)]}]
    first, second = import_tasks(tool.connection, project, tasks)
    with caplog.at_level(logging.WARNING):
        dataset = tool.pull(str(project), tmp_path / "images")
    assert [box.tool_id for box in dataset.boxes] == ["g", "h", "i"]
    assert {box.image_id for box in dataset.boxes} == {second}
    assert [image.id for image in dataset.images] == [first, second]
    assert [record.getMessage() for record in caplog.records] == [
        f"project {project}: regions not used as they stand: dropped 7 (1 marked unsure, "
        "1 no label, 1 no width, "
        "1 polygon, 1 several labels, 1 unknown label, 1 x is no number), changed 2 "
        "(1 clipped at the image's edge, 1 rotated, now the upright box around it); "
        f"the first in task {second}"
    ]


def test_which_annotation_of_a_task_counts(
    tool: LabelStudioTool, project: int, address: str, tmp_path: Path
) -> None:
    complete = {
        "id": "m",
        "from_name": "sparsedet_complete",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [COMPLETE_CHOICE]},
    }
    data = {"image": address}
    ids = import_tasks(
        tool.connection,
        project,
        [
            {"data": data, "annotations": [annotation(region(id="old")), annotation()]},
            {"data": data, "annotations": [annotation(region(id="skipped"), was_cancelled=True)]},
            {"data": data, "annotations": [annotation(region(id="vouched"), complete)]},
            {"data": data},
        ],
    )
    two_people, skipped, vouched, draft = ids
    newest = tool.connection.client.annotations.create(two_people, result=[region(id="new")])
    assert newest.id
    where = f"api/tasks/{draft}/drafts"
    tool.connection.post_json(where, annotation(region(id="draft")), "saving a draft")
    dataset = tool.pull(str(project), tmp_path / "images")
    boxes = {(box.image_id, box.tool_id) for box in dataset.boxes}
    assert boxes == {(two_people, "new"), (vouched, "vouched")}
    assert [image.id for image in dataset.images if image.exhaustive] == [vouched]
    assert skipped in dataset.image_by_id


def test_what_a_task_says_of_its_image_is_kept(
    tool: LabelStudioTool, project: int, address: str, tmp_path: Path
) -> None:
    keys = {"patient": "p7", "frame": 12}
    left_out = {"mask": "https://storage.example.com/mask?signature=1", "id": 5, "tags": ["a"]}
    import_tasks(tool.connection, project, [{"data": {"image": address, **keys, **left_out}}])
    dataset = tool.pull(str(project), tmp_path / "images")
    assert [image.extra for image in dataset.images] == [keys]


def test_another_control_for_the_complete_mark(
    label_studio: LocalServer, tool: LabelStudioTool, project: int, address: str, tmp_path: Path
) -> None:
    client = tool.connection.client
    xml = client.projects.get(project).label_config or ""
    client.projects.update(project, label_config=xml.replace("sparsedet_complete", "done"))
    mark = {
        "id": "m",
        "from_name": "done",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [COMPLETE_CHOICE]},
    }
    task = {"data": {"image": address}, "annotations": [annotation(mark)]}
    import_tasks(tool.connection, project, [task])
    named = LabelStudioTool(label_studio.url, api_key=label_studio.api_key, complete_control="done")
    for reader, vouched in ((tool, False), (named, True)):
        summary = reader.summary(str(project))
        assert (summary.images, summary.labels) == (1, ("cat", "dog"))
        assert summary.has_complete_control is vouched
        (image,) = reader.pull(str(project), tmp_path / "images").images
        assert image.exhaustive is vouched


def test_local_files_with_awkward_names(
    label_studio: LocalServer, tool: LabelStudioTool, project: int, tmp_path: Path
) -> None:
    name = "an image; $(touch x) é.jpg"
    folder = label_studio.data_dir.parent / "documents" / "set"
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(tmp_path / "x.jpg"), scene())
    (tmp_path / "x.jpg").rename(folder / name)
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


def test_other_hosts_never_see_the_key(
    tool: LabelStudioTool, project: int, tmp_path: Path, elsewhere: str
) -> None:
    import_tasks(tool.connection, project, [{"data": {"image": f"{elsewhere}/a/b.jpg?x=1"}}])
    dataset = tool.pull(str(project), tmp_path / "images")
    assert dataset.images[0].file_name.endswith("-b.jpg")
    assert _Elsewhere.keys_seen == [None]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("/data/upload/1/gone.jpg", "/data/upload/1/gone.jpg is missing: .* status 500"),
        ("/data/local-files/?d=set/gone.jpg", "is missing: the server answered with status 404"),
        ("/health", r"what came is no readable image \(text/html"),
        ("http://127.0.0.1:9/x.jpg?signature=secret", r"http://127.0.0.1:9/x.jpg is missing"),
        ("s3://bucket/x.jpg", r"can't download the image s3://"),
        (["a.jpg", "b.jpg"], r"no image under 'image' \(found list\)"),
        ("", r"no image under 'image'"),
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


def test_an_interrupted_pull_goes_on(
    tool: LabelStudioTool, pulled: Pulled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = tmp_path / "interrupted"
    monkeypatch.setattr("sparsedet.integrations.label_studio.project_pull.THREADS", 1)

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


def test_a_project_that_is_not_there(tool: LabelStudioTool, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"has nothing there \(reading project 987654\)"):
        tool.pull("987654", tmp_path / "images")

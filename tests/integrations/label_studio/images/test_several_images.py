"""Tasks with several images, some of which can't be read."""

from pathlib import Path
from typing import Any

import pytest

from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.project_pull import pull_project
from sparsedet.tool import Choice, ToolOptions
from tests.hostile.odd_server import Answer, OddServer, json_answer, task

from .conftest import KEY, Pull

LABELS = '<Label value="orange"/><Label value="apple"/>'
CHOICES = '<Choice value="orange"/><Choice value="Complete"/>'
TWO = f"""<View><Image name="left" value="$left"/><Image name="right" value="$right"/>
<RectangleLabels name="a" toName="left">{LABELS}</RectangleLabels>
<RectangleLabels name="b" toName="right">{LABELS}</RectangleLabels></View>"""
LIST = f"""<View><Image name="image" valueList="$pages"/>
<RectangleLabels name="label" toName="image">{LABELS}</RectangleLabels>
<Choices name="sparsedet_complete" toName="image" perItem="true">{CHOICES}</Choices></View>"""


def with_project(server: OddServer, xml: str, *tasks: dict[str, Any]) -> None:
    project = {"id": 1, "title": "Fruit", "task_number": len(tasks), "label_config": xml}
    server.answers["/api/projects/1"] = json_answer(project)
    server.answers["/api/projects/1/export"] = json_answer(list(tasks))


def two(id: int, left: object, right: object) -> dict[str, Any]:
    return task(id, data={"left": left, "right": right}, annotations=[])


def listed(id: int, pages: object, **more: Any) -> dict[str, Any]:
    return task(id, data={"pages": pages}, **{"annotations": [], **more})


def test_an_image_that_cant_be_read_takes_none_of_its_task_along(
    server: OddServer, pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers["/gone.png"] = Answer(b"", 404)
    with_project(server, TWO, two(7, "/images/a.png", "/gone.png"), two(8, 3, "/images/b.png"))
    dataset = pull()
    assert [(image.tool_id, image.file_name) for image in dataset.images] == [
        ("7", "7-a.png"),
        ("8.2", "8.2-b.png"),
    ]
    assert dataset.unread == {"7.2", "8"}
    (warning,) = caplog.messages
    assert "left out 2 of 4 images" in warning
    assert "1 whose image is not at its address (task 7)" in warning
    assert "1 whose data names no image (task 8)" in warning
    assert "the first, task 7: its image /gone.png is missing" in warning


def test_storages_are_asked_for_images_by_their_task(server: OddServer, pull: Pull) -> None:
    with_project(server, TWO, two(7, "/images/a.png", "s3://bucket/b.png"))
    pull()
    assert any(request.startswith("GET /tasks/7/resolve/") for request, _ in server.seen)


def test_all_images_of_a_task_that_is_no_whole_one_are_unread(
    server: OddServer, pull: Pull
) -> None:
    pages = ["/images/a.png", "/images/b.png"]
    with_project(server, LIST, listed(7, pages), listed(8, pages, annotations=5))
    dataset = pull()
    assert [image.tool_id for image in dataset.images] == ["7", "7.2"]
    assert dataset.unread == {"8", "8.2"}


def test_marks_of_classes_are_of_the_image_that_they_are_made_on(
    server: OddServer, pull: Pull
) -> None:
    mark = {"id": "m", "type": "choices", "from_name": "sparsedet_complete", "to_name": "image"}
    result = [
        {**mark, "item_index": 1, "value": {"choices": ["orange"]}},
        {**mark, "item_index": 2, "value": {"choices": ["Complete"]}},
    ]
    pages = ["/images/a.png", "/images/b.png", "/images/c.png"]
    with_project(server, LIST, listed(7, pages, annotations=[{"id": 1, "result": result}]))
    dataset = pull()
    (orange,) = (category.id for category in dataset.categories if category.name == "orange")
    assert [image.complete_classes for image in dataset.images] == [set(), {orange}, set()]
    assert [image.exhaustive for image in dataset.images] == [False, False, True]


@pytest.mark.parametrize("shown", [[1, 4], [1, 3, 4]], ids=["by ids", "whole export"])
def test_a_view_is_pulled_without_what_is_odd_in_others(
    server: OddServer, tmp_path: Path, shown: list[int]
) -> None:
    tasks = [task(id, data={"image": f"/images/{id}.png"}) for id in range(1, 6)]
    rows = [{"id": entry["id"], "data": entry["data"]} for entry in tasks]
    odd = [{**entry, "annotations": 5} for entry in tasks[3:]]
    server.answers |= {
        "/api/dm/views/": json_answer([{"id": 3, "data": {"title": "To do"}}]),
        "/api/tasks/": json_answer({"tasks": rows, "total": 5}),
        "/api/tasks/?project=1&view=3": json_answer(
            {"tasks": [{"id": id} for id in shown], "total": len(shown)}
        ),
        "/api/projects/1/export": json_answer([*tasks[:3], *odd]),
    }
    options = ToolOptions(choice=Choice(view=3), skip_share=0.5)
    dataset = pull_project(Connection(server.url, KEY), "1", tmp_path / "images", options)
    assert {image.tool_id for image in dataset.images} == set(map(str, shown)) - {"4"}
    assert dataset.unread == {"4"}
    assert dataset.left_out == {"1", "2", "3", "4", "5"} - set(map(str, shown))

"""Pushing to a real server: its content afterwards, when repeated or interrupted."""

from dataclasses import replace
from typing import Any

import pytest

from sparsedet.annotations import XYXY
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.project_setup import (
    create_project,
    import_tasks,
    labelling_config,
)
from sparsedet.integrations.label_studio.labelling_config.label_config import LabelConfig
from sparsedet.integrations.label_studio.review_project import review_push
from sparsedet.integrations.label_studio.review_project.review_setup import (
    VIEW_TITLE,
    check_addresses,
)
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.review_project.review_helpers import (
    BOXES,
    IMAGES,
    predictions,
    push,
    review_projects,
)
from tests.integrations.label_studio.samples import DRAWN_BY_PEOPLE, FOUND_BY_MODEL, mined_boxes

pytestmark = pytest.mark.label_studio


def test_human_and_mined_boxes_stand_in_one_prediction(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    report = push(tool, pulled)
    assert (report.images, report.boxes, report.created) == (IMAGES, BOXES, IMAGES)
    assert report.url == f"{tool.url}/projects/{report.review_project}"
    found = predictions(tool, report)
    assert len(found) == IMAGES
    for prediction in found:
        assert prediction["model_version"] == "run-1"
        assert prediction["score"] == max(score for _, _, score in FOUND_BY_MODEL.values())
    # Equally sure images go up by name, in which task 100 comes before task 98.
    scores = [{region["id"]: region.get("score") for region in one["result"]} for one in found]
    assert sorted(scores, key=sorted) == [
        {
            **dict.fromkeys(DRAWN_BY_PEOPLE),
            **{f"{name}-{number}": score for name, (_, _, score) in FOUND_BY_MODEL.items()},
        }
        for number in range(1, IMAGES + 1)
    ]


def test_reviewers_see_it_surest_image_first(tool: LabelStudioTool, pulled: Pulled) -> None:
    first, second, third = (image.id for image in pulled.dataset.images)
    score = {first: 0.3, second: 0.9, third: 0.6}
    mined = [replace(box, score=score[box.image_id]) for box in mined_boxes(pulled.dataset)]
    report = push(tool, pulled, mined)
    review = int(report.review_project)
    project = tool.connection.client.projects.get(review)
    assert project.model_version == "run-1"
    assert project.show_collab_predictions
    assert project.title
    assert project.title.endswith(" - sparsedet review")
    view, *_ = tool.connection.client.views.list(project=review)
    assert view.data["title"] == VIEW_TITLE
    assert view.data["ordering"] == ["tasks:id"]
    open_reviews = tool.open_reviews(report.review_project)
    assert [int(image.tool_id) for image in open_reviews] == [second, third, first]


def test_the_annotated_project_is_left_alone(tool: LabelStudioTool, pulled: Pulled) -> None:
    push(tool, pulled)
    again = tool.pull(pulled.project, pulled.folder / "images")
    assert again == pulled.dataset
    where = "api/predictions/"
    assert tool.connection.get_json(where, {"project": pulled.project}, "counting") == []


def test_a_second_push_changes_nothing(tool: LabelStudioTool, pulled: Pulled) -> None:
    first = push(tool, pulled)
    before = predictions(tool, first)
    second = push(tool, pulled)
    assert second == replace(first, created=0)
    ids = [prediction["id"] for prediction in predictions(tool, second)]
    assert ids == [prediction["id"] for prediction in before]
    assert len(review_projects(tool, pulled)) == 1


@pytest.mark.parametrize(
    ("step", "after"),
    [
        ("_import_tasks", False),
        ("_import_tasks", True),
        ("import_predictions", False),
        # The request went through, its answer was lost.
        ("import_predictions", True),
        ("show_version", False),
    ],
)
def test_an_interrupted_push_is_completed_by_the_next(
    tool: LabelStudioTool, pulled: Pulled, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    original = getattr(review_push, step)

    def interrupted(*args: Any) -> None:
        if after:
            original(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(review_push, step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        push(tool, pulled)
    monkeypatch.undo()
    report = push(tool, pulled)
    assert (report.images, report.boxes) == (IMAGES, BOXES)
    assert len(predictions(tool, report)) == IMAGES
    assert len(tool.open_reviews(report.review_project)) == IMAGES
    assert push(tool, pulled).created == 0


def test_a_prediction_that_went_through_twice_is_reduced_to_one(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    report = push(tool, pulled)
    twice = predictions(tool, report)[0]
    tool.connection.client.predictions.create(
        task=twice["task"], result=twice["result"], score=0.5, model_version="run-1"
    )
    assert len(predictions(tool, report)) == IMAGES + 1
    assert push(tool, pulled).created == 0
    assert len(predictions(tool, report)) == IMAGES


def test_other_boxes_under_the_same_version_replace_those_not_yet_reviewed(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    push(tool, pulled)
    fewer = [box for box in mined_boxes(pulled.dataset) if "wrong" not in box.region_id]
    report = push(tool, pulled, fewer)
    assert (report.boxes, report.created) == (BOXES - IMAGES, IMAGES)
    ids = {region["id"] for p in predictions(tool, report) for region in p["result"]}
    assert not any("wrong" in id for id in ids)


def test_a_reviewed_box_is_not_put_up_again_and_a_new_one_gets_a_task(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    report = push(tool, pulled)
    reviewed, *others = tool.open_reviews(report.review_project)
    reviewed.submit(reviewed.regions)
    settled = push(tool, pulled)
    assert (settled.images, settled.created) == (IMAGES - 1, 0)

    new = MinedBox("new", int(reviewed.tool_id), 1, (300.0, 300.0, 340.0, 340.0), 0.8, 0.4)
    second = push(tool, pulled, [*mined_boxes(pulled.dataset), new], version="run-2")
    assert (second.images, second.boxes) == (IMAGES, BOXES - len(FOUND_BY_MODEL) + 1)
    waiting = {image.tool_id: image for image in tool.open_reviews(second.review_project)}
    assert waiting.keys() == {reviewed.tool_id, *(image.tool_id for image in others)}
    assert waiting[reviewed.tool_id].scores == {"new": 0.8}
    assert push(tool, pulled, [*mined_boxes(pulled.dataset), new], version="run-2").created == 0


def test_a_label_added_later_reaches_the_review_project(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    push(tool, pulled)
    more = labelling_config(["orange", "parcel", "cup"])
    tool.connection.client.projects.update(int(pulled.project), label_config=more)
    dataset = tool.pull(pulled.project, pulled.folder / "images")
    cup = MinedBox("cup", dataset.images[0].id, 3, (1.0, 1.0, 9.0, 9.0), 0.9, 0.4)
    boxes = [*mined_boxes(dataset), cup]
    report = push(tool, replace(pulled, dataset=dataset), boxes)
    assert report.created == 1
    assert any("cup" in image.scores for image in tool.open_reviews(report.review_project))


def test_aliases_are_written_as_the_server_wants_them(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    config = labelling_config(["orange", "parcel"]).replace(
        'value="orange"', 'value="orange" alias="o"'
    )
    tool.connection.client.projects.update(int(pulled.project), label_config=config)
    report = push(tool, pulled)
    assert report.created == IMAGES
    shown = tool.open_reviews(report.review_project)[0].regions
    assert {region.category for region in shown} == {"orange", "parcel"}


def test_tags_in_lower_case_are_written_as_the_server_reads_them(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    config = labelling_config(["orange", "parcel"]).replace("<Label ", "<label ")
    config = config.replace("<RectangleLabels", "<rectanglelabels")
    config = config.replace("</RectangleLabels", "</rectanglelabels")
    tool.connection.client.projects.update(int(pulled.project), label_config=config)
    assert push(tool, pulled).created == IMAGES


def test_a_box_that_the_server_would_drop_stops_the_push(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    *fine, last = mined_boxes(pulled.dataset)
    for broken, message in [
        (replace(last, score=1.5), "score 1.5 is not between 0 and 1"),
        (replace(last, score=float("nan")), "score nan is not between"),
        # Other boxes that give no rectangle: see test_geometry.
        (replace(last, xyxy=(0.0, 0.0, 700.0, 10.0)), "edges outside its image of 640 x 480"),
    ]:
        with pytest.raises(ToolError, match=message) as caught:
            push(tool, pulled, [*fine, broken])
        assert str(caught.value).startswith(f"mined box {last.region_id}")
        assert str(caught.value).endswith("nothing was pushed")
    assert review_projects(tool, pulled) == []


def test_other_reasons_to_push_nothing(tool: LabelStudioTool, pulled: Pulled) -> None:
    mined = mined_boxes(pulled.dataset)
    known = pulled.dataset.categories
    renamed = replace(pulled.dataset, categories=(known[0], replace(known[1], name="box")))
    no_ids = replace(
        pulled.dataset, images=tuple(replace(i, tool_id=None) for i in pulled.dataset.images)
    )
    no_box_ids = pulled.dataset.with_boxes(
        replace(box, tool_id=None) for box in pulled.dataset.boxes
    )
    for dataset, boxes, version, message in [
        (pulled.dataset, [], "v", "there are no mined boxes"),
        (pulled.dataset, mined, "", "the model version is empty"),
        (pulled.dataset, [mined[0], mined[0]], "v", "its region id is not unique"),
        (renamed, mined, "v", r"has no label 'box' \(it has orange, parcel\)"),
        (no_ids, mined, "v", "has no tool_id: only data that was pulled"),
        (no_box_ids, mined, "v", r"annotation 1 on image .* has no tool_id: pull again"),
    ]:
        with pytest.raises(ToolError, match=message):
            push(tool, replace(pulled, dataset=dataset), boxes, version)
    assert review_projects(tool, pulled) == []


def test_a_box_that_has_become_an_annotation_is_not_put_up(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    mined = mined_boxes(pulled.dataset)[:2]
    accepted = replace(mined[0], region_id="human-orange")
    report = push(tool, pulled, [accepted, mined[1]])
    assert (report.images, report.boxes) == (1, 1)


def test_the_server_really_drops_unknown_labels_and_we_notice(
    tool: LabelStudioTool, pulled: Pulled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lets an unknown label through our own checks."""
    monkeypatch.setattr(LabelConfig, "stored_labels", {"orange": "orange", "parcel": "pear"})
    with pytest.raises(ToolError, match=f"the server accepted only 0 of {IMAGES} predictions"):
        push(tool, pulled)


def test_cloud_images_need_a_storage_of_the_review_project(
    tool: LabelStudioTool, request: pytest.FixtureRequest
) -> None:
    project = create_project(
        tool.connection, request.node.name[:50], labelling_config(["orange", "parcel"])
    )
    import_tasks(tool.connection, project, [{"data": {"image": "s3://bucket/x.jpg"}}])
    with pytest.raises(ToolError, match=rf"s3:// addresses.*projects/{project}/settings/storage"):
        check_addresses(tool.connection, project, ["/data/upload/1/x.jpg", "s3://bucket/x.jpg"])
    check_addresses(tool.connection, project, ["/data/upload/1/x.jpg", "https://host/x.jpg"])


def test_boxes_come_back_where_they_were_put(tool: LabelStudioTool, pulled: Pulled) -> None:
    image = pulled.dataset.images[0]
    places: list[XYXY] = [(0.0, 0.0, 640.0, 480.0), (0.01, 0.02, 1.03, 1.04), (638.9, 1, 640, 2)]
    mined = [
        MinedBox(f"p{number}", image.id, 1, xyxy, 0.5, 0.4) for number, xyxy in enumerate(places)
    ]
    report = push(tool, pulled, mined)
    (shown,) = tool.open_reviews(report.review_project)
    by_id = {region.region_id: region.xyxy for region in shown.regions}
    for number, xyxy in enumerate(places):
        assert by_id[f"p{number}"] == pytest.approx(xyxy, abs=1e-6)

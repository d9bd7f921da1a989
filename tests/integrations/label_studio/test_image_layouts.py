"""Projects with unusual labelling configs, from pull to merge, on a real server."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.project_setup import (
    create_project,
    import_tasks,
    labelling_config,
)
from sparsedet.integrations.label_studio.uploads import upload_files
from sparsedet.push_modes import ToReview, no_progress
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.merging import Pushed, push, review
from tests.integrations.label_studio.samples import PLACE, rectangle, scene

pytestmark = pytest.mark.label_studio

LABELS = '<Label value="orange"/><Label value="parcel" alias="p"/>'
MARK = '<Choices name="sparsedet_complete" toName="{}"><Choice value="Complete"/></Choices>'
Result = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """A labelling config, and what a task and its annotation look like with it."""

    xml: str
    data: Callable[[Sequence[str]], dict[str, Any]]
    results: Callable[[int, str, str], list[Result]]
    """Of a box: number of its image, id, label."""
    images: int = 2


def box(id: str, label: str, **more: Any) -> list[Result]:
    return [rectangle(label, id=id, **more)]


def drawn_and_labelled(number: int, id: str, label: str) -> list[Result]:
    drawn = rectangle(id=id, from_name="shape", type="rectangle", value=dict(PLACE))
    named = rectangle(id=id, type="labels", value={**PLACE, "labels": [label]})
    return [drawn, named]


LAYOUTS = {
    "two images": Layout(
        f"""<View><Image name="left" value="$left"/><Image name="right" value="$views.right"/>
        <RectangleLabels name="on_left" toName="left">{LABELS}</RectangleLabels>
        <RectangleLabels name="on_right" toName="right">{LABELS}</RectangleLabels>
        {MARK.format("left")}</View>""",
        lambda urls: {"left": urls[0], "views": {"right": urls[1]}},
        lambda number, id, label: box(
            id, label, from_name=("on_left", "on_right")[number], to_name=("left", "right")[number]
        ),
    ),
    "list": Layout(
        f"""<View><Image name="image" valueList="$pages"/>
        <RectangleLabels name="label" toName="image">{LABELS}</RectangleLabels>
        {MARK.format("image").replace("<Choices", '<Choices perItem="true"')}</View>""",
        lambda urls: {"pages": list(urls)},
        lambda number, id, label: box(id, label, item_index=number),
    ),
    "repeater": Layout(
        f"""<View><Repeater on="$pages" indexFlag="{{{{idx}}}}">
        <Image name="page_{{{{idx}}}}" value="$pages[{{{{idx}}}}].url"/>
        <RectangleLabels name="label_{{{{idx}}}}" toName="page_{{{{idx}}}}">{LABELS}
        </RectangleLabels></Repeater></View>""",
        lambda urls: {"pages": [{"url": url} for url in urls]},
        lambda number, id, label: box(
            id, label, from_name=f"label_{number}", to_name=f"page_{number}"
        ),
    ),
    "drawn and labelled": Layout(
        f"""<View><Image name="image" value="$image"/><Rectangle name="shape" toName="image"/>
        <Labels name="label" toName="image">{LABELS}</Labels>{MARK.format("image")}</View>""",
        lambda urls: {"image": urls[0]},
        drawn_and_labelled,
        images=1,
    ),
    "labels of tasks": Layout(
        f"""<View><Image name="image" value="$image"/>
        <RectangleLabels name="label" toName="image" value="$kinds"/>
        {MARK.format("image")}</View>""",
        lambda urls: {
            "image": urls[0],
            "kinds": [{"value": "orange"}, {"value": "parcel", "alias": "p"}],
        },
        lambda number, id, label: box(id, label),
        images=1,
    ),
}


def make_project(tool: LabelStudioTool, layout: Layout, folder: Path) -> Pulled:
    """A project with one task, which has a parcel on each image."""
    files = []
    for number in range(layout.images):
        files.append(folder / f"view {number}.png")
        cv2.imwrite(str(files[-1]), scene()[: 480 - 40 * number])
    # Files can only be uploaded to a project whose data has one key.
    plain = labelling_config(["orange"])
    project = create_project(tool.connection, f"layout {folder.name}"[:50], plain)
    urls = upload_files(tool.connection, project, files, "uploading", no_progress)
    tool.connection.client.projects.update(project, label_config=layout.xml)
    results = [r for n in range(layout.images) for r in layout.results(n, f"drawn{n}", "p")]
    task = {"data": layout.data(urls), "annotations": [{"result": results}]}
    import_tasks(tool.connection, project, [task])
    return Pulled(str(project), tool.pull(str(project), folder / "images"), folder)


def mined(dataset: Dataset) -> list[MinedBox]:
    return [
        MinedBox(f"mined-{at}-1", image.id, 1, (100.0, 150.0, 180.0, 230.0), 0.9, threshold=0.4)
        for at, image in enumerate(dataset.images)
    ]


@pytest.fixture(params=list(LAYOUTS))
def layout(request: pytest.FixtureRequest) -> Layout:
    return LAYOUTS[request.param]


def essence(results: Sequence[Result]) -> list[tuple[object, ...]]:
    """What a result is about, and which labels or choices it holds."""
    return sorted(
        (
            result["id"],
            result["type"],
            result["from_name"],
            result["to_name"],
            result.get("item_index", ""),
            str(next((v for v in result["value"].values() if isinstance(v, list)), "")),
        )
        for result in results
    )


def test_from_pull_to_merge_and_back(tool: LabelStudioTool, layout: Layout, tmp_path: Path) -> None:
    pulled = make_project(tool, layout, tmp_path)
    images = pulled.dataset.images
    task = images[0].tool_id
    assert [image.tool_id for image in images] == [task, f"{task}.2"][: layout.images]
    assert [image.height for image in images] == [480, 440][: layout.images]
    for image, (drawn,) in pulled.dataset.boxes_by_image.items():
        assert drawn.category_id == 2
        height = pulled.dataset.image_by_id[image].height
        assert drawn.xyxy == pytest.approx((64, height / 10, 192, height * 3 / 10))
    pushed = push(tool, pulled, mined(pulled.dataset))
    before = pushed.annotation(0)["result"]
    for number in range(layout.images):
        # The first one's own box becomes an orange; a box is drawn on the last.
        more: dict[str, Any] = {"drawn0": "orange"} if number == 0 else {}
        if number == layout.images - 1:
            more["new"] = (300.0, 300.0, 350.0, 350.0)
        review(tool, pushed, number, **more, complete=True)
    merged = pushed.merge()
    assert [(len(i.changes.added), len(i.changes.edited)) for i in merged] == (
        [(1, 1), (2, 0)] if layout.images == 2 else [(2, 1)]
    )
    result = pushed.annotation(0)["result"]
    marks = [entry for entry in result if entry["type"] == "choices"]
    boxes = [entry for entry in result if entry["type"] != "choices"]
    last = layout.images - 1
    expected = [
        *layout.results(0, "drawn0", "orange"),
        *(r for n in range(1, layout.images) for r in layout.results(n, f"drawn{n}", "p")),
        *(r for n in range(layout.images) for r in layout.results(n, f"mined-{n}-1", "orange")),
        *layout.results(last, "new", "orange"),
    ]
    assert essence(boxes) == essence(expected)
    per_item = "perItem" in layout.xml
    alone = layout.images == 1
    assert [mark.get("item_index") for mark in marks] == (
        [0, 1] if per_item else [None] if alone else []
    )
    again = tool.pull(pulled.project, tmp_path / "images")
    assert [image.exhaustive for image in again.images] == [alone or per_item] * layout.images
    assert len(again.boxes) == len(pulled.dataset.boxes) + layout.images + 1
    assert not any(image.changes for image in pushed.merge())
    undo(tool, pushed, [image.version for image in merged])
    assert pushed.annotation(0)["result"] == before


def undo(tool: LabelStudioTool, pushed: Pushed, versions: Sequence[str | None]) -> None:
    kept = list(zip(pushed.kept, versions, strict=True))
    assert tool.restore(pushed.project, kept) == {}


def test_drafts_are_refused_in_one_line(tool: LabelStudioTool, tmp_path: Path) -> None:
    for name, reason in (("list", "several images"), ("drawn and labelled", "with one control")):
        folder = tmp_path / name
        folder.mkdir()
        pulled = make_project(tool, LAYOUTS[name], folder)
        wanted = ToReview(pulled.dataset, mined(pulled.dataset), "run-1")
        with pytest.raises(ToolError, match=rf'{reason}.*mode = "draft".*review-project'):
            tool.push_modes["draft"].push(pulled.project, wanted)

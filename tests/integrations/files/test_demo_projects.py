"""The loop from a full dataset to a merged project, as in the demo."""

from pathlib import Path

import pytest

from sparsedet.annotations import read_coco
from sparsedet.errors import ToolError
from sparsedet.integrations.files import FilesTool
from sparsedet.plugins import load_local_integration
from sparsedet.reviews import ReviewedRegion
from tests.integrations.files.memory import Memory
from tests.integrations.files.samples import mined_boxes, write_project


def test_the_whole_loop(tmp_path: Path) -> None:
    write_project(tmp_path / "source")
    drawn = read_coco(tmp_path / "source" / "annotations.json")
    with FilesTool.local(tmp_path / "server") as local:
        tool = local.tool
        assert local.url == str(tmp_path / "server")
        project = tool.set_up_project("My Cars!", drawn, tmp_path / "source" / "images")
        assert project == "my-cars"
        dataset = tool.pull(project, tmp_path / "workspace" / "images")
        assert [image.file_name for image in dataset.images] == [
            "day/a.png",
            "night/b.png",
            "empty.png",
        ]
        memory = Memory(tool, project, f"{project}/review")
        push = memory.push(dataset, mined_boxes(dataset))
        assert (push.review_project, push.created) == ("my-cars/review", 2)
        reviews = tool.open_reviews(push.review_project)
        assert [review.tool_id for review in reviews] == ["night/b.png", "day/a.png"]
        assert reviews[1].scores == {"good": 0.9, "wrong": 0.6}
        kept = [region for region in reviews[1].regions if region.region_id != "wrong"]
        reviews[1].submit(kept, seconds=4.0)
        assert [r.tool_id for r in tool.open_reviews(push.review_project)] == ["night/b.png"]
        (reviewed,) = memory.read().reviews
        assert (reviewed.tool_id, reviewed.seconds) == ("day/a.png", 4.0)
        assert {region.region_id for region in reviewed.regions} == {"11", "left", "good"}
        assert reviewed.shown.keys() == {"11", "left", "good", "wrong"}
    assert (tmp_path / "server" / project / "annotations.json").is_file()


def test_projects_of_one_title(tmp_path: Path) -> None:
    write_project(tmp_path / "source")
    drawn = read_coco(tmp_path / "source" / "annotations.json")
    tool = FilesTool(str(tmp_path))
    names = [tool.set_up_project("Cars", drawn, tmp_path / "source" / "images") for _ in range(2)]
    assert names == ["cars", "cars-2"]
    with pytest.raises(ToolError, match="no letter or digit"):
        tool.set_up_project("!?", drawn, tmp_path / "source" / "images")


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (ReviewedRegion("x", "plane", (1, 1, 5, 5)), "no category 'plane'"),
        (ReviewedRegion("x", "car", (5, 5, 5, 5)), "has no area"),
        (ReviewedRegion("x", "car", (500, 5, 510, 15)), "lies outside its image"),
    ],
)
def test_what_can_not_be_submitted(tmp_path: Path, region: ReviewedRegion, message: str) -> None:
    write_project(tmp_path / "cars")
    tool = FilesTool(str(tmp_path))
    dataset = tool.pull("cars", tmp_path / "images")
    Memory(tool).push(dataset, mined_boxes(dataset))
    review = tool.open_reviews("cars/review")[0]
    with pytest.raises(ToolError, match=message):
        review.submit([region])
    assert not (tmp_path / "cars/review/run-1/reviewed.json").exists()


def test_the_integration_can_be_started() -> None:
    assert load_local_integration("files") is FilesTool

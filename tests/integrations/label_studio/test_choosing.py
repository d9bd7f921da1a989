"""Working on a part of a project: a view, some labels, some people, without skipped tasks."""

import re
from pathlib import Path
from typing import Any

import pytest

from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.annotators import Annotators, read_annotators
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.demo.project_setup import import_tasks
from sparsedet.loop.settings import read_settings
from sparsedet.reviews import Changes, Decision, Review, ReviewedRegion
from sparsedet.tool import Choice, ToolOptions
from tests.cli.command import sparsedet_here
from tests.integrations.label_studio.samples import rectangle

NAMES = {1: "Ann@example.com", 2: "bob@example.com", 3: "cy@example.com"}
DAY = "2026-01-01T12:00"
DRAWN = {"lead_time": 12.5}


def annotation(author: object, **more: Any) -> dict[str, Any]:
    return {"id": 1, "completed_by": author, **DRAWN, **more}


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        (annotation(1), True),
        (annotation({"id": 1, "email": "Ann@example.com"}), True),
        (annotation(2, updated_by=1), True),
        (annotation(2), False),
        (annotation(None), False),
        # What a merge made, by this account; and what a person drew with it.
        (annotation(3, lead_time=None), True),
        (annotation(3), False),
        # What was imported along with its task.
        (
            annotation(3, lead_time=None, created_at=f"{DAY}:09Z", task_created_at=f"{DAY}:00Z"),
            False,
        ),
        (
            annotation(3, lead_time=None, created_at=f"{DAY}:19Z", task_created_at=f"{DAY}:00Z"),
            True,
        ),
    ],
)
def test_whose_annotations_count(found: dict[str, Any], counts: bool) -> None:
    for wanted in (["ann@EXAMPLE.com"], ["1"]):
        people = read_annotators(wanted, NAMES, account=3)
        assert people.chosen([found]) == ([found] if counts else [])
    assert Annotators(None).chosen([found]) == [found]


def with_choice(tool: LabelStudioTool, choice: Choice) -> LabelStudioTool:
    connection = tool.connection
    headers = connection.headers()["Authorization"]
    return LabelStudioTool(
        tool.url, ToolOptions(choice=choice), api_key=headers.removeprefix("Token ")
    )


@pytest.mark.label_studio
def test_a_part_of_a_project(
    tool: LabelStudioTool, project: int, address: str, colleague: Connection, tmp_path: Path
) -> None:
    data = {"image": address}
    mine = {"result": [rectangle("cat", id="mine"), rectangle("dog", id="dog")]}
    skipped = {"result": [], "was_cancelled": True}
    one, two, three = import_tasks(
        tool.connection,
        project,
        [{"data": data, "annotations": [mine]}, {"data": data, "annotations": [skipped]},
         {"data": data}],
    )  # fmt: skip
    colleague.client.annotations.create(one, result=[rectangle("cat", id="theirs")], lead_time=9.0)
    images = tmp_path / "images"

    def pull(choice: Choice) -> tuple[list[int], set[str], set[str]]:
        found = with_choice(tool, choice).pull(str(project), images)
        boxes = {str(box.tool_id) for box in found.boxes}
        return [image.id for image in found.images], boxes, set(found.left_out)

    assert pull(Choice()) == ([one, two, three], {"theirs"}, set())
    assert pull(Choice(skip_skipped=True)) == ([one, three], {"theirs"}, {str(two)})
    by_me = Choice(annotators=("admin@example.com",))
    assert pull(by_me)[1] == {"mine", "dog"}
    assert pull(Choice(annotators=("colleague@example.com",)))[1] == {"theirs"}
    assert pull(Choice(annotators=by_me.annotators, only=("dog",)))[1] == {"dog"}
    with pytest.raises(ToolError, match=r"'eve', .* \(accounts: admin@example.com, coll"):
        pull(Choice(annotators=("eve",)))

    items = [{"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": one}]
    view = tool.connection.post_json(
        "api/dm/views/",
        {
            "project": project,
            "data": {"title": "Late ones", "filters": {"conjunction": "and", "items": items}},
        },
        "adding a view",
    )["id"]
    assert pull(Choice(view=view)) == ([two, three], set(), {str(one)})
    # Less than half of the tasks are exported by their ids.
    items[0]["value"] = two
    tool.connection.patch_json(
        f"api/dm/views/{view}/",
        {"data": {"title": "Late ones", "filters": {"conjunction": "and", "items": items}}},
        "changing the view",
    )
    assert pull(Choice(view=view)) == ([three], set(), {str(one), str(two)})
    with pytest.raises(ToolError, match=rf"no view {view + 9} \(found .*{view}: Late ones"):
        pull(Choice(view=view + 9))

    # A merge writes to the annotation that a pull reads, whoever else drew on the task.
    box = ReviewedRegion("mined", "cat", (10.0, 10.0, 60.0, 60.0))
    review = Review(str(one), "1/1", {}, (box,))
    change = Changes(added={"mined": Decision("kept", box, "accepted", review)})
    mine_only = with_choice(tool, by_me)
    merge = mine_only.merge(
        str(project), {str(one): lambda _: change}, sizes={str(one): (640, 480)}, keep=print
    )
    assert [image.overtaken for image in merge] == [""]
    assert pull(by_me)[1] == {"mine", "dog", "mined"}
    assert pull(Choice(annotators=("colleague@example.com",)))[1] == {"theirs"}


@pytest.mark.label_studio
def test_a_merge_hides_no_annotation_that_one_of_the_people_saved_last(
    tool: LabelStudioTool, project: int, address: str, colleague: Connection, tmp_path: Path
) -> None:
    """Of an import by our account; the server knows its author and who saved it last."""
    drawn = {"result": [rectangle("cat", id="c")]}
    (task,) = import_tasks(
        tool.connection, project, [{"data": {"image": address}, "annotations": [drawn]}]
    )
    (stored,) = tool.connection.get_json(f"api/tasks/{task}/annotations/", {}, "it")
    colleague.client.annotations.update(stored["id"], result=stored["result"], lead_time=9.0)
    box = ReviewedRegion("mined", "cat", (10.0, 10.0, 60.0, 60.0))
    change = Changes(added={"mined": Decision("kept", box, "accepted", Review("1", "1/1", {}, ()))})
    saved_last, ours = "colleague@example.com", "admin@example.com"
    for people, blocked, boxes in (
        ((saved_last,), True, {"c"}),
        ((saved_last, ours), False, {"c", "mined"}),
    ):
        chosen = with_choice(tool, Choice(annotators=people))
        (merged,) = chosen.merge(
            str(project), {str(task): lambda _: change}, sizes={str(task): (640, 480)}, keep=print
        )
        assert merged.state is not None
        said = r"colleague@example\.com saved it last.*add your account, admin@example\.com, to"
        assert bool(re.search(said, merged.state.blocked)) == blocked
        found = chosen.pull(str(project), tmp_path / "images")
        assert {str(one.tool_id) for one in found.boxes} == boxes


@pytest.mark.label_studio
def test_the_choice_is_kept_in_the_workspace(
    tool: LabelStudioTool, project: int, address: str, tmp_path: Path
) -> None:
    drawn = {"result": [rectangle("cat", id="c"), rectangle("dog", id="d")]}
    import_tasks(tool.connection, project, [{"data": {"image": address}, "annotations": [drawn]}])
    key = tool.connection.headers()["Authorization"].removeprefix("Token ")
    env = {"LABEL_STUDIO_URL": tool.url, "LABEL_STUDIO_API_KEY": key}

    def pull(*options: str) -> str:
        words = ("pull", "--project", str(project), "-o", "w", *options)
        result = sparsedet_here(*words, cwd=tmp_path, env=env)
        assert result.status == 0, result.err
        return result.out + result.err

    assert "2 boxes on 1 image" in pull()
    settings = tmp_path / "w/sparsedet.toml"
    settings.write_text(settings.read_text() + "\n# a note of mine\n")
    said = pull("--only", "dog", "--skip-skipped")
    assert "1 box on 1 image" in said
    assert "selected: only dog; without skipped images" in said
    assert read_settings(settings).source.choice == Choice(only=("dog",), skip_skipped=True)
    assert settings.read_text().endswith("# a note of mine\n")
    assert "1 box on 1 image" in pull()
    assert "1 box on 1 image" in pull("--only", "cat", "--no-skip-skipped")
    assert read_settings(settings).source.choice == Choice(only=("cat",))

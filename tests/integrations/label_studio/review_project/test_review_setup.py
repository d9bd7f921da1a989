"""The review project's labels, instructions and ownership; on a real server."""

import pytest

from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.integrations.label_studio.demo.project_setup import labelling_config
from sparsedet.integrations.label_studio.review_project.additions import with_additions
from sparsedet.integrations.label_studio.review_project.config_union import config_union
from sparsedet.push_modes import PushMode, ToReview
from sparsedet.tool import ToolOptions
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.drafts.draft_helpers import drafts
from tests.integrations.label_studio.review_project.review_helpers import (
    BOXES,
    ids,
    mode_of,
    push,
    review_projects,
    up,
)
from tests.integrations.label_studio.samples import mined_boxes

CONFIG = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="label" toName="image"><Label value="orange"/></RectangleLabels>
</View>"""


def test_a_union_keeps_what_only_the_older_config_has() -> None:
    older = """<View><Header value="Before"/><View>
      <Image name="image" value="$image"/>
      <RectangleLabels name="label" toName="image">
        <Label value="pear"/><Label value="Orange" alias="orange"/>
      </RectangleLabels>
      <Choices name="quality" toName="image"><Choice value="good"/></Choices>
    </View></View>"""
    union = config_union(CONFIG, older)
    assert union.count("<Image") == 1
    assert union.count("<Label ") == 2
    assert union.index('value="orange"') < union.index('value="pear"')
    assert '<Choices name="quality" toName="image"><Choice value="good" /></Choices>' in union
    assert "Before" not in union
    assert config_union(CONFIG, union) == union


def test_a_control_of_another_kind_is_not_mixed() -> None:
    older = CONFIG.replace("RectangleLabels", "PolygonLabels").replace("orange", "leaf")
    assert "leaf" not in config_union(CONFIG, older)


def test_what_people_add_is_kept_and_what_the_project_removes_is_not() -> None:
    removed = '<View><Choices name="old way" toName="image"><Choice value="a"/></Choices></View>'
    first = with_additions(CONFIG.replace("</View>", f"{removed}</View>"), "", "image")
    comment = '<Header value="Comments" /><TextArea name="comment" toName="image" />'
    rating = '<Text name="file" value="$file" /><Rating name="ease" toName="file" />'
    edited = first.replace("<Rectangle", comment.replace("toName", "toname") + "<Rectangle")
    edited = edited.replace("</Choices>", f"</Choices><View>{rating}</View>")
    carried = with_additions(CONFIG, edited, "image")
    assert carried.endswith(f"{comment}<View>{rating}</View></View>")
    assert (carried.count("<Choices"), carried.count("<Image")) == (0, 1)
    assert with_additions(CONFIG, carried, "image") == carried
    # The image is renamed; a config of an earlier version has no list.
    renamed = CONFIG.replace('"image"', '"photo"')
    mark = '<Choices name="sparsedet_complete" toName="image" />'
    for before in (carried, CONFIG.replace("</View>", f"{comment}{mark}</View>")):
        moved = with_additions(renamed, before, "photo")
        assert '<TextArea name="comment" toName="photo" />' in moved
        assert (moved.count("<Choices"), moved.count("<Image")) == (0, 1)


@pytest.mark.label_studio
def test_fields_that_people_add_to_the_review_project_are_kept(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    report = push(tool, pulled)
    client = tool.connection.client
    number = int(report.review_project)
    made = client.projects.get(number).label_config or ""
    field = '<TextArea name="comment" toName="image" />'
    client.projects.update(number, label_config=f"{made.removesuffix('</View>')}{field}</View>")
    more = labelling_config(["orange", "parcel", "cup"])
    client.projects.update(int(pulled.project), label_config=more)
    for _ in range(2):
        mode_of(tool).prepare(pulled.project)
        config = client.projects.get(number).label_config or ""
        assert config.count(field) == 1
        assert 'value="cup"' in config


def workspace(server: LocalServer, owner: str) -> LabelStudioTool:
    return LabelStudioTool(server.url, ToolOptions(owner=owner), api_key=server.api_key)


@pytest.mark.label_studio
def test_preparing_makes_a_project_that_says_what_to_do(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    mode_of(tool).prepare(pulled.project)
    (review,) = review_projects(tool, pulled)
    found = tool.connection.client.projects.get(review.id)
    assert found.show_instruction
    assert "<b>Skip</b> leaves them undecided" in (found.expert_instruction or "")
    assert "a hidden box counts as right" in (found.expert_instruction or "")
    mode_of(tool).prepare(pulled.project)
    assert push(tool, pulled).review_project == str(review.id)


@pytest.mark.label_studio
def test_labels_that_only_reviews_use_are_kept(
    label_studio: LocalServer, pulled: Pulled, caplog: pytest.LogCaptureFixture
) -> None:
    options = ToolOptions(complete_control="done")
    tool = LabelStudioTool(label_studio.url, options, api_key=label_studio.api_key)
    report = push(tool, pulled)
    tool.open_reviews(report.review_project)[0].submit([], complete=True)
    # The Choices control is renamed: the server refuses that where reviews use it.
    renamed = labelling_config(["orange", "parcel", "cup"]).replace("sparsedet_complete", "done")
    client = tool.connection.client
    client.projects.update(int(pulled.project), label_config=renamed)
    for _ in range(2):
        mode_of(tool).prepare(pulled.project)
        config = client.projects.get(int(report.review_project)).label_config or ""
        assert 'name="done"' in config
        assert 'name="sparsedet_complete"' in config
        assert 'value="cup"' in config
    assert caplog.text.count("keeps controls that project") == 1
    assert push(tool, pulled).images == 2


@pytest.mark.label_studio
def test_an_old_mark_is_adopted_and_another_workspace_refused(
    label_studio: LocalServer, tool: LabelStudioTool, pulled: Pulled
) -> None:
    ours, theirs = workspace(label_studio, "ab12"), workspace(label_studio, "cd34")
    report = push(tool, pulled)
    number = int(report.review_project)
    update = tool.connection.client.projects.update
    update(number, description=f"Ours. [sparsedet review of project {pulled.project}] Hello")
    assert push(ours, pulled).review_project == report.review_project
    (review,) = review_projects(tool, pulled)
    mark = f"[sparsedet review of project {pulled.project}: control=label workspace=ab12]"
    assert review.description == f"Ours. {mark} Hello"

    for refused in (
        lambda: mode_of(theirs).prepare(pulled.project),
        lambda: push(theirs, pulled),
        lambda: push(theirs, pulled, dry_run=True),
        lambda: theirs.push_modes["draft"].prepare(pulled.project),
    ):
        with pytest.raises(ToolError, match=r"belongs to another workspace \(ab12\).*--take-over"):
            refused()
    # Without an owner, marks are not respected, and stay.
    assert push(tool, pulled).created == 0

    tool.open_reviews(report.review_project)[0].submit([])
    mode_of(theirs).prepare(pulled.project, take_over=True)
    (review,) = review_projects(tool, pulled)
    assert "workspace=cd34]" in review.description
    assert len(up(tool, report)) == 4  # those of the submitted review
    with pytest.raises(ToolError, match=r"another workspace \(cd34\)"):
        push(ours, pulled)
    assert push(theirs, pulled).review_project == report.review_project


@pytest.mark.label_studio
def test_the_two_modes_do_not_put_boxes_up_twice(label_studio: LocalServer, pulled: Pulled) -> None:
    ours = workspace(label_studio, "ab12")
    draft: PushMode = ours.push_modes["draft"]

    def push_draft() -> int:
        return draft.push(
            pulled.project, ToReview(pulled.dataset, mined_boxes(pulled.dataset), "run-1")
        ).boxes

    report = push(ours, pulled)
    with pytest.raises(ToolError, match=f"{BOXES} mined boxes are up for review in the review"):
        push_draft()
    draft.prepare(pulled.project, take_over=True)
    assert up(ours, report) == frozenset()
    assert push_draft() == BOXES
    with pytest.raises(ToolError, match=f"{BOXES} mined boxes are up for review as drafts in"):
        push(ours, pulled)
    with pytest.raises(ToolError, match=r"another workspace \(ab12\)"):
        mode_of(workspace(label_studio, "cd34")).prepare(pulled.project)
    mode_of(ours).prepare(pulled.project, take_over=True)
    assert drafts(ours, pulled) == []
    push(ours, pulled)
    assert up(ours, report) == ids(1, 2, 3)


@pytest.mark.label_studio
def test_review_projects_are_not_annotated_and_each_control_has_its_own(
    tool: LabelStudioTool, pulled: Pulled, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = push(tool, pulled)
    for mode in tool.push_modes.values():
        with pytest.raises(ToolError, match=f"is the review project of project {pulled.project}"):
            mode.prepare(report.review_project)
    second = '<RectangleLabels name="more" toName="image"><Label value="x"/></RectangleLabels>'
    config = labelling_config(["orange", "parcel"]).replace("</View>", f"{second}</View>")
    tool.connection.client.projects.update(int(pulled.project), label_config=config)
    monkeypatch.setenv("LABEL_STUDIO_CONTROL", "more")
    mode_of(tool).prepare(pulled.project)
    found = review_projects(tool, pulled)
    marks = {project.description.rpartition(": ")[2] for project in found}
    assert marks == {"control=label]", "control=more]"}
    # Their titles are what people see.
    assert len({project.title for project in found}) == 2

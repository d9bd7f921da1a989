"""The control for complete images that review projects add."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.project_setup import (
    COMPLETE_CHOICE,
    labelling_config,
)
from sparsedet.integrations.label_studio.labelling_config.label_config import (
    COMPLETE_CONTROL,
    CompleteMark,
    parse_config,
)
from sparsedet.integrations.label_studio.projects import export_tasks
from sparsedet.integrations.label_studio.regions import is_complete
from sparsedet.integrations.label_studio.review_project.complete_mark import (
    complete_key,
    with_complete_mark,
)
from sparsedet.integrations.label_studio.review_project.config_union import config_union
from sparsedet.reviews import changes, decide
from sparsedet.tool import ToolOptions
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.merging import push as push_and_note
from tests.integrations.label_studio.review_project.review_helpers import mode_of, push
from tests.integrations.label_studio.samples import complete_mark, mined_boxes

BARE = """<View>
  <Image name="picture" value="$image"/>
  <RectangleLabels name="label" toName="picture">
    <Label value="orange" hotkey="1"/><Label value="parcel"/>
  </RectangleLabels>
</View>"""


def test_a_config_without_the_mark_gets_one() -> None:
    xml = with_complete_mark(parse_config(BARE, "7"), 7)
    assert parse_config(xml, "7").complete == CompleteMark(COMPLETE_CONTROL, "picture", "Complete")
    root = ElementTree.fromstring(xml)
    (control,) = root.iter("Choices")
    assert (control.attrib["required"], control.attrib["showInline"]) == ("false", "true")
    (choice,) = control
    assert choice.attrib == {"value": "Complete", "hotkey": "c"}  # nothing is preselected
    (header,) = root.iter("Header")
    assert header.attrib["value"] == "Every object has a box:"
    assert [label.attrib for label in root.iter("Label")] == [
        {"value": "orange", "hotkey": "1"},
        {"value": "parcel"},
    ]
    assert complete_key(xml, COMPLETE_CONTROL) == "c"
    # It is added once.
    assert with_complete_mark(parse_config(xml, "7"), 7) == xml


def test_its_key_is_one_that_no_label_uses() -> None:
    taken = BARE.replace('hotkey="1"', 'hotkey="C, x"')
    assert complete_key(with_complete_mark(parse_config(taken, "7"), 7), COMPLETE_CONTROL) == "y"
    every = BARE.replace('hotkey="1"', f'hotkey="{",".join("abcdefghijklmnopqrstuvwxyz")}"')
    assert complete_key(with_complete_mark(parse_config(every, "7"), 7), COMPLETE_CONTROL) == ""


def test_a_control_that_the_project_has_is_left_as_it_is() -> None:
    for name in (COMPLETE_CONTROL, "done"):
        own = labelling_config(["cat"]).replace(COMPLETE_CONTROL, name)
        options = ToolOptions(complete_control="done")
        assert with_complete_mark(parse_config(own, "7", options), 7) == own
    keyed = labelling_config(["cat"]).replace("<Choice ", '<Choice hotkey="k" ')
    assert complete_key(keyed, COMPLETE_CONTROL) == "k"


def test_another_tag_of_its_name_is_refused() -> None:
    other = BARE.replace(
        "</View>", f'<TextArea name="{COMPLETE_CONTROL}" toName="picture"/></View>'
    )
    with pytest.raises(
        ToolError, match=r"project 7: .* tag named 'sparsedet_complete' that is not"
    ):
        with_complete_mark(parse_config(other, "7"), 7)


def test_reviews_are_read_when_the_project_gets_a_control_of_its_own_later() -> None:
    ours = with_complete_mark(parse_config(BARE, "7"), 7)
    text = [{**complete_mark(), "value": {"choices": ["Complete"]}}]
    for name in (COMPLETE_CONTROL, "done"):
        theirs = BARE.replace(
            "</View>",
            f'<Choices name="{name}" toName="picture"><Choice value="yes"/></Choices></View>',
        )
        options = ToolOptions(complete_control="done")
        source = parse_config(theirs, "7", options)
        review = parse_config(config_union(with_complete_mark(source, 7), ours), "8", options)
        assert is_complete(text, review.in_terms_of(source))
    # And as long as it has none.
    source = parse_config(BARE, "7")
    assert is_complete(text, parse_config(ours, "8").in_terms_of(source))


def test_the_choice_that_reviews_hold_stays() -> None:
    """The annotated project had a control of its own, which nobody names any more."""
    had = labelling_config(["orange", "parcel"])
    xml = with_complete_mark(parse_config(BARE, "7"), 7, had)
    mark = parse_config(xml, "7").complete
    assert mark == CompleteMark(COMPLETE_CONTROL, "picture", COMPLETE_CHOICE, multiple=True)
    assert complete_key(xml, COMPLETE_CONTROL) == "c"
    assert with_complete_mark(parse_config(BARE, "7"), 7, xml) == xml
    # Its key is given up to a label.
    label = BARE.replace('hotkey="1"', 'hotkey="c"')
    assert complete_key(with_complete_mark(parse_config(label, "7"), 7, xml), mark.control) == "x"
    assert complete_key(with_complete_mark(parse_config(BARE, "7"), 7, label), mark.control) == "c"


@pytest.mark.label_studio
def test_reviewers_can_mark_images_of_a_project_without_the_control(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    client, number = tool.connection.client, int(pulled.project)
    bare = BARE.replace("picture", "image")
    client.projects.update(number, label_config=bare)
    pulled = replace(pulled, dataset=tool.pull(pulled.project, pulled.folder / "images"))
    mode_of(tool).prepare(pulled.project)
    pushed = push_and_note(tool, pulled, mined_boxes(pulled.dataset))
    review = client.projects.get(int(pushed.review_project))
    assert "tick <b>Complete</b> (key <kbd>c</kbd>)" in (review.expert_instruction or "")
    assert client.projects.get(number).label_config == bare
    mode_of(tool).prepare(pulled.project)
    again = client.projects.get(int(pushed.review_project))
    assert again.label_config == review.label_config

    first, second, _ = tool.open_reviews(pushed.review_project)
    first.submit(first.regions, complete=True)
    second.submit(second.regions)
    found = mode_of(tool).reviews(pushed.review_project, pushed.images).reviews
    assert [one.complete for one in found] == [True, False]
    # The annotated project has no place for the mark: a merge writes the boxes alone.
    boxes = {image.tool_id: image.boxes for image in pushed.images}
    verdict = decide([found[0]], boxes[first.tool_id])
    (applied,) = tool.merge(
        pulled.project,
        {first.tool_id: lambda state: changes(state, verdict)},
        sizes={},
        keep=lambda replaced: None,
    )
    assert applied.changes.added.keys() == boxes[first.tool_id].keys()
    assert not applied.changes.marks_complete
    (task,) = (t for t in export_tasks(tool.connection, number) if str(t["id"]) == first.tool_id)
    types = {result["type"] for result in task["annotations"][0]["result"]}
    assert types == {"rectanglelabels"}


@pytest.mark.label_studio
def test_a_review_project_that_lacks_the_mark_gets_it(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    """It was made by an earlier version."""
    client = tool.connection.client
    bare = BARE.replace("picture", "image")
    client.projects.update(int(pulled.project), label_config=bare)
    number = int(push(tool, pulled).review_project)
    earlier = (
        "Boxes with a score are a model's: delete the wrong ones, correct the others, leave the "
        "right ones, and Submit. Boxes of a skipped task stay undecided, to be reviewed another "
        "time; a box hidden with the eye icon counts as kept."
    )
    client.projects.update(number, label_config=bare, expert_instruction=earlier)
    tool.open_reviews(str(number))[0].submit([])
    push(tool, pulled)
    found = client.projects.get(number)
    assert COMPLETE_CONTROL in (found.label_config or "")
    assert "(key <kbd>c</kbd>)" in (found.expert_instruction or "")
    client.projects.update(number, expert_instruction="Ours")
    push(tool, pulled)
    assert client.projects.get(number).expert_instruction == "Ours"
    tool.open_reviews(str(number))[0].submit([], complete=True)

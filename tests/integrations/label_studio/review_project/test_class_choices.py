"""The control for complete classes that review projects have by themselves."""

import xml.etree.ElementTree as ElementTree

import pytest

from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.class_marks import (
    class_control,
    class_marks_result,
    complete_classes,
)
from sparsedet.integrations.label_studio.labelling_config.label_config import (
    CLASSES_CONTROL,
    parse_config,
)
from sparsedet.integrations.label_studio.projects import export_tasks
from sparsedet.integrations.label_studio.review_project.class_choices import with_class_choices
from sparsedet.integrations.label_studio.review_project.review_setup import SourceProject
from sparsedet.reviews import changes, decide
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.merging import push as push_and_note
from tests.integrations.label_studio.review_project.review_helpers import mode_of
from tests.integrations.label_studio.samples import mined_boxes


def config_of(*labels: str, also: str = "") -> str:
    """Return the XML of a config with these labels, some with an alias: `cat=c`."""
    parts = [label.partition("=") for label in labels]
    listed = "".join(
        f'<Label value="{value}"' + (f' alias="{alias}"' if alias else "") + "/>"
        for value, _, alias in parts
    )
    return (
        '<View><Image name="picture" value="$image"/>'
        f'<RectangleLabels name="label" toName="picture">{listed}</RectangleLabels>{also}</View>'
    )


def choices_of(xml: str) -> ElementTree.Element:
    (control,) = (
        tag for tag in ElementTree.fromstring(xml).iter() if tag.get("name") == CLASSES_CONTROL
    )
    return control


def test_every_class_is_a_choice() -> None:
    xml = with_class_choices(parse_config(config_of("cat=c", "dog"), "7"), 7)
    control = choices_of(xml)
    assert (control.attrib["choice"], control.attrib["toName"]) == ("multiple", "picture")
    assert [(c.attrib["value"], c.get("alias")) for c in control] == [("cat", "c"), ("dog", None)]
    config = parse_config(xml, "8")
    found = class_control(config)
    assert found is not None
    assert found.choices == {"cat": "c", "dog": "dog"}
    assert config.marks == ()  # it marks no image
    assert complete_classes([class_marks_result(found, ["c"])], config) == {"cat"}
    # It is added once.
    assert with_class_choices(config, 7) == xml


def test_no_choice_takes_the_key_of_a_class() -> None:
    keys = [choice.attrib["hotkey"] for choice in choices_of(config_with(12))]
    assert len(set(keys)) == 12
    assert not any(key.isascii() for key in keys)


def config_with(count: int) -> str:
    labels = (f"class {number}" for number in range(count))
    xml: str = with_class_choices(parse_config(config_of(*labels), "7"), 7)
    return xml


def test_many_classes_take_one_line() -> None:
    assert choices_of(config_with(8)).attrib["layout"] == "inline"
    assert choices_of(config_with(9)).attrib["layout"] == "select"


def test_a_control_that_the_project_has_is_left_as_it_is() -> None:
    own = '<Choices name="{}" toName="picture" choice="multiple">{}</Choices>'
    named = own.format(CLASSES_CONTROL, '<Choice value="cat"/>')
    whole = own.format("sparsedet_complete", '<Choice value="Complete"/><Choice value="cat"/>')
    for also in (named, whole):
        xml = config_of("cat", "dog", also=also)
        assert with_class_choices(parse_config(xml, "7"), 7) == xml
    one = config_of("cat")
    assert with_class_choices(parse_config(one, "7"), 7) == one
    text = config_of("cat", "dog", also=f'<TextArea name="{CLASSES_CONTROL}" toName="picture"/>')
    with pytest.raises(ToolError, match=r"project 7: .* tag named 'sparsedet_complete_classes'"):
        with_class_choices(parse_config(text, "7"), 7)


def test_reviewers_read_of_it_where_there_is_a_choice() -> None:
    def instruction(*labels: str) -> str:
        text: str = SourceProject(7, "Seven", parse_config(config_of(*labels), "7")).instruction()
        return text

    assert "<b>these classes</b>" in instruction("cat", "dog")
    assert "<b>these classes</b>" not in instruction("cat")


@pytest.mark.label_studio
def test_reviewers_mark_classes_and_a_merge_writes_them(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    """The annotated project has the control, too, here; without it rounds alone know the marks."""
    connection, number = tool.connection, int(pulled.project)
    client = connection.client
    name = pulled.dataset.categories[0].name
    pushed = push_and_note(tool, pulled, mined_boxes(pulled.dataset))
    first, *_ = tool.open_reviews(pushed.review_project)
    first.submit(first.regions)
    review = client.projects.get(int(pushed.review_project))
    control = class_control(parse_config(review.label_config or "", pushed.review_project))
    assert control is not None
    (made,) = connection.get_json(f"api/tasks/{first.task.id}/annotations/", {}, "reading")
    marked = [*made["result"], class_marks_result(control, [control.choices[name]])]
    connection.patch_json(f"api/annotations/{made['id']}/", {"result": marked}, "marking")

    (found,) = mode_of(tool).reviews(pushed.review_project, pushed.images).reviews
    assert found.complete_classes == {name}
    assert not found.complete
    boxes = {image.tool_id: image.boxes for image in pushed.images}
    verdict = decide([found], boxes[first.tool_id])
    source = client.projects.get(number)
    with_control = with_class_choices(parse_config(source.label_config or "", pulled.project), 7)
    client.projects.update(number, label_config=with_control)
    (applied,) = tool.merge(
        pulled.project,
        {first.tool_id: lambda state: changes(state, verdict)},
        sizes={},
        keep=lambda replaced: None,
    )
    assert applied.changes.completed_classes == {name}
    (task,) = (t for t in export_tasks(connection, number) if str(t["id"]) == first.tool_id)
    config = parse_config(with_control, pulled.project)
    assert complete_classes(task["annotations"][0]["result"], config) == {name}
    images = tool.pull(pulled.project, pulled.folder / "images").images
    (image,) = (image for image in images if image.tool_id == first.tool_id)
    assert image.complete_classes == {pulled.dataset.categories[0].id}

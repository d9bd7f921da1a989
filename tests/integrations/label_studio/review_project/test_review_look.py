"""Boxes of people and of the model look different in a review project."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from typing import Any

import pytest

from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.project_setup import labelling_config
from sparsedet.integrations.label_studio.judge_only import with_judge_only
from sparsedet.integrations.label_studio.labelling_config.config_labels import CLASS_KEY
from sparsedet.integrations.label_studio.labelling_config.label_config import (
    LabelConfig,
    parse_config,
)
from sparsedet.integrations.label_studio.projects import export_tasks
from sparsedet.integrations.label_studio.review_project.additions import with_additions
from sparsedet.integrations.label_studio.review_project.class_choices import with_class_choices
from sparsedet.integrations.label_studio.review_project.config_union import config_union
from sparsedet.integrations.label_studio.review_project.review_look import (
    for_people,
    people_labels,
    suspected_labels,
    with_review_look,
)
from sparsedet.push_modes import PushReport
from sparsedet.reviews import changes, decide
from sparsedet.tool import ToolOptions
from tests.integrations.label_studio.conftest import Pulled
from tests.integrations.label_studio.merging import push as push_and_note
from tests.integrations.label_studio.review_project.review_helpers import mode_of, predictions, push
from tests.integrations.label_studio.samples import mined_boxes

SOURCE = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="label" toName="image">
    <View><Label value="R&amp;D &lt;&quot;ä&quot;&gt;" background="#36B37E"/></View>
    <Label value="parcel" alias="p" background="#36b37e" hotkey="7"/>
    <Label value="parcel ✓"/>
  </RectangleLabels>
  <RectangleLabels name="other" toName="image"><Label value="parcel"/></RectangleLabels>
</View>"""


def source() -> LabelConfig:
    return parse_config(SOURCE, "7", control="label")


def labels(xml: str) -> list[dict[str, str]]:
    control = next(ElementTree.fromstring(xml).iter("RectangleLabels"))
    return [tag.attrib for tag in control.iter("Label")]


def test_every_class_has_a_second_label_for_the_boxes_of_people() -> None:
    xml = with_review_look(SOURCE, source())
    classes, people, suspected = labels(xml)[:3], labels(xml)[3:6], labels(xml)[6:]
    assert [label["value"] for label in classes] == ['R&D <"ä">', "parcel", "parcel ✓"]
    assert (classes[1]["alias"], classes[1]["hotkey"]) == ("p", "7")
    assert classes[0]["background"] == "#36b37e"
    colors = [label["background"] for label in classes]
    assert len(set(colors)) == 3
    assert [label["background"] for label in people] == [f"{color}66" for color in colors]
    assert [label[CLASS_KEY] for label in people] == ['R&D <"ä">', "p", "parcel ✓"]
    assert [label["value"] for label in people] == ['R&D <"ä"> ✓', "parcel ✓✓", "parcel ✓ ✓"]
    # Those that look wrong have a third one, of a colour that no class is given.
    assert [label["value"] for label in suspected] == ['R&D <"ä"> ?', "parcel ?", "parcel ✓ ?"]
    assert [label[CLASS_KEY] for label in suspected] == [label[CLASS_KEY] for label in people]
    assert {label["background"] for label in suspected} == {"#ff0000"}
    # Nobody can choose them, and they take no key of a class.
    second = [*people, *suspected]
    assert {label["visible"] for label in second} == {"false"}
    assert len({label["hotkey"] for label in second}) == 6
    assert not any(label["hotkey"].isascii() for label in second)
    # Other controls stay as they are.
    other = list(ElementTree.fromstring(xml).iter("RectangleLabels"))[1]
    assert [tag.attrib for tag in other] == [{"value": "parcel"}]


def test_boxes_get_a_stroke_and_a_fill_where_the_source_sets_none() -> None:
    (control, _) = ElementTree.fromstring(with_review_look(SOURCE, source())).iter(
        "RectangleLabels"
    )
    assert (control.attrib["strokeWidth"], control.attrib["fillOpacity"]) == ("3", "0.1")
    own = SOURCE.replace('toName="image">', 'toName="image" strokewidth="1" opacity="0.5">', 1)
    (control, _) = ElementTree.fromstring(with_review_look(own, source())).iter("RectangleLabels")
    assert control.attrib["strokewidth"] == "1"
    assert control.attrib["opacity"] == "0.5"
    assert not {"strokeWidth", "fillOpacity"} & control.attrib.keys()


def test_second_labels_are_read_as_their_class() -> None:
    xml = with_review_look(SOURCE, source())
    config = parse_config(xml, "8", control="label")
    assert config.labels == source().labels
    assert for_people(source()).stored_labels == people_labels(source())
    for texts in (people_labels(source()), suspected_labels(source())):
        for value, text in texts.items():
            assert config.category_ids[text] == source().category_ids[value]
    # Made once more, or from a copy of a review project's config, it is the same.
    assert with_review_look(xml, source()) == xml
    assert with_review_look(xml, config) == xml


def test_reviews_are_read_after_classes_were_renamed() -> None:
    older = with_review_look(SOURCE, source())
    # One with an alias, one without, which `[labels] rename` names.
    renamed = SOURCE.replace('"parcel" alias', '"box" alias').replace('"parcel ✓"', '"checked"')
    options = ToolOptions(rename={"parcel ✓": "checked"})
    now = parse_config(renamed, "7", options, control="label")
    both = config_union(with_review_look(renamed, now), older)
    read = parse_config(both, "8", control="label").in_terms_of(now)
    assert read.labels == now.labels
    assert (read.texts["parcel ✓✓"], read.texts["p"]) == ("box", "box")
    assert (read.texts["parcel ✓ ✓"], read.texts["checked ✓"]) == ("checked", "checked")
    # Somebody has renamed them in the review project as well, and not their second labels.
    by_hand = older.replace('value="parcel ✓"', 'value="checked"', 1)
    read = parse_config(by_hand, "8", control="label").in_terms_of(now)
    assert read.texts["parcel ✓ ✓"] == "checked"


def shown(tool: LabelStudioTool, report: PushReport) -> dict[str, set[str]]:
    """The labels under which boxes are up, by region id without its number."""
    found: dict[str, set[str]] = {}
    for prediction in predictions(tool, report):
        for region in prediction["result"]:
            name = region["id"].rsplit("-", 1)[0] if "mined" in region["id"] else region["id"]
            found.setdefault(name, set()).update(region["value"]["rectanglelabels"])
    return found


@pytest.mark.label_studio
def test_boxes_of_people_have_labels_that_merges_do_not_write(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    client, number = tool.connection.client, int(pulled.project)
    config = labelling_config(["orange", "parcel", 'R&D <"ä">']).replace("#1f77b4", "#d62728")
    client.projects.update(number, label_config=config)
    pulled = replace(pulled, dataset=tool.pull(pulled.project, pulled.folder / "images"))
    pushed = push_and_note(tool, pulled, mined_boxes(pulled.dataset))
    report = push(tool, pulled)
    # The server holds what was written, so that the second push changes nothing.
    assert report.created == 0
    review = client.projects.get(int(pushed.review_project))
    by_class = with_class_choices(parse_config(config, "7"), number)
    asking = with_judge_only(by_class, "image")
    looks = with_review_look(asking, parse_config(config, "7"))
    assert review.label_config == with_additions(looks, "", "image")
    assert client.projects.get(number).label_config == config
    assert shown(tool, report) == {
        "human-orange": {"orange ✓"},
        "human-parcel": {"parcel ✓"},
        "mined-orange": {"orange"},
        "mined-parcel": {"parcel"},
        "mined-moved": {"orange"},
        "mined-wrong": {"parcel"},
    }
    first, second, _ = tool.open_reviews(pushed.review_project)
    boxes = {region.region_id: region for region in first.regions}
    assert boxes["human-orange"].category == "orange"
    # One person's box gets another class, the other one is moved; then all is left as it is.
    parcel = boxes["human-parcel"]
    # Whichever image is first in the queue.
    (mined,) = (name for name in boxes if name.startswith("mined-orange-"))
    left, top, right, bottom = parcel.xyxy
    first.submit(
        [
            replace(boxes["human-orange"], category='R&D <"ä">'),
            replace(parcel, xyxy=(left, top, right, bottom + 20)),
            boxes[mined],
        ]
    )
    second.submit(second.regions)
    reviews = mode_of(tool).reviews(pushed.review_project, pushed.images).reviews
    assert {region.category for region in reviews[1].regions} == {"orange", "parcel"}
    offered = {image.tool_id: image.boxes for image in pushed.images}
    verdicts = {r.tool_id: decide([r], offered[r.tool_id]) for r in reviews}

    def changes_of(tool_id: str) -> Any:
        return lambda state: changes(state, verdicts[tool_id])

    applied = tool.merge(
        pulled.project,
        {tool_id: changes_of(tool_id) for tool_id in verdicts},
        sizes={},
        keep=lambda replaced: None,
    )
    assert {len(one.changes.edited) for one in applied} == {0, 2}
    merged = {
        str(task["id"]): {
            result["id"]: result["value"]["rectanglelabels"]
            for result in task["annotations"][0]["result"]
        }
        for task in export_tasks(tool.connection, number)
    }
    assert merged[first.tool_id] == {
        "human-orange": ['R&D <"ä">'],
        "human-parcel": ["parcel"],
        mined: ["orange"],
    }
    assert {text for (text,) in merged[second.tool_id].values()} == {"orange", "parcel"}


@pytest.mark.label_studio
def test_a_review_project_of_an_earlier_version_gets_look_and_instruction(
    tool: LabelStudioTool, pulled: Pulled
) -> None:
    client = tool.connection.client
    report = push(tool, pulled)
    number = int(report.review_project)
    made = client.projects.get(number)
    # As earlier versions left it: the source's own config, and labels, and another text.
    plain = client.projects.get(int(pulled.project)).label_config
    for prediction in predictions(tool, report):
        for region in prediction["result"]:
            value = region["value"]
            value["rectanglelabels"] = [value["rectanglelabels"][0].removesuffix(" ✓")]
        patch = {"result": prediction["result"]}
        tool.connection.patch_json(f"api/predictions/{prediction['id']}/", patch, "ageing it")
    earlier = (
        "Boxes with a score are a model's: delete the wrong ones, correct the others, leave the "
        "right ones, and Submit. Boxes of a skipped task stay undecided, to be reviewed another "
        "time; a box hidden with the eye icon counts as kept."
    )
    client.projects.update(
        number, label_config=plain, expert_instruction=earlier, show_instruction=False
    )
    assert shown(tool, report)["human-orange"] == {"orange"}

    assert push(tool, pulled).created == 3
    now = client.projects.get(number)
    assert now.label_config == made.label_config
    assert now.expert_instruction == made.expert_instruction
    assert now.show_instruction is False  # somebody has switched it off
    assert shown(tool, report)["human-orange"] == {"orange ✓"}
    assert push(tool, pulled).created == 0

    edited = (made.expert_instruction or "").replace("Backspace", "Del")
    client.projects.update(number, expert_instruction=edited)
    push(tool, pulled)
    assert client.projects.get(number).expert_instruction == edited

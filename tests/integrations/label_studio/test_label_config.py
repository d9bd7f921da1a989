"""Labelling configs: which control, which image, which labels."""

import pytest

from sparsedet.annotations import Category
from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio.demo.project_setup import COMPLETE_CHOICE, labelling_config
from sparsedet.integrations.label_studio.label_config import (
    CONTROL_VARIABLE,
    CompleteMark,
    parse_config,
)

IMAGE = '<Image name="photo" value="$picture"/>'
LABELS = '<Label value="cat" alias="c"/><Label value="dog"/>'
RECTANGLES = f'<RectangleLabels name="box" toName="photo">{LABELS}</RectangleLabels>'
OTHER = RECTANGLES.replace('"box"', '"other"')


def view(*tags: str) -> str:
    return f"<View>{''.join(tags)}</View>"


def test_reads_control_image_and_labels() -> None:
    config = parse_config(view(IMAGE, RECTANGLES), "7")
    assert (config.control, config.image, config.data_key) == ("box", "photo", "picture")
    assert config.categories == (Category(1, "cat"), Category(2, "dog"))
    assert config.complete is None


def test_regions_hold_the_alias_and_people_see_the_value() -> None:
    config = parse_config(view(IMAGE, RECTANGLES), "7")
    assert config.stored_labels == {"cat": "c", "dog": "dog"}
    assert config.category_ids == {"cat": 1, "c": 1, "dog": 2}


def test_finds_nested_and_lower_case_tags() -> None:
    nested = f'<View><view style="x">{IMAGE.lower()}</view></View>'
    config = parse_config(nested.replace("<View>", f"<View>{RECTANGLES}", 1), "7")
    assert config.image == "photo"


def test_our_own_config_survives_awkward_labels() -> None:
    labels = ['say "hi"', "a < b & c", "größe"]
    config = parse_config(labelling_config(labels), "7")
    assert [category.name for category in config.categories] == labels
    assert config.complete == CompleteMark("sparsedet_complete", "image", COMPLETE_CHOICE)


def test_the_complete_mark_can_have_another_name() -> None:
    choices = '<Choice value="all found" alias="all"/><Choice value="some missing"/>'
    mark = f'<Choices name="done" toName="photo">{choices}</Choices>'
    xml = view(IMAGE, RECTANGLES, mark)
    assert parse_config(xml, "7").complete is None
    found = parse_config(xml, "7", complete_control="done")
    assert found.complete == CompleteMark("done", "photo", "all")
    assert parse_config(xml, "7", complete_control="ready").complete is None


@pytest.mark.parametrize("by_variable", [False, True])
def test_one_of_several_controls_can_be_chosen(
    by_variable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    xml = view(IMAGE, RECTANGLES, OTHER)
    if by_variable:
        monkeypatch.setenv(CONTROL_VARIABLE, "other")
    assert parse_config(xml, "7", None if by_variable else "other").control == "other"


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("", "no XML"),
        ("<View>", "no XML"),
        (view(IMAGE), r"exactly one RectangleLabels control \(found: none\)"),
        (view(IMAGE, RECTANGLES, OTHER), r"found: box, other\); name one in LABEL_STUDIO_CONTROL"),
        (view(RECTANGLES), "'box' points to 'photo', which is no Image"),
        (view(IMAGE.replace("value", "valueList"), RECTANGLES), "one image per task"),
        (view(IMAGE.replace("$picture", "http://x/y.jpg"), RECTANGLES), "one image per task"),
        (view(IMAGE, RECTANGLES.replace(LABELS, "")), "lists no labels"),
        (view(IMAGE, RECTANGLES.replace("dog", "cat")), "uses the label 'cat' twice"),
        (view(IMAGE, RECTANGLES.replace("dog", "c")), "uses the label 'c' twice"),
    ],
)
def test_a_config_without_a_clear_choice_is_refused(xml: str, message: str) -> None:
    with pytest.raises(ToolError, match=message) as caught:
        parse_config(xml, "7")
    assert str(caught.value).startswith("project 7: ")


def test_an_unknown_choice_lists_the_candidates() -> None:
    with pytest.raises(ToolError, match=r"no RectangleLabels control named 'x' \(found: box\)"):
        parse_config(view(IMAGE, RECTANGLES), "7", "x")

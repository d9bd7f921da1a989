"""Labelling configs: which control, which image, which labels."""

import pytest

from sparsedet.annotations import Category
from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio.demo.project_setup import COMPLETE_CHOICE, labelling_config
from sparsedet.integrations.label_studio.label_config import (
    COMPLETE_CONTROL,
    CONTROL_VARIABLE,
    CompleteMark,
    parse_config,
)
from sparsedet.tool import ToolOptions

IMAGE = '<Image name="photo" value="$picture"/>'
LABELS = '<Label value="cat" alias="c"/><Label value="dog"/>'
RECTANGLES = f'<RectangleLabels name="box" toName="photo">{LABELS}</RectangleLabels>'
OTHER = RECTANGLES.replace('"box"', '"other"')


def view(*tags: str) -> str:
    return f"<View>{''.join(tags)}</View>"


def test_reads_control_image_and_labels() -> None:
    config = parse_config(view(IMAGE, RECTANGLES), "7")
    assert (config.control, config.image, config.data_key) == ("box", "photo", "picture")
    assert config.categories == (Category(1, "cat", aliases=("c",)), Category(2, "dog"))
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
    assert config.complete == CompleteMark(
        COMPLETE_CONTROL, "image", COMPLETE_CHOICE, multiple=True
    )


def test_the_complete_mark_can_have_another_name() -> None:
    choices = '<Choice value="all found" alias="all"/><Choice value="some missing"/>'
    mark = f'<Choices name="done" toName="photo">{choices}</Choices>'
    xml = view(IMAGE, RECTANGLES, mark)
    assert parse_config(xml, "7").complete is None
    named = ToolOptions(complete_control="done")
    found = parse_config(xml, "7", named)
    assert found.complete == CompleteMark("done", "photo", "all", "all found")
    assert parse_config(xml, "7", ToolOptions(complete_control="ready")).complete is None
    # Reviews may have used the usual one before another was named.
    both = parse_config(
        view(IMAGE, RECTANGLES, mark, mark.replace("done", COMPLETE_CONTROL)), "7", named
    )
    assert [mark.control for mark in both.marks] == ["done", COMPLETE_CONTROL]
    assert both.complete == both.marks[0]


def test_a_renamed_label_keeps_its_former_name_as_an_alias() -> None:
    options = ToolOptions(rename={"kitty": "cat", "tiger": "c", "tree": ""})
    config = parse_config(view(IMAGE, RECTANGLES), "7", options)
    assert config.texts == {
        "kitty": "cat",
        "tiger": "cat",
        "tree": "",
        "cat": "cat",
        "c": "cat",
        "dog": "dog",
    }
    assert set(config.categories[0].aliases) == {"kitty", "tiger", "c"}
    assert config.categories[1].aliases == ()


def test_a_rename_to_a_label_that_does_not_exist_is_refused() -> None:
    options = ToolOptions(rename={"kitty": "catt"})
    with pytest.raises(ToolError, match=r"'kitty' is now 'catt', which .* \(it has cat, dog\)"):
        parse_config(view(IMAGE, RECTANGLES), "7", options)


@pytest.mark.parametrize("new", ["dog", "c", ""])
def test_a_rename_of_a_label_that_is_still_there_is_refused(new: str) -> None:
    for old in ("cat", "c"):
        options = ToolOptions(rename={old: new})
        message = f"^project 7: .*'{old}' is now '{new}', but the labelling config has '{old}'"
        with pytest.raises(ToolError, match=message):
            parse_config(view(IMAGE, RECTANGLES), "7", options)


def test_reviews_are_read_in_terms_of_the_annotated_project() -> None:
    old = '<Label value="kitty" alias="k"/><Label value="cow" alias="c1"/><Label value="ox"/>'
    review = parse_config(view(IMAGE, RECTANGLES.replace(LABELS, old)), "8")
    new = '<Label value="cat"/><Label value="cow" alias="c2"/>'
    source = parse_config(
        view(IMAGE, RECTANGLES.replace(LABELS, new)), "7", ToolOptions(rename={"kitty": "cat"})
    )
    config = review.in_terms_of(source)
    expected = {"cat": "cat", "kitty": "cat", "k": "cat", "cow": "cow", "c1": "cow", "c2": "cow"}
    assert config.texts == expected
    assert config.stored_labels == {"cat": "cat", "cow": "c2"}


def test_a_renamed_mark_of_reviews_still_counts() -> None:
    """The server lets a control be renamed that only reviews use, in the annotated project."""
    full = '<Choices name="full" toName="photo"><Choice value="all"/></Choices>'
    done = full.replace('"full"', '"done"').replace('value="all"', 'value="All of it" alias="all"')
    light = full.replace('"full"', '"light"').replace('"all"', '"dark"')

    def marks(review: str, source: str, complete_control: str) -> list[str]:
        options = ToolOptions(complete_control=complete_control)
        found = (
            parse_config(view(IMAGE, RECTANGLES, xml), "7", options) for xml in (review, source)
        )
        return [mark.control for mark in next(found).in_terms_of(next(found)).marks]

    # Before the next push, and after it: the server keeps the control that reviews use.
    assert marks(full + light, done, complete_control="done") == ["full"]
    assert marks(done + light + full, done, complete_control="done") == ["done", "full"]
    assert marks(done + full, done + full, complete_control="done") == ["done"]
    assert marks(full, "", complete_control="full") == ["full"]
    assert marks(full, "", complete_control="done") == []


@pytest.mark.parametrize("by_variable", [False, True])
def test_one_of_several_controls_can_be_chosen(
    by_variable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    xml = view(IMAGE, RECTANGLES, OTHER)
    if by_variable:
        monkeypatch.setenv(CONTROL_VARIABLE, "other")
    assert parse_config(xml, "7", control=None if by_variable else "other").control == "other"


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
        parse_config(view(IMAGE, RECTANGLES), "7", control="x")

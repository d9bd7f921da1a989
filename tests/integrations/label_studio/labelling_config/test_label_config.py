"""Labelling configs: which control, which image, which labels."""

import pytest

from sparsedet.annotations import Category
from sparsedet.errors import ControlNeededError, ToolError
from sparsedet.integrations.label_studio.demo.project_setup import COMPLETE_CHOICE, labelling_config
from sparsedet.integrations.label_studio.labelling_config.label_config import (
    COMPLETE_CONTROL,
    CONTROL_VARIABLE,
    CompleteMark,
    parse_config,
)
from sparsedet.tool import Choice, ToolOptions

IMAGE = '<Image name="photo" value="$picture"/>'
LABELS = '<Label value="cat" alias="c"/><Label value="dog"/>'
RECTANGLES = f'<RectangleLabels name="box" toName="photo">{LABELS}</RectangleLabels>'
OTHER = RECTANGLES.replace('"box"', '"other"')
LEFT = '<Image name="left" value="$left"/>'
ON_LEFT = f'<RectangleLabels name="on_left" toName="left">{LABELS}</RectangleLabels>'


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
    with pytest.raises(ToolError, match=r"maps 'kitty' to 'catt', which .* \(it has cat, dog\)"):
        parse_config(view(IMAGE, RECTANGLES), "7", options)


@pytest.mark.parametrize("new", ["dog", "c", ""])
def test_a_rename_of_a_label_that_is_still_there_is_refused(new: str) -> None:
    for old in ("cat", "c"):
        options = ToolOptions(rename={old: new})
        message = (
            f"^project 7: .*maps '{old}' to '{new}', but the labelling config still has '{old}'"
        )
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
        ("", "no labelling config yet"),
        ("<View>", "not XML"),
        (view(IMAGE), r"needs a RectangleLabels control for its image \(found: none\)$"),
        (view(IMAGE, RECTANGLES, OTHER), r'found: box, other\); name one: \[source\] control = "'),
        (view(RECTANGLES), "'box' points to 'photo', which is not an Image"),
        (
            view('<Text name="photo" value="$t"/>', RECTANGLES),
            "'photo', which is a Text, not an Image",
        ),
        (view(IMAGE, RECTANGLES.replace(' toName="photo"', "")), "'box' has no toName"),
        (view(IMAGE.replace("$picture", "http://x/y.jpg"), RECTANGLES), "the same image"),
        (view('<Image name="photo"/>', RECTANGLES), "neither value nor valueList"),
        (view(IMAGE, RECTANGLES.replace(LABELS, "")), "lists no labels"),
        (view(IMAGE, RECTANGLES.replace("dog", "cat")), "uses the label 'cat' twice"),
        (view(IMAGE, RECTANGLES.replace("dog", "c")), "uses the label 'c' twice"),
        (
            view(IMAGE, RECTANGLES.replace(LABELS, "").replace("toName", 'value="$l" toName')),
            "no t",
        ),
        (
            view(IMAGE, '<PolygonLabels name="p" toName="photo"/>'),
            r"it has PolygonLabels: add a RectangleLabels control .* shapes = \"boxes\"",
        ),
        (
            view(IMAGE, '<KeyPointLabels name="p" toName="photo"/>'),
            "it has KeyPointLabels, which sparsedet does not support",
        ),
        (
            view(IMAGE.replace('value="', 'valueList="'), RECTANGLES, LEFT, ON_LEFT),
            r"lists of images .* next to other images; name the control .*\(found: box, on_left\)",
        ),
        (f"<View><Repeater>{IMAGE}</Repeater>{RECTANGLES}</View>", "in a Repeater that sparsedet"),
        (
            f"<View><Repeater><Repeater>{IMAGE}</Repeater></Repeater>{RECTANGLES}</View>",
            "a Repeater within another",
        ),
        (f"<!DOCTYPE View []>{view(IMAGE, RECTANGLES)}", "declares a document type"),
    ],
)
def test_what_is_not_supported_is_named(xml: str, message: str) -> None:
    with pytest.raises(ToolError, match=message) as caught:
        parse_config(xml, "7")
    assert str(caught.value).startswith("project 7: ")


def test_an_unknown_choice_lists_the_candidates() -> None:
    with pytest.raises(ToolError, match=r"no RectangleLabels control named 'x' \(found: box\)"):
        parse_config(view(IMAGE, RECTANGLES), "7", control="x")


def test_an_error_says_which_controls_there_are() -> None:
    with pytest.raises(ControlNeededError) as caught:
        parse_config(view(IMAGE, RECTANGLES, OTHER), "7")
    assert caught.value.names == ("box", "other")


def test_the_variable_wins_over_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    xml, options = view(IMAGE, RECTANGLES, OTHER), ToolOptions(control="other")
    assert parse_config(xml, "7", options).control == "other"
    monkeypatch.setenv(CONTROL_VARIABLE, "box")
    assert parse_config(xml, "7", options).control == "box"


@pytest.mark.parametrize(
    ("value", "data", "address"),
    [
        ("$picture", {"picture": "/a.png"}, "/a.png"),
        ("$scan.page.url", {"scan": {"page": {"url": "/a.png"}}}, "/a.png"),
        ("$scan.url", {"scan.url": "/a.png"}, "/a.png"),
        ("$pages[1]", {"pages": ["/a.png", "/b.png"]}, "/b.png"),
        ("$pages[1].url", {"pages": [{}, {"url": "/b.png"}]}, "/b.png"),
        ("http://host/$id/x", {"id": 7}, "http://host/7/x"),
        ("$pages[9]", {"pages": ["/a.png"]}, None),
        ("$a.b.c", {"a": "text"}, None),
        ("http://host/$id", {}, None),
    ],
)
def test_addresses_are_found_as_the_editor_finds_them(
    value: str, data: dict[str, object], address: str | None
) -> None:
    config = parse_config(view(IMAGE.replace("$picture", value), RECTANGLES), "7")
    assert config.find_address(data) == address
    assert not config.has_several


def test_case_namespaces_comments_and_declarations_make_no_difference() -> None:
    shouted = view(IMAGE, "<!-- our labels -->", RECTANGLES)
    for name in ("View", "Image", "RectangleLabels", "Label", "name", "value", "toName", "alias"):
        for before in ("<", "</", " "):
            shouted = shouted.replace(f"{before}{name}", f"{before}{name.upper()}")
    spelled = shouted.replace("<VIEW>", '<VIEW xmlns="http://example.com/labels">', 1)
    config = parse_config(f'<?xml version="1.0"?>\n{spelled}', "7")
    assert (config.control, config.image, config.data_key) == ("box", "photo", "picture")
    assert config.stored_labels == {"cat": "c", "dog": "dog"}
    # What review projects are made of is spelled as our other code reads it.
    assert parse_config(config.xml, "7") == config
    assert config.xml != spelled
    assert 'toName="photo"' in config.xml


def test_two_images_share_their_classes() -> None:
    right = ON_LEFT.replace("left", "right").replace("dog", "cow")
    config = parse_config(view(LEFT, ON_LEFT, LEFT.replace("left", "right"), right), "7")
    assert [category.name for category in config.categories] == ["cat", "dog", "cow"]
    assert config.count({}) == 2
    first, second = config.of_image(0), config.of_image(1)
    assert (first.control, first.image, first.address.key) == ("on_left", "left", "left")
    assert (second.control, second.image, second.address.key) == ("on_right", "right", "right")
    assert list(second.stored_labels) == ["cat", "cow"]
    assert "dog" not in second.texts
    # With one of the controls named, its image is the only one.
    assert not parse_config(config.xml, "7", control="on_right").has_several


def test_labels_of_tasks_are_those_of_all_of_them() -> None:
    xml = view(IMAGE, RECTANGLES.replace("<RectangleLabels", '<RectangleLabels value="$kinds"'))
    tasks = [
        {"kinds": [{"value": "cow", "alias": "k"}, {"value": "cat", "alias": "c"}]},
        {"kinds": ["ox", {"value": "cow"}, {"value": 3}, None]},
        {"kinds": "text"},
        {},
    ]
    config = parse_config(xml, "7", data=lambda: tasks)
    assert config.stored_labels == {"cat": "c", "dog": "dog", "cow": "k", "ox": "ox"}
    assert config.is_dynamic


def test_only_some_labels_are_worked_on() -> None:
    xml = view(IMAGE, RECTANGLES)
    config = parse_config(xml, "7", ToolOptions(choice=Choice(only=("c",))))
    assert [category.name for category in config.categories] == ["cat"]
    assert config.texts["dog"] == ""
    assert config.left_out == {"dog"}
    with pytest.raises(ToolError, match=r"unknown label 'fox' .* has cat, dog$"):
        parse_config(xml, "7", ToolOptions(choice=Choice(only=("fox",))))


def test_names_in_errors_are_cut() -> None:
    long = "x" * 5000
    for xml in (
        view(IMAGE, RECTANGLES.replace("dog", long).replace("cat", long)),
        view(IMAGE, RECTANGLES.replace("box", long), OTHER),
        view(IMAGE, *(RECTANGLES.replace("box", f"{n}") for n in range(500))),
    ):
        with pytest.raises(ToolError) as caught:
            parse_config(xml, "7")
        assert len(str(caught.value)) < 700

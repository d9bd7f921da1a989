"""Marks of single classes, read and written: without a server."""

from typing import Any

import pytest

from sparsedet.integrations.label_studio.annotation_choice import TaskBoxes, read_task
from sparsedet.integrations.label_studio.annotators import Annotators
from sparsedet.integrations.label_studio.class_marks import (
    class_control,
    complete_classes,
    with_classes,
)
from sparsedet.integrations.label_studio.labelling_config.label_config import (
    CLASSES_CONTROL,
    COMPLETE_CONTROL,
    LabelConfig,
    parse_config,
)
from sparsedet.integrations.label_studio.labelling_config.plain_config import plain_config
from sparsedet.integrations.label_studio.merge_plans import Planner
from sparsedet.integrations.label_studio.regions import Oddities
from sparsedet.reviews import Changes
from sparsedet.tool import Choice, ToolOptions

LABELS = '<Label value="cat" alias="c"/><Label value="dog"/>'


def config_of(*choices: str, name: str = COMPLETE_CONTROL, **options: Any) -> LabelConfig:
    """Return a config whose control has these choices, in this order."""
    listed = "".join(f'<Choice value="{choice}"/>' for choice in choices)
    return parse_config(
        '<View><Image name="image" value="$image"/>'
        f'<RectangleLabels name="box" toName="image">{LABELS}</RectangleLabels>'
        f'<Choices name="{name}" toName="image" choice="multiple">{listed}</Choices></View>',
        "7",
        ToolOptions(**options),
    )


def annotation(id: int, *choices: str, control: str = COMPLETE_CONTROL) -> dict[str, Any]:
    made = {"from_name": control, "to_name": "image", "value": {"choices": list(choices)}}
    result = [{"id": f"mark-{id}", "type": "choices", **made}] if choices else []
    return {"id": id, "result": result, "updated_at": f"2026-01-{id:02}T00:00:00Z"}


def read(config: LabelConfig, *annotations: dict[str, Any], rule: Any = "newest") -> TaskBoxes:
    return read_task(annotations, config, rule, 1, Oddities())


@pytest.mark.parametrize(
    ("choices", "complete", "classes"),
    [
        ([], False, set()),
        (["Complete"], True, set()),
        (["cat"], False, {"cat"}),
        (["c", "dog"], False, {"cat", "dog"}),  # by its alias
        (["Complete", "dog"], True, {"dog"}),
        (["bird"], False, set()),
    ],
)
def test_a_choice_that_is_a_label_marks_its_class(
    choices: list[str], complete: bool, classes: set[str]
) -> None:
    found = read(config_of("Complete", "cat", "dog"), annotation(1, *choices))
    assert (found.complete, found.complete_classes) == (complete, classes)


@pytest.mark.parametrize("order", [("cat", "dog", "Complete"), ("cat", "Complete", "dog")])
def test_the_mark_of_the_image_is_the_first_choice_that_is_no_label(order: tuple[str, ...]) -> None:
    config = config_of(*order)
    assert not read(config, annotation(1, "cat")).complete
    assert read(config, annotation(1, "Complete")).complete


def test_a_control_with_labels_alone_marks_no_image() -> None:
    config = config_of("cat", "dog")
    found = read(config, annotation(1, "cat"))
    assert (found.complete, found.complete_classes) == (False, {"cat"})


def test_only_the_control_of_the_mark_is_read() -> None:
    options = {"complete_control": "done"}
    config = config_of("All", "cat", name="done", **options)
    assert read(config, annotation(1, "cat", control="done")).complete_classes == {"cat"}
    other = config_of("All", "cat", name="seen", **options)
    assert read(other, annotation(1, "cat", control="seen")).complete_classes == set()


def test_a_renamed_label_keeps_its_marks() -> None:
    config = config_of("Complete", "dog", rename={"hound": "dog", "gone": ""})
    assert read(config, annotation(1, "hound", "gone")).complete_classes == {"dog"}


def test_labels_outside_the_choice_mark_neither_their_class_nor_the_image() -> None:
    config = config_of("cat", "Complete", "dog", choice=Choice(only=("dog",)))
    found = read(config, annotation(1, "cat", "dog"))
    assert (found.complete, found.complete_classes) == (False, {"dog"})
    # In the review project, which doesn't know them, they would be choices that are no label.
    review = parse_config(plain_config(config).xml, "8")
    assert [label.value for label in review.labels] == ["dog"]
    assert review.marks[0].texts == {"Complete"}
    assert not read(review, annotation(1, "cat")).complete


def test_of_several_annotations_all_have_to_say_it() -> None:
    config = config_of("Complete", "cat", "dog")
    both = annotation(1, "cat", "dog"), annotation(2, "dog")
    assert read(config, *both, rule="union").complete_classes == {"dog"}
    assert read(config, *both).complete_classes == {"dog"}
    assert read(config).complete_classes == set()


@pytest.mark.parametrize("value", [None, "cat", {"choices": "cat"}, {"choices": None}, {}])
def test_what_the_server_does_not_check_marks_nothing(value: Any) -> None:
    broken = annotation(1, "cat")
    broken["result"][0]["value"] = value
    found = read(config_of("Complete", "cat"), {**broken, "result": [*broken["result"], "x", None]})
    assert found.complete_classes == set()


def test_the_control_of_classes_alone_is_read_wherever_it_is() -> None:
    config = config_of("cat", "dog", name=CLASSES_CONTROL)
    assert config.marks == ()
    found = read(config, annotation(1, "cat", "Complete", control=CLASSES_CONTROL))
    assert (found.complete, found.complete_classes) == (False, {"cat"})


@pytest.mark.parametrize("name", [CLASSES_CONTROL, COMPLETE_CONTROL])
def test_a_merge_writes_marks_next_to_those_that_are_there(name: str) -> None:
    config = config_of("Complete", "c", "dog", name=name)
    results = annotation(1, "Complete", control=name)["result"]
    added = with_classes(results, {"cat", "bird"}, config)
    assert added == [{**results[0], "value": {"choices": ["Complete", "c"]}}]
    assert with_classes(added, {"cat"}, config) == added
    (new,) = with_classes([], {"cat", "dog"}, config)
    assert complete_classes([new], config) == {"cat", "dog"}
    assert new["to_name"] == "image"


def test_what_takes_one_choice_or_speaks_of_several_images_is_not_written_to() -> None:
    config = config_of("Complete", "cat", "dog")
    single = parse_config(config.xml.replace(' choice="multiple"', ""), "7")
    assert class_control(single) is None
    assert with_classes([], {"cat"}, single) == []
    several = parse_config(config.xml.replace('"$image"', '"" valueList="$images"'), "7")
    assert class_control(several) is None


def test_a_plan_leaves_out_marks_that_have_no_choice() -> None:
    config = config_of("Complete", "cat")
    planner = Planner(config, "newest", Annotators(None), {"1": (100, 100)}, {})
    both = Changes(completed_classes=frozenset({"cat", "dog"}))
    planned = planner.planned("1", [annotation(1)], [], lambda state: both)
    assert planned.change.completed_classes == {"cat"}
    assert planned.results is not None
    assert complete_classes(planned.results, config) == {"cat"}
    marked = planner.planned("1", [annotation(1, "cat")], [], lambda state: Changes())
    assert marked.state.complete_classes == {"cat"}

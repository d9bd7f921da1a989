"""The labels of a control, and the texts that stand for them in regions."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparsedet.errors import ToolError

from .config_xml import is_tag, listed, shown
from .data_path import DataPath

CLASS_KEY = "sparsedet_class"
"""Attribute of labels in a review project that stand for the named label: people's boxes are shown
with such labels. They are not separate classes."""

TaskData = Callable[[], Iterable[Mapping[str, Any]]]
"""Returns the data of a project's tasks, for labels that come from there."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label of the control."""

    value: str
    """The displayed text; the category's name."""
    stored: str
    """The text in regions: the alias if there is one, else the value."""


def label_tags(control: ElementTree.Element) -> list[ElementTree.Element]:
    """Return the labels of a control, except those that stand for another one."""
    return [
        tag
        for tag in control.iter()
        if is_tag(tag, "Label") and tag.get("value") and CLASS_KEY not in tag.attrib
    ]


def dynamic_path(control: ElementTree.Element) -> DataPath | None:
    """Return where task data holds labels of a control; None if they are in the config."""
    path = DataPath(control.get("value", ""))
    return None if path.is_constant else path


def labels_of(control: ElementTree.Element, project: str, data: TaskData) -> tuple[Label, ...]:
    """Return the labels of a control: from the config, then from task data.

    Raises:
        ToolError: if there are none, or two share a text.
    """
    name = shown(control.attrib["name"])
    found = [
        Label(tag.attrib["value"], tag.get("alias") or tag.attrib["value"])
        for tag in label_tags(control)
    ]
    path = dynamic_path(control)
    if path is not None:
        found += (label for label in _of_tasks(path, data) if label not in found)
        if not found:
            raise ToolError(
                f"project {project}: the control {name} takes its labels from task data "
                f"({listed(sorted(path.keys))}), but no task has any there"
            )
    if not found:
        raise ToolError(f"project {project}: the control {name} lists no labels")
    texts = [text for label in found for text in {label.value, label.stored}]
    counts = dict.fromkeys(texts, 0)
    for text in texts:
        counts[text] += 1
    if repeated := sorted(text for text, count in counts.items() if count > 1):
        raise ToolError(
            f"project {project}: the control {name} uses the label "
            f"{shown(repeated[0])} twice (as a value or an alias); rename one"
        )
    return tuple(found)


def _of_tasks(path: DataPath, data: TaskData) -> Iterator[Label]:
    """Yield every distinct label in task data, in the order of the tasks."""
    known: set[str] = set()
    for content in data():
        entries = path.find(content)
        for entry in entries if isinstance(entries, Sequence) else ():
            about = entry if isinstance(entry, Mapping) else {"value": entry}
            value = about.get("value")
            # A text instead of a list would yield its letters.
            if isinstance(value, str) and value and not isinstance(entries, str):
                alias = about.get("alias")
                if value not in known:
                    known.add(value)
                    yield Label(value, alias if isinstance(alias, str) and alias else value)


def texts_of(labels: Sequence[Label], rename: Mapping[str, str], project: str) -> dict[str, str]:
    """Return a map from texts in regions to label values; empty values are left out.

    Raises:
        ToolError: if a label was renamed to one that does not exist, or still exists.
    """
    texts = {text: label.value for label in labels for text in (label.value, label.stored)}
    for old, new in rename.items():
        if old in texts:
            raise ToolError(
                f"project {project}: [labels] rename maps {shown(old)} to {shown(new)}, but the "
                f"labelling config still has {shown(old)}; remove it from one of the two"
            )
        if new and new not in texts:
            known = listed(label.value for label in labels)
            raise ToolError(
                f"project {project}: [labels] rename maps {shown(old)} to {shown(new)}, "
                f"which the labelling config does not have (it has {known})"
            )
    return {**{old: texts[new] if new else "" for old, new in rename.items()}, **texts}


def check_chosen(
    only: Collection[str], labels: Iterable[Label], texts: Mapping[str, str], project: str
) -> frozenset[str]:
    """Return the values of the chosen labels; of all labels without a choice.

    Raises:
        ToolError: naming one that does not exist.
    """
    if not only:
        return frozenset(label.value for label in labels)
    if unknown := [text for text in only if not texts.get(text)]:
        raise ToolError(
            f"project {project}: unknown label {shown(unknown[0])} in [source] only; the labelling "
            f"config has {listed(label.value for label in labels)}"
        )
    return frozenset(texts[text] for text in only)

"""The labels of a control, and what regions may hold of each."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparsedet.errors import ToolError

from .config_xml import is_tag, listed, shown
from .data_path import DataPath

CLASS_KEY = "sparsedet_class"
"""Attribute of a label of a review project that stands for another one, which it names: people's
boxes are shown under such labels. They are no classes of their own."""

TaskData = Callable[[], Iterable[Mapping[str, Any]]]
"""Gives the data of a project's tasks, where the labels come from there."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label of the control."""

    value: str
    """What people see; the category's name."""
    stored: str
    """What regions hold: the alias where there is one, else the value."""


def label_tags(control: ElementTree.Element) -> list[ElementTree.Element]:
    """Return the labels of a control, without those that stand for another."""
    return [
        tag
        for tag in control.iter()
        if is_tag(tag, "Label") and tag.get("value") and CLASS_KEY not in tag.attrib
    ]


def dynamic_path(control: ElementTree.Element) -> DataPath | None:
    """Return where the data of tasks holds labels of a control; None: they stand in the config."""
    path = DataPath(control.get("value", ""))
    return None if path.is_constant else path


def labels_of(control: ElementTree.Element, project: str, data: TaskData) -> tuple[Label, ...]:
    """Return the labels of a control: those of the config, then those that tasks hold.

    Raises:
        ToolError: when there is none, or two share a text.
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
                f"project {project}: the control {name} takes its labels from the data of tasks "
                f"({listed(sorted(path.keys))}), and no task has any there"
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
    """Yield every label that some task holds once, in the order of the tasks."""
    known: set[str] = set()
    for content in data():
        entries = path.find(content)
        for entry in entries if isinstance(entries, Sequence) else ():
            about = entry if isinstance(entry, Mapping) else {"value": entry}
            value = about.get("value")
            # A text instead of a list would give its letters.
            if isinstance(value, str) and value and not isinstance(entries, str):
                alias = about.get("alias")
                if value not in known:
                    known.add(value)
                    yield Label(value, alias if isinstance(alias, str) and alias else value)


def texts_of(labels: Sequence[Label], rename: Mapping[str, str], project: str) -> dict[str, str]:
    """Return what regions may hold, and which label's value each stands for; empty: left out.

    Raises:
        ToolError: when a label was renamed to one that does not exist, or is still there.
    """
    texts = {text: label.value for label in labels for text in (label.value, label.stored)}
    for old, new in rename.items():
        if old in texts:
            raise ToolError(
                f"project {project}: [labels] rename says that {shown(old)} is now {shown(new)}, "
                f"but the labelling config has {shown(old)}; take it out of one of the two"
            )
        if new and new not in texts:
            known = listed(label.value for label in labels)
            raise ToolError(
                f"project {project}: [labels] rename says that {shown(old)} is now {shown(new)}, "
                f"which the labelling config does not have (it has {known})"
            )
    return {**{old: texts[new] if new else "" for old, new in rename.items()}, **texts}


def check_chosen(
    only: Collection[str], labels: Iterable[Label], texts: Mapping[str, str], project: str
) -> frozenset[str]:
    """Return the values of the labels that were chosen; of all without a choice.

    Raises:
        ToolError: naming one that does not exist.
    """
    if not only:
        return frozenset(label.value for label in labels)
    if unknown := [text for text in only if not texts.get(text)]:
        raise ToolError(
            f"project {project}: [source] only names {shown(unknown[0])}, which the labelling "
            f"config does not have (it has {listed(label.value for label in labels)})"
        )
    return frozenset(texts[text] for text in only)

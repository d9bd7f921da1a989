"""The images of tasks and their ids.

If a task has several images, each is a separate image. The first has the task's id, `12`, the next
ones are `12.2`, `12.3`: so the first image keeps its id if a task gets a second one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from .labelling_config.label_config import LabelConfig

_FURTHER = 10**10
"""More than any task's id; ids of further images are above it."""


@dataclass(frozen=True, slots=True, order=True)
class TaskImage:
    """An image of a task."""

    task: int
    number: int = 0
    """From 0, in the order of the labelling config or of the list in the task's data."""

    @classmethod
    def parse(cls, tool_id: str) -> Self:
        """Parse a tool id.

        Raises:
            ValueError: if it is invalid.
        """
        task, _, place = tool_id.partition(".")
        return cls(int(task), int(place) - 1 if place else 0)

    @classmethod
    def of_id(cls, id: int) -> Self:
        """Return the image with this `Image.id`."""
        return cls(id % _FURTHER, id // _FURTHER)

    @property
    def tool_id(self) -> str:
        """As `Image.tool_id`."""
        return f"{self.task}.{self.number + 1}" if self.number else str(self.task)

    @property
    def id(self) -> int:
        """As `Image.id`."""
        return self.number * _FURTHER + self.task


def images_of(task: Mapping[str, Any], config: LabelConfig) -> list[TaskImage]:
    """Return the images of a task from the server."""
    count = config.count(task.get("data") or {})
    return [TaskImage(int(task["id"]), number) for number in range(count)]


def task_of(tool_id: str) -> str:
    """Return the id of the task that an image belongs to."""
    return tool_id.partition(".")[0]


def image_key(tool_id: str) -> int | str:
    """Return the reference to an image in the data of its copy."""
    return int(tool_id) if tool_id.lstrip("-").isdecimal() else tool_id

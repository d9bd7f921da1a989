"""Images that a pull leaves out because they are unreadable, counted for one warning.

They are identified by `Image.id`; messages name their tasks.
"""

import logging
from collections.abc import Collection, Mapping, Sequence

from sparsedet.errors import ToolError
from sparsedet.wording import first_of

from .projects import OddTask
from .task_images import TaskImage

logger = logging.getLogger(__name__)


class LeftOut:
    """Counts the images of a project that are left out, by reason.

    Args:
        project: the project's number, for messages.
        total: number of its images.
        share: maximum share that may be left out (one image always may); None for none.
        several: whether tasks have several images; otherwise tasks are counted.
    """

    def __init__(
        self, project: str, total: int, share: float | None, *, several: bool = False
    ) -> None:
        self._project = project
        self._total = total
        self._share = share
        self._unit = "images" if several else "tasks"
        self._reasons: dict[int, tuple[str, str]] = {}

    @property
    def images(self) -> frozenset[int]:
        """Ids of the images that are left out; of an invalid task, that of its first image."""
        return frozenset(id for id in self._reasons if id > 0)

    @property
    def most(self) -> int:
        """How many images may be left out."""
        return 0 if self._share is None else max(1, int(self._share * self._total))

    def add(self, image: int, kind: str, reason: str) -> None:
        """Leave an image out.

        Args:
            image: the image's id.
            kind: a clause shared by images with the same fault, such as "without an image".
            reason: the fault of this image.
        """
        self._reasons[image] = (kind, reason)

    def add_odd(self, odd: Sequence[OddTask], whole: Collection[int]) -> None:
        """Leave out invalid entries of an export.

        Args:
            odd: the entries.
            whole: ids of valid tasks, which an invalid entry may repeat.
        """
        for number, entry in enumerate(odd, start=1):
            # An unused id for entries without an id.
            id = -number if entry.id is None or entry.id in whole else entry.id
            self.add(id, "with invalid data on the server", entry.reason)

    def check(self) -> None:
        """Count the images in one warning.

        Raises:
            ToolError: if there are too many, or no image is left.
        """
        if not self._reasons:
            return
        number = len(self._reasons)
        first = min(self._reasons, key=lambda image: abs(_task(image)))
        _, reason = self._reasons[first]
        if number > self.most or number == self._total:
            more = f"; of {self._total} {self._unit} {number} can't be read: {self._counts()}"
            if self._share is not None and number < self._total:
                more += (
                    f"; up to {self._share:.0%} of them may be left out ([source] skip_share in "
                    "sparsedet.toml)"
                )
            none_whole = f"project {self._project}: no task is valid"
            where = f"task {_task(first)}" if first > 0 else none_whole
            raise ToolError(f"{where}: {reason}{more if number > 1 else ''}")
        logger.warning(
            "project %s: left out %d of %d %s: %s; the first, %s: %s",
            self._project,
            number,
            self._total,
            self._unit,
            self._counts(),
            _named(first),
            reason,
        )

    def _counts(self) -> str:
        return by_kind({image: kind for image, (kind, _) in self._reasons.items()})


def by_kind(kinds: Mapping[int, str]) -> str:
    """Return counts of images by kind, with the first tasks of each."""
    images: dict[str, list[int]] = {}
    for image, kind in sorted(kinds.items()):
        images.setdefault(kind, []).append(image)
    return ", ".join(
        f"{len(ids)} {kind} ({listed(ids)})"
        for kind, ids in sorted(images.items(), key=lambda item: -len(item[1]))
    )


def _task(image: int) -> int:
    """Return the id of an image's task, or the placeholder id of a task without one."""
    return TaskImage.of_id(image).task if image > 0 else image


def _named(image: int) -> str:
    return f"task {_task(image)}" if image > 0 else "one without an id"


def listed(images: Sequence[int]) -> str:
    """Return the first tasks of images, as in "tasks 1, 2, 3, 4, 5 and 7 more"."""
    numberless = sum(image < 0 for image in images)
    tasks = sorted({_task(image) for image in images if image > 0})
    if numberless:
        without = f"{numberless} without an id"
        return f"{listed(tasks)}, {without}" if tasks else without
    return f"task{'s' if len(tasks) > 1 else ''} {first_of(tasks)}"

"""Tasks that a pull leaves out because they can't be read: counted, and named in one warning."""

import logging
from collections.abc import Collection, Mapping, Sequence

from sparsedet.errors import ToolError

from .projects import OddTask

logger = logging.getLogger(__name__)

_MOST_IDS = 5


class LeftOut:
    """Counts the tasks of a project that are left out, by what is wrong with them.

    Args:
        project: says where, in messages.
        total: all of its tasks.
        share: the most of them that may be left out, though one always may be; None: none may.
    """

    def __init__(self, project: str, total: int, share: float | None) -> None:
        self._project = project
        self._total = total
        self._share = share
        self._reasons: dict[int, tuple[str, str]] = {}

    @property
    def tasks(self) -> frozenset[int]:
        """Ids of the tasks that are left out."""
        return frozenset(id for id in self._reasons if id > 0)

    @property
    def most(self) -> int:
        """How many tasks may be left out."""
        return 0 if self._share is None else max(1, int(self._share * self._total))

    def add(self, task: int, kind: str, reason: str) -> None:
        """Leave a task out.

        Args:
            task: its id.
            kind: a clause that tasks with the same fault share, such as "without an image".
            reason: what is wrong with this one.
        """
        self._reasons[task] = (kind, reason)

    def add_odd(self, odd: Sequence[OddTask], whole: Collection[int]) -> None:
        """Leave out entries of an export that are no whole tasks.

        Args:
            odd: the entries.
            whole: ids of the others, which an odd one may repeat.
        """
        for number, entry in enumerate(odd, start=1):
            # A number of its own that no task has, for those that have none.
            id = -number if entry.id is None or entry.id in whole else entry.id
            self.add(id, "that the server holds no whole data of", entry.reason)

    def check(self) -> None:
        """Count the tasks in one warning.

        Raises:
            ToolError: when they are too many, or none is left.
        """
        if not self._reasons:
            return
        number = len(self._reasons)
        first = min(self._reasons, key=abs)
        _, reason = self._reasons[first]
        if number > self.most or number == self._total:
            more = f"; of {self._total} tasks {number} can't be read: {self._counts()}"
            if self._share is not None and number < self._total:
                more += (
                    f"; up to {self._share:.0%} of them may be left out ([source] skip_share in "
                    "sparsedet.toml)"
                )
            where = f"task {first}" if first > 0 else f"project {self._project}: no task is whole"
            raise ToolError(f"{where}: {reason}{more if number > 1 else ''}")
        logger.warning(
            "project %s: left out %d of %d tasks: %s; the first, %s: %s",
            self._project,
            number,
            self._total,
            self._counts(),
            _named(first),
            reason,
        )

    def _counts(self) -> str:
        return by_kind({task: kind for task, (kind, _) in self._reasons.items()})


def by_kind(kinds: Mapping[int, str]) -> str:
    """Return how many tasks are of what kind, with the first ids of each."""
    tasks: dict[str, list[int]] = {}
    for task, kind in sorted(kinds.items()):
        tasks.setdefault(kind, []).append(task)
    return ", ".join(
        f"{len(ids)} {kind} ({listed(ids)})"
        for kind, ids in sorted(tasks.items(), key=lambda item: -len(item[1]))
    )


def _named(task: int) -> str:
    return f"task {task}" if task > 0 else "one without a number of its own"


def listed(tasks: Sequence[int]) -> str:
    """Return the first ids of tasks, as in "tasks 1, 2, 3, 4, 5, ..."."""
    numberless = sum(task < 0 for task in tasks)
    tasks = [task for task in tasks if task > 0]
    if numberless:
        without = f"{numberless} without a number of their own"
        return f"{listed(tasks)}, {without}" if tasks else without
    first = ", ".join(map(str, tasks[:_MOST_IDS]))
    return f"task{'s' if len(tasks) > 1 else ''} {first}{', ...' if len(tasks) > _MOST_IDS else ''}"

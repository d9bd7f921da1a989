"""Pre-labels: a model's predictions on a project's unannotated tasks.

As with pushes, the server's state decides: each call reads it and creates what is missing, so an
interrupted call is completed by repeating it. Our predictions are recognised by the prefix of their
model version, which names the model and everything else its boxes depend on. Tasks without
detections get an empty prediction, so that the next call knows they were processed.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sparsedet.annotations import Image, upright_size
from sparsedet.errors import AnnotationError, ToolError
from sparsedet.prelabels import Prelabel, PrelabelModel, PrelabelReport, PrelabelUndo
from sparsedet.push_modes import Progress, no_progress
from sparsedet.tool import ToolOptions

from .client.connection import Connection, project_number
from .drafts.draft_tasks import is_signed
from .geometry import GeometryError, to_percent
from .images.addresses import image_address
from .images.cache import find_cached
from .images.downloads import bring_images
from .images.unreadable import Kind, Unreadable
from .labelling_config.label_config import LabelConfig
from .left_out import LeftOut
from .predictions import (
    CHUNK,
    NewPrediction,
    StoredPrediction,
    delete_predictions,
    import_predictions,
    make_region,
    read_predictions,
)
from .project_records import read_project
from .projects import OddTask, export_tasks, read_source_config
from .views import hide_versions, show_version

_PREFIX = "sparsedet prelabels "
"""Prefix of our model versions, followed by the run's id and a digest of the settings ..."""
_WERE_HIDDEN = " (predictions were hidden)"
"""... and by this if the project showed no predictions before ours, as after an undo."""
_IMAGES = 64
"""Images on disk at a time."""
_SECONDS = 30.0
"""Seconds between bulk imports: each takes 1 ms per task of the project."""


@dataclass(frozen=True)
class _Standing:
    """State of a project."""

    waiting: Mapping[int, Mapping[str, Any]]
    """Tasks by id that nobody has annotated, skipped or started."""
    tasks: frozenset[int]
    """Ids of all valid tasks."""
    odd: Sequence[OddTask]
    ours: Mapping[int, Sequence[StoredPrediction]]
    """Our predictions by task, oldest first."""

    @property
    def own_waiting(self) -> list[StoredPrediction]:
        """Our predictions on waiting tasks."""
        return [p for task in self.waiting for p in self.ours.get(task, ())]

    def were_hidden(self, now_shown: bool) -> bool:
        """Whether the project, as it was before our predictions, hides predictions."""
        before = [p.model_version.endswith(_WERE_HIDDEN) for p in self.own_waiting]
        return any(before) if before else not now_shown


def put_prelabels(
    connection: Connection,
    project: str,
    model: PrelabelModel,
    options: ToolOptions,
    *,
    cache: Path | None = None,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> PrelabelReport:
    """Pre-label every unannotated task; see `PrelabelTool.prelabel`."""
    number = project_number(project)
    progress("reading annotations", 0, 1)
    config = read_source_config(connection, number, options)
    _check_layout(config, project)
    classes = [name for name in model.classes if config.texts.get(name)]
    missing = tuple(name for name in model.classes if name not in classes)
    if not classes:
        raise ToolError(
            f"project {project} has no label for any of the model's classes ({', '.join(missing)}; "
            f"its labels: {', '.join(config.stored_labels)})"
        )
    standing = _read(connection, number)
    progress("reading annotations", 1, 1)
    found = read_project(connection, number)
    version = _version(model, classes, hidden=standing.were_hidden(found.shows_predictions))
    kept, outdated = _outdated(standing, version)
    todo = [task for task in standing.waiting if task not in kept]
    shown = found.model_version
    instead = shown if shown and not shown.startswith(_PREFIX) else ""
    boxes: Counter[str] = Counter()
    made = unread = 0
    if not dry_run:
        work = _Work(connection, number, model, config, classes, version, options, cache)
        made, unread = work.run(standing, todo, boxes, progress)
        if (made or kept) and not instead:
            show_version(connection, number, version)
        # Only now, since the old ones are shown until the new ones exist. That may take hours:
        # people have begun tasks since, and can't submit them without their predictions.
        if outdated:
            _, outdated = _outdated(_read(connection, number), version)
        delete_predictions(connection, outdated, progress)
    return PrelabelReport(
        url=f"{connection.url}/projects/{number}",
        model_version=version,
        images=len(todo) if dry_run else made,
        kept=len(kept),
        annotated=len(standing.tasks) - len(standing.waiting),
        replaced=len(outdated),
        unread=unread + len(standing.odd),
        boxes=dict(boxes),
        missing=missing,
        shown_instead=instead,
    )


def undo_prelabels(
    connection: Connection, project: str, *, dry_run: bool, progress: Progress = no_progress
) -> PrelabelUndo:
    """Delete our predictions from tasks that nobody has annotated or started.

    They stay on others, since annotations refer to the prediction they came from.
    """
    number = project_number(project)
    progress("reading annotations", 0, 1)
    standing = _read(connection, number)
    progress("reading annotations", 1, 1)
    every = [prediction for own in standing.ours.values() for prediction in own]
    taken = standing.own_waiting
    if not dry_run:
        versions = {prediction.model_version for prediction in every}
        hide_versions(
            connection, number, versions, off=any(v.endswith(_WERE_HIDDEN) for v in versions)
        )
        delete_predictions(connection, taken, progress)
    return PrelabelUndo(len(taken), len(every) - len(taken))


class _Work:
    """Downloads images of tasks, runs the model and sends predictions, in batches."""

    def __init__(
        self,
        connection: Connection,
        project: int,
        model: PrelabelModel,
        config: LabelConfig,
        classes: Sequence[str],
        version: str,
        options: ToolOptions,
        cache: Path | None,
    ) -> None:
        self._connection, self._project = connection, project
        self._model, self._config, self._classes = model, config, classes
        self._version, self._options, self._cache = version, options, cache
        self._pending: list[NewPrediction] = []
        self._sent = time.monotonic()

    def run(
        self, standing: _Standing, todo: Sequence[int], boxes: Counter[str], progress: Progress
    ) -> tuple[int, int]:
        """Create the predictions of the tasks `todo`.

        Args:
            standing: the project's state.
            todo: ids of the tasks.
            boxes: updated with the number of boxes per label.
            progress: called after every image.

        Returns:
            Number of created predictions, and of unreadable tasks.

        Raises:
            ToolError: if too many of the project's tasks can't be read; the predictions of the
                others are still created.
        """
        total = len(standing.tasks) + len(standing.odd)
        left_out = LeftOut(str(self._project), total, self._options.skip_share)
        left_out.add_odd(standing.odd, standing.tasks)
        most = left_out.most - len(standing.odd)
        made = unread = 0
        for start in range(0, len(todo), _IMAGES):
            tasks = {id: standing.waiting[id] for id in todo[start : start + _IMAGES]}
            for task, found in self._found(tasks, max(most - unread, 0)):
                if isinstance(found, Unreadable):
                    left_out.add(task, found.kind, found.reason)
                    unread += 1
                else:
                    self._pending.append(NewPrediction(task, found, self._version))
                    boxes.update(region["value"]["rectanglelabels"][0] for region in found)
                    made += 1
                progress("pre-labelling", made + unread, len(todo))
                if len(self._pending) >= CHUNK or time.monotonic() - self._sent > _SECONDS:
                    self._send()
            if unread > most:
                break
        self._send()
        left_out.check()
        return made, unread

    def _send(self) -> None:
        if self._pending:
            import_predictions(self._connection, self._project, self._pending, no_progress)
        self._pending = []
        self._sent = time.monotonic()

    def _found(
        self, tasks: Mapping[int, Mapping[str, Any]], most_failures: int
    ) -> Iterator[tuple[int, list[dict[str, Any]] | Unreadable]]:
        """Yield each task's `result`, or why it can't be read; deletes its images afterwards."""
        addresses: dict[int, str] = {}
        for id, task in tasks.items():
            try:
                addresses[id] = image_address(task, self._config)
            except Unreadable as error:
                yield id, error
        cache = self._cache
        cached = find_cached(cache, addresses) if cache else {}
        files = {id: cache / name for id, name in cached.items()} if cache else {}
        with TemporaryDirectory(prefix="sparsedet-prelabels-") as folder:
            done = bring_images(
                self._connection,
                {id: address for id, address in addresses.items() if id not in files},
                Path(folder),
                self._options.images,
                indexed=False,
                most_failures=most_failures,
            )
            yield from done.failures.items()
            files |= {id: Path(folder) / image.name for id, image in done.images.items()}
            files = dict(sorted(files.items()))
            found = self._model.find(list(files.values()), self._classes)
            for (id, file), boxes in zip(files.items(), found, strict=True):
                try:
                    if isinstance(boxes, AnnotationError):
                        raise boxes
                    yield id, self._regions(id, file, boxes)
                except AnnotationError as error:
                    yield id, Unreadable(Kind.NO_IMAGE, f"its image can't be decoded: {error}")

    def _regions(self, task: int, file: Path, boxes: Sequence[Prelabel]) -> list[dict[str, Any]]:
        """Return the `result` of a prediction; boxes without area are left out."""
        width, height = upright_size(file)
        image = Image(task, file.name, width, height)
        regions: list[dict[str, Any]] = []
        for box in boxes:
            try:
                place = to_percent(box.xyxy, width, height)
            except GeometryError:
                continue
            id = _digest(f"{self._version}|{task}|{len(regions)}")
            label = self._config.texts[box.label]
            region = make_region(id, label, place, image, self._config, origin="prediction")
            regions.append({**region, "score": round(box.score, 6)})
        return regions


def _read(connection: Connection, project: int) -> _Standing:
    odd: list[OddTask] = []
    tasks = {int(task["id"]): task for task in export_tasks(connection, project, odd)}
    waiting = {
        id: task
        for id, task in sorted(tasks.items())
        if not task.get("annotations") and not task.get("drafts")
    }
    stored = read_predictions(connection, project)
    ours = {task: [p for p in own if _is_ours(p)] for task, own in stored.items()}
    return _Standing(waiting, frozenset(tasks), odd, ours)


def _outdated(standing: _Standing, version: str) -> tuple[frozenset[int], list[StoredPrediction]]:
    """Return the tasks with a prediction of a version, and our predictions to delete."""
    kept: dict[int, StoredPrediction] = {}
    for task in standing.waiting:
        # There is more than one when an import went through but its answer got lost.
        own = [p for p in standing.ours.get(task, ()) if p.model_version == version]
        kept |= {task: own[0]} if own else {}
    stay = {prediction.id for prediction in kept.values()}
    return frozenset(kept), [p for p in standing.own_waiting if p.id not in stay]


def _is_ours(prediction: StoredPrediction) -> bool:
    return (
        prediction.model_version.startswith(_PREFIX)
        and not prediction.by_backend
        and not is_signed(prediction.result)
    )


def _version(model: PrelabelModel, classes: Iterable[str], *, hidden: bool) -> str:
    """Return the model version of the predictions; another version replaces them."""
    digest = _digest("|".join((model.settings, *classes)))
    return f"{_PREFIX}{model.run_id} {digest}{_WERE_HIDDEN if hidden else ''}"


def _check_layout(config: LabelConfig, project: str) -> None:
    """Refuse projects with several images per task, or separate controls for drawing and labels.

    Raises:
        ToolError: naming the reason.
    """
    what = ""
    if config.has_several:
        what = "shows several images in a task"
    elif config.drawer:
        what = "draws boxes with one control and labels them with another"
    if what:
        raise ToolError(f"project {project} {what}; it can't be pre-labelled yet")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]

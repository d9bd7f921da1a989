"""The server's content after a fault, compared with the plan.

Everything is counted in boxes:

- planned: mined boxes that should be up for review; after a merge, boxes in the annotations of a
  project without faults; for an undo, mined boxes that it should withdraw.
- found: planned boxes that are there at least once; for an undo, those that are no longer up.
- doubled: copies beyond the first.
- lost: planned and not found, or a person's box that is gone or about to be overwritten.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .people import THEIRS, Project, Region, Server

# Titles of the views that a push adds.
VIEWS = ("To review", "Mined boxes")
_SOURCE_TASK = "sparsedet_source_task"
_DECIMALS = 3

Annotations = Mapping[int, Mapping[str, tuple[object, ...]]]
"""Image number -> region id -> label and position, of the newest annotation."""


@dataclass
class Counts:
    """The plan, compared with the server's content."""

    planned: int = 0
    found: int = 0
    doubled: int = 0
    lost: int = 0
    spare: int = 0
    """Unneeded review projects, review tasks without boxes, and views."""
    notes: list[str] = field(default_factory=list)
    due: Sequence[str] = ()
    """Mined boxes that should be up now; empty: all planned ones."""

    @property
    def is_good(self) -> bool:
        """Whether everything planned is there, and nothing else."""
        return self.found == self.planned and not (self.doubled or self.lost)


@dataclass(frozen=True)
class Task:
    """A task with its content."""

    id: int
    source: int | None
    """For review tasks: the task of the annotated project that it copies."""
    annotations: Sequence[Mapping[str, Any]]
    """Submitted ones, oldest first."""
    drafts: Sequence[Mapping[str, Any]]
    predictions: Sequence[Mapping[str, Any]]

    @property
    def newest(self) -> Sequence[Region]:
        """The regions of the newest annotation."""
        return self.annotations[-1]["result"] if self.annotations else []


@dataclass(frozen=True)
class ProjectState:
    """A project of the server."""

    number: int
    tasks: Sequence[Task]
    views: Sequence[str]
    """Their titles."""


@dataclass(frozen=True)
class State:
    """The annotated project, and all projects created after it."""

    source: ProjectState
    reviews: Sequence[ProjectState]

    @classmethod
    def read(cls, server: Server, project: Project) -> "State":
        """Read it through the API."""
        listed = server.get("/api/projects/", page_size=1000)["results"]
        later = sorted(entry["id"] for entry in listed if entry["id"] > project.number)
        states = (_read_project(server, number) for number in later)
        return cls(_read_project(server, project.number), list(states))

    @property
    def open_tasks(self) -> Iterable[tuple[ProjectState, Task]]:
        """Review tasks that nobody has submitted."""
        for review in self.reviews:
            for task in review.tasks:
                if task.source is not None and not task.annotations:
                    yield review, task

    def source_task(self, task: int) -> Task:
        """Return a task of the annotated project."""
        return next(known for known in self.source.tasks if known.id == task)

    def annotations(self, project: Project) -> Annotations:
        """Return the newest annotation of every image."""
        newest = {task.id: task.newest for task in self.source.tasks}
        return {image: _by_id(newest.get(task, [])) for image, task in enumerate(project.tasks)}


def after_push(
    state: State, project: Project, planned: Sequence[str], review_project: str | None
) -> Counts:
    """Count the mined boxes on open review tasks.

    Args:
        state: of the server.
        project: the annotated one.
        planned: ids of the mined boxes.
        review_project: named by the command, where reviews will be looked for; None after a failed
            command.
    """
    up: list[str] = []
    named: set[str] = set()
    counts = Counts(planned=len(planned))
    for review, task in state.open_tasks:
        ids = [id for prediction in task.predictions for id in _ids(prediction["result"], "m")]
        if str(review.number) == review_project:
            named.update(ids)
        up += ids
        counts.spare += not task.predictions
        human = {region["id"] for region in state.source_task(task.source or 0).newest}
        for prediction in task.predictions:
            counts.lost += len(human - set(_ids(prediction["result"], "")))
    _count_up(counts, up, planned)
    if review_project is not None and (elsewhere := set(up) - named):
        counts.lost += len(elsewhere)
        counts.notes.append(f"{len(elsewhere)} boxes are up in projects whose reviews nobody reads")
    if counts.spare:
        counts.notes.append(f"{counts.spare} open review tasks show no boxes")
    if len(state.reviews) > 1:
        counts.spare += len(state.reviews) - 1
        counts.notes.append(f"{len(state.reviews)} review projects")
    _count_people(counts, state, project)
    return counts


def after_drafts(state: State, project: Project, planned: Sequence[str]) -> Counts:
    """Count the mined boxes in drafts, and in predictions on images without annotation.

    If a person saved meanwhile, the boxes of the image may wait for the next pull; a draft that
    lacks the person's boxes would overwrite them.
    """
    up: list[str] = []
    for task in state.source.tasks:
        lists = [entry["result"] for entry in (*task.drafts, *task.predictions)]
        up += [id for result in lists for id in _ids(result, "m")]
    held_back = {f"m{project.image_of(task)}-" for task in project.saved}
    due = [id for id in planned if id in up or id[: id.index("-") + 1] not in held_back]
    counts = Counts(planned=len(due), due=due)
    _count_up(counts, up, due)
    for task in state.source.tasks:
        drawn = {region["id"] for region in task.newest}
        for draft in task.drafts:
            if stale := drawn - set(_ids(draft["result"], "")):
                counts.lost += len(stale)
                counts.notes.append(f"a draft on task {task.id} lacks {', '.join(sorted(stale))}")
    _count_people(counts, state, project)
    return counts


def after_merge(state: State, project: Project, expected: Annotations) -> Counts:
    """Compare the annotations with those of a project without faults.

    On an image where a person saved meanwhile, boxes may be merged or not.
    """
    found = state.annotations(project)
    counts = Counts()
    for image, task in enumerate(project.tasks):
        saved = project.saved.get(task)
        wanted = dict(expected[image])
        if saved is not None:
            human = _by_id(project.boxes.human[image])
            wanted = {
                id: found[image].get(id, place) for id, place in human.items() if id in wanted
            }
            wanted |= _by_id([saved])
        there = {id for id, place in wanted.items() if found[image].get(id) == place}
        extra = set() if saved else found[image].keys() - wanted.keys()
        copies = Counter(
            id for entry in state.source_task(task).annotations for id in _ids(entry["result"], "")
        )
        counts.planned += len(wanted)
        counts.found += len(there)
        counts.lost += len(wanted) - len(there) + len(extra)
        counts.doubled += sum(count - 1 for count in copies.values())
        if there != wanted.keys() or extra:
            odd = sorted((wanted.keys() - there) | extra)
            counts.notes.append(f"image {image}: {', '.join(odd)} not as merged without fault")
        if copies and max(copies.values()) > 1:
            counts.notes.append(f"image {image}: {len(state.source_task(task).annotations)} copies")
    return counts


def after_undo(state: State, project: Project, before: State, planned: Sequence[str]) -> Counts:
    """Count what remains of a push, and what people have lost."""
    up = [
        id
        for _, task in state.open_tasks
        for prediction in task.predictions
        for id in _ids(prediction["result"], "m")
    ]
    for task in state.source.tasks:
        ours = [entry for entry in task.predictions if entry["model_version"] != THEIRS]
        drafts = [draft for draft in task.drafts if _is_untouched(draft)]
        up += [id for entry in (*ours, *drafts) for id in _ids(entry["result"], "m")]
    counts = Counts(planned=len(planned), found=len(set(planned) - set(up)))
    counts.spare += sum(1 for _ in state.open_tasks)
    for known in (state.source, *state.reviews):
        # A view stays while a person's own draft has mined boxes.
        begun = any(_ids(draft["result"], "m") for task in known.tasks for draft in task.drafts)
        counts.spare += 0 if begun else sum(title in VIEWS for title in known.views)
    for what, there, kept in _of_people(before, state):
        if lost := there - kept:
            counts.lost += sum(lost.values())
            counts.notes.append(f"{sum(lost.values())} {what} of people are gone")
    _count_people(counts, state, project)
    return counts


def compare_ledger(counts: Counts, ledger: Path, planned: Sequence[str]) -> None:
    """Add boxes missing from the ledger to the lost ones: nobody would read their reviews."""
    with closing(sqlite3.connect(ledger)) as database:
        known = {region_id for (region_id,) in database.execute("SELECT region_id FROM boxes")}
    if missing := set(planned) - known:
        counts.lost += len(missing)
        counts.notes.append(f"the ledger lacks {len(missing)} boxes")


def mined_up(state: State) -> list[str]:
    """Return the ids of unreviewed mined boxes, which an undo withdraws."""
    ids = [
        id
        for _, task in state.open_tasks
        for prediction in task.predictions
        for id in _ids(prediction["result"], "m")
    ]
    for task in state.source.tasks:
        entries = (*task.predictions, *filter(_is_untouched, task.drafts))
        ids += [id for entry in entries for id in _ids(entry["result"], "m")]
    return sorted(set(ids))


def _of_people(before: State, after: State) -> Iterable[tuple[str, Counter[str], Counter[str]]]:
    """Yield people's content, by kind, before and now."""
    projects = [(before.source, after.source)]
    later = {known.number: known for known in after.reviews}
    for known in before.reviews:
        projects.append((known, later.get(known.number, ProjectState(known.number, [], []))))
    for one, other in projects:
        yield "views", _own_views(one), _own_views(other)
        yield "reviewed boxes", _saved_boxes(one), _saved_boxes(other)
        yield "boxes in drafts", _own_drafts(one), _own_drafts(other)
        yield "predictions of other models", _theirs(one), _theirs(other)


def _own_views(project: ProjectState) -> Counter[str]:
    return Counter(title for title in project.views if title == "My own")


def _saved_boxes(project: ProjectState) -> Counter[str]:
    return Counter(id for task in project.tasks for id in _ids(task.newest, ""))


def _own_drafts(project: ProjectState) -> Counter[str]:
    drafts = (draft for task in project.tasks for draft in task.drafts if not _is_untouched(draft))
    return Counter(id for draft in drafts for id in _ids(draft["result"], ""))


def _theirs(project: ProjectState) -> Counter[str]:
    entries = (entry for task in project.tasks for entry in task.predictions)
    return Counter(id for e in entries if e["model_version"] == THEIRS for id in _ids(e["result"]))


def _is_untouched(draft: Mapping[str, Any]) -> bool:
    """Whether it is one of ours: the editor drops unknown keys."""
    return any("sparsedet" in region for region in draft["result"])


def _count_up(counts: Counts, up: Sequence[str], planned: Sequence[str]) -> None:
    copies = Counter(up)
    counts.found = sum(id in copies for id in planned)
    counts.lost += len(planned) - counts.found
    counts.doubled += sum(copies.values()) - len(copies)


def _count_people(counts: Counts, state: State, project: Project) -> None:
    """Count boxes that people drew, or saved meanwhile, and that the annotations lack."""
    found = state.annotations(project)
    for image, task in enumerate(project.tasks):
        drawn = _by_id(project.boxes.human[image])
        if task in project.saved:
            drawn |= _by_id([project.saved[task]])
        gone = [id for id, place in drawn.items() if found[image].get(id) != place]
        counts.lost += len(gone)
        if gone:
            counts.notes.append(f"image {image}: the annotation lacks {', '.join(gone)}")
    titles = Counter((p.number, t) for p in (state.source, *state.reviews) for t in p.views)
    counts.spare += sum(titles[key] - 1 for key in titles)


def _read_project(server: Server, number: int) -> ProjectState:
    path = f"/api/projects/{number}/export"
    exported = server.get(path, exportType="JSON", download_all_tasks=True)
    predictions: dict[int, list[Any]] = {}
    for entry in server.get("/api/predictions/", project=number):
        predictions.setdefault(entry["task"], []).append(entry)
    tasks = [
        Task(
            id=entry["id"],
            source=entry["data"].get(_SOURCE_TASK),
            annotations=sorted(
                (a for a in entry["annotations"] if not a["was_cancelled"]),
                key=lambda a: (a["updated_at"], a["id"]),
            ),
            drafts=entry["drafts"],
            predictions=predictions.get(entry["id"], []),
        )
        for entry in exported
    ]
    views = [
        str(view["data"].get("title")) for view in server.get("/api/dm/views/", project=number)
    ]
    return ProjectState(number, tasks, views)


def _ids(result: Iterable[Region], prefix: str = "") -> list[str]:
    return [region["id"] for region in result if region["id"].startswith(prefix)]


def _by_id(result: Iterable[Region]) -> dict[str, tuple[object, ...]]:
    """Return label and position of the boxes, by region id."""
    return {
        region["id"]: (
            region["value"]["rectanglelabels"][0],
            *(round(region["value"][key], _DECIMALS) for key in ("x", "y", "width", "height")),
        )
        for region in result
    }

"""`review --merge` and `--undo-merge`: the only code that writes people's annotations.

It writes one image at a time, based on the server's state: an interrupted merge is completed by
repeating it. The server has no conditional writes. So an image is read again just before it is
written, its previous state is saved first, and a read afterwards detects concurrent saves.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sparsedet.push_modes import Progress, no_progress
from sparsedet.reviews import Changes
from sparsedet.tool import DEFAULT_OPTIONS, Applied, Plan, Replaced, ToolOptions

from .annotation_choice import (
    annotation_version,
    digest,
    digests,
    results_of,
    submitted,
    with_task_date,
)
from .annotators import Annotation, read_annotators
from .client.answers import OddAnswerError, check_annotations
from .client.connection import Connection, project_number
from .client.request_errors import RequestFailedError, RequestRefusedError
from .drafts.draft_tasks import read_account, unsaved
from .merge_plans import Planner, last_save
from .projects import OddTask, account_names, export_tasks, read_source_config
from .results import Result
from .task_images import images_of, task_of

_MOST_REFUSED = 5
"""Images in a row that the server may refuse; after more, something else is wrong."""


def merge_into_source(
    connection: Connection,
    project: str,
    plans: Mapping[str, Plan],
    *,
    sizes: Mapping[str, tuple[int, int]],
    keep: Callable[[Replaced], None] | None,
    options: ToolOptions = DEFAULT_OPTIONS,
    progress: Progress = no_progress,
) -> Iterator[Applied]:
    """Change the annotations of images, yielding the result for each.

    Each image is one PATCH of the annotation that a pull reads, which keeps its author. An image
    without one gets an annotation of this account; if the boxes of several annotations are
    combined, it is starred, so that it counts from then on. A star from an import is removed: after
    a save, it could not be distinguished from a person's.

    Args:
        connection: its account becomes the last editor of what is written.
        project: number of the annotated project.
        plans: tool id -> what to change.
        sizes: tool id -> upright (width, height) in pixels.
        keep: called with the replaced state before each write; None for a dry run.
        options: how the project is read.

    Raises:
        ToolError: if a request fails, unless only one image is refused, which is blocked then.
            Finished writes are kept, and plans find nothing to change there the next time.
    """
    if not plans:
        return
    source = _Source(connection, project_number(project), sizes, options)
    refused = 0
    for done, (tool_id, plan) in enumerate(plans.items()):
        progress("merging reviews", done, len(plans))
        if (task := source.task(tool_id)) is None:
            yield Applied(tool_id, None, Changes())
            continue
        applied = Applied(tool_id, None, Changes())
        try:
            drafts = source.drafts(tool_id) if task.get("drafts") else []
            found = source.planner.planned(tool_id, task.get("annotations") or [], drafts, plan)
            applied = Applied(tool_id, found.state, found.change)
            if keep is not None:
                source.drop_twins(tool_id, task.get("annotations") or [])
                if found.results is not None:
                    applied = source.write(tool_id, plan, keep)
            refused = 0
        except RequestRefusedError as error:
            # Deleted, locked or invalid: the other images can be merged all the same.
            refused += 1
            if not error.is_of_one_object or refused > _MOST_REFUSED:
                raise
            if applied.state is not None:
                applied = replace(applied, state=replace(applied.state, blocked=str(error)))
            elif not error.is_not_found:
                raise
        yield applied
    progress("merging reviews", len(plans), len(plans))


def restore_source(
    connection: Connection,
    project: str,
    replaced: Sequence[tuple[Replaced, str | None]],
    options: ToolOptions = DEFAULT_OPTIONS,
) -> dict[str, str]:
    """Restore what a merge replaced, except where somebody has changed it since.

    Args:
        connection: its account becomes the last editor of what is written.
        project: number of the annotated project.
        replaced: replaced states, each with the version that the merge left, or None if the merge
            was interrupted.
        options: how the project is read.

    Returns:
        Tool id -> why it was not restored, which may be a failed request.
    """
    if not replaced:
        return {}
    source = _Source(connection, project_number(project), {}, options)
    left: dict[str, str] = {}
    lost = ""
    # Images of a task were written on top of each other, so they are undone in reverse order.
    for item, version in sorted(replaced, key=lambda one: _written_at(one[1]), reverse=True):
        try:
            reason = lost or source.restore(item, version)
        except RequestFailedError as error:
            # The caller has to know which images are restored, and the rest would wait as long.
            reason = str(error)
            lost = "" if error.is_of_one_object else reason
        if reason:
            left[item.tool_id] = reason
    return left


def _written_at(version: str | None) -> tuple[bool, str]:
    """Return a sort key for writes; an interrupted one was the last."""
    return version is None, "" if version is None else version.partition("@")[2]


class _Source:
    """The annotated project."""

    def __init__(
        self,
        connection: Connection,
        project: int,
        sizes: Mapping[str, tuple[int, int]],
        options: ToolOptions,
    ) -> None:
        self.project = project
        self._connection = connection
        self._config = read_source_config(connection, project, options)
        self._names = account_names(connection)
        self._account = read_account(connection)
        people = read_annotators(options.choice.annotators, self._names, self._account.id)
        rule = options.annotations
        self.planner = Planner(self._config, rule, people, sizes, self._names)
        odd: list[OddTask] = []
        self.tasks = {str(task["id"]): task for task in export_tasks(connection, project, odd)}
        self._odd = {str(task.id): task.reason for task in odd}

    def has_task(self, tool_id: str) -> bool:
        """Whether the task of an image exists, with or without the image.

        Raises:
            OddAnswerError: if it exists but is not a valid task.
        """
        task = task_of(tool_id)
        if task in self._odd:
            raise OddAnswerError(f"reading task {task}", self._odd[task])
        return task in self.tasks

    def task(self, tool_id: str) -> Mapping[str, Any] | None:
        """Return the task of an image as of the start of the merge; None if the image is gone.

        Raises:
            OddAnswerError: if it exists but is not a valid task.
        """
        if not self.has_task(tool_id):
            return None
        task = self.tasks[task_of(tool_id)]
        known = {image.tool_id for image in images_of(task, self._config)}
        return task if tool_id in known else None

    def write(self, task: str, plan: Plan, keep: Callable[[Replaced], None]) -> Applied:
        """Change a task based on the server's current state.

        An overtaken write is reported too: its changes may or may not be lost.
        """
        annotations = self._annotations(task)
        while True:
            found = self.planner.planned(task, annotations, self.drafts(task), plan)
            if found.results is None:
                return Applied(task, found.state, found.change)
            before = found.annotation
            content = {
                "annotation": before["id"] if before else None,
                "result": results_of(before) if before else None,
                "written": digest(found.results),
                "unstarred": before is not None and found.star is False,
                "others": [a["id"] for a in annotations],
            }
            keep(Replaced(task, content))
            # Planning and saving take time, so this is checked last, right before the write.
            now = self._annotations(task)
            if digests(now) == digests(annotations):
                break
            annotations = now
        saved = self._save(task, before, found.results, star=found.star)
        overtaken = self._overtaken(task, before, saved)
        if before is None and not overtaken:
            overtaken = self._made_way(task, saved, found.read.annotations)
        return Applied(task, found.state, found.change, annotation_version(saved), overtaken)

    def _made_way(self, task: str, saved: Annotation, known: Sequence[Annotation]) -> str:
        """Delete the annotation that was just created if a person submitted one meanwhile.

        Ours would hide theirs; the next merge changes theirs. Return a message, or "" if nobody
        did.
        """
        ids = {saved["id"], *(annotation["id"] for annotation in known)}
        theirs = [a for a in submitted(self._annotations(task)) if a["id"] not in ids]
        if not theirs:
            return ""
        self._connection.delete(f"api/annotations/{saved['id']}/", f"making way on task {task}")
        return f"{last_save(theirs[-1], self._names)}, at the same time; merge again to add to it"

    def drop_twins(self, task: str, annotations: Sequence[Annotation]) -> None:
        """Delete duplicates that a late request of an earlier merge created.

        Of identical annotations of this account with boxes of a model that nobody has worked on,
        the oldest is kept.
        """
        known: set[str] = set()
        for annotation in sorted(submitted(annotations), key=lambda a: int(a["id"])):
            ours = annotation.get("completed_by") == self._account.id
            if not ours or annotation.get("lead_time") is not None or annotation.get("import_id"):
                continue
            results = results_of(annotation)
            if not any(isinstance(r, Mapping) and r.get("score") is not None for r in results):
                continue
            held = digest(results)
            if held in known:
                what = f"deleting a second copy of what was merged into task {task}"
                self._connection.delete(f"api/annotations/{annotation['id']}/", what)
            known.add(held)

    def restore(self, item: Replaced, version: str | None) -> str:
        """Restore a task to its state before a merge, or return why not."""
        content, task = item.content, item.tool_id
        if not self.has_task(task):
            return "its task was deleted"
        created = content["annotation"] is None
        drafts = self.drafts(task)
        annotations = self._annotations(task)
        if not created:
            id = int(content["annotation"])
        elif version is not None:
            id = int(version.partition("@")[0])
        else:
            wrote = (a for a in annotations if digest(results_of(a)) == content["written"])
            id = next((int(a["id"]) for a in wrote), 0)
        found = next((a for a in annotations if int(a["id"]) == id), None)
        if found is None:
            if changed := self._changed_since(content, annotations, version):
                return f"{last_save(changed, self._names)}, after the merge"
            return "" if created else "its annotation was deleted"
        if not created and digest(results_of(found)) == digest(content["result"]):
            return ""
        # A star, or a save without changes, does not change what was written.
        if digest(results_of(found)) != content["written"]:
            return f"{last_save(found, self._names)}, after the merge"
        if reason := unsaved([found], drafts):
            return reason
        if created:
            self._connection.delete(f"api/annotations/{id}/", f"restoring task {task}")
        else:
            # Starring one unstars the task's others, which may also come from the import.
            no_star = not any(a.get("ground_truth") for a in annotations)
            star = True if content.get("unstarred") and no_star else None
            self._save(task, found, content["result"], star=star)
        return ""

    def _changed_since(
        self, content: Mapping[str, Any], annotations: Sequence[Annotation], version: str | None
    ) -> Annotation | None:
        """Return an annotation that an interrupted merge may have created, changed since."""
        if content["annotation"] is not None or version is not None or "others" not in content:
            return None
        new = (a for a in annotations if a["id"] not in content["others"])
        return next((a for a in new if a.get("completed_by") == self._account.id), None)

    def drafts(self, task: str) -> Sequence[Any]:
        """Return everybody's unsaved changes on a task."""
        task = task_of(task)
        what = f"reading the drafts of task {task}"
        return self._connection.get_objects(f"api/tasks/{task}/drafts", {}, what)

    def _annotations(self, task: str) -> list[Annotation]:
        task = task_of(task)
        where, what = f"api/tasks/{task}/annotations/", f"reading the annotations of task {task}"
        annotations = check_annotations(self._connection.get_json(where, {}, what), what)
        return with_task_date(annotations, self.tasks[task])

    def _save(
        self,
        task: str,
        annotation: Annotation | None,
        results: Sequence[Result],
        *,
        star: bool | None = None,
    ) -> Annotation:
        """Save the results; return the annotation as sent by the server.

        For an existing annotation, the star is only reset to the value from its import.
        """
        result = [dict(entry) if isinstance(entry, Mapping) else entry for entry in results]
        body: dict[str, Any] = {"result": result}
        if star is not None:
            body["ground_truth"] = star
        if annotation is not None and star:
            body["last_action"] = "imported"
        task = task_of(task)
        what = f"writing the annotation of task {task}"
        if annotation is None:
            saved = self._connection.post_json(f"api/tasks/{task}/annotations/", body, what)
        else:
            saved = self._connection.patch_json(f"api/annotations/{annotation['id']}/", body, what)
        check_annotations([saved], what)
        return saved

    def _overtaken(self, task: str, before: Annotation | None, saved: Annotation) -> str:
        """Return a message if somebody changed the annotation while it was written, or "".

        The editor adds a person's time with each save; our writes don't change it.
        """
        url = f"{self._connection.url}/projects/{self.project}/data?task={task_of(task)}"
        now = next((a for a in self._annotations(task) if a["id"] == saved["id"]), None)
        if now is None:
            return f"somebody deleted the annotation while it was written: {url}"
        if digest(results_of(now)) != digest(results_of(saved)):
            return f"{last_save(now, self._names)}, over what was written at the same time: {url}"
        if before is not None and saved.get("lead_time") != before.get("lead_time"):
            return (
                "somebody saved it just before it was written, and their changes were replaced: "
                f"{url}"
            )
        return ""

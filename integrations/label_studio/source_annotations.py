"""`review --merge` and `--undo-merge`: the only place that writes annotations of people.

One image at a time, and what the server holds decides: a merge that was cut off is completed by
running it again. The server knows no conditional write. So an image is read again just before it is
written, what is there is kept first, and a look afterwards says whether somebody saved in the same
moment.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from .answers import OddAnswerError, check_annotations
from .connection import Connection, project_number
from .drafts.draft_tasks import read_account, unsaved
from .merge_plans import Planner, last_save
from .projects import OddTask, account_names, export_tasks, read_source_config
from .results import Result
from .task_images import images_of, task_of


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
    """Change the annotations of images, yielding what became of each.

    Each image is one PATCH of the annotation that a pull reads, which keeps its author. An image
    without one gets an annotation of this account; so does one where the boxes of several
    annotations are combined, starred, so that it counts from then on. A star that the annotation
    has from its import goes: once it is saved, nothing shows that nobody gave it.

    Args:
        connection: its account becomes the last editor of what is written.
        project: number of the annotated project.
        plans: tool id -> what to change.
        sizes: tool id -> upright (width, height) in pixels.
        keep: called with what is replaced, before each write; None: write nothing.
        options: how the project is read.

    Raises:
        ToolError: when a request fails. What was written until then stays, and a plan finds
            nothing to change there the next time.
    """
    if not plans:
        return
    source = _Source(connection, project_number(project), sizes, options)
    for done, (tool_id, plan) in enumerate(plans.items()):
        progress("merging reviews", done, len(plans))
        if (task := source.task(tool_id)) is None:
            yield Applied(tool_id, None, Changes())
            continue
        drafts = source.drafts(tool_id) if task.get("drafts") else []
        found = source.planner.planned(tool_id, task.get("annotations") or [], drafts, plan)
        if keep is not None:
            source.drop_twins(tool_id, task.get("annotations") or [])
        if keep is not None and found.results is not None:
            yield source.write(tool_id, plan, keep)
        else:
            yield Applied(tool_id, found.state, found.change)
    progress("merging reviews", len(plans), len(plans))


def restore_source(
    connection: Connection,
    project: str,
    replaced: Sequence[tuple[Replaced, str | None]],
    options: ToolOptions = DEFAULT_OPTIONS,
) -> dict[str, str]:
    """Write back what a merge replaced, where nobody has changed it since.

    Args:
        connection: its account becomes the last editor of what is written.
        project: number of the annotated project.
        replaced: with the version that the merge left; None, of a merge that was cut off.
        options: how the project is read.

    Returns:
        Tool id -> why it was left as it is.
    """
    if not replaced:
        return {}
    source = _Source(connection, project_number(project), {}, options)
    left: dict[str, str] = {}
    # The images of one task were written one on top of the other: the last one goes first.
    for item, version in sorted(replaced, key=lambda one: _written_at(one[1]), reverse=True):
        if not source.has_task(item.tool_id):
            left[item.tool_id] = "its task was deleted"
        elif reason := source.restore(item, version):
            left[item.tool_id] = reason
    return left


def _written_at(version: str | None) -> tuple[bool, str]:
    """Return what orders writes; one that was cut off was the last."""
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
        """Whether the task of an image is there, with the image or without.

        Raises:
            OddAnswerError: when it is there and no whole task.
        """
        task = task_of(tool_id)
        if task in self._odd:
            raise OddAnswerError(f"reading task {task}", self._odd[task])
        return task in self.tasks

    def task(self, tool_id: str) -> Mapping[str, Any] | None:
        """Return the task of an image as it was when the merge began; None: the image is gone.

        Raises:
            OddAnswerError: when it is there and no whole task.
        """
        if not self.has_task(tool_id):
            return None
        task = self.tasks[task_of(tool_id)]
        known = {image.tool_id for image in images_of(task, self._config)}
        return task if tool_id in known else None

    def write(self, task: str, plan: Plan, keep: Callable[[Replaced], None]) -> Applied:
        """Change a task by what the server holds at this moment.

        What an overtaken write changed is reported all the same: it may be lost or not.
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
            }
            keep(Replaced(task, content))
            # Planning and keeping take their time; between this and the write there is nothing.
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
        """Delete the annotation that was just made where a person submitted one meanwhile.

        Theirs would be hidden by ours; the next merge goes into theirs. Say so; empty: nobody did.
        """
        ids = {saved["id"], *(annotation["id"] for annotation in known)}
        theirs = [a for a in submitted(self._annotations(task)) if a["id"] not in ids]
        if not theirs:
            return ""
        self._connection.delete(f"api/annotations/{saved['id']}/", f"making way on task {task}")
        return (
            f"{last_save(theirs[-1], self._names)}, in the same moment; merge again to add to that"
        )

    def drop_twins(self, task: str, annotations: Sequence[Annotation]) -> None:
        """Delete what a request of an earlier merge made once more, when it arrived late.

        Of annotations of this account that hold boxes of a model, that nobody has worked on and
        that say the same, the oldest stays.
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
        """Bring a task back to what it was before a merge, or say why not."""
        content, task = item.content, item.tool_id
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
            return "" if created else "its annotation was deleted"
        if not created and digest(results_of(found)) == digest(content["result"]):
            return ""
        # A star, or a save without a change, is no change of what was written.
        if digest(results_of(found)) != content["written"]:
            return f"{last_save(found, self._names)}, after the merge"
        if reason := unsaved([found], drafts):
            return reason
        if created:
            self._connection.delete(f"api/annotations/{id}/", f"restoring task {task}")
        else:
            # To star one takes the stars of the task's others, which may be of the import as well.
            no_star = not any(a.get("ground_truth") for a in annotations)
            star = True if content.get("unstarred") and no_star else None
            self._save(task, found, content["result"], star=star)
        return ""

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
        """Save the results; return the annotation in the server's own words.

        Of an annotation that is there, a star is set only to what its import gave it.
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
        """Say whether somebody changed the annotation while it was written; empty if not.

        The editor adds the time that a person spent to each save, and ours leaves it as it is.
        """
        url = f"{self._connection.url}/projects/{self.project}/data?task={task_of(task)}"
        now = next((a for a in self._annotations(task) if a["id"] == saved["id"]), None)
        if now is None:
            return f"somebody deleted the annotation while it was written: {url}"
        if digest(results_of(now)) != digest(results_of(saved)):
            return f"{last_save(now, self._names)}, over what was written in the same moment: {url}"
        if before is not None and saved.get("lead_time") != before.get("lead_time"):
            return (
                f"somebody saved it in the moment before it was written, and their changes were "
                f"replaced: {url}"
            )
        return ""

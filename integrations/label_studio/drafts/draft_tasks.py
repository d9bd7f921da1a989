"""The drafts in an annotated project: whose they are, and whether a person changed ours.

A draft is an unsaved change of an annotation. The editor shows it instead of the annotation, only
to its own account, saves it automatically after every action, and turns it into the annotation when
the person presses Update.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparsedet.errors import ToolError
from sparsedet.reviews import AnnotationRule

from ..annotation_choice import saved_at, submitted, that_count
from ..client.answers import identifier
from ..client.connection import Connection
from ..projects import export_tasks

Result = Mapping[str, Any]
"""An entry of a `result` list, as sent by the server."""

MARK = "sparsedet"
"""Key that we add to every mined region: a digest of the whole list that it was sent in.

The server keeps unknown keys; the editor drops them on saving. So a list with a valid mark is
exactly what we sent, and nobody's work."""

OWNER = "sparsedet_owner"
"""Key that we add to every mined region: `marks.draft_mark` of the sending workspace."""
HIDDEN = "sparsedet_hidden"
"""Key that we add if the project showed no predictions before ours, as after an undo."""

_BASE = 1000
"""Workspace and annotation each use three digits of the nanoseconds of a draft's time."""


@dataclass(frozen=True, slots=True)
class Account:
    """The account that the API key belongs to."""

    id: int
    email: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft on the server."""

    id: int
    user: str
    """Email address of the account that sees it."""
    annotation: int | None
    """The annotation that it changes; None if that is not saved yet."""
    result: Any

    @property
    def is_untouched(self) -> bool:
        """Whether a push created it, and nobody has changed it since."""
        return is_signed(self.result)

    @property
    def mined(self) -> Mapping[str, Result]:
        """Mined regions of an untouched draft by id, without marks."""
        return marked_regions(self.result)

    @property
    def drawn(self) -> list[Any]:
        """The annotation's results from which an untouched draft was created."""
        return [r for r in self.result if not (isinstance(r, Mapping) and MARK in r)]

    @property
    def owner(self) -> str | None:
        """The mark of the workspace that created an untouched draft."""
        return owner_of(self.result)


@dataclass(frozen=True, slots=True)
class DraftTask:
    """A task with its annotations and everybody's drafts."""

    id: int
    annotations: Sequence[Mapping[str, Any]]
    drafts: tuple[Draft, ...]
    data: Mapping[str, Any]

    @property
    def submitted(self) -> list[Mapping[str, Any]]:
        """Its annotations that were not skipped, oldest first."""
        return submitted(self.annotations)

    def chosen(self, rule: AnnotationRule) -> list[Mapping[str, Any]]:
        """Return the annotations that a pull reads; several if it combines them."""
        return that_count(self.annotations, rule)

    def annotation(self, id: int) -> Mapping[str, Any] | None:
        """Return one of its annotations that was not skipped."""
        return next((a for a in self.submitted if int(a["id"]) == id), None)

    @property
    def level_drafts(self) -> list[Draft]:
        """Drafts of annotations that nobody has submitted yet."""
        return [draft for draft in self.drafts if draft.annotation is None]

    def drafts_of(self, account: Account) -> list[Draft]:
        """Return the drafts that `account` sees."""
        return [draft for draft in self.drafts if draft.user == account.email]


def read_account(connection: Connection) -> Account:
    """Return the account that the API key belongs to."""
    id, email = connection.account
    if not email:
        raise ToolError("Label Studio does not return the account of the API key")
    return Account(id, email)


def read_draft_tasks(connection: Connection, project: int) -> dict[str, DraftTask]:
    """Return all tasks by id, with annotations and drafts, in one request.

    Invalid tasks are left out; a pull warns about them.
    """
    return {
        str(task["id"]): DraftTask(
            id=int(task["id"]),
            annotations=task.get("annotations") or [],
            drafts=tuple(_draft(entry, project) for entry in task.get("drafts") or []),
            data=task["data"],
        )
        for task in export_tasks(connection, project, [])
    }


def region_ids(results: object) -> frozenset[str]:
    """Return the ids in a `result` list."""
    if not isinstance(results, Sequence) or isinstance(results, str):
        return frozenset()
    return frozenset(str(r["id"]) for r in results if isinstance(r, Mapping) and r.get("id"))


def draft_seconds(annotation: int, owner: str | None) -> float:
    """Return the `lead_time` in seconds that a draft of ours starts with; see `came_of_draft`."""
    return (_BASE * (0 if owner is None else _number(owner)) + _number(str(annotation))) / 1e9


def came_of_draft(
    annotation: int, before: float | None, after: float | None, owner: str | None
) -> bool:
    """Whether an annotation was saved over a draft of ours between two states of it.

    No date or id shows that: the server sets `draft_created_at` when an annotation is created, not
    when it is updated, and deletes drafts on any save by anybody. But the editor (1.23; observed in
    a real browser) sends as time of the annotation its previous time, plus that of the draft that
    it shows, plus the session in whole milliseconds; it saves its own draft with that draft's time,
    and drops it when the draft is discarded. So the digits of a draft's time below a millisecond
    reach the annotation only if somebody pressed Update over the draft.

    Args:
        annotation: the annotation's id.
        before: its `lead_time` in seconds when the draft was created.
        after: its `lead_time` before any later draft.
        owner: `marks.draft_mark` of the workspace; None for drafts of any workspace.
    """
    nanoseconds = round(((after or 0.0) - (before or 0.0)) * 1e9) % _BASE**2
    workspace, number = divmod(nanoseconds, _BASE)
    # Drafts of a push without an owner belong to everybody.
    return number == _number(str(annotation)) and (
        owner is None or workspace in (0, _number(owner))
    )


def version_date(version: str) -> str:
    """Return the save time in an `annotation_version`."""
    return version.split("@")[1] if "@" in version else ""


def version_seconds(version: str) -> float | None:
    """Return the `lead_time` in an `annotation_version`."""
    parts = version.split("@")
    # A pull that combines annotations joins their versions with a plus.
    return float(parts[2].partition("+")[0]) if len(parts) > 2 else None


def saved_in_editor(annotation: Mapping[str, Any], version: str, account: Account) -> bool:
    """Whether the account has pressed Update since the annotation had this `Image.tool_version`.

    The editor adds to the annotation's time; a star changes date and account alone.
    """
    return (
        saved_at(annotation) > version_date(version)
        and (annotation.get("updated_by") or annotation.get("completed_by")) == account.id
        and annotation.get("lead_time") != version_seconds(version)
    )


def results_of(annotation: Mapping[str, Any]) -> list[Any]:
    """Return the results of an annotation without our marks."""
    result = annotation.get("result")
    return [_unmarked(entry) for entry in result] if isinstance(result, list) else []


def signed(
    drawn: Sequence[Any],
    mined: Sequence[Result],
    owner: str | None = None,
    *,
    hidden: bool = False,
) -> list[Any]:
    """Return a `result` list of an annotation's results and mined regions, the latter marked."""
    ours: Result = {} if owner is None else {OWNER: owner}
    if hidden:
        ours = {**ours, HIDDEN: True}
    plain = [*(_unmarked(result) for result in drawn), *({**region, **ours} for region in mined)]
    mark = _digest(plain)
    return [*plain[: len(drawn)], *({**region, MARK: mark} for region in plain[len(drawn) :])]


def is_signed(result: object) -> bool:
    """Whether a `result` list is exactly as `signed` returned it."""
    if not isinstance(result, Sequence) or isinstance(result, str):
        return False
    marks = {str(r[MARK]) for r in result if isinstance(r, Mapping) and MARK in r}
    plain = [
        {key: value for key, value in r.items() if key != MARK} if isinstance(r, Mapping) else r
        for r in result
    ]
    return marks == {_digest(plain)}


def marked_regions(result: Sequence[Any]) -> dict[str, Result]:
    """Return the mined regions of a signed `result` list by id, without marks."""
    return {str(r["id"]): _unmarked(r) for r in result if isinstance(r, Mapping) and r.get(MARK)}


def owner_of(result: Sequence[Any]) -> str | None:
    """Return the workspace's mark in a signed `result` list; None without one."""
    return next((str(r[OWNER]) for r in result if isinstance(r, Mapping) and OWNER in r), None)


def is_hidden(result: Sequence[Any]) -> bool:
    """Whether a signed `result` list says that predictions were hidden before it."""
    return any(isinstance(r, Mapping) and HIDDEN in r for r in result)


def _draft(entry: object, project: int) -> Draft:
    if not isinstance(entry, Mapping):
        raise ToolError(
            f"project {project}: the server's export does not include the content of drafts; draft "
            "mode needs Label Studio 1.23 or later"
        )
    what = f"reading the drafts of project {project}"
    annotation = None if entry.get("annotation") is None else identifier(entry, what, "annotation")
    return Draft(identifier(entry, what), str(entry.get("user")), annotation, entry.get("result"))


def _unmarked(result: Any) -> Any:
    if not isinstance(result, Mapping):
        return result
    return {key: value for key, value in result.items() if key not in (MARK, OWNER, HIDDEN)}


def _number(text: str) -> int:
    """Return a number from 1 to 999 for a text."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % (_BASE - 1) + 1


def _digest(result: Sequence[Any]) -> str:
    text = json.dumps(result, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def unsaved(annotations: Sequence[Mapping[str, Any]], drafts: Sequence[Any]) -> str:
    """Return a message about unsaved changes that a save would delete, or "".

    Saving an annotation deletes its drafts, including those of other accounts.
    """
    ids = {int(annotation["id"]) for annotation in annotations}
    for draft in drafts:
        if draft.get("annotation") in ids and not is_signed(draft.get("result")):
            return f"{draft.get('user') or 'somebody'} has unsaved changes on its annotation"
    return ""

"""The drafts in an annotated project: whose they are, and whether a person changed ours.

A draft is a not yet saved change of an annotation. The editor shows it, to its own account only, in
place of the annotation, saves it by itself after every action, and turns it into the annotation
when the person presses Update.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparsedet.errors import ToolError

from ..connection import Connection
from ..projects import export_tasks
from ..regions import annotation_version, newest

Result = Mapping[str, Any]
"""An entry of a `result` list, as the server holds it."""

MARK = "sparsedet"
"""Key of our own in every mined region: a digest of the whole list that it was sent in.

The server keeps unknown keys; the editor drops them when it saves. So a list whose mark is right
is as we sent it, and nobody's work."""


@dataclass(frozen=True, slots=True)
class Account:
    """The account that the API key belongs to."""

    id: int
    email: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft as the server holds it."""

    id: int
    user: str
    """Mail address of the account that sees it."""
    annotation: int | None
    """The annotation that it changes; None for one that is not saved yet."""
    result: Any

    @property
    def is_untouched(self) -> bool:
        """Whether a push made it, and no person has changed it since."""
        return is_signed(self.result)

    @property
    def mined(self) -> Mapping[str, Result]:
        """Its mined regions by id, without mark."""
        return {str(r["id"]): _unmarked(r) for r in self.result if MARK in r}


@dataclass(frozen=True, slots=True)
class DraftTask:
    """A task with its annotations and everybody's drafts."""

    id: int
    annotations: Sequence[Mapping[str, Any]]
    drafts: tuple[Draft, ...]

    @property
    def annotation(self) -> Mapping[str, Any] | None:
        """The newest annotation that was not skipped, the one that a pull reads."""
        return newest(self.annotations)

    @property
    def version(self) -> str | None:
        """`Image.tool_version` as a pull would give it now."""
        return annotation_version(self.annotation) if self.annotation else None

    def target(self, account: Account) -> Mapping[str, Any] | None:
        """Return the annotation that a draft of `account` belongs on; None without any.

        That is the account's own newest, which the editor opens first, else the newest.
        """
        own = newest(a for a in self.annotations if a.get("completed_by") == account.id)
        return own or self.annotation

    def drafts_of(self, account: Account) -> list[Draft]:
        """Return the drafts that `account` sees."""
        return [draft for draft in self.drafts if draft.user == account.email]


def read_account(connection: Connection) -> Account:
    """Return the account that the API key belongs to."""
    with connection.request("reading the account"):
        user = connection.client.users.whoami()
    if user.id is None or not user.email:
        raise ToolError("Label Studio does not say whose API key this is")
    return Account(user.id, user.email)


def read_draft_tasks(connection: Connection, project: int) -> dict[str, DraftTask]:
    """Return all tasks by id, with annotations and drafts, in one request."""
    return {
        str(task["id"]): DraftTask(
            id=int(task["id"]),
            annotations=task.get("annotations") or [],
            drafts=tuple(_draft(entry, project) for entry in task.get("drafts") or []),
        )
        for task in export_tasks(connection, project)
    }


def region_ids(results: object) -> frozenset[str]:
    """Return the ids in a `result` list."""
    if not isinstance(results, Sequence) or isinstance(results, str):
        return frozenset()
    return frozenset(str(r["id"]) for r in results if isinstance(r, Mapping) and r.get("id"))


def signed(drawn: Sequence[Any], mined: Sequence[Result]) -> list[Any]:
    """Return a `result` list of an annotation's results and mined regions, the latter marked."""
    plain = [*(_unmarked(result) for result in drawn), *mined]
    mark = _digest(plain)
    return [*plain[: len(drawn)], *({**region, MARK: mark} for region in mined)]


def is_signed(result: object) -> bool:
    """Whether a `result` list is exactly as `signed` returned it."""
    if not isinstance(result, Sequence) or isinstance(result, str):
        return False
    marks = {str(r[MARK]) for r in result if isinstance(r, Mapping) and MARK in r}
    return marks == {_digest([_unmarked(r) for r in result])}


def _draft(entry: object, project: int) -> Draft:
    if not isinstance(entry, Mapping):
        raise ToolError(
            f"project {project}: the server's export does not say what drafts hold; draft mode "
            "needs Label Studio 1.23 or later"
        )
    annotation = entry.get("annotation")
    return Draft(
        id=int(entry["id"]),
        user=str(entry["user"]),
        annotation=None if annotation is None else int(annotation),
        result=entry["result"],
    )


def _unmarked(result: Any) -> Any:
    if not isinstance(result, Mapping):
        return result
    return {key: value for key, value in result.items() if key != MARK}


def _digest(result: Sequence[Any]) -> str:
    text = json.dumps(result, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]

"""Selection of annotations by person, for workspaces limited to some people's annotations."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparsedet.errors import ToolError
from sparsedet.tool import ToolOptions

from .annotation_choice import came_with_task
from .client.connection import Connection
from .drafts.draft_tasks import read_account
from .labelling_config.config_xml import listed, shown
from .projects import account_names

Annotation = Mapping[str, Any]
"""An annotation as the server holds it."""


@dataclass(frozen=True, slots=True)
class Annotators:
    """The people whose annotations count."""

    people: frozenset[int] | None
    """Ids of their accounts; None for everybody."""
    account: int | None = None
    """Id of our account, whose merges create annotations."""

    def chosen(self, annotations: Iterable[Annotation]) -> list[Annotation]:
        """Return the annotations that count."""
        return [annotation for annotation in annotations if self.counts(annotation)]

    def counts(self, annotation: Annotation) -> bool:
        """Whether an annotation is by one of the people, or was made by a merge."""
        if self.people is None:
            return True
        author = _number(annotation.get("completed_by"))
        # Only the editor records time.
        merged = annotation.get("lead_time") is None and not came_with_task(annotation)
        return (
            author in self.people
            or _number(annotation.get("updated_by")) in self.people
            or (author == self.account and merged)
        )

    def counts_when_merged(self, annotation: Annotation) -> bool:
        """Whether an annotation still counts when our account is the last to have saved it."""
        return self.counts({**annotation, "updated_by": self.account})


def read_annotators(
    wanted: Sequence[str], names: Mapping[int, str], account: int | None
) -> Annotators:
    """Return the people whose annotations count.

    Args:
        wanted: email addresses or account ids; empty for everybody.
        names: email addresses by account id, from `account_names`.
        account: id of our account.

    Raises:
        ToolError: naming one that is not an account.
    """
    if not wanted:
        return Annotators(None, account)
    numbers = {name.casefold(): number for number, name in names.items()}
    found: set[int] = set()
    for person in wanted:
        number = int(person) if person.isdecimal() and len(person) < 10 else None
        known = number if number in names else numbers.get(person.casefold())
        if known is None:
            raise ToolError(
                f"[source] annotators lists {shown(person)}, which is not an account of the server "
                f"(accounts: {listed(sorted(names.values()))})"
            )
        found.add(known)
    return Annotators(frozenset(found), account)


def project_annotators(connection: Connection, options: ToolOptions) -> Annotators:
    """Return the people whose annotations count; asks the server only if not all do."""
    wanted = options.choice.annotators
    if not wanted:
        return Annotators(None)
    return read_annotators(wanted, account_names(connection), read_account(connection).id)


def _number(person: object) -> int | None:
    """Return the id of an account, which exports may hold as a record."""
    if isinstance(person, Mapping):
        person = person.get("id")
    return person if isinstance(person, int) else None

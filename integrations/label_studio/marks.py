"""Marks of the workspace that owns reviews, so that two don't unknowingly share a project.

A review project has its mark in its description, `[sparsedet review of project 3: control=label
workspace=ab12]`, odd characters of the control's name as in a URL; people may change the title and
the rest of the description. In draft mode, every mined region of an untouched draft or prediction
has one: it lasts exactly as long as what it protects, while custom data of a view is lost if
somebody changes the view.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from sparsedet.errors import ToolError

from .client.connection import Connection

_MARK = re.compile(
    r"\[sparsedet (?P<kind>review|sheets) of project (?P<source>\d+)"
    r"(?:: control=(?P<control>.*?)(?: workspace=(?P<workspace>\S+))?)?\]"
)

_ODD = re.compile(r"""[\x00-\x1f\x7f\x85\u2028\u2029%=\[\]<>&"'\\]""")
"""Characters that would end the mark early, or that a server may escape in a description."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Purpose and owner of a review project."""

    source: int
    """Number of the annotated project."""
    control: str | None = None
    """The RectangleLabels control of the boxes; None in marks without one."""
    workspace: str | None = None
    """`ToolOptions.owner` of the workspace that pushes; None if nobody has claimed it."""
    sheets: bool = False
    """Whether it shows contact sheets instead of images."""

    def __str__(self) -> str:
        kind = "sheets" if self.sheets else "review"
        quoted = _ODD.sub(lambda odd: quote(odd[0], safe=""), self.control or "")
        control = f": control={quoted}" if quoted else ""
        workspace = f" workspace={self.workspace}" if control and self.workspace else ""
        return f"[sparsedet {kind} of project {self.source}{control}{workspace}]"

    def is_for(self, source: int, control: str) -> bool:
        """Whether boxes of this control of the project are reviewed there."""
        return self.source == source and self.control in (None, control)

    def is_foreign(self, owner: str | None) -> bool:
        """Whether another workspace has claimed it; without an owner, claims are ignored."""
        return owner is not None and self.workspace not in (None, owner)


def read_mark(description: str | None) -> Mark | None:
    """Return the mark in a project's description; None if it is not a review project of ours."""
    found = _MARK.search(description or "")
    if found is None:
        return None
    sheets = found["kind"] == "sheets"
    control = found["control"] and unquote(found["control"])
    return Mark(int(found["source"]), control, found["workspace"], sheets)


def with_mark(description: str, mark: Mark) -> str:
    """Return a description with its mark replaced, or one added."""
    if _MARK.search(description):
        return _MARK.sub(lambda _: str(mark), description, count=1)
    return f"{description} {mark}".strip()


def check_source(connection: Connection, project: int, description: str | None) -> None:
    """Check that a project is not itself a review project of ours.

    Raises:
        ToolError: naming the annotated project.
    """
    if mark := read_mark(description):
        raise ToolError(
            f"project {project} is the review project of project {mark.source}: its boxes are "
            f"reviewed there, not annotated; use {connection.url}/projects/{mark.source}"
        )


def draft_mark(control: str, owner: str | None) -> str | None:
    """Return the mark for mined regions of drafts; None without an owner."""
    return None if owner is None else f"control={control} workspace={owner}"


def is_of_control(mark: str | None, control: str) -> bool:
    """Whether a mined region's mark is for a control's boxes; without a mark, they may be."""
    return mark is None or mark.startswith(f"control={control} workspace=")


def is_of_other_workspace(mark: str | None, owner: str | None) -> bool:
    """Whether another workspace has marked a mined region; without an owner, all are ours."""
    return owner is not None and mark is not None and not mark.endswith(f" workspace={owner}")


def foreign_workspace(place: str, workspace: str) -> ToolError:
    """Return the error for a place that another workspace has claimed."""
    return ToolError(
        f"{place} belongs to another workspace ({workspace}); continue in that one, or take the "
        "project over with --take-over, which withdraws what it has up for review"
    )


def other_mode(place: str, boxes: int) -> ToolError:
    """Return the error for boxes that are up for review in the other push mode."""
    return ToolError(
        f"{boxes} mined boxes are up for review {place}: review them there first, or withdraw "
        "them with --take-over"
    )
